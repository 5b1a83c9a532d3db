//! One engine of its own for one test.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use super::host::{self, Snapshot};
use super::images::{self, Image};
use super::program::{Output, Running, run};
use super::{SOON, eventually};

/// The program under test.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_stack");

/// State folders, a project folder and a project name of its own. Dropping it takes the project down and checks
/// that nothing of this engine is left on the host.
pub(crate) struct World {
    folder: tempfile::TempDir,
    /// The project's name.
    pub(crate) project: String,
    variables: BTreeMap<String, String>,
    limit: Cell<Duration>,
    known: Vec<String>,
}

impl World {
    /// Returns a world with the image `busybox`.
    #[track_caller]
    pub(crate) fn new() -> Self {
        let world = Self::empty();
        world.import("busybox", &images::busybox());
        world
    }

    /// Returns a world without images.
    #[track_caller]
    pub(crate) fn empty() -> Self {
        assert!(nix::unistd::geteuid().is_root(), "kernel tests need root: run them with `make test`");
        // Short: the path of a unix socket has 107 bytes at most.
        let folder = tempfile::Builder::new().prefix("sk").rand_bytes(5).tempdir_in("/tmp").expect("/tmp is writable");
        let project = folder.path().file_name().expect("has a name").to_string_lossy().to_lowercase();
        let paths = stack::paths::Paths { root: folder.path().join("root"), run: folder.path().join("run") };
        fs::create_dir(folder.path().join("project")).expect("a new folder");
        let known = vec![paths.instance(), folder.path().display().to_string(), format!("/{project}")];
        Self { folder, project, variables: BTreeMap::new(), limit: Cell::new(Duration::from_secs(60)), known }
    }

    /// Returns a world with the image `busybox` and this `stack.yml`.
    #[track_caller]
    pub(crate) fn with(yaml: &str) -> Self {
        let world = Self::new();
        world.write("stack.yml", yaml);
        world
    }

    /// Returns a world with the images `busybox` and `redis`, and this `stack.yml`.
    #[track_caller]
    pub(crate) fn with_redis(yaml: &str) -> Self {
        let world = Self::with(yaml);
        world.import("redis", &images::redis());
        world
    }

    /// Makes an archive an image.
    #[track_caller]
    pub(crate) fn import(&self, reference: &str, image: &Image) {
        let mut command = self.command(&["image", "import"]);
        command.arg(&image.tar).arg(reference);
        for change in &image.changes {
            command.args(["-c", change]);
        }
        run(&mut command, SOON).ok();
    }

    /// Sets a variable for all commands.
    pub(crate) fn set(&mut self, key: &str, value: &(impl ToString + ?Sized)) {
        self.variables.insert(key.to_owned(), value.to_string());
    }

    /// Returns the project folder.
    pub(crate) fn folder(&self) -> PathBuf {
        self.folder.path().join("project")
    }

    /// Returns the durable folder of the engine.
    pub(crate) fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    /// Returns the runtime folder of the engine.
    pub(crate) fn run_folder(&self) -> PathBuf {
        self.folder.path().join("run")
    }

    /// Writes a file of the project.
    #[track_caller]
    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.folder().join(name), text).expect("the project folder is writable");
    }

    /// Returns the program with arguments as they are, in the world's environment.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command
            .args(arguments)
            .current_dir(self.folder())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.folder.path())
            .env("STACK_ROOT", self.root())
            .env("STACK_RUN", self.run_folder())
            .env("COMPOSE_PROJECT_NAME", &self.project)
            .envs(&self.variables);
        if let Some(filter) = std::env::var_os("STACK_LOG") {
            command.env("STACK_LOG", filter);
        }
        command
    }

    /// Runs the program in the project.
    #[track_caller]
    pub(crate) fn stack(&self, arguments: &[&str]) -> Output {
        run(&mut self.command(arguments), self.limit.get())
    }

    /// Runs `stack up -d`, which must succeed.
    #[track_caller]
    pub(crate) fn up(&self) {
        self.stack(&["up", "-d"]).ok();
    }

    /// Runs `stack up -d --wait`, which must succeed.
    #[track_caller]
    pub(crate) fn up_wait(&self) {
        self.stack(&["up", "-d", "--wait"]).ok();
    }

    /// Runs `stack down -v -t 0`, which must succeed.
    #[track_caller]
    pub(crate) fn down(&self) {
        self.stack(&["down", "-v", "-t", "0"]).ok();
    }

    /// Starts the program beside the test.
    #[track_caller]
    pub(crate) fn start(&self, arguments: &[&str]) -> Running {
        Running::start(&mut self.command(arguments))
    }

    /// Returns what a shell command in a service's container prints; it must succeed.
    #[track_caller]
    pub(crate) fn sh(&self, service: &str, script: &str) -> String {
        self.stack(&["exec", "-T", service, "sh", "-c", script]).ok().trim_end().to_owned()
    }

    /// Returns the name of the first replica's container.
    pub(crate) fn container(&self, service: &str) -> String {
        format!("{}-{service}-1", self.project)
    }

    /// Returns `stack inspect` of a service's first container.
    #[track_caller]
    pub(crate) fn inspect(&self, service: &str) -> Value {
        self.inspect_container(&self.container(service))
    }

    /// Returns `stack inspect` of a container.
    #[track_caller]
    pub(crate) fn inspect_container(&self, name: &str) -> Value {
        let text = self.stack(&["inspect", name]).ok();
        let mut all: Vec<Value> = serde_json::from_str(&text).expect("inspect prints an array");
        assert_eq!(all.len(), 1, "one container was asked for");
        all.remove(0)
    }

    /// Returns the lines of `stack ps -a --format json` (an object a line, as Compose prints them).
    #[track_caller]
    pub(crate) fn ps(&self) -> Vec<Value> {
        let text = self.stack(&["ps", "-a", "--format", "json"]).ok();
        text.lines().map(|line| serde_json::from_str(line).expect("ps prints JSON objects")).collect()
    }

    /// Returns `State` of a service's first container, `gone` without one.
    #[track_caller]
    pub(crate) fn state(&self, service: &str) -> String {
        let found = self.ps().into_iter().find(|line| line["Service"] == service);
        found.map_or_else(|| "gone".to_owned(), |line| line["State"].as_str().unwrap_or("?").to_owned())
    }

    /// Returns the ids of all containers by name.
    #[track_caller]
    pub(crate) fn ids(&self) -> BTreeMap<String, String> {
        let text = |value: &Value| value.as_str().expect("text").to_owned();
        self.ps().iter().map(|line| (text(&line["Name"]), text(&line["ID"]))).collect()
    }

    /// Returns the pid, on the host, of the first process of a service's container.
    #[track_caller]
    pub(crate) fn pid(&self, service: &str) -> i32 {
        let pid = self.inspect(service)["State"]["Pid"].as_i64().expect("a pid");
        assert!(pid > 0, "{service} does not run");
        pid.try_into().expect("pids fit")
    }

    /// Returns the address of a service's container in its only network.
    #[track_caller]
    pub(crate) fn address(&self, service: &str) -> String {
        let inspect = self.inspect(service);
        let networks = inspect["NetworkSettings"]["Networks"].as_object().expect("networks").clone();
        networks.values().next().expect("a network")["IPAddress"].as_str().expect("an address").to_owned()
    }

    /// Returns the daemon's pid.
    #[track_caller]
    pub(crate) fn daemon(&self) -> i32 {
        eventually("the daemon runs", SOON, || self.processes().find(host::Process::is_daemon).map(|p| p.pid))
    }

    /// Returns the pid of the shim that is the parent of a service's first process.
    #[track_caller]
    pub(crate) fn shim(&self, service: &str) -> i32 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid(service))).expect("it runs");
        let parent = status.lines().find_map(|line| line.strip_prefix("PPid:")).expect("has a parent");
        parent.trim().parse().expect("a number")
    }

    /// Returns this engine's own processes: daemon and shims, not what runs in containers.
    pub(crate) fn processes(&self) -> impl Iterator<Item = host::Process> {
        let marker = format!("STACK_RUN={}", self.run_folder().display());
        let folder = self.run_folder().display().to_string();
        let program = fs::canonicalize(PROGRAM).expect("it was built");
        host::processes().filter(move |p| {
            p.executable == program && (p.environment.contains(&marker) || p.command.contains(&folder))
        })
    }

    /// Kills a process of this engine the hard way.
    #[track_caller]
    pub(crate) fn kill(&self, pid: i32) {
        kill(Pid::from_raw(pid), Signal::SIGKILL).expect("it runs");
        eventually("a killed process is gone", SOON, || (!host::runs(pid)).then_some(()));
    }

    /// Returns what this engine has on the host now.
    pub(crate) fn traces(&self) -> Snapshot {
        let mut traces = Snapshot::take(&fs::canonicalize(PROGRAM).expect("it was built")).naming(&self.known);
        traces.add_processes(self.processes().map(|p| format!("{} {}", p.pid, p.command)));
        traces
    }

    /// Waits until daemon and shims have ended.
    #[track_caller]
    pub(crate) fn leaves_no_process(&self) {
        super::eventually("the engine's processes end", SOON, || self.processes().next().is_none().then_some(()));
    }

    /// Waits until nothing of this engine is left on the host.
    #[track_caller]
    pub(crate) fn leaves_nothing(&self) {
        super::becomes("what is left on the host", &String::new(), || self.traces().to_string());
    }

    /// Kills what is left of a test that failed, so that the next one has a clean host.
    fn clear(&self) {
        // Twice: a shim that loses its daemon starts another.
        for _ in 0..3 {
            for process in self.processes() {
                let _ = kill(Pid::from_raw(process.pid), Signal::SIGKILL);
            }
            for name in fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten() {
                let at = name.path().join("stack").join(&self.project);
                for container in fs::read_dir(at).into_iter().flatten().flatten() {
                    let pids = fs::read_to_string(container.path().join("cgroup.procs")).unwrap_or_default();
                    for pid in pids.lines().filter_map(|pid| pid.parse().ok()) {
                        let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
                    }
                }
            }
        }
        let instance = &self.known[0];
        let ip = |arguments: &[&str]| drop(Command::new("ip").args(arguments).output());
        ip(&["netns", "delete", instance]);
        ip(&["link", "delete", instance]);
        for family in ["ip", "inet"] {
            drop(Command::new("nft").args(["delete", "table", family, instance]).output());
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // Bounded, and without a panic: this may already be the end of a test that failed.
        let mut down = Command::new("timeout");
        down.args(["--signal=KILL", "30", PROGRAM, "down", "-v", "-t", "0", "--remove-orphans"]);
        let environment = self.command(&[]);
        down.current_dir(self.folder()).env_clear();
        down.envs(environment.get_envs().filter_map(|(key, value)| Some((key, value?))));
        let down = down.stdin(std::process::Stdio::null()).output();
        if std::thread::panicking() {
            if let Ok(daemon_log) = fs::read_to_string(self.run_folder().join("daemon.log")) {
                eprintln!("--- the daemon's log\n{daemon_log}");
            }
            eprintln!("--- down after the failure: {down:?}\n--- left on the host\n{}", self.traces());
            self.clear();
            return;
        }
        let deadline = std::time::Instant::now() + SOON;
        while !self.traces().to_string().is_empty() && std::time::Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(10));
        }
        let left = self.traces().to_string();
        if !left.is_empty() {
            self.clear();
            panic!("left on the host after `down -v`:\n{left}\n{down:?}");
        }
    }
}

/// Returns a TCP port that nobody listens on now; below the range that the kernel gives to clients.
pub(crate) fn free_port() -> u16 {
    let start = 20_000 + u16::try_from(std::process::id() % 10_000).expect("small");
    let mut ports = (start..32_000).chain(20_000..start);
    ports.find(|port| TcpListener::bind(("::", *port)).is_ok()).expect("one of twelve thousand is free")
}

/// Returns the answer to an HTTP GET, or the error of a server that is not there.
pub(crate) fn get(address: impl Into<IpAddr>, port: u16, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&SocketAddr::new(address.into(), port), Duration::from_secs(5))?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: test\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).ok_or(std::io::ErrorKind::UnexpectedEof.into())
}

/// Returns what a redis server answers to an inline command, without the line end.
pub(crate) fn redis(address: impl Into<IpAddr>, port: u16, command: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&SocketAddr::new(address.into(), port), Duration::from_secs(5))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(format!("{command}\r\n").as_bytes())?;
    let mut answer = [0; 512];
    let length = stream.read(&mut answer)?;
    if length == 0 {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    Ok(String::from_utf8_lossy(&answer[..length]).trim_end().to_owned())
}

/// Returns the repository's folder.
pub(crate) fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
