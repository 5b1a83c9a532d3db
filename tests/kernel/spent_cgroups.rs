//! The control group of a run that was killed: the kernel ends at once what is cloned into it, so no later run may
//! be.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use crate::support::{SOON, World, becomes, eventually, host};

const FILE: &str = "services: {app: {image: busybox, command: sleep 1000, init: true, restart: always, network_mode: none, \
                    stop_grace_period: 0s}}";

/// Returns the v2 folder of the container's control group.
fn folder(world: &World) -> PathBuf {
    let text = fs::read_to_string(format!("/proc/{}/cgroup", world.pid("app"))).unwrap();
    let path = text.lines().find_map(|line| line.strip_prefix("0::/")).expect("a v2 tree is mounted");
    let roots = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"];
    let found = roots.iter().map(|root| Path::new(root).join(path)).find(|at| at.join("cgroup.kill").exists());
    found.unwrap_or_else(|| panic!("no folder {path}"))
}

/// Waits until another process than this one runs, and takes commands.
#[track_caller]
fn runs_again(world: &World, old: i32) {
    eventually("it runs again", SOON, || {
        let output = world.stack(&["exec", "-T", "app", "true"]);
        (output.code == Some(0)).then_some(())
    });
    assert_ne!(world.pid("app"), old);
}

#[test]
fn a_container_whose_control_group_another_program_kills_runs_again() {
    let world = World::with(FILE);
    world.up();
    for _ in 0..2 {
        let old = world.pid("app");
        // As systemd-oomd does.
        fs::write(folder(&world).join("cgroup.kill"), "1").unwrap();
        eventually("its process ended", SOON, || (!host::runs(old)).then_some(()));
        runs_again(&world, old);
    }
}

/// A process that does not end when it is killed, until it is let go.
struct Stuck {
    process: Child,
    freezer: PathBuf,
}

impl Stuck {
    /// Returns one in this control group. `None` on hosts without the v1 freezer, whose processes cannot be killed.
    fn within(group: &Path) -> Option<Self> {
        let freezer = Path::new("/sys/fs/cgroup/freezer").join(format!("frozen-{}", std::process::id()));
        fs::create_dir(&freezer).ok()?;
        let process = Command::new("sleep").arg("1000").spawn().unwrap();
        let stuck = Self { process, freezer };
        let pid = stuck.process.id().to_string();
        fs::write(group.join("cgroup.procs"), &pid).unwrap();
        fs::write(stuck.freezer.join("cgroup.procs"), &pid).unwrap();
        stuck.set("FROZEN");
        becomes("freezer", &"FROZEN".to_owned(), || {
            fs::read_to_string(stuck.freezer.join("freezer.state")).unwrap().trim().to_owned()
        });
        Some(stuck)
    }

    fn set(&self, state: &str) {
        let _ = fs::write(self.freezer.join("freezer.state"), state);
    }

    /// Tells whether it would end if it could.
    fn is_killed(&self) -> bool {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap_or_default();
        let pending = ["SigPnd:", "ShdPnd:"].map(|key| status.lines().find_map(|line| line.strip_prefix(key)));
        // Signal 9 is bit 8.
        pending.iter().flatten().any(|mask| u64::from_str_radix(mask.trim(), 16).unwrap_or(0) & 0x100 != 0)
    }
}

impl Drop for Stuck {
    fn drop(&mut self) {
        self.set("THAWED");
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_dir(&self.freezer);
    }
}

#[test]
fn a_container_whose_killed_shim_left_a_process_that_ends_slowly_runs_again() {
    let world = World::with(FILE);
    world.up();
    let (old, id) = (world.pid("app"), world.inspect("app")["Id"].as_str().unwrap().to_owned());
    let Some(stuck) = Stuck::within(&folder(&world)) else { return };
    let path = world.run_folder().join("containers").join(&id).join("shim.sock");
    let socket = || fs::metadata(&path).and_then(|at| at.modified()).ok();
    let first = socket();
    world.kill(world.shim("app"));
    eventually("all of it is killed", SOON, || stuck.is_killed().then_some(()));
    eventually("another shim", SOON, || socket().filter(|made| Some(*made) != first));
    // A start that has begun waits: nothing of two runs at the same time.
    assert_ne!(world.stack(&["exec", "-T", "app", "true"]).code, Some(0));
    drop(stuck);
    runs_again(&world, old);
}
