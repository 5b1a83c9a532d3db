//! Images made of files of this machine, cached between tests under `target/tmp/images`.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::fcntl::{Flock, FlockArg};

use super::program::run;

/// A root filesystem archive and what `stack image import -c` shall add to it.
pub(crate) struct Image {
    /// The archive.
    pub(crate) tar: PathBuf,
    /// Instructions.
    pub(crate) changes: Vec<&'static str>,
}

/// Returns an image with a static busybox under all its names, and users `root`, `app` and `nobody`.
pub(crate) fn busybox() -> Image {
    Image { tar: cached("busybox", base), changes: vec![r#"CMD ["sh"]"#, PATH] }
}

/// Returns busybox with Debian's redis server, which the package `redis-tools` holds under another name.
pub(crate) fn redis() -> Image {
    let tar = cached("redis", |tar| {
        base(tar)?;
        for (source, name) in [("/usr/bin/redis-check-rdb", "redis-server"), ("/usr/bin/redis-cli", "redis-cli")] {
            add(tar, Path::new(source), &format!("usr/bin/{name}"), 0o755)?;
        }
        add_libraries(tar, &["/usr/bin/redis-check-rdb", "/usr/bin/redis-cli"])?;
        folder(tar, "data", 0o755, (0, 0))
    });
    Image { tar, changes: vec![r#"CMD ["redis-server"]"#, PATH, "EXPOSE 6379", "VOLUME /data", "WORKDIR /data"] }
}

/// Returns an image with one program, `/sleep`, and the folder `/app` of user 1000: no shell, nothing else.
pub(crate) fn bare() -> Image {
    let tar = cached("bare", |tar| {
        for name in ["dev", "etc", "proc", "sys"] {
            folder(tar, name, 0o755, (0, 0))?;
        }
        folder(tar, "app", 0o755, (1000, 1000))?;
        add(tar, Path::new("/bin/busybox"), "sleep", 0o755)
    });
    Image { tar, changes: vec![PATH] }
}

/// Returns busybox with perl, without any module: each Debian has it.
pub(crate) fn perl() -> Image {
    let tar = cached("perl", |tar| {
        base(tar)?;
        add(tar, Path::new("/usr/bin/perl"), "usr/bin/perl", 0o755)?;
        add_libraries(tar, &["/usr/bin/perl"])
    });
    Image { tar, changes: vec![PATH] }
}

/// Returns the archive that `examples/databases/images.sh` builds; building takes seconds, and the network.
pub(crate) fn example(script: &Path, name: &str) {
    run(Command::new(script).args(["build", name]), Duration::from_secs(600)).ok();
}

const PATH: &str = "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

type Tar = tar::Builder<io::BufWriter<File>>;

/// Returns the archive of this name, made once: many test processes ask at the same time.
fn cached(name: &str, make: impl FnOnce(&mut Tar) -> io::Result<()>) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("images");
    fs::create_dir_all(&folder).expect("target is writable");
    let path = folder.join(format!("{name}.tar"));
    let lock = File::create(folder.join(format!("{name}.lock"))).expect("target is writable");
    let _lock = Flock::lock(lock, FlockArg::LockExclusive).map_err(|(_, err)| err).expect("flock");
    if !path.exists() {
        let aside = folder.join(format!("{name}.new"));
        let mut tar = tar::Builder::new(io::BufWriter::new(File::create(&aside).expect("target is writable")));
        make(&mut tar)
            .unwrap_or_else(|err| panic!("cannot make the image {name}: {err} (`make test` installs the parts)"));
        tar.into_inner().and_then(|file| file.into_inner().map_err(Into::into)).expect("the archive is complete");
        fs::rename(aside, &path).expect("same folder");
    }
    path
}

fn base(tar: &mut Tar) -> io::Result<()> {
    for (name, mode) in
        [("bin", 0o755), ("dev", 0o755), ("etc", 0o755), ("proc", 0o755), ("root", 0o700), ("run", 0o755)]
    {
        folder(tar, name, mode, (0, 0))?;
    }
    for name in ["sbin", "sys", "usr", "usr/bin", "var", "www"] {
        folder(tar, name, 0o755, (0, 0))?;
    }
    folder(tar, "tmp", 0o1777, (0, 0))?;
    // Content and owner that a new named volume takes over.
    folder(tar, "seed", 0o750, (1000, 1000))?;
    file(tar, "seed/from-image", 0o640, (1000, 1000), b"seeded\n")?;
    file(
        tar,
        "etc/passwd",
        0o644,
        (0, 0),
        b"root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n",
    )?;
    file(tar, "etc/group", 0o644, (0, 0), b"root:x:0:\napp:x:1000:\ntools:x:2000:app\nnobody:x:65534:\n")?;
    add(tar, Path::new("/bin/busybox"), "bin/busybox", 0o755)?;
    let applets = run(Command::new("/bin/busybox").arg("--list"), Duration::from_secs(10)).ok();
    for applet in applets.lines().filter(|applet| *applet != "busybox") {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        header.set_mode(0o777);
        tar.append_link(&mut header, format!("bin/{applet}"), "busybox")?;
    }
    Ok(())
}

fn add_libraries(tar: &mut Tar, programs: &[&str]) -> io::Result<()> {
    for library in libraries(programs) {
        let inside = library.strip_prefix("/").expect("ldd prints absolute paths").display().to_string();
        add(tar, &library, &inside, 0o755)?;
    }
    Ok(())
}

/// Returns the libraries that programs are linked with, and the loader.
fn libraries(programs: &[&str]) -> BTreeSet<PathBuf> {
    let text = run(Command::new("ldd").args(programs), Duration::from_secs(10)).ok();
    let path = |line: &str| {
        line.split_whitespace().find(|word| word.starts_with('/') && !word.ends_with(':')).map(PathBuf::from)
    };
    text.lines().filter_map(path).collect()
}

fn folder(tar: &mut Tar, name: &str, mode: u32, owner: (u64, u64)) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Directory);
    header.set_size(0);
    header.set_mode(mode);
    header.set_uid(owner.0);
    header.set_gid(owner.1);
    tar.append_data(&mut header, format!("{name}/"), io::empty())
}

fn file(tar: &mut Tar, name: &str, mode: u32, owner: (u64, u64), content: &[u8]) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_size(content.len() as u64);
    header.set_mode(mode);
    header.set_uid(owner.0);
    header.set_gid(owner.1);
    tar.append_data(&mut header, name, content)
}

fn add(tar: &mut Tar, source: &Path, name: &str, mode: u32) -> io::Result<()> {
    let content = fs::read(source).map_err(|err| io::Error::new(err.kind(), format!("{}: {err}", source.display())))?;
    file(tar, name, mode, (0, 0), &content)
}
