//! From answers and events to text. Everything here is pure but for the writing of progress.

pub(crate) mod card;
pub mod diagnostics;
pub(crate) mod duration;
pub(crate) mod event;
mod excerpt;
pub(crate) mod explain;
pub(crate) mod logs;
pub(crate) mod plan;
pub(crate) mod progress;
pub(crate) mod ps;
pub(crate) mod style;
pub(crate) mod table;
pub(crate) mod timing;
pub(crate) mod watch;
