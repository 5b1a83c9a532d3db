//! What there is now, seen with other tools where there are any, and what of it is not as it must be.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use super::stack::{Expected, SERVICES, Wanted, known};
use crate::support::program::{Output, run};
use crate::support::{SOON, World, host};

/// A container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Container {
    pub(super) service: String,
    pub(super) number: String,
    pub(super) id: String,
    pub(super) name: String,
    pub(super) state: String,
    pub(super) health: String,
    pub(super) exit: i64,
    /// Its first process on the host, which is there.
    pub(super) pid: Option<i32>,
    /// Its network namespace.
    pub(super) netns: String,
    /// Where something is mounted.
    pub(super) mounts: BTreeSet<String>,
}

/// A link in the router namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) name: String,
    pub(super) master: Option<String>,
    /// It is up, and so is its other end.
    pub(super) up: bool,
}

/// All that is looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) containers: Vec<Container>,
    pub(super) links: Vec<Link>,
    /// Bridges that the router's rules name.
    pub(super) ruled: BTreeSet<String>,
    /// The host's table is there.
    pub(super) host_table: bool,
    /// Pids of engines.
    pub(super) engines: Vec<i32>,
    /// Shims, and the one they are copied from.
    pub(super) shims: usize,
    /// Ids of containers that have folders.
    pub(super) folders: BTreeSet<String>,
    /// Ids of containers that have a cgroup.
    pub(super) cgroups: BTreeSet<String>,
}

impl Seen {
    /// Returns a service's containers.
    pub(super) fn of<'a>(&'a self, service: &'a str) -> impl Iterator<Item = &'a Container> {
        self.containers.iter().filter(move |container| container.service == service)
    }

    pub(super) fn bridges(&self) -> impl Iterator<Item = &Link> {
        self.links.iter().filter(|link| link.name.starts_with("br-"))
    }

    pub(super) fn veths(&self) -> impl Iterator<Item = &Link> {
        self.links.iter().filter(|link| link.name.starts_with("veth"))
    }
}

/// Returns the name of the router namespace.
pub(super) fn router(world: &World) -> String {
    stack::paths::Paths { root: world.root(), run: world.run_folder() }.instance()
}

/// Looks at everything.
///
/// # Errors
///
/// What could not be looked at: a container that vanished between two looks.
pub(super) fn look(world: &World) -> Result<Seen, String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let ps = succeeded(world.stack(&["ps", "-a", "--format", "json"]))?;
    let lines: Vec<Value> = ps.lines().map(|line| serde_json::from_str(line).expect("ps prints objects")).collect();
    let names: Vec<String> = lines.iter().map(|line| text(&line["Name"])).collect();
    let mut inspected = BTreeMap::new();
    if !names.is_empty() {
        let arguments: Vec<&str> = ["inspect"].into_iter().chain(names.iter().map(String::as_str)).collect();
        let all: Vec<Value> =
            serde_json::from_str(&succeeded(world.stack(&arguments))?).expect("inspect prints an array");
        inspected.extend(all.into_iter().map(|one| (text(&one["Name"]).trim_start_matches('/').to_owned(), one)));
    }
    let mut seen = Seen::default();
    for line in &lines {
        let name = text(&line["Name"]);
        let inspect = inspected.get(&name).ok_or_else(|| format!("{name} is in ps and not in inspect"))?;
        let pid = inspect["State"]["Pid"].as_i64().and_then(|pid| i32::try_from(pid).ok());
        let pid = pid.filter(|pid| *pid > 0 && host::runs(*pid));
        let number = text(&line["Labels"]);
        let number = number.split(',').find_map(|label| label.strip_prefix("com.docker.compose.container-number="));
        seen.containers.push(Container {
            service: text(&line["Service"]),
            number: number.unwrap_or_default().to_owned(),
            id: text(&inspect["Id"]),
            state: text(&line["State"]),
            health: text(&line["Health"]),
            exit: line["ExitCode"].as_i64().unwrap_or(-1),
            netns: pid.map(netns).unwrap_or_default(),
            mounts: pid.map(mounts).unwrap_or_default(),
            pid,
            name,
        });
    }
    let router = router(world);
    let links = run(Command::new("ip").args(["-n", &router, "-j", "link", "show"]), SOON);
    let links: Vec<Value> = serde_json::from_str(&succeeded(links)?).unwrap_or_default();
    seen.links = links.iter().map(link).collect();
    let rules = run(Command::new("ip").args(["netns", "exec", &router, "nft", "list", "ruleset"]), SOON);
    let rules = succeeded(rules)?;
    let bridged = rules.split("set bridged").nth(1).and_then(|rest| rest.split('}').next()).unwrap_or_default();
    seen.ruled = bridged.split('"').filter(|word| word.starts_with("br-")).map(str::to_owned).collect();
    let tables = succeeded(run(Command::new("nft").args(["list", "tables"]), SOON))?;
    seen.host_table = tables.lines().any(|line| line == format!("table ip {router}"));
    for process in world.processes() {
        match process.is_daemon() {
            true => seen.engines.push(process.pid),
            // The first process of a container with `init` runs the same program.
            false if comm(process.pid).starts_with("stack-shim") => seen.shims += 1,
            false => {}
        }
    }
    seen.folders = children(&world.root().join("containers"));
    for hierarchy in fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten() {
        seen.cgroups.extend(children(&hierarchy.path().join("stack").join(&world.project)));
    }
    Ok(seen)
}

fn succeeded(output: Output) -> Result<String, String> {
    match output.code {
        Some(0) => Ok(output.stdout),
        _ => Err(output.to_string()),
    }
}

fn link(value: &Value) -> Link {
    let text = |key: &str| value[key].as_str().map(str::to_owned);
    let flags: Vec<&str> = value["flags"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    Link {
        name: text("ifname").unwrap_or_default(),
        master: text("master"),
        up: flags.contains(&"UP") && (flags.contains(&"LOWER_UP") || !flags.contains(&"NO-CARRIER")),
    }
}

fn comm(pid: i32) -> String {
    fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default()
}

fn netns(pid: i32) -> String {
    fs::read_link(format!("/proc/{pid}/ns/net")).map(|path| path.display().to_string()).unwrap_or_default()
}

fn mounts(pid: i32) -> BTreeSet<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/mountinfo")).unwrap_or_default();
    text.lines().filter_map(|line| line.split(' ').nth(4)).map(str::to_owned).collect()
}

fn children(folder: &PathBuf) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    folders.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

/// Returns what is not as expected, one a line. Pure.
pub(super) fn complaints(expected: &Expected, seen: &Seen) -> Vec<String> {
    let mut found = Vec::new();
    for service in SERVICES {
        services(expected, service.name, seen, &mut found);
    }
    let mut numbers = BTreeSet::new();
    for container in &seen.containers {
        if !numbers.insert((&container.service, &container.number)) {
            found.push(format!("{} has two containers number {}", container.service, container.number));
        }
    }
    network(seen, &mut found);
    let up = seen.containers.iter().filter(|container| container.pid.is_some()).count();
    let waiting = seen.containers.iter().filter(|container| container.state == "restarting").count();
    if seen.engines.len() != 1 {
        found.push(format!("engines: {:?}", seen.engines));
    }
    // The one that is copied is started anew when it is needed.
    if seen.shims < up || seen.shims > up + waiting + 1 {
        found.push(format!("{} processes of shims for {up} containers that run", seen.shims));
    }
    let ids: BTreeSet<String> = seen.containers.iter().map(|container| container.id.clone()).collect();
    if seen.folders != ids {
        found.push(format!("folders {:?} of containers {ids:?}", seen.folders));
    }
    found.extend(seen.cgroups.difference(&ids).map(|left| format!("the cgroup {left} is nobody's")));
    found
}

fn services(expected: &Expected, name: &str, seen: &Seen, found: &mut Vec<String>) {
    let containers: Vec<&Container> = seen.of(name).collect();
    let wanted = expected.of(name);
    if wanted == Wanted::Either {
        return;
    }
    if containers.len() != expected.count(name) {
        found.push(format!("{name} has {} containers instead of {}", containers.len(), expected.count(name)));
    }
    for container in containers {
        let Container { name: own, state, health, exit, .. } = container;
        let right = match (wanted, name) {
            (Wanted::Up, "migrate") => state == "exited" && *exit == 0,
            (Wanted::Up, _) => state == "running" && (health == "healthy" || !known(name).check),
            (Wanted::Stopped, _) => state == "exited" || state == "created",
            (Wanted::Dead, _) => state == "exited" && *exit == 137,
            (Wanted::Gone | Wanted::Either, _) => true,
        };
        if !right {
            found.push(format!("{own} is {state} ({exit}) {health} instead of {wanted:?}"));
        } else if state == "running" {
            runs(expected, container, seen, found);
        } else if container.pid.is_some() {
            found.push(format!("{own} is {state} and its process is there"));
        }
    }
}

/// Looks at a container that is said to run.
fn runs(expected: &Expected, container: &Container, seen: &Seen, found: &mut Vec<String>) {
    let name = &container.name;
    if container.pid.is_none() {
        return found.push(format!("{name} is said to run and has no process"));
    }
    for target in known(&container.service).mounts {
        if !container.mounts.contains(*target) {
            found.push(format!("{name} has nothing mounted at {target}"));
        }
    }
    if container.service == "side" && expected.of("web") == Wanted::Up {
        let host = seen.of("web").next().map(|web| web.netns.as_str());
        if host != Some(container.netns.as_str()) {
            found.push(format!("{name} is in {} and web in {host:?}", container.netns));
        }
    }
}

fn network(seen: &Seen, found: &mut Vec<String>) {
    let networks: Vec<&str> = {
        let running = seen.containers.iter().filter(|container| container.pid.is_some());
        running.flat_map(|container| known(&container.service).networks.iter().copied()).collect()
    };
    let distinct: BTreeSet<&str> = networks.iter().copied().collect();
    let bridges: BTreeSet<&str> = seen.bridges().filter(|link| link.up).map(|link| link.name.as_str()).collect();
    if bridges.len() < distinct.len() || bridges.len() > 2 {
        found.push(format!("bridges {bridges:?} for the networks {distinct:?}"));
    }
    for bridge in bridges.iter().filter(|name| !seen.ruled.contains(**name)) {
        found.push(format!("no rule lets packets pass on bridge {bridge}"));
    }
    if !seen.host_table {
        found.push("the host's table is gone".to_owned());
    }
    if !seen.links.iter().any(|link| link.name == "uplink" && link.up) {
        found.push("the way out is gone".to_owned());
    }
    // A guest that runs on keeps the network of its host that was stopped.
    let runs = |service: &str| seen.of(service).any(|container| container.pid.is_some());
    let kept = usize::from(runs("side") && !runs("web"));
    if !(networks.len()..=networks.len() + kept).contains(&seen.veths().count()) {
        found.push(format!("{} links for {} places on networks", seen.veths().count(), networks.len()));
    }
    for veth in seen.veths() {
        if !veth.up || veth.master.as_deref().is_none_or(|master| !bridges.contains(master)) {
            found.push(format!("link {} is up: {}, on {:?}", veth.name, veth.up, veth.master));
        }
    }
}

#[test]
fn what_is_missing_doubled_or_left_is_named() {
    let container = |service: &str, id: &str| Container {
        service: service.to_owned(),
        number: "1".to_owned(),
        id: id.to_owned(),
        name: format!("x-{service}-1"),
        state: "running".to_owned(),
        pid: Some(1),
        ..Container::default()
    };
    let seen = Seen {
        containers: vec![container("batch", "a"), container("batch", "b")],
        links: vec![Link { name: "veth1".to_owned(), master: None, up: true }],
        engines: vec![1, 2],
        folders: ["a".to_owned(), "b".to_owned()].into(),
        cgroups: ["c".to_owned()].into(),
        ..Seen::default()
    };
    let found = complaints(&Expected::all_up(), &seen);
    for complaint in [
        "batch has 2 containers instead of 1",
        "batch has two containers number 1",
        "x-batch-1 has nothing mounted at /scripts",
        "db has 0 containers instead of 1",
        "engines: [1, 2]",
        "0 processes of shims for 2 containers that run",
        "the cgroup c is nobody's",
        "bridges {} for the networks {\"back\"}",
        "1 links for 2 places on networks",
        "link veth1 is up: true, on None",
        "the way out is gone",
    ] {
        assert!(found.iter().any(|line| line == complaint), "{complaint} is not in {found:#?}");
    }
}
