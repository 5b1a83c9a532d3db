//! An engine of its own in a temporary folder, with an image made from busybox.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use stack::engine::{Engine, EngineConfig, ExitStatus, Shim, ShimFds, ShimNotice};
use stack::ids::{ContainerId, Digest};
use stack::paths::Paths;
use stack::spec::{Capabilities, ContainerSpec, ImageIdentity, Resources, RestartPolicy, Seccomp};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// Longest wait for anything here.
pub(super) const DEADLINE: Duration = Duration::from_secs(20);

pub(super) struct World {
    pub(super) engine: Engine,
    pub(super) folder: tempfile::TempDir,
    pub(super) events: UnboundedSender<ShimNotice>,
    pub(super) notices: UnboundedReceiver<ShimNotice>,
    next: u8,
    shims: std::cell::RefCell<Vec<(ContainerId, u32)>>,
}

/// A test that failed leaves nothing running either.
impl Drop for World {
    fn drop(&mut self) {
        for (id, pid) in self.shims.borrow().iter() {
            let is_shim = fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm == "stack-shim\n");
            if is_shim {
                let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(*pid as i32), nix::sys::signal::SIGKILL);
                self.engine.kill_leftovers(id);
                let (engine, id) = (self.engine.clone(), id.clone());
                // On a thread: a runtime cannot be started inside another.
                let removed = std::thread::spawn(move || {
                    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                    runtime.block_on(engine.remove(&id))
                });
                let _ = removed.join();
            }
        }
    }
}

impl World {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let layer = folder.path().join("layer");
        for name in ["bin", "etc", "tmp", "usr/bin", "root"] {
            fs::create_dir_all(layer.join(name)).unwrap();
        }
        fs::copy("/bin/busybox", layer.join("bin/busybox")).unwrap();
        for name in [
            "sh", "true", "cat", "id", "sleep", "ls", "mount", "ps", "kill", "touch", "mknod", "stty", "tty", "env",
            "setsid", "head", "dd", "grep", "yes", "hostname", "ulimit", "chmod", "echo", "tr", "ip", "wc", "stat",
            "nice",
        ] {
            symlink("busybox", layer.join("bin").join(name)).unwrap();
        }
        fs::write(layer.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\nweb:x:33:34:web:/tmp:/bin/sh\n").unwrap();
        fs::write(layer.join("etc/group"), "root:x:0:\nweb:x:34:\naudio:x:29:web\n").unwrap();
        fs::write(layer.join("bin/not-executable"), "#!/bin/sh\n").unwrap();
        let (events, notices) = unbounded_channel();
        Self {
            engine: engine(&folder, env!("CARGO_BIN_EXE_stack").into()),
            folder,
            events,
            notices,
            next: 0,
            shims: std::cell::RefCell::default(),
        }
    }

    /// Returns a world whose program is this script; it finds the real one as `$STACK`.
    pub(super) fn with_program(script: &str) -> Self {
        use std::os::unix::fs::PermissionsExt as _;
        let mut world = Self::new();
        let program = world.folder.path().join("program");
        fs::write(&program, script.replace("$STACK ", &format!("{} ", env!("CARGO_BIN_EXE_stack")))).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        world.engine = engine(&world.folder, program);
        world
    }

    /// Has the engine run this program from now on.
    pub(super) fn use_program(&mut self, program: &std::path::Path) {
        self.engine = engine(&self.folder, program.to_owned());
    }

    /// Returns another engine on the same folders, as a new daemon would have.
    pub(super) fn another_engine(&self) -> Engine {
        engine(&self.folder, env!("CARGO_BIN_EXE_stack").into())
    }

    pub(super) fn spec(&mut self, argv: &[&str]) -> ContainerSpec {
        self.next += 1;
        let mut bytes = [self.next; 32];
        bytes[1..5].copy_from_slice(&std::process::id().to_le_bytes());
        let id = ContainerId::from_bytes(bytes);
        ContainerSpec {
            name: format!("test-{}", self.next),
            image: ImageIdentity {
                reference: "busybox".into(),
                id: Digest::of(b"busybox"),
                layers: vec![self.folder.path().join("layer")],
            },
            labels: BTreeMap::new(),
            argv: argv.iter().map(ToString::to_string).collect(),
            shape: String::new(),
            entrypoint_len: 0,
            env: vec!["COLOUR=blue".into()],
            cwd: "/".into(),
            user: String::new(),
            group_add: vec![],
            hostname: id.short().to_owned(),
            domainname: String::new(),
            tty: false,
            stdin_open: false,
            init: false,
            read_only: false,
            mounts: vec![],
            capabilities: Capabilities::default(),
            privileged: false,
            no_new_privileges: false,
            seccomp: Seccomp::Default,
            resources: Resources::default(),
            rlimits: vec![],
            sysctls: BTreeMap::new(),
            shm_size: 64 << 20,
            extra_hosts: vec![],
            dns: vec![],
            dns_search: vec![],
            dns_options: vec![],
            stop_signal: 15,
            stop_grace: Duration::from_secs(10),
            restart: RestartPolicy::No,
            ready: None,
            healthcheck: None,
            exposed: vec![],
            links: vec![],
            network_of: None,
            endpoints: vec![],
            host_network: false,
            ports: vec![],
            cgroup_parent: format!("stack-test/{}", std::process::id()),
            id,
        }
    }

    pub(super) async fn shim(&self, spec: &ContainerSpec) -> Shim {
        self.engine.create(spec).unwrap();
        let shim = self.engine.spawn_shim(spec, ShimFds::default(), self.events.clone()).await.unwrap();
        self.shims.borrow_mut().push((spec.id.clone(), shim.pid()));
        shim
    }

    /// Waits for the end of the container.
    pub(super) async fn exited(&mut self, spec: &ContainerSpec) -> ExitStatus {
        loop {
            let notice =
                tokio::time::timeout(DEADLINE, self.notices.recv()).await.expect("an exit within the deadline");
            if let Some(ShimNotice::Exited { id, status }) = notice
                && id == spec.id
            {
                return status;
            }
        }
    }

    /// Runs a container to its end; returns its exit status and what it wrote.
    pub(super) async fn run(&mut self, spec: &ContainerSpec) -> (i32, String) {
        let shim = self.shim(spec).await;
        let started = shim.start().await;
        let code = match started {
            Ok(_) => self.exited(spec).await.code,
            Err(failure) => panic!("{failure} ({:?})", failure.hint),
        };
        shim.shutdown().await;
        let text = self.log(spec);
        self.engine.remove(&spec.id).await.unwrap();
        (code, text)
    }

    pub(super) fn log(&self, spec: &ContainerSpec) -> String {
        let path = self.engine.log_path(&spec.name);
        stack::engine::logs::read(&path, Default::default()).map(|entry| entry.text).collect()
    }

    /// Returns the cgroup folders of the container that exist.
    pub(super) fn cgroups(&self, spec: &ContainerSpec) -> Vec<PathBuf> {
        let trees = fs::read_dir("/sys/fs/cgroup").unwrap().flatten().map(|e| e.path());
        trees.map(|tree| tree.join(&spec.cgroup_parent).join(spec.id.as_str())).filter(|at| at.exists()).collect()
    }
}

fn engine(folder: &tempfile::TempDir, exe: PathBuf) -> Engine {
    let paths = Paths { root: folder.path().join("root"), run: folder.path().join("run") };
    Engine::new(EngineConfig { paths, exe })
}

/// Polls until the condition holds.
pub(super) async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < DEADLINE, "not within the deadline: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

pub(super) fn alive(pid: u32) -> bool {
    // A zombie is dead.
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}
