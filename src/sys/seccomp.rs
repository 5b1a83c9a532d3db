//! Loading a system-call filter.

use std::io;

use nix::libc;
use seccompiler::sock_filter;

/// Puts the filter on this thread. Unlike `seccompiler::apply_filter` it leaves
/// `no_new_privs` alone: without it the caller needs CAP_SYS_ADMIN (seccomp(2)), and set-uid
/// programs go on working in the container, as they do with Docker.
pub fn load_filter(program: &[sock_filter]) -> io::Result<()> {
    let length = u16::try_from(program.len()).map_err(|_| io::Error::from_raw_os_error(libc::E2BIG))?;
    let program = libc::sock_fprog { len: length, filter: program.as_ptr().cast_mut().cast() };
    // SAFETY: `sock_fprog` points to `len` instructions of the kernel's layout (seccompiler's
    // type is `repr(C)` and mirrors it); the kernel copies them before it returns.
    let done = unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const program) };
    if done == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
