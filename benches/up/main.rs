//! `make bench`: what `up`, a second `up`, `ps` and `down` cost, beside what the kernel alone takes for the same
//! containers, and beside `docker compose` where a Docker engine runs. One table, one machine, one run.

mod docker;
mod floor;
#[path = "../../tests/support/mod.rs"]
mod support;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use support::{World, host, images};

/// Service counts and how often each is measured.
const SIZES: [(usize, usize); 3] = [(1, 9), (10, 7), (50, 5)];

/// Median times of one size, and what the engine weighs meanwhile.
pub(crate) struct Measured {
    pub(crate) up: Duration,
    pub(crate) again: Duration,
    pub(crate) ps: Duration,
    pub(crate) down: Duration,
    /// KiB of everything but the containers' own processes, while they run.
    pub(crate) pss: u64,
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() == Some(floor::COMMAND) {
        return floor::run(&arguments.collect::<Vec<_>>());
    }
    if !nix::unistd::geteuid().is_root() {
        eprintln!("the benchmark starts containers and needs root: run it with `make bench`");
        std::process::exit(1);
    }
    let world = World::new();
    let rootfs = world.folder().join("rootfs");
    fs::create_dir(&rootfs).expect("a new folder");
    let unpacked = Command::new("tar").arg("-xf").arg(images::busybox().tar).arg("-C").arg(&rootfs).status();
    assert!(unpacked.is_ok_and(|status| status.success()), "tar could not unpack the busybox image");
    let docker = docker::available();

    println!("{} cores, Linux {}; medians; busybox `sleep`, one network; down with -t 0", cores(), kernel());
    println!(
        "floor: clone3 with five namespaces, overlay, pivot_root, proc, exec, and a veth pair on a bridge each, in a loop"
    );
    match &docker {
        Ok(version) => println!("docker compose: {version}"),
        Err(reason) => println!("docker compose: not measured, {reason}"),
    }
    println!();
    println!("{:<22}{:>9}{:>12}{:>12}{:>12}{:>12}{:>14}", "", "services", "up -d", "again", "ps", "down", "PSS");
    let idle = settle();
    for (size, times) in SIZES {
        let yaml = file(size, "busybox");
        world.write("stack.yml", &yaml);
        let ours = measure(times, |arguments| timed(&mut world.command(arguments)), engine_pss);
        line("stack", size, &ours);
        let (up, down) = floor::measure(&rootfs, size, times);
        println!("{:<22}{size:>9}{:>12}{:>12}{:>12}{:>12}", "kernel floor", ms(up), "", "", ms(down));
        println!(
            "{:<22}{:>9}{:>12}{:>12}{:>12}{:>12}",
            "  times the floor",
            "",
            times_of(ours.up, up),
            "",
            "",
            times_of(ours.down, down)
        );
        if docker.is_ok() {
            let theirs = docker::measure(&world, size, times);
            line("docker compose", size, &theirs);
            println!(
                "{:<22}{:>9}{:>12}{:>12}{:>12}{:>12}{:>14}   (goal: 20, 10, 10, 20, 10)",
                "  times faster",
                "",
                times_of(theirs.up, ours.up),
                times_of(theirs.again, ours.again),
                times_of(theirs.ps, ours.ps),
                times_of(theirs.down, ours.down),
                format!("{:.1}x less", theirs.pss as f64 / ours.pss.max(1) as f64),
            );
        }
        settle();
    }
    println!("\nnothing running: {} (processes of ours: {})", kib(idle.1), idle.0);
    if docker.is_ok() {
        println!("nothing running, Docker: {}", kib(docker::pss()));
    }
}

/// Returns a file with so many services of one image.
pub(crate) fn file(size: usize, image: &str) -> String {
    let services: String =
        (0..size).map(|n| format!("  s{n}: {{image: {image}, command: [sleep, '100000']}}\n")).collect();
    format!("services:\n{services}")
}

/// Returns the medians of so many rounds of up, up again, ps and down.
pub(crate) fn measure(times: usize, run: impl Fn(&[&str]) -> Duration, pss: impl Fn() -> u64) -> Measured {
    let mut rounds: [Vec<Duration>; 4] = Default::default();
    let mut weights = Vec::new();
    for _ in 0..times {
        rounds[0].push(run(&["up", "-d"]));
        rounds[1].push(run(&["up", "-d"]));
        rounds[2].push(run(&["ps"]));
        weights.push(pss());
        rounds[3].push(run(&["down", "-t", "0"]));
    }
    let [up, again, ps, down] = rounds.map(median);
    Measured { up, again, ps, down, pss: median(weights) }
}

/// Runs a command to its end and returns how long it took; it must succeed within two minutes.
pub(crate) fn timed(command: &mut Command) -> Duration {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let began = Instant::now();
    let child = command.spawn().unwrap_or_else(|err| panic!("cannot run {command:?}: {err}"));
    let pid = nix::unistd::Pid::from_raw(child.id().try_into().expect("pids fit"));
    let (finished, ends) = std::sync::mpsc::channel::<()>();
    let watchdog = std::thread::spawn(move || {
        if ends.recv_timeout(Duration::from_secs(120)) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
            let _ = nix::sys::signal::kill(pid, nix::sys::signal::SIGKILL);
        }
    });
    let output = child.wait_with_output().expect("a child of ours");
    let took = began.elapsed();
    drop(finished);
    let _ = watchdog.join();
    assert!(output.status.success(), "{command:?}: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
    took
}

/// Returns the middle one.
pub(crate) fn median<T: Ord + Copy>(mut all: Vec<T>) -> T {
    all.sort_unstable();
    all[all.len() / 2]
}

/// Returns the proportional set size, in KiB, of daemon and shims.
fn engine_pss() -> u64 {
    ours().map(pss_of).sum()
}

/// Returns the proportional set size of a process in KiB; 0 once it is gone.
pub(crate) fn pss_of(pid: i32) -> u64 {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

fn ours() -> impl Iterator<Item = i32> {
    let program = fs::canonicalize(support::world::PROGRAM).expect("it was built");
    host::processes().filter(move |p| p.executable == program).map(|p| p.pid)
}

/// Waits until the engine has left, and returns how many processes and KiB are there then.
fn settle() -> (usize, u64) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while ours().count() > 0 && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(20));
    }
    (ours().count(), engine_pss())
}

fn line(name: &str, size: usize, measured: &Measured) {
    let Measured { up, again, ps, down, pss } = measured;
    println!("{name:<22}{size:>9}{:>12}{:>12}{:>12}{:>12}{:>14}", ms(*up), ms(*again), ms(*ps), ms(*down), kib(*pss));
}

fn ms(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1000.0)
}

fn kib(amount: u64) -> String {
    format!("{:.1} MiB", amount as f64 / 1024.0)
}

fn times_of(time: Duration, unit: Duration) -> String {
    format!("{:.1}x", time.as_secs_f64() / unit.as_secs_f64().max(1e-9))
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

fn kernel() -> String {
    fs::read_to_string(Path::new("/proc/sys/kernel/osrelease")).unwrap_or_default().trim().to_owned()
}
