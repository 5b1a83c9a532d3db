//! The command line as a user meets it: arguments in, text and exit status out.

mod config;
mod engine;
mod env;
mod everyday;
mod exec;
mod foreground;
mod operations;
mod report;
mod schema;
