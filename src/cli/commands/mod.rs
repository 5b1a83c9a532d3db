//! A file per command: its options with their help, and what it does.

pub(crate) mod config;
pub(crate) mod create;
pub(crate) mod down;
pub(crate) mod events;
pub(crate) mod exec;
pub(crate) mod image;
pub(crate) mod images;
pub(crate) mod inspect;
pub(crate) mod kill;
pub(crate) mod logs;
pub(crate) mod ls;
pub(crate) mod plan;
pub(crate) mod port;
pub(crate) mod ps;
pub(crate) mod pull;
pub(crate) mod restart;
pub(crate) mod rm;
pub(crate) mod scale;
pub(crate) mod schema;
pub(crate) mod start;
pub(crate) mod stop;
pub(crate) mod up;
pub(crate) mod version;
pub(crate) mod wait;
pub(crate) mod why;
