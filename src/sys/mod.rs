//! The only `unsafe` code: system calls that neither `rustix` nor `nix` offers as safe functions.
//!
//! Everything here is a thin, safe wrapper; whoever needs a descriptor passes an owned or
//! borrowed one, and the invariant each `unsafe` block leans on is named above it.
#![allow(unsafe_code)]

pub mod bpf;
pub mod memory;
pub mod mount;
pub mod process;
pub mod seccomp;
pub mod watch;
