//! Desired state and observed state in, steps out. Pure: no clock, randomness, I/O or logging.

mod op;

pub use op::{Cause, Note, Op, Plan, PlanError, Step, StepId, Target, Wait};
