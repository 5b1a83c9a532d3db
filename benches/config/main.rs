//! `make bench`: what `config` costs for a large file (500 services, 50 anchors), beside Compose where it is
//! installed. It needs no Docker engine. `STACK_BENCH_COMPOSE` names another command for Compose.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};

const SERVICES: usize = 500;
const ANCHORS: usize = 50;
/// How often each command runs.
const ROUNDS: usize = 11;
/// Under this name the benchmark runs one command and tells what it took.
const ONE: &str = "measure-one";

/// What one run took.
struct Run {
    time: Duration,
    /// KiB.
    peak: u64,
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some((first, command)) = arguments.split_first()
        && first == ONE
    {
        return run_one(command);
    }
    let folder = tempfile::tempdir().expect("a folder for the file");
    let path = folder.path().join("stack.yml");
    let text = file();
    std::fs::write(&path, &text).expect("a file in it");

    let lines = text.lines().count();
    println!(
        "config of a file with {SERVICES} services and {ANCHORS} anchors: {lines} lines, {} KiB",
        text.len() / 1024
    );
    println!("medians of {ROUNDS} runs; the file comes by standard input\n");
    println!("{:<24}{:>12}{:>14}", "", "time", "peak memory");
    let ours = measure(&[env!("CARGO_BIN_EXE_stack").to_owned()], &path);
    line("stack", &ours);
    let Some((name, compose)) = compose() else {
        println!("docker compose: not measured, it is not installed (STACK_BENCH_COMPOSE names a command)");
        return;
    };
    let theirs = measure(&compose, &path);
    line(&name, &theirs);
    let ratio = theirs.time.as_secs_f64() / ours.time.as_secs_f64();
    let weight = theirs.peak as f64 / ours.peak as f64;
    println!("{:<24}{:>11.1}x{:>13.1}x   (goal: 20 times faster, under 50 MB)", "  times less", ratio, weight);
    let same = output(&[env!("CARGO_BIN_EXE_stack").to_owned()], &path) == output(&compose, &path);
    println!("\nthey print {}", if same { "the same" } else { "different models" });
}

/// Returns Compose's name for the table, and its command.
fn compose() -> Option<(String, Vec<String>)> {
    if let Ok(named) = std::env::var("STACK_BENCH_COMPOSE") {
        let words: Vec<String> = named.split_whitespace().map(str::to_owned).collect();
        return (!words.is_empty()).then_some(("docker compose".to_owned(), words));
    }
    let known = [&["docker", "compose"][..], &["docker-compose"][..]];
    let command = known.into_iter().find(|command| {
        let mut version = Command::new(command[0]);
        version.args(&command[1..]).arg("version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        version.status().is_ok_and(|status| status.success())
    })?;
    Some((command.join(" "), command.iter().map(|&word| word.to_owned()).collect()))
}

/// Returns the medians of a command's runs.
fn measure(command: &[String], path: &Path) -> Run {
    let own = std::env::current_exe().expect("this program has a path");
    let mut runs: Vec<(Duration, u64)> = (0..ROUNDS)
        .map(|_| {
            let mut one = Command::new(&own);
            one.arg(ONE).args(command).stdin(File::open(path).expect("the file is there"));
            let output = one.output().expect("it runs again");
            let told = String::from_utf8_lossy(&output.stdout);
            let mut numbers = told.split_whitespace().map(|word| word.parse::<u64>().ok());
            match (output.status.success(), numbers.next().flatten(), numbers.next().flatten()) {
                (true, Some(nanoseconds), Some(peak)) => (Duration::from_nanos(nanoseconds), peak),
                _ => panic!("{command:?}: {}", String::from_utf8_lossy(&output.stderr)),
            }
        })
        .collect();
    runs.sort_unstable();
    let time = runs[ROUNDS / 2].0;
    runs.sort_unstable_by_key(|run| run.1);
    Run { time, peak: runs[ROUNDS / 2].1 }
}

/// Runs a command on standard input and prints nanoseconds and the KiB of its peak.
fn run_one(command: &[String]) {
    let began = Instant::now();
    let status = config(command).stdout(Stdio::null()).status();
    let took = began.elapsed();
    assert!(status.as_ref().is_ok_and(|status| status.success()), "{status:?}");
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).expect("the kernel counts");
    println!("{} {}", took.as_nanos(), usage.max_rss());
}

fn output(command: &[String], path: &Path) -> Vec<u8> {
    let output = config(command).stdin(File::open(path).expect("the file is there")).output();
    output.expect("it ran before").stdout
}

fn config(command: &[String]) -> Command {
    let mut config = Command::new(&command[0]);
    // The folder is the same inside of a chroot.
    config.args(&command[1..]).args(["-f", "-", "-p", "bench", "config"]).current_dir("/");
    config
}

fn line(name: &str, run: &Run) {
    let time = format!("{:.1} ms", run.time.as_secs_f64() * 1000.0);
    println!("{name:<24}{time:>12}{:>14}", format!("{:.1} MB", run.peak as f64 * 1024.0 / 1e6));
    let _ = std::io::stdout().flush();
}

/// Returns a file as large projects have it: every service takes in several anchors.
fn file() -> String {
    let mut text = String::new();
    for n in 0..ANCHORS / 2 {
        text += &format!(
            "x-base-{n}: &base{n}\n  restart: unless-stopped\n  logging:\n    driver: json-file\n    options: {{max-size: 10m, max-file: '{n}'}}\n  \
             labels: {{team: team-{n}, tier: backend}}\n  deploy:\n    resources:\n      limits: {{cpus: '0.5', memory: 512m}}\n\
             x-env-{n}: &env{n}\n  LOG_LEVEL: ${{LOG_LEVEL:-info}}\n  REGION: eu-{n}\n  DATABASE_URL: postgres://db-{n}:5432/app\n  \
             CACHE_URL: redis://cache-{n}:6379/0\n  FEATURE_{n}: 'true'\n"
        );
    }
    text += "services:\n";
    for n in 0..SERVICES {
        let (base, env) = (n % (ANCHORS / 2), n % (ANCHORS / 2));
        text += &format!(
            "  service-{n}:\n    <<: *base{base}\n    image: registry.example.com/team/service-{n}:${{TAG:-1.0}}\n    \
             command: [serve, --port, '8080']\n    environment:\n      <<: *env{env}\n      SERVICE_NAME: service-{n}\n    \
             ports: ['{}:8080']\n    volumes: ['data-{}:/var/lib/data', './config/{n}:/etc/service:ro']\n    \
             networks: [front, back]\n    healthcheck:\n      test: [CMD, curl, -f, http://localhost:8080/health]\n      \
             interval: 10s\n      retries: 3\n",
            20_000 + n,
            n % 20,
        );
        if n > 0 {
            text += &format!("    depends_on: [service-{}]\n", n / 2);
        }
    }
    text += "networks: {front: , back: }\nvolumes:\n";
    (0..20).for_each(|n| text += &format!("  data-{n}: {{}}\n"));
    text
}
