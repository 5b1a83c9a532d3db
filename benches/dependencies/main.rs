//! `make bench`: what dependencies cost: a chain of 50 services beside 50 that know nothing of each other, and how soon
//! a dependent runs once what it waits for is healthy; and what the engine does while 50 services run. Tells for
//! each whether what is promised is kept.

#[path = "../../tests/support/mod.rs"]
mod support;

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::time::{Duration, Instant};

use support::{SOON, World};

const SERVICES: usize = 50;
/// How often the chain and the independent ones come up.
const UPS: usize = 5;
/// How often a dependent is started.
const STARTS: usize = 15;
/// How long the idle engine is looked at.
const IDLE: Duration = Duration::from_secs(10);

/// What is promised.
const TIMES: f64 = 3.0;
const HEALTHY_TO_STARTED: Duration = Duration::from_millis(20);
const CPU_PERCENT: f64 = 0.2;

fn main() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("the benchmark starts containers and needs root: run it with `make bench`");
        std::process::exit(1);
    }
    let world = World::new();
    chain(&world);
    started_after_healthy(&world);
    drop(world);
    // An engine that has nothing to clear away.
    idle(&World::new());
}

/// The one begins when the one before it runs, or none waits for another; measured in turn.
fn chain(world: &World) {
    let (mut chained, mut independent) = (Vec::new(), Vec::new());
    for _ in 0..UPS {
        for (times, depends) in [(&mut independent, false), (&mut chained, true)] {
            world.write("stack.yml", &file(depends));
            let began = Instant::now();
            world.up();
            times.push(began.elapsed());
            world.down();
        }
    }
    let (chained, independent) = (median(chained), median(independent));
    let times = chained.as_secs_f64() / independent.as_secs_f64();
    println!("up -d of {SERVICES} services:           {:>8.1} ms", ms(independent));
    println!("up -d of {SERVICES} services in a chain: {:>7.1} ms, {times:.2} times as long", ms(chained));
    promise(&format!("less than {TIMES} times"), times < TIMES);
}

fn file(depends: bool) -> String {
    let service = |n: usize| {
        let on = if depends && n > 0 { format!(", depends_on: [s{}]", n - 1) } else { String::new() };
        format!("  s{n}: {{image: busybox, command: [sleep, '100000']{on}}}\n")
    };
    format!("services:\n{}", (0..SERVICES).map(service).collect::<String>())
}

/// The check says so into a pipe before it passes, the dependent as the first thing that it does, and this process
/// notes when it hears of it: nobody has to believe the engine.
fn started_after_healthy(world: &World) {
    world.write(
        "stack.yml",
        "
services:
  db:
    image: busybox
    command: sh -c 'sleep 0.3; touch /ready; exec sleep 100000'
    volumes: ['./seen:/seen']
    healthcheck: {test: 'test -e /ready && echo healthy >/seen/pipe', interval: 100ms, retries: 100}
  web:
    image: busybox
    command: sh -c 'echo started >/seen/pipe; exec sleep 100000'
    volumes: ['./seen:/seen']
    depends_on: {db: {condition: service_healthy}}
",
    );
    fs::create_dir(world.folder().join("seen")).expect("a new folder");
    let path = world.folder().join("seen/pipe");
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::from_bits_truncate(0o666)).expect("a new pipe");
    // For writing, too: then it never ends, and nobody waits to open it.
    let pipe = File::options().read(true).write(true).open(&path).expect("a pipe");
    let (sender, heard) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).lines() {
            let _ = sender.send((line.expect("text"), Instant::now()));
        }
    });
    let hear = |wanted: &str| loop {
        let (line, at) = heard.recv_timeout(SOON).unwrap_or_else(|_| panic!("nobody says {wanted}"));
        if line == wanted {
            return at;
        }
    };
    let mut took = Vec::new();
    for _ in 0..STARTS {
        world.up();
        let healthy = hear("healthy");
        took.push(hear("started") - healthy);
        world.down();
        while heard.try_recv().is_ok() {}
    }
    let longest = took.iter().max().copied().unwrap_or_default();
    let median = median(took);
    println!("healthy -> dependent's first action: median {:.1} ms, longest {:.1} ms", ms(median), ms(longest));
    promise(&format!("less than {} ms", HEALTHY_TO_STARTED.as_millis()), median < HEALTHY_TO_STARTED);
}

fn idle(world: &World) {
    world.write("stack.yml", &file(false));
    world.up();
    let daemon = world.daemon();
    // Until all of them are found to be ready, somebody looks.
    std::thread::sleep(Duration::from_secs(3));
    let (before, began) = (ticks(daemon), Instant::now());
    std::thread::sleep(IDLE);
    let percent = (ticks(daemon) - before) as f64 / 100.0 / began.elapsed().as_secs_f64() * 100.0;
    println!("engine's CPU with {SERVICES} services, idle:  {percent:.2} % of a core over {} s", IDLE.as_secs());
    promise(&format!("less than {CPU_PERCENT} %"), percent < CPU_PERCENT);
    world.down();
}

fn promise(what: &str, kept: bool) {
    println!("promised: {what} ({})", if kept { "kept" } else { "not kept" });
}

/// Returns the CPU time of a process, in ticks of 10 ms.
fn ticks(pid: i32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).expect("the engine runs");
    let fields: Vec<&str> = text.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    fields.iter().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
