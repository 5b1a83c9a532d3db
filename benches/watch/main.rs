//! `make bench`: how long after a file is saved it is visible in a container, for one file and for a thousand, and
//! what watching a large tree costs: to begin, and while nothing changes.

#[path = "../../tests/support/mod.rs"]
mod support;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use support::World;

/// How often one save is measured.
const SAVES: usize = 20;
/// Files that are saved at once.
const MANY: usize = 1000;
/// Folders of the large tree, and files in each.
const LARGE: (usize, usize) = (1000, 100);

fn main() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("the benchmark starts containers and needs root: run it with `make bench`");
        std::process::exit(1);
    }
    let world = World::with(
        "services:\n  web:\n    image: busybox\n    command: sleep 100000\n    stop_grace_period: 0s\n    develop:\n      \
         watch:\n        - {path: ./src, action: sync, target: /app}\n",
    );
    let source = world.folder().join("src");
    fs::create_dir(&source).expect("a new folder");
    world.stack(&["up", "-d", "--watch"]).ok();
    let inside = format!("/proc/{}/root/app", world.pid("web"));
    let inside = Path::new(&inside);

    let mut saves: Vec<Duration> = (0..SAVES).map(|n| save(&source, inside, "one", &n.to_string())).collect();
    saves.sort_unstable();
    println!(
        "saved -> visible, 1 file:      median {:>6.1} ms, longest {:.1} ms",
        ms(saves[SAVES / 2]),
        ms(saves[SAVES - 1])
    );

    let began = Instant::now();
    (0..MANY).for_each(|n| fs::write(source.join(format!("f{n}")), n.to_string()).expect("writable"));
    let saved = began.elapsed();
    wait(|| (0..MANY).all(|n| fs::metadata(inside.join(format!("f{n}"))).is_ok_and(|file| file.len() > 0)));
    println!(
        "saved -> visible, {MANY} files: {:>6.1} ms after the last (saving them took {:.1} ms)",
        ms(began.elapsed() - saved),
        ms(saved)
    );

    let (folders, files) = LARGE;
    for folder in 0..folders {
        let folder = source.join(format!("large/{folder}"));
        fs::create_dir_all(&folder).expect("writable");
        (0..files).for_each(|file| fs::write(folder.join(file.to_string()), "").expect("writable"));
    }
    let began = Instant::now();
    world.stack(&["watch", "-d", "--no-up"]).ok();
    println!("to begin on {} files:     {:>6.1} ms", folders * files, ms(began.elapsed()));
    let took = save(&source, inside, "large/7/late", "late");
    println!("saved -> visible, among them:         {:>6.1} ms", ms(took));
    let daemon = world.daemon();
    let before = ticks(daemon);
    std::thread::sleep(Duration::from_secs(5));
    println!("engine's CPU while nothing changes:   {} ticks of 10 ms in 5 s", ticks(daemon) - before);
    let status = fs::read_to_string(format!("/proc/{daemon}/smaps_rollup")).unwrap_or_default();
    let pss = status.lines().find(|line| line.starts_with("Pss:")).unwrap_or_default();
    println!("engine's memory: {}", pss.split_whitespace().skip(1).collect::<Vec<_>>().join(" "));
}

/// Saves a file and returns how long it took to be in the container.
fn save(source: &Path, inside: &Path, name: &str, text: &str) -> Duration {
    let began = Instant::now();
    fs::write(source.join(name), text).expect("writable");
    wait(|| fs::read_to_string(inside.join(name)).is_ok_and(|found| found == text));
    began.elapsed()
}

fn wait(mut done: impl FnMut() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < Duration::from_secs(60), "nothing arrives");
        std::thread::sleep(Duration::from_micros(500));
    }
}

/// Returns the CPU time of a process, in ticks of 10 ms.
fn ticks(pid: i32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields: Vec<&str> = text.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    fields.iter().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum()
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
