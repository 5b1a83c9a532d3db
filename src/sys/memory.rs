//! Memory of this process.

/// Gives memory that is not in use back to the kernel: after work on very many small things, the
/// allocator keeps what they took.
pub fn trim() {
    #[cfg(target_env = "gnu")]
    // SAFETY: malloc_trim(3) takes the allocator's own locks and has no other precondition.
    unsafe {
        nix::libc::malloc_trim(0);
    }
}
