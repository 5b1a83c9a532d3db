//! Crash cards: why a container's run ended, told from what is known of it. Pure: facts in, card out.
//!
//! [`card`] is the entry. Who collects the facts is the daemon, who draws the card is `cli`.

mod hints;
#[cfg(test)]
mod tests;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ids::signal;

pub use hints::{Dependency, MountOwner};

const SIGKILL: i32 = 9;
/// What a program's own fault raises: abort(3), a bad pointer, a forbidden system call, a limit.
const FAULTS: [i32; 9] = [3, 4, 5, 6, 7, 8, 11, 24, 31];
/// Log lines of a card.
pub const LINES: usize = 8;
/// Characters of a line that stands for a card.
const BRIEF: usize = 60;

/// How a run ended and why: what `why`, `up` and `logs` show.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Card {
    /// When, nanoseconds since 1970.
    pub time_ns: i64,
    /// Exit status; 128 and the signal's number when a signal ended it.
    pub exit_code: i32,
    /// The signal that ended it; `None` when it ended by itself.
    pub signal: Option<i32>,
    /// Who ended it.
    pub by: By,
    /// A user or a plan asked for this end.
    pub expected: bool,
    /// Milliseconds that it had run.
    pub uptime_ms: u64,
    /// Times the engine had started it again before.
    pub restarts: u32,
    /// Milliseconds until it is started again; `None` when it is not.
    pub next_try_ms: Option<u64>,
    /// Its memory, where the kernel ended one of its processes for want of it.
    pub memory: Option<Memory>,
    /// The last lines of its log from this run, oldest first.
    pub lines: Vec<String>,
    /// What to look at or to do.
    pub hints: Vec<String>,
}

/// Who ended a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "who", rename_all = "snake_case")]
pub enum By {
    /// The program: it exited, or ran into a fault of its own.
    Itself,
    /// The kernel, for want of memory.
    Kernel {
        /// It ended a child; the main process ended after that.
        child: bool,
        /// The container's own limit was reached, rather than the machine's memory.
        limit: bool,
    },
    /// A user, by a command.
    User {
        /// The command, `stop`.
        command: String,
    },
    /// The engine.
    Engine {
        /// Why.
        why: String,
    },
    /// Somebody on the host: no process in the container can send such a signal.
    Host,
    /// Another process in the container, or somebody on the host.
    Somebody,
    /// Nobody saw: the process that held the container was killed, and the container with it.
    Shim,
    /// It did not start.
    Start {
        /// Why.
        why: String,
    },
}

/// The memory of a container when it ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// Processes that the kernel ended for want of memory in this run.
    pub kills: u64,
    /// Its limit, bytes.
    pub limit: Option<u64>,
    /// The most it had in use, bytes.
    pub peak: Option<u64>,
}

/// A signal that the engine sent in this run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// Its number.
    pub signal: i32,
    /// Whose wish it was.
    pub by: By,
}

/// What is known of a run that ended.
#[derive(Debug, Clone, Default)]
pub struct Death<'a> {
    /// When, nanoseconds since 1970.
    pub time_ns: i64,
    /// Exit status; 128 and the signal's number when a signal ended it.
    pub exit_code: i32,
    /// The signal that ended its main process.
    pub signal: Option<i32>,
    /// Signals that the engine sent it, in order.
    pub sent: &'a [Sent],
    /// A user or a plan asked for the end.
    pub expected: bool,
    /// What the kernel says of its memory.
    pub memory: Memory,
    /// Its shim was killed.
    pub shim_gone: bool,
    /// Why it did not start; empty when it did.
    pub start_error: &'a str,
    /// How long it had run.
    pub uptime: Duration,
    /// Times the engine had started it again before.
    pub restarts: u32,
    /// It is started again after so long.
    pub next_try: Option<Duration>,
    /// A reaper of ours is process 1, so signals reach the main process from inside as well.
    pub init: bool,
    /// How long it may take to stop.
    pub grace: Duration,
    /// The program and its arguments.
    pub argv: &'a [String],
    /// The last lines of its log, oldest first.
    pub lines: Vec<String>,
    /// User and group it ran as.
    pub user: Option<(u32, u32)>,
    /// What is mounted in it, and whose it is.
    pub mounts: Vec<MountOwner>,
    /// What it depends on, and how that was when it died.
    pub dependencies: Vec<Dependency>,
}

/// Returns the card of a run that ended.
pub fn card(death: &Death<'_>) -> Card {
    let by = by(death);
    let oom = matches!(by, By::Kernel { .. }) || death.memory.kills > 0;
    Card {
        time_ns: death.time_ns,
        exit_code: death.exit_code,
        signal: death.signal,
        hints: hints::hints(death, &by),
        expected: death.expected,
        uptime_ms: u64::try_from(death.uptime.as_millis()).unwrap_or(u64::MAX),
        restarts: death.restarts,
        next_try_ms: death.next_try.map(|pause| u64::try_from(pause.as_millis()).unwrap_or(u64::MAX)),
        memory: oom.then_some(death.memory),
        lines: death.lines.iter().rev().take(LINES).rev().cloned().collect(),
        by,
    }
}

/// Tells who ended the run.
fn by(death: &Death<'_>) -> By {
    if !death.start_error.is_empty() {
        return By::Start { why: death.start_error.to_owned() };
    }
    // With a reaper as process 1, its exit status tells the signal.
    let signal = death.signal.or_else(|| Some(death.exit_code - 128).filter(|n| death.init && (1..=64).contains(n)));
    // What was asked for in vain first (SIGTERM, then SIGKILL after the grace) is the same wish.
    let asked = death.sent.iter().rev().find(|sent| death.expected || Some(sent.signal) == signal);
    if let Some(sent) = asked {
        return sent.by.clone();
    }
    if death.shim_gone {
        return By::Shim;
    }
    if death.memory.kills > 0 {
        let limit = death.memory.limit.is_some_and(|limit| {
            // The peak is counted in pages and per CPU, so it may stay a little below the limit.
            death.memory.peak.is_none_or(|peak| peak >= limit - limit / 16)
        });
        return By::Kernel { child: signal != Some(SIGKILL), limit };
    }
    match signal {
        None => By::Itself,
        Some(signal) if FAULTS.contains(&signal) => By::Itself,
        Some(_) if death.init => By::Somebody,
        Some(_) => By::Host,
    }
}

impl Card {
    /// Tells whether it is worth to be shown without being asked for: nobody wanted this end.
    pub fn is_crash(&self) -> bool {
        !self.expected && (self.exit_code != 0 || self.memory.is_some())
    }

    /// Returns the end in a few words, for the line of `ps`; `None` where there is nothing to add to the exit status.
    pub fn short(&self) -> Option<String> {
        Some(match &self.by {
            By::Kernel { child: false, limit: true } => match self.memory.and_then(|memory| memory.limit) {
                Some(limit) => format!("out of memory, limit {}", size(limit)),
                None => "out of memory".to_owned(),
            },
            By::Kernel { child: false, limit: false } => "the machine was out of memory".to_owned(),
            By::Kernel { child: true, .. } => "a child ran out of memory".to_owned(),
            By::Host => format!("{} from the host", signal::name(self.signal?)),
            By::Shim => "its shim was killed".to_owned(),
            By::Itself => match self.signal {
                Some(signal) => signal::name(signal),
                None => brief(self.lines.last().filter(|_| self.is_crash())?),
            },
            By::Start { why } => brief(why),
            By::Engine { why } => why.clone(),
            By::User { command } if !self.expected => format!("stack {command}"),
            By::User { .. } | By::Somebody => return None,
        })
    }

    /// Returns who ended it and by what, as a sentence without its subject.
    pub fn verdict(&self) -> String {
        let code = self.exit_code;
        let ended = match self.signal {
            Some(signal) => signal::name(signal),
            None if (129..=192).contains(&code) => {
                format!("exit code {code}, as a shell tells of a child's {}", signal::name(code - 128))
            }
            None => format!("exit code {code}"),
        };
        match &self.by {
            By::Itself if self.signal.is_some() => format!("ended by a fault of its own: {ended}"),
            By::Itself => format!("ended by itself: {ended}"),
            By::Kernel { child: false, .. } => "killed by the kernel: out of memory".to_owned(),
            By::Kernel { child: true, .. } => {
                format!("ended by itself ({ended}) after the kernel had killed one of its processes: out of memory")
            }
            By::User { command } => format!("ended by a user's `stack {command}`: {ended}"),
            By::Engine { why } => format!("ended by the engine: {ended}: {why}"),
            By::Host => format!("killed by somebody on the host: {ended}"),
            By::Somebody => format!("ended by a signal of another process, in it or on the host: exit code {code}"),
            By::Shim => "killed with its shim, the process that held it".to_owned(),
            By::Start { why } => format!("did not start: {why}"),
        }
    }
}

impl Memory {
    /// Returns limit and peak in words: `limit 64 MiB, peak 63.9 MiB`; empty when neither is known.
    pub fn words(&self) -> String {
        let limit = match self.limit {
            Some(limit) => format!("limit {}", size(limit)),
            None => "no limit".to_owned(),
        };
        match self.peak {
            Some(peak) => format!("{limit}, peak {}", size(peak)),
            None => limit,
        }
    }
}

/// Returns the first words of a line, as many as a table has room for.
fn brief(line: &str) -> String {
    let line = line.trim();
    match line.char_indices().nth(BRIEF) {
        Some((end, _)) => format!("{}…", line[..end].trim_end()),
        None => line.to_owned(),
    }
}

/// Returns bytes in binary units, at most one digit after the point: `63.9 MiB`.
pub fn size(bytes: u64) -> String {
    let mut value = bytes as f64;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if value < 1024.0 || unit == "GiB" {
            let text = format!("{value:.1}");
            return format!("{} {unit}", text.strip_suffix(".0").unwrap_or(&text));
        }
        value /= 1024.0;
    }
    unreachable!("the last unit takes all")
}
