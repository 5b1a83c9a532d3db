//! From Compose files to a typed model, phase by phase.

pub mod model;
