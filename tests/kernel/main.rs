//! The whole program on a real kernel: every test starts the binary that was built, with an engine of its own.
//!
//! They need root, and what `make test` installs. Tests in [`alone`] look at the whole host or at the clock and
//! have the machine to themselves (`.config/nextest.toml`); all others run side by side.

#[path = "../support/mod.rs"]
mod support;

mod alone;
mod boundaries;
mod chaos;
mod commands;
mod confinement;
mod convergence;
mod crash;
mod daemon;
mod dependencies;
mod engine;
mod events;
mod example;
mod faults;
mod heal;
mod images;
mod in_place;
mod input;
mod lifecycle;
mod networks;
mod plan;
mod ready;
mod remote;
mod rolling;
mod spent_cgroups;
mod timings;
mod volumes;
mod watch;
