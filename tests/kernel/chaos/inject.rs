//! How faults are made: with signals, other tools, and commands of users.

use std::fs;
use std::io::Write as _;
use std::process::Command;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::Chaos;
use super::fault::Fault;
use super::observe::{Container, router};
use super::stack::known;
use crate::support::host;

impl Chaos<'_> {
    /// Makes a fault; returns why it could not be made.
    pub(super) fn inject(&mut self, fault: &Fault) -> Option<String> {
        if let Fault::Both(one, other) = fault {
            let skipped = [self.inject(one), self.inject(other)];
            if skipped.iter().all(Option::is_none) {
                self.expected.after_both([one, other]);
            }
            let skipped: Vec<String> = skipped.into_iter().flatten().collect();
            return (!skipped.is_empty()).then(|| skipped.join("; "));
        }
        if !self.expected.allows(fault) {
            return Some("its service is not there".to_owned());
        }
        match self.make(fault) {
            Ok(()) => {
                self.expected.after(fault);
                None
            }
            Err(why) => Some(why),
        }
    }

    fn make(&mut self, fault: &Fault) -> Result<(), String> {
        match fault {
            Fault::KillMain(name, pick) => self.kill_main(name, *pick),
            Fault::KillChild(name, pick) => {
                let main = self.process(name, *pick)?;
                let own = fs::read_link(format!("/proc/{main}/ns/pid")).map_err(|error| error.to_string())?;
                let inside = host::processes().filter(|process| {
                    process.pid != main
                        && fs::read_link(format!("/proc/{}/ns/pid", process.pid)).is_ok_and(|ns| ns == own)
                });
                let children: Vec<i32> = inside.map(|process| process.pid).collect();
                send(pick_of(&children, *pick).ok_or("it has no other process")?, Signal::SIGKILL)
            }
            Fault::KillShim(name, pick) => send(parent(self.process(name, *pick)?)?, Signal::SIGKILL),
            Fault::KillShimServer => {
                let engine = self.engine()?;
                let server = self.world.processes().find(|process| process.parent == engine);
                send(server.ok_or("there is none")?.pid, Signal::SIGKILL)
            }
            Fault::KillEngine => send(self.engine()?, Signal::SIGKILL),
            Fault::EndEngine => send(self.engine()?, Signal::SIGTERM),
            Fault::Freeze(name, pick) => {
                let pid = self.process(name, *pick)?;
                send(pid, Signal::SIGSTOP)?;
                self.world.stack(&["ps"]).ok();
                send(pid, Signal::SIGCONT)
            }
            Fault::FreezeEngine(name, pick) => {
                let engine = self.engine()?;
                send(engine, Signal::SIGSTOP)?;
                let killed = self.kill_main(name, *pick);
                send(engine, Signal::SIGCONT)?;
                killed
            }
            Fault::FreezeShim(name, pick) => {
                let shim = parent(self.process(name, *pick)?)?;
                send(shim, Signal::SIGSTOP)?;
                let killed = self.kill_main(name, *pick);
                send(shim, Signal::SIGCONT)?;
                killed
            }
            Fault::DeleteFiles(name, pick) => {
                let id = self.container(name, *pick)?.id.clone();
                let folder = self.world.root().join("containers").join(id);
                // What runs in it may write into it meanwhile, as with `rm -rf`.
                fs::remove_dir_all(folder).map_err(|error| error.to_string())
            }
            Fault::Stop(name) => self.command(&["stop", name]),
            Fault::Start(name) => self.command(&["start", name]),
            Fault::Kill(name) => self.command(&["kill", name]),
            Fault::Restart(name) => self.command(&["restart", name]),
            Fault::Remove(name) => self.command(&["rm", "-sf", name]),
            Fault::RemoveLink(pick) => self.link("veth", *pick, &["del"], &[]),
            Fault::LinkDown(pick) => self.link("veth", *pick, &["set"], &["down"]),
            Fault::LinkOff(pick) => self.link("veth", *pick, &["set"], &["nomaster"]),
            Fault::RemoveBridge(pick) => self.link("br-", *pick, &["del"], &[]),
            Fault::BridgeDown(pick) => self.link("br-", *pick, &["set"], &["down"]),
            Fault::RemoveUplink => self.link("uplink", 0, &["del"], &[]),
            Fault::RemoveInside(name, pick) => {
                let net = format!("--net=/proc/{}/ns/net", self.process(name, *pick)?);
                tool("nsenter", &[&net, "ip", "link", "del", "eth0"])
            }
            Fault::Unmount(name, pick) => {
                let pid = self.process(name, *pick)?.to_string();
                let kept: Vec<&str> = known(name).mounts.iter().copied().filter(|at| *at != "/scratch").collect();
                let target = pick_of(&kept, *pick).ok_or("it has none")?;
                // Lazily: what is open stays open.
                tool("nsenter", &["-t", &pid, "-m", "umount", "-l", target])
            }
            Fault::FillTmpfs => {
                let pid = self.process("cache", 0)?;
                let output = self.world.stack(&["exec", "-T", "cache", "sh", "-c", "cat /dev/zero > /scratch/fill"]);
                if output.stderr.contains("No space left") {
                    self.replaced.push((self.world.container("cache"), pid));
                }
                Ok(())
            }
            Fault::FillDisk => {
                let path = self.world.folder().join("small/fill");
                let mut file = fs::File::create(&path).map_err(|error| error.to_string())?;
                while file.write_all(&[0; 4096]).is_ok() {}
                self.world.stack(&["ps"]).ok();
                fs::remove_file(path).map_err(|error| error.to_string())
            }
            Fault::FillLog => self.fill_log(),
            Fault::Unhealthy(name, pick) => {
                let container = self.container(name, *pick)?.clone();
                let index = format!("--index={}", container.number);
                let output = self.world.stack(&["exec", "-T", &index, name, "touch", "/tmp/broken"]);
                if let (Some(0), Some(pid)) = (output.code, container.pid) {
                    self.replaced.push((container.name, pid));
                }
                Ok(())
            }
            Fault::Up => self.command(&["up", "-d"]),
            Fault::UpTwice => {
                let other = self.world.start(&["up", "-d"]);
                self.command(&["up", "-d"])?;
                let (code, lines) = other.end(super::LIMIT);
                assert_eq!(code, Some(0), "the other `up`:\n{}", lines.join("\n"));
                Ok(())
            }
            Fault::UpChanged(name) => {
                self.change(name, |(environment, _)| *environment += 1);
                self.command(&["up", "-d"])
            }
            Fault::UpInPlace(name) => {
                self.change(name, |(_, limit)| *limit += 1);
                self.command(&["up", "-d"])
            }
            Fault::Scale(count) => self.command(&["up", "-d", "--scale", &format!("api={count}")]),
            Fault::UpKilled(name) => {
                self.change(name, |(environment, _)| *environment += 1);
                let mut up = self.world.start(&["up", "-d"]);
                up.line_with("Container");
                drop(up);
                self.command(&["up", "-d"])
            }
            Fault::UpDies(name, step) => {
                self.change(name, |(environment, _)| *environment += 1);
                let hook = self.world.run_folder().join("die-at-step");
                fs::write(&hook, (step % 60).to_string()).map_err(|error| error.to_string())?;
                let _died = self.world.stack(&["up", "-d"]);
                let _ = fs::remove_file(hook);
                self.command(&["up", "-d"])
            }
            Fault::DownUp => {
                self.command(&["down"])?;
                self.command(&["up", "-d"])
            }
            Fault::Both(..) => unreachable!("each of them is made for itself"),
        }
    }

    /// Runs a command of a user, which must succeed.
    #[track_caller]
    fn command(&self, arguments: &[&str]) -> Result<(), String> {
        self.world.stack(arguments).ok();
        Ok(())
    }

    fn change(&mut self, name: &'static str, change: impl FnOnce(&mut (u32, u32))) {
        change(self.changes.entry(name).or_default());
        self.write();
    }

    /// Returns one of a service's containers, as it was when all was well.
    fn container<'a>(&'a self, name: &'a str, pick: u32) -> Result<&'a Container, String> {
        let all: Vec<&Container> = self.seen.of(name).collect();
        pick_of(&all, pick).ok_or_else(|| format!("{name} has no container"))
    }

    /// Returns its first process.
    fn process(&self, name: &str, pick: u32) -> Result<i32, String> {
        let pid = self.container(name, pick)?.pid.filter(|pid| host::runs(*pid));
        pid.ok_or_else(|| format!("{name} does not run"))
    }

    fn kill_main(&self, name: &str, pick: u32) -> Result<(), String> {
        send(self.process(name, pick)?, Signal::SIGKILL)
    }

    fn engine(&self) -> Result<i32, String> {
        let engine = self.world.processes().find(host::Process::is_daemon);
        engine.map(|process| process.pid).ok_or_else(|| "there is no engine now".to_owned())
    }

    /// Does something to one of the router's links of a kind.
    fn link(&self, prefix: &str, pick: u32, before: &[&str], after: &[&str]) -> Result<(), String> {
        let names: Vec<&str> = self.seen.links.iter().map(|link| link.name.as_str()).collect();
        let names: Vec<&str> = names.into_iter().filter(|name| name.starts_with(prefix)).collect();
        let name = pick_of(&names, pick).ok_or("there is none")?;
        let router = router(self.world);
        tool("ip", &[&["-n", router.as_str(), "link"], before, &[name], after].concat())
    }

    fn fill_log(&self) -> Result<(), String> {
        let id = self.container("logger", 0)?.id.clone();
        let script = "yes 'a line of output that is not very long' | head -c 1000000 > /proc/1/fd/1";
        if self.world.stack(&["exec", "-T", "logger", "sh", "-c", script]).code != Some(0) {
            return Err("it does not run".to_owned());
        }
        let folder = self.world.root().join("logs").join(id);
        let files = fs::read_dir(folder).into_iter().flatten().flatten();
        let kept: u64 = files.filter_map(|file| file.metadata().ok()).map(|data| data.len()).sum();
        assert!(kept < 200_000, "{kept} bytes are kept of two files of 64 KiB");
        Ok(())
    }
}

/// Something that the model does not know may have ended it before: a fault that cannot be made is none.
fn send(pid: i32, signal: Signal) -> Result<(), String> {
    kill(Pid::from_raw(pid), signal).map_err(|error| format!("{signal} to {pid}: {error}"))
}

fn parent(pid: i32) -> Result<i32, String> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).map_err(|error| error.to_string())?;
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"));
    parent.and_then(|text| text.trim().parse().ok()).filter(|pid| *pid > 1).ok_or_else(|| "no parent".to_owned())
}

fn pick_of<T: Copy>(all: &[T], pick: u32) -> Option<T> {
    all.get(usize::try_from(pick).ok()?.checked_rem(all.len())?).copied()
}

fn tool(program: &str, arguments: &[&str]) -> Result<(), String> {
    let output = Command::new(program).args(arguments).output().map_err(|error| error.to_string())?;
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
    }
}
