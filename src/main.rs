//! Picks the role: client, daemon, shim or container init.

fn main() {}
