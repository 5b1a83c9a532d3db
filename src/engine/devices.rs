//! Device nodes of a container, and which devices it may open.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::OnceLock;

use crate::sys::bpf::{Instruction, attach_device_program, load_device_program};

/// Character devices that every container may open, as Docker has it: major, minor (`None`
/// for all).
pub(crate) const OPENABLE: &[(u32, Option<u32>)] = &[
    (1, Some(3)),
    (1, Some(5)),
    (1, Some(7)),
    (1, Some(8)),
    (1, Some(9)),
    (5, Some(0)),
    (5, Some(1)),
    (5, Some(2)),
    (136, None),
];

/// Nodes of a container's `/dev`: name, major, minor.
pub(crate) const STANDARD: &[(&str, u32, u32)] =
    &[("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)];

/// Links of a container's `/dev`: name, target.
pub(crate) const LINKS: &[(&str, &str)] = &[
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
    ("core", "/proc/kcore"),
];

/// Returns the program that guards a container's devices: nodes may be made, as Docker has
/// it, but only [`OPENABLE`] ones opened. Without it, root in a container could make a node
/// of the host's disk and read it.
fn guard() -> Vec<Instruction> {
    const CHARACTER: i32 = 2; // BPF_DEVCG_DEV_CHAR
    const MAKE_NODE: i32 = 1; // BPF_DEVCG_ACC_MKNOD
    let op = |code, registers, offset, immediate| Instruction { code, registers, offset, immediate };
    let load = |to: u8, offset| op(0x61, 0x10 | to, offset, 0); // to = *(u32 *)(context + offset)
    let unless = |register: u8, value, skip| op(0x55, register, skip, value);
    let verdict = |value| [op(0xb7, 0, 0, value), op(0x95, 0, 0, 0)];
    let mut program = vec![
        load(2, 0),              // access << 16 | type
        op(0xbf, 0x23, 0, 0),    // r3 = r2
        op(0x57, 3, 0, 0xffff),  // r3: type
        op(0x77, 2, 0, 16),      // r2: access
        load(4, 4),              // major
        load(5, 8),              // minor
        unless(2, MAKE_NODE, 2), // both types
    ];
    program.extend(verdict(1));
    program.push(op(0x15, 3, 2, CHARACTER));
    program.extend(verdict(0));
    for &(major, minor) in OPENABLE {
        match minor {
            Some(minor) => program.extend([unless(4, major as i32, 3), unless(5, minor as i32, 2)]),
            None => program.push(unless(4, major as i32, 2)),
        }
        program.extend(verdict(1));
    }
    program.extend(verdict(0));
    program
}

/// Loads the guard once for all shims, which are copies of the process that calls this first.
pub(crate) fn prepare() {
    program();
}

fn program() -> Option<&'static OwnedFd> {
    static PROGRAM: OnceLock<Option<OwnedFd>> = OnceLock::new();
    // A kernel without it has the v1 controller, or the start warns.
    PROGRAM.get_or_init(|| load_device_program(&guard()).ok()).as_ref()
}

/// Guards the devices of a cgroup (v2). Fails where the kernel cannot.
pub(crate) fn restrict(cgroup: BorrowedFd<'_>) -> io::Result<()> {
    let program = program().ok_or(io::ErrorKind::Unsupported)?;
    attach_device_program(program.as_fd(), cgroup)
}

/// Returns what the v1 controller is told instead: lines for `devices.allow` after all were
/// denied.
pub(crate) fn legacy_rules() -> impl Iterator<Item = String> {
    let openable = OPENABLE.iter().map(|(major, minor)| match minor {
        Some(minor) => format!("c {major}:{minor} rwm"),
        None => format!("c {major}:* rwm"),
    });
    ["c *:* m".to_owned(), "b *:* m".to_owned()].into_iter().chain(openable)
}
