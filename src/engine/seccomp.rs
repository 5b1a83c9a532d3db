//! Docker's default system-call filter: which calls it allows, and the program for the kernel.
//!
//! The program is a search tree over ranges of numbers rather than one comparison a call, as
//! `seccompiler` (the oracle of the tests here) writes it: the kernel runs a new filter once for every
//! system call to fill its cache, so a flat list costs each container milliseconds.

use std::sync::OnceLock;

use nix::libc;
use seccompiler::sock_filter;

use super::capability::{Capability, CapabilitySet};

mod table;

/// What the filter answers to a system call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// Goes on.
    Allow,
    /// Fails with this errno.
    Errno(i32),
    /// Allowed when one of the conditions holds, else `EPERM`.
    If(&'static [Condition]),
}

/// A condition on one argument; only the low 32 bits count, all values here fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Condition {
    /// Argument `.0` is `.1`.
    Equal(u8, u32),
    /// Argument `.0` is not `.1`.
    Differs(u8, u32),
    /// Argument `.0` has none of the bits `.1`.
    Without(u8, u32),
}

/// One system call and the answer to it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rule {
    pub(crate) name: &'static str,
    pub(crate) number: u32,
    pub(crate) action: Action,
}

/// Domains of personality(2) that change nothing dangerous.
const PERSONALITIES: &[Condition] = &[
    Condition::Equal(0, 0),
    Condition::Equal(0, 0x8),
    Condition::Equal(0, 0x2_0000),
    Condition::Equal(0, 0x2_0008),
    Condition::Equal(0, 0xffff_ffff),
];
/// The `CLONE_NEW*` flags of clone(2).
const NAMESPACE_FLAGS: &[Condition] = &[Condition::Without(0, 0x7e02_0000)];
/// Any address family but AF_VSOCK, which reaches a hypervisor past the network namespace.
const NOT_VSOCK: &[Condition] = &[Condition::Differs(0, 40)];

/// Returns Docker's default profile for a process with these capabilities, sorted by number;
/// a call that is not listed fails with `EPERM` (`ENOSYS` when newer than all of these).
pub(crate) fn default_rules(capabilities: CapabilitySet) -> Vec<Rule> {
    let mut rules: Vec<Rule> =
        table::ALLOWED.iter().map(|&(name, number)| Rule { name, number, action: Action::Allow }).collect();
    let mut add = |(name, number): (&'static str, u32), action| rules.push(Rule { name, number, action });
    add(table::PERSONALITY, Action::If(PERSONALITIES));
    add(table::SOCKET, Action::If(NOT_VSOCK));
    if !capabilities.contains(Capability::CAP_SYS_ADMIN) {
        add(table::CLONE, Action::If(NAMESPACE_FLAGS));
        // glibc falls back to clone, whose flags can be looked at.
        add(table::CLONE3, Action::Errno(libc::ENOSYS));
    }
    for &(capability, calls) in table::BY_CAPABILITY {
        if capabilities.contains(capability) {
            for &call in calls {
                add(call, Action::Allow);
            }
        }
    }
    rules.sort_by_key(|rule| rule.number);
    rules.dedup_by_key(|rule| rule.number);
    rules
}

/// Returns the program of the default profile for these capabilities. That of Docker's default
/// set is kept: the shims are copies of one process that [`prepare`]d it.
pub(crate) fn program(capabilities: CapabilitySet) -> std::borrow::Cow<'static, [sock_filter]> {
    static DEFAULT: OnceLock<Vec<sock_filter>> = OnceLock::new();
    if capabilities == CapabilitySet::docker_default() {
        DEFAULT.get_or_init(|| compile(&default_rules(capabilities))).as_slice().into()
    } else {
        compile(&default_rules(capabilities)).into()
    }
}

/// Compiles what most containers need.
pub(crate) fn prepare() {
    program(CapabilitySet::docker_default());
}

/// Returns the filter program for these rules (sorted by number).
pub(crate) fn compile(rules: &[Rule]) -> Vec<sock_filter> {
    let refused = Action::Errno(libc::EPERM);
    let mut segments: Vec<(u32, Action)> = vec![(0, refused)];
    let mut extend = |start: u32, action: Action| {
        match segments.last_mut() {
            Some((last, _)) if *last == start => segments.pop(),
            _ => None,
        };
        if segments.last().is_none_or(|&(_, last)| last != action) {
            segments.push((start, action));
        }
    };
    let mut newest = 0;
    for rule in rules {
        extend(rule.number, rule.action);
        extend(rule.number + 1, refused);
        newest = rule.number;
    }
    extend(newest + 1, Action::Errno(libc::ENOSYS));

    const ARCH_OFFSET: u32 = 4;
    let mut program = vec![
        statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, ARCH_OFFSET),
        jump(libc::BPF_JEQ, AUDIT_ARCH, 1, 0),
        // A 32-bit program: its numbers mean other calls.
        answer(Action::Errno(libc::ENOSYS)),
        statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0),
    ];
    program.extend(tree(&segments));
    program
}

#[cfg(target_arch = "x86_64")]
const AUDIT_ARCH: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const AUDIT_ARCH: u32 = 0xc000_00b7;

/// Returns code that finds the segment of the number in the accumulator and answers.
fn tree(segments: &[(u32, Action)]) -> Vec<sock_filter> {
    if let [(_, action)] = segments {
        return leaf(*action);
    }
    let (low, high) = segments.split_at(segments.len() / 2);
    let (low, high_code) = (tree(low), tree(high));
    let mut code = match u8::try_from(low.len()) {
        Ok(distance) => vec![jump(libc::BPF_JGE, high[0].0, distance, 0)],
        Err(_) => vec![jump(libc::BPF_JGE, high[0].0, 0, 1), statement(libc::BPF_JMP | libc::BPF_JA, low.len() as u32)],
    };
    code.extend(low);
    code.extend(high_code);
    code
}

fn leaf(action: Action) -> Vec<sock_filter> {
    const ARGUMENTS_OFFSET: u32 = 16;
    let Action::If(conditions) = action else { return vec![answer(action)] };
    let mut code = Vec::new();
    for condition in conditions {
        let (Condition::Equal(index, _) | Condition::Differs(index, _) | Condition::Without(index, _)) = *condition;
        let low_half = ARGUMENTS_OFFSET + 8 * u32::from(index);
        code.push(statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, low_half));
        code.push(match *condition {
            Condition::Equal(_, value) => jump(libc::BPF_JEQ, value, 0, 1),
            Condition::Differs(_, value) => jump(libc::BPF_JEQ, value, 1, 0),
            Condition::Without(_, bits) => jump(libc::BPF_JSET, bits, 1, 0),
        });
        code.push(answer(Action::Allow));
    }
    code.push(answer(Action::Errno(libc::EPERM)));
    code
}

fn answer(action: Action) -> sock_filter {
    let value = match action {
        Action::Errno(errno) => libc::SECCOMP_RET_ERRNO | errno as u32,
        Action::Allow | Action::If(_) => libc::SECCOMP_RET_ALLOW,
    };
    statement(libc::BPF_RET | libc::BPF_K, value)
}

fn statement(code: u32, k: u32) -> sock_filter {
    sock_filter { code: code as u16, jt: 0, jf: 0, k }
}

fn jump(test: u32, k: u32, jt: u8, jf: u8) -> sock_filter {
    sock_filter { code: (libc::BPF_JMP | test | libc::BPF_K) as u16, jt, jf, k }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a program on a system call, as the kernel would.
    fn run(program: &[sock_filter], number: u32, arguments: &[u64]) -> u32 {
        let mut data = [0_u32; 16];
        data[0] = number;
        data[1] = AUDIT_ARCH;
        for (i, argument) in arguments.iter().enumerate() {
            data[4 + 2 * i] = *argument as u32;
            data[5 + 2 * i] = (*argument >> 32) as u32;
        }
        let (mut at, mut accumulator) = (0, 0_u32);
        loop {
            let step = &program[at];
            at += 1;
            let code = u32::from(step.code);
            let taken = match code & 0xf0 {
                _ if code == libc::BPF_RET | libc::BPF_K => return step.k,
                _ if code == libc::BPF_LD | libc::BPF_W | libc::BPF_ABS => {
                    accumulator = data[step.k as usize / 4];
                    continue;
                }
                _ if code == libc::BPF_ALU | libc::BPF_AND | libc::BPF_K => {
                    accumulator &= step.k;
                    continue;
                }
                libc::BPF_JA => {
                    at += step.k as usize;
                    continue;
                }
                libc::BPF_JEQ => accumulator == step.k,
                libc::BPF_JGE => accumulator >= step.k,
                libc::BPF_JGT => accumulator > step.k,
                libc::BPF_JSET => accumulator & step.k != 0,
                other => panic!("instruction {other:#x}"),
            };
            at += usize::from(if taken { step.jt } else { step.jf });
        }
    }

    fn default_program() -> Vec<sock_filter> {
        compile(&default_rules(CapabilitySet::docker_default()))
    }

    const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;
    const EPERM: u32 = libc::SECCOMP_RET_ERRNO | libc::EPERM as u32;
    const ENOSYS: u32 = libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32;

    #[test]
    fn the_tree_answers_as_a_flat_list_would() {
        use seccompiler::{SeccompAction, SeccompFilter, TargetArch};
        let rules = default_rules(CapabilitySet::docker_default());
        let plain = rules.iter().filter(|rule| rule.action == Action::Allow);
        let flat = SeccompFilter::new(
            plain.map(|rule| (i64::from(rule.number), vec![])).collect(),
            SeccompAction::Errno(libc::EPERM as u32),
            SeccompAction::Allow,
            TargetArch::try_from(std::env::consts::ARCH).unwrap(),
        );
        let flat: Vec<sock_filter> = flat.unwrap().try_into().unwrap();
        let tree = compile(&rules);
        let newest = rules.last().unwrap().number;
        for number in 0..=newest {
            if rules.iter().any(|rule| rule.number == number && rule.action != Action::Allow) {
                continue;
            }
            assert_eq!(run(&tree, number, &[]), run(&flat, number, &[]), "system call {number}");
        }
        assert!(tree.len() < flat.len() / 3, "{} {}", tree.len(), flat.len());
    }

    #[test]
    fn arguments_are_looked_at() {
        let program = default_program();
        let check = |call: libc::c_long, arguments: &[u64], expected: u32| {
            assert_eq!(run(&program, call as u32, arguments), expected, "{call} {arguments:x?}");
        };
        check(libc::SYS_clone, &[libc::SIGCHLD as u64], ALLOW);
        check(libc::SYS_clone, &[libc::CLONE_NEWUSER as u64], EPERM);
        check(libc::SYS_clone3, &[], ENOSYS);
        check(libc::SYS_socket, &[libc::AF_INET as u64], ALLOW);
        check(libc::SYS_socket, &[libc::AF_VSOCK as u64], EPERM);
        check(libc::SYS_personality, &[0x2_0008], ALLOW);
        check(libc::SYS_personality, &[0x40_0000], EPERM);
        check(libc::SYS_chroot, &[], ALLOW);
        check(libc::SYS_mount, &[], EPERM);
        check(libc::SYS_bpf, &[], EPERM);
        check(0x4000_0000, &[], ENOSYS);
        check(9999, &[], ENOSYS);
    }

    #[test]
    fn capabilities_open_their_calls() {
        let mut set = CapabilitySet::docker_default();
        set.insert(Capability::CAP_SYS_ADMIN);
        let program = compile(&default_rules(set));
        assert_eq!(run(&program, libc::SYS_mount as u32, &[]), ALLOW);
        assert_eq!(run(&program, libc::SYS_clone3 as u32, &[]), ALLOW);
        assert_eq!(run(&program, libc::SYS_clone as u32, &[libc::CLONE_NEWUSER as u64]), ALLOW);
        assert_eq!(run(&program, libc::SYS_reboot as u32, &[]), EPERM);
    }
}
