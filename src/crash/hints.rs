//! What to look at: the usual causes, told from the last words of a program and its surroundings.

use std::fmt::Write as _;

use super::{By, Death, Memory, SIGKILL, size};

/// A mount of a container, and whom its source belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountOwner {
    /// Where it is in the container.
    pub target: String,
    /// Its source on the host, or the volume's name.
    pub source: String,
    /// Owner and group of the source.
    pub owner: (u32, u32),
    /// Permission bits of the source.
    pub mode: u32,
    /// It was mounted read-only.
    pub read_only: bool,
}

/// A service that a container depends on, as it was when the container died.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dependency {
    /// The service.
    pub service: String,
    /// What it did: `running (starting)`, `exited (1)`.
    pub state: String,
    /// It runs, and its check (if it has one) holds.
    pub ready: bool,
    /// It has a health check.
    pub checked: bool,
}

/// Returns what to look at, the likeliest first.
pub(super) fn hints(death: &Death<'_>, by: &By) -> Vec<String> {
    if death.expected {
        return stopped_the_hard_way(death).into_iter().collect();
    }
    let mut hints = Vec::new();
    if let By::Kernel { limit, .. } = by {
        hints.push(out_of_memory(*limit, &death.memory));
    }
    let text: Vec<&str> = death.lines.iter().map(String::as_str).chain([death.start_error]).collect();
    let said = |words: &[&str]| {
        text.iter().rev().copied().find(|line| {
            let line = line.to_ascii_lowercase();
            words.iter().any(|word| line.contains(word))
        })
    };
    if let Some(line) = said(&["address already in use", "eaddrinuse", "address in use", "port is already allocated"]) {
        hints.push(port_in_use(line));
    }
    if said(&["exec format error"]).is_some() {
        hints.push(format!(
            "the program is for another processor than this machine's ({}), or a script without a `#!` line: \
             use an image for this architecture",
            std::env::consts::ARCH
        ));
    }
    if let Some(line) = said(&["permission denied", "eacces", "operation not permitted", "read-only file system"]) {
        hints.extend(permission_denied(death, line));
    }
    if matches!(death.exit_code, 126 | 127) && hints.is_empty() {
        hints.push(not_found(death, said(&["not found", "no such file", "can't open", "cannot open"])));
    } else if let Some(line) = said(&["no such file or directory", "enoent"])
        && hints.is_empty()
    {
        hints.push(format!("a file is missing: {}", shorten(line)));
    }
    if said(&["connection refused", "econnrefused", "no route to host", "could not connect", "connect etimedout"])
        .is_some()
    {
        hints.extend(refused(death));
    }
    hints
}

fn out_of_memory(limit: bool, memory: &Memory) -> String {
    match (limit, memory.limit) {
        (true, Some(bytes)) => {
            format!("give it more than {} (deploy.resources.limits.memory or mem_limit), or have it use less", size(bytes))
        }
        _ => "the machine itself was out of memory: a limit (mem_limit) on the service that takes most protects the others"
            .to_owned(),
    }
}

/// A program that had to be killed after its grace: why, most often.
fn stopped_the_hard_way(death: &Death<'_>) -> Option<String> {
    let first = death.sent.first()?;
    (first.signal != SIGKILL && death.signal == Some(SIGKILL)).then(|| {
        format!(
            "it did not end within {} s of {}; process 1 ignores signals that it has no handler for: `init: true` helps",
            death.grace.as_secs_f64(),
            crate::ids::signal::name(first.signal)
        )
    })
}

fn port_in_use(line: &str) -> String {
    match port_in(line) {
        Some(port) => format!(
            "port {port} is taken in the container's network: two programs in it, or services that share it by \
             network_mode, listen on the same port"
        ),
        None => "the port is taken in the container's network: two programs in it, or services that share it by \
                 network_mode, listen on the same port"
            .to_owned(),
    }
}

/// Returns the last number after a colon that can be a port.
fn port_in(line: &str) -> Option<u16> {
    let mut found = None;
    for (at, _) in line.match_indices(':') {
        let digits: String = line[at + 1..].trim_start().chars().take_while(char::is_ascii_digit).collect();
        found = digits.parse().ok().filter(|&port: &u16| port > 0).or(found);
    }
    found
}

fn permission_denied(death: &Death<'_>, line: &str) -> Vec<String> {
    let within = |mount: &&MountOwner| {
        line.match_indices(mount.target.trim_end_matches('/')).any(|(at, target)| {
            !target.is_empty() && line[at + target.len()..].chars().next().is_none_or(|c| !c.is_alphanumeric())
        })
    };
    // The deepest mount that the line names; the only one where it names none.
    let named = death.mounts.iter().filter(within).max_by_key(|mount| mount.target.len());
    let only = if death.mounts.len() == 1 { death.mounts.first() } else { None };
    let Some(mount) = named.or(only) else {
        return match death.user {
            Some((uid, gid)) if uid != 0 => {
                vec![format!("it runs as user {uid}, group {gid}: look at the owner of what it was refused")]
            }
            _ => Vec::new(),
        };
    };
    let mut hint = format!("{} is mounted from {}", mount.target, mount.source);
    if mount.read_only && line.to_ascii_lowercase().contains("read-only") {
        return vec![hint + ", read-only"];
    }
    let (uid, gid) = mount.owner;
    let _ = write!(hint, ", which belongs to user {uid}, group {gid} (mode {:04o})", mount.mode & 0o7777);
    if let Some((own_uid, own_gid)) = death.user {
        let _ = write!(hint, "; the container runs as user {own_uid}, group {own_gid}");
        if own_uid != uid && own_uid != 0 {
            let _ = write!(hint, ": chown it, or set `user: \"{uid}:{gid}\"`");
        }
    }
    vec![hint]
}

fn not_found(death: &Death<'_>, line: Option<&str>) -> String {
    let program = death.argv.first().map_or("", String::as_str);
    match line {
        Some(line) => format!(
            "a program was not found: {}; look at PATH, at the name, and (for scripts) at the interpreter in its first line",
            shorten(line)
        ),
        None if death.exit_code == 126 => format!("{program} or what it starts is not executable (chmod +x)"),
        None => format!("{program} or what it starts was not found: look at PATH and at the interpreter of scripts"),
    }
}

/// Somebody did not answer: which dependency was not ready.
fn refused(death: &Death<'_>) -> Vec<String> {
    let text = death.lines.join("\n");
    let mentions = |dependency: &&Dependency| text.contains(dependency.service.as_str());
    let not_ready: Vec<&Dependency> = death.dependencies.iter().filter(|dependency| !dependency.ready).collect();
    let unchecked = death.dependencies.iter().filter(|dependency| dependency.ready && !dependency.checked);
    let chosen: Vec<&Dependency> = match not_ready.is_empty() {
        false => not_ready,
        // One that runs and has no check may not have listened yet.
        true => {
            let all: Vec<&Dependency> = unchecked.collect();
            let named: Vec<&Dependency> = all.iter().copied().filter(mentions).collect();
            if named.is_empty() { all } else { named }
        }
    };
    let one = |dependency: &Dependency| {
        let Dependency { service, state, checked, .. } = dependency;
        if *checked {
            format!(
                "{service} was not ready: {state}; `depends_on: {{{service}: {{condition: service_healthy}}}}` waits for it"
            )
        } else {
            format!(
                "{service} was {state}, and nothing tells when it is ready: give it a healthcheck and wait for it with \
                 `depends_on: {{{service}: {{condition: service_healthy}}}}`"
            )
        }
    };
    chosen.into_iter().map(one).collect()
}

fn shorten(line: &str) -> String {
    let line = line.trim();
    match line.char_indices().nth(160) {
        Some((at, _)) => format!("{}...", &line[..at]),
        None => line.to_owned(),
    }
}
