//! What follows when files of the host change while a project runs: `develop.watch`, and the
//! project's own files.
//!
//! ```text
//! notify --paths--> Debounce --50 ms of quiet--> Tree (what differs) --> Rules --> Reaction
//!                       `--queue overflow: everything--'                              |
//!                       containers <--copy, exec, restart-- Guard (loops) <-- Lanes <'
//! ```
//!
//! Nothing is concluded from events but where to look: what counts is how the files there differ
//! from those that were last acted on. So a save is one change however the editor goes about it,
//! and after a loss of events comparing everything finds what was missed.
//!
//! [`rules`], [`debounce`], [`guard`], [`lanes`], [`touched`] and [`tree`] are pure.

pub mod copy;
pub mod debounce;
pub mod disk;
pub mod guard;
pub mod lanes;
pub mod pattern;
pub mod rules;
pub mod touched;
pub mod tree;

/// How names of files begin that a copy is written to before it takes its place.
pub const ASIDE: &str = ".stack-copy-";
