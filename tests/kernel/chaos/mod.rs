//! Random faults over a stack of twelve services: after each it converges, no acknowledged record is lost, nothing
//! is doubled and nothing leaks.
//!
//! ```text
//! seed -> fault::faults -> inject -> (observe::look -> observe::complaints) until none -> records::check -> next
//! ```
//!
//! `STACK_CHAOS_SEED` sets the seed, which is always printed, `STACK_CHAOS_FAULTS` how many faults. With neither, as in the
//! ordinary suite, it is the same short run each time; with a number alone the seed is random.

mod fault;
mod inject;
mod observe;
mod records;
mod stack;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::program::run;
use crate::support::world::{free_port, get};
use crate::support::{SOON, World, eventually};
use fault::{Fault, faults};
use observe::{Seen, complaints, look};
use stack::{Expected, SERVICES, Wanted};

/// Faults of the ordinary suite; `make chaos` makes 300.
const FAULTS: usize = 40;
/// What the ordinary suite begins with.
const SEED: u64 = 13;
/// What is left of a fault after this is not mended by itself.
const LIMIT: Duration = Duration::from_secs(20);
/// A pause of a policy that is longer than this is cut short as a user would, so that the test ends in time.
const PATIENCE: Duration = Duration::from_millis(700);
/// Descriptors and memory (KiB) that an engine may have more than when it was first looked at: what it keeps for
/// reuse, and what a larger scale needs.
const MORE: (usize, u64) = (40, 24 * 1024);

/// A stack that faults are made in.
struct Chaos<'w> {
    world: &'w World,
    port: u16,
    changes: BTreeMap<&'static str, (u32, u32)>,
    expected: Expected,
    /// What was there when it had converged.
    seen: Seen,
    /// Processes that must have been replaced: name of the container and pid.
    replaced: Vec<(String, i32)>,
    /// Descriptors and memory (KiB) of an engine when it was first looked at.
    first: BTreeMap<i32, (usize, u64)>,
    /// Restarts that were not waited for.
    hurried: usize,
    records: usize,
}

/// Shows how it came to a failure.
struct Story<'w> {
    world: &'w World,
    seed: u64,
    lines: RefCell<Vec<String>>,
}

impl Drop for Story<'_> {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        let lines = self.lines.borrow();
        eprintln!("--- seed {}, {} faults\n{}", self.seed, lines.len(), lines.join("\n"));
        for arguments in [&["ps", "-a"] as &[&str], &["events", "--since", "60s", "--until", "0s"], &["why"]] {
            let mut command = self.world.command(arguments);
            let output = command.output().map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
            eprintln!("--- stack {}\n{}", arguments.join(" "), output.unwrap_or_default());
        }
    }
}

/// A small disk of its own.
struct Disk(PathBuf);

impl Disk {
    fn new(at: PathBuf) -> Self {
        fs::create_dir(&at).unwrap();
        run(Command::new("mount").args(["-t", "tmpfs", "-o", "size=2m", "tmpfs"]).arg(&at), SOON).ok();
        Self(at)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).output();
    }
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} must be a number: {text}")))
}

#[test]
fn a_stack_survives_random_faults() {
    let random = || u64::from(std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().subsec_nanos());
    let count = number("STACK_CHAOS_FAULTS");
    let seed = number("STACK_CHAOS_SEED").unwrap_or_else(|| if count.is_some() { random() } else { SEED });
    let count = count.map_or(FAULTS, |count| usize::try_from(count).unwrap());
    println!("STACK_CHAOS_SEED={seed} STACK_CHAOS_FAULTS={count}");
    let world = World::new();
    let disk = Disk::new(world.folder().join("small"));
    let story = Story { world: &world, seed, lines: RefCell::default() };
    let mut chaos = Chaos::new(&world);
    let began = Instant::now();
    for (index, fault) in faults(seed, count).into_iter().enumerate() {
        story.lines.borrow_mut().push(format!("{:3} {fault}", index + 1));
        let injected = Instant::now();
        let skipped = chaos.inject(&fault);
        let took = injected.elapsed();
        chaos.converges();
        chaos.keeps_all();
        let mut lines = story.lines.borrow_mut();
        let line = lines.last_mut().unwrap();
        let skipped = skipped.map(|why| format!(" (nothing: {why})")).unwrap_or_default();
        *line += &format!(
            "{skipped}: {} ms, converged {} ms later",
            took.as_millis(),
            (injected.elapsed() - took).as_millis()
        );
        println!("{line}");
    }
    println!("{count} faults in {:?}; {} restarts hurried; {} records", began.elapsed(), chaos.hurried, chaos.records);
    chaos.end(disk);
}

impl<'w> Chaos<'w> {
    /// Brings the stack up.
    fn new(world: &'w World) -> Self {
        for folder in ["scripts", "acks", "pages"] {
            fs::create_dir(world.folder().join(folder)).unwrap();
        }
        world.write("scripts/writer", stack::WRITER);
        world.write("scripts/tree", stack::TREE);
        world.write("acks/.here", "");
        world.write("pages/index.html", "page\n");
        let mut chaos = Self {
            world,
            port: free_port(),
            changes: BTreeMap::new(),
            expected: Expected::all_up(),
            seen: Seen::default(),
            replaced: Vec::new(),
            first: BTreeMap::new(),
            hurried: 0,
            records: 0,
        };
        chaos.write();
        world.up();
        chaos.converges();
        chaos
    }

    fn write(&self) {
        self.world.write("stack.yml", &stack::file(self.port, &self.changes));
    }

    /// Waits until all is as expected.
    fn converges(&mut self) {
        let began = Instant::now();
        let mut hurried = began;
        let mut told = Vec::new();
        loop {
            let found = match look(self.world) {
                Ok(seen) => {
                    let mut found = complaints(&self.expected, &seen);
                    found.extend(self.not_replaced(&seen));
                    if found.is_empty() {
                        found.extend(self.unreachable(&seen));
                    }
                    if hurried.elapsed() > PATIENCE && self.hurry(&seen) {
                        hurried = Instant::now();
                    }
                    self.seen = seen;
                    found
                }
                Err(error) => vec![error],
            };
            if found.is_empty() {
                break;
            }
            if began.elapsed() > 2 * PATIENCE && found != told {
                println!("    {} ms: {}", began.elapsed().as_millis(), found.join("; "));
                told.clone_from(&found);
            }
            assert!(began.elapsed() < LIMIT, "after {LIMIT:?} still:\n{}", found.join("\n"));
            // Between two looks, not instead of one.
            std::thread::sleep(Duration::from_millis(10));
        }
        self.replaced.clear();
        self.does_not_grow();
    }

    fn not_replaced(&self, seen: &Seen) -> Vec<String> {
        let same = |(name, pid): &&(String, i32)| {
            seen.containers.iter().any(|container| container.name == *name && container.pid == Some(*pid))
        };
        self.replaced.iter().filter(same).map(|(name, pid)| format!("{name} still has the process {pid}")).collect()
    }

    /// Has what waits for a long pause of its policy started now; tells whether there was something.
    fn hurry(&mut self, seen: &Seen) -> bool {
        let mut services: Vec<&str> = Vec::new();
        for container in seen.containers.iter().filter(|container| container.state == "restarting") {
            let why = self.world.stack(&["why", &container.service]).stdout;
            // Longer than a second: `next try in 1.6 s`.
            let waits = why.split("next try in ").nth(1).and_then(|rest| rest.lines().next());
            if waits.is_some_and(|pause| pause.ends_with(" s") || pause.contains(" m")) {
                services.push(&container.service);
            }
        }
        if services.is_empty() {
            return false;
        }
        self.hurried += 1;
        services.sort_unstable();
        services.dedup();
        // A guest whose host is not there cannot start: it is not waited for either.
        services.retain(|service| self.expected.of(service) == Wanted::Up);
        for service in services {
            let output = self.world.stack(&["start", service]);
            println!("    hurried: {service} {:?}", output.code);
        }
        true
    }

    /// Tries whether services reach each other and answer on their published ports.
    fn unreachable(&self, seen: &Seen) -> Vec<String> {
        let up = |name: &str| self.expected.of(name) == Wanted::Up && seen.of(name).next().is_some();
        let mut found = Vec::new();
        if up("web") {
            match get(std::net::Ipv4Addr::LOCALHOST, self.port, "/") {
                Ok(page) if page == "page\n" => {}
                other => found.push(format!("the published port answers {other:?}")),
            }
        }
        let mut script = String::from("true");
        // One on each network.
        for (name, path) in [("web", "index.html"), ("cache", "writer")] {
            if up(name) {
                script += &format!(" && wget -qO- http://{name}/{path} >/dev/null");
            }
        }
        if up("monitor") {
            let output = self.world.stack(&["exec", "-T", "monitor", "sh", "-c", &script]);
            if output.code != Some(0) {
                found.push(output.to_string());
            }
        }
        found
    }

    /// Checks that the engine has not got larger.
    fn does_not_grow(&mut self) {
        let engine = self.seen.engines[0];
        let fds = fs::read_dir(format!("/proc/{engine}/fd")).map_or(0, Iterator::count);
        let status = fs::read_to_string(format!("/proc/{engine}/status")).unwrap_or_default();
        let memory = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let memory = memory.and_then(|text| text.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0);
        let first = *self.first.entry(engine).or_insert((fds, memory));
        let grown = fds > first.0 + MORE.0 || memory > first.1 + MORE.1;
        assert!(!grown, "the engine had {first:?} descriptors and KiB, and now {:?}", (fds, memory));
    }

    /// Checks that each acknowledged record is where it was written.
    fn keeps_all(&mut self) {
        let count = records::check(&self.world.folder().join("acks"), &|service| self.data(service));
        match count {
            Ok(count) => self.records = count,
            Err(lost) => panic!("{lost}"),
        }
    }

    /// Returns where a service's records are on the host.
    fn data(&self, service: &str) -> PathBuf {
        let volume = match service {
            "worker" => return self.world.folder().join("small"),
            "db" | "queue" => service,
            _ => "shared",
        };
        self.world.root().join("volumes").join(format!("{}_{volume}", self.world.project)).join("_data")
    }

    /// Ends the story: all write on, a new engine holds no less than the one that went through it all, and nothing is left.
    fn end(mut self, disk: Disk) {
        self.inject(&Fault::Up);
        self.converges();
        let acks = self.world.folder().join("acks");
        let written = |service: &str| -> u64 {
            let own = |entry: &fs::DirEntry| entry.file_name().to_string_lossy().starts_with(&format!("{service}."));
            let entries = fs::read_dir(&acks).unwrap().flatten().filter(own);
            entries.filter_map(|entry| entry.metadata().ok()).map(|data| data.len()).sum()
        };
        for service in SERVICES.iter().filter(|service| service.writes) {
            let before = written(service.name);
            eventually(&format!("another record of {}", service.name), SOON, || {
                (written(service.name) > before).then_some(())
            });
        }
        let descriptors = |engine: i32| fs::read_dir(format!("/proc/{engine}/fd")).unwrap().count();
        let old = descriptors(self.seen.engines[0]);
        self.inject(&Fault::KillEngine);
        self.converges();
        let new = descriptors(self.seen.engines[0]);
        println!("descriptors of the engine: {old}, of a new one: {new}");
        assert!(old <= new + 16, "the engine had {old} open files, a new one has {new}");
        self.keeps_all();
        assert!(self.records > 0, "the services wrote nothing");
        for entry in fs::read_dir(&acks).unwrap().flatten() {
            let text = fs::read_to_string(entry.path()).unwrap();
            assert_eq!(records::damaged(&text), Vec::<&str>::new(), "{:?}", entry.path());
        }
        self.world.down();
        drop(disk);
        self.world.leaves_nothing();
        for folder in ["containers", "volumes", "networks"] {
            let left: Vec<_> = fs::read_dir(self.world.root().join(folder)).into_iter().flatten().flatten().collect();
            assert!(left.is_empty(), "{left:?}");
        }
    }
}
