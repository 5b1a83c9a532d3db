//! Tests that need root and a real kernel: each makes its own world and leaves nothing behind.

mod engine;
