//! What a user's mistakes look like: one test a kind of mistake. Read them as the user would:
//! the message says what is wrong, the place is underlined, the line below says what to do.

mod advice;
mod files;
mod follow;
mod keys;
mod newcomers;
mod printing;
mod references;
mod running;
mod short_forms;
mod values;
mod variables;
mod yaml;
