//! What the kernel alone takes: processes in new namespaces on an overlay, each with a veth pair, in a plain loop.
//!
//! Runs in a process of its own: `sys::process::fork` wants a single thread, and a mount and a network namespace
//! of its own that take everything with them when it ends.

use std::fs;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags as Namespaces, unshare};
use rtnetlink::packet_route::link::{InfoData, InfoVeth};
use rtnetlink::{Handle, LinkBridge, LinkMessageBuilder, LinkUnspec, LinkVeth};
use stack::sys::process::{CloneFlags, Fork, exit_now, fork};

use super::median;

/// First argument that makes this program the loop.
pub(crate) const COMMAND: &str = "__floor";

/// Returns the median times of starting and of removing so many.
pub(crate) fn measure(rootfs: &Path, size: usize, times: usize) -> (Duration, Duration) {
    let mut rounds = (Vec::new(), Vec::new());
    for _ in 0..times {
        let program = std::env::current_exe().expect("it runs");
        let work = rootfs.with_file_name("floor");
        let output = Command::new("timeout")
            .args(["--signal=KILL", "120"])
            .arg(program)
            .args([COMMAND, &size.to_string()])
            .args([rootfs, &work])
            .stdin(Stdio::null())
            .output()
            .expect("timeout(1) is there");
        let text = String::from_utf8_lossy(&output.stdout);
        let mut micros = text.split_whitespace().filter_map(|word| word.parse().ok().map(Duration::from_micros));
        let (Some(up), Some(down)) = (micros.next(), micros.next()) else {
            panic!("the kernel floor failed: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
        };
        rounds.0.push(up);
        rounds.1.push(down);
        let _ = fs::remove_dir_all(&work);
    }
    (median(rounds.0), median(rounds.1))
}

/// The loop: prints the microseconds of starting and of removing.
pub(crate) fn run(arguments: &[String]) {
    let [size, rootfs, work] = arguments else { panic!("{COMMAND} SIZE ROOTFS WORK") };
    let (size, rootfs, work): (usize, PathBuf, PathBuf) = (size.parse().expect("a number"), rootfs.into(), work.into());
    unshare(Namespaces::CLONE_NEWNS | Namespaces::CLONE_NEWNET).expect("root rights");
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_PRIVATE | MsFlags::MS_REC, None::<&str>)
        .expect("private mounts");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let (up, down) = runtime.block_on(containers(size, &rootfs, &work));
    println!("{} {}", up.as_micros(), down.as_micros());
}

async fn containers(size: usize, rootfs: &Path, work: &Path) -> (Duration, Duration) {
    let (connection, network, _) = rtnetlink::new_connection().expect("netlink");
    tokio::spawn(connection);
    let began = Instant::now();
    network.link().add(LinkBridge::new("floor").up().build()).execute().await.expect("a bridge");
    let bridge = index(&network, "floor").await;
    let mut running = Vec::with_capacity(size);
    for number in 0..size {
        running.push(container(number, rootfs, work, &network, bridge).await);
    }
    let up = began.elapsed();

    let began = Instant::now();
    for (pid, _) in &running {
        let _ = nix::sys::signal::kill(*pid, nix::sys::signal::SIGKILL);
    }
    for (pid, _) in &running {
        nix::sys::wait::waitpid(*pid, None).expect("a child of ours");
    }
    // The whole group of links with one message, the bridge with it.
    let group = LinkMessageBuilder::<LinkUnspec>::new().link_group(GROUP).build();
    let mut delete = network.link().del(0);
    *delete.message_mut() = group;
    let _ = delete.execute().await;
    network.link().del(bridge).execute().await.expect("the bridge is there");
    (up, began.elapsed())
}

const GROUP: u32 = 4242;

async fn container(
    number: usize,
    rootfs: &Path,
    work: &Path,
    network: &Handle,
    bridge: u32,
) -> (nix::unistd::Pid, OwnedFd) {
    let root = work.join(number.to_string());
    for folder in ["upper", "work", "merged"] {
        fs::create_dir_all(root.join(folder)).expect("a new folder");
    }
    let (go, wait) = pipe();
    let (report, status) = pipe();
    let flags = CloneFlags::PID | CloneFlags::MOUNT | CloneFlags::UTS | CloneFlags::IPC | CloneFlags::NET;
    let (pid, pidfd) = match fork(flags, None).expect("clone3") {
        Fork::Child => {
            drop((go, status));
            let failure = child(rootfs, &root, wait);
            let _ = writeln!(report_file(report), "{failure}");
            exit_now(1);
        }
        Fork::Parent { pid, pidfd } => (pid, pidfd),
    };
    drop((wait, report));
    let peer = LinkMessageBuilder::<LinkUnspec>::new().name("eth0".to_owned()).setns_by_pid(pid).build();
    let name = format!("floor{number}");
    let link = LinkVeth::new(&name, "eth0").controller(bridge).link_group(GROUP).up();
    let link = link.set_info_data(InfoData::Veth(InfoVeth::Peer(peer))).build();
    network.link().add(link).execute().await.expect("a veth pair");
    drop(go);
    // Ends when exec closes the other side.
    let mut failure = String::new();
    report_file(status).read_to_string(&mut failure).expect("a pipe");
    assert!(failure.is_empty(), "container {number}: {failure}");
    (nix::unistd::Pid::from_raw(pid.try_into().expect("pids fit")), pidfd)
}

/// Becomes the container's program; returns why not.
fn child(rootfs: &Path, root: &Path, wait: OwnedFd) -> String {
    let made = (|| -> nix::Result<()> {
        let _ = report_file(wait).read(&mut [0]);
        mount(None::<&str>, "/", None::<&str>, MsFlags::MS_PRIVATE | MsFlags::MS_REC, None::<&str>)?;
        let merged = root.join("merged");
        let layers = format!(
            "lowerdir={},upperdir={},workdir={}",
            rootfs.display(),
            root.join("upper").display(),
            root.join("work").display()
        );
        mount(Some("overlay"), &merged, Some("overlay"), MsFlags::empty(), Some(layers.as_str()))?;
        std::env::set_current_dir(&merged).map_err(|_| nix::Error::last())?;
        nix::unistd::pivot_root(".", ".")?;
        umount2(".", MntFlags::MNT_DETACH)?;
        mount(Some("proc"), "/proc", Some("proc"), MsFlags::empty(), None::<&str>)
    })();
    match made {
        Ok(()) => Command::new("/bin/sleep").arg("100000").exec().to_string(),
        Err(err) => err.to_string(),
    }
}

/// Returns the writing and the reading end, both closed by exec.
fn pipe() -> (OwnedFd, OwnedFd) {
    let (read, write) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).expect("a pipe");
    (write, read)
}

fn report_file(end: OwnedFd) -> fs::File {
    end.into()
}

async fn index(network: &Handle, name: &str) -> u32 {
    use futures_util::TryStreamExt as _;
    let mut links = network.link().get().match_name(name.to_owned()).execute();
    links.try_next().await.expect("netlink").expect("it was just made").header.index
}
