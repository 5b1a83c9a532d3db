//! The file system of a container, made by the container's first process in its own mount
//! namespace: nothing is mounted on the host, so nothing can be left there.
//!
//! Every destination is resolved below the new root with openat2's RESOLVE_IN_ROOT: a link in
//! an image cannot lead out of it.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use nix::libc;
use oci_spec::runtime as oci;
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags,
};

use super::devices;
use super::failure::{StartError, Step};
use crate::sys::mount::{Attributes, set_attributes};

/// What the root is made of, beside what `config.json` says.
pub(crate) struct Root<'a> {
    /// Unpacked layers, lowest first.
    pub(crate) layers: &'a [PathBuf],
    /// Folder with `upper` and `work`.
    pub(crate) bundle: &'a Path,
    /// Any folder of the host: it is covered in this namespace only.
    pub(crate) mount_point: &'a Path,
    /// Targets of volumes of which only a folder below `source` is mounted.
    pub(crate) subpaths: &'a [Subpath],
    /// cgroup v1 controllers to show, and whether there is a v2 tree.
    pub(crate) cgroups: (Vec<String>, bool),
    /// Leave `/proc/sys/net` of the host's network alone.
    pub(crate) host_network: bool,
}

/// A volume of which a part is mounted.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Subpath {
    pub(crate) target: String,
    pub(crate) volume: PathBuf,
    pub(crate) below: String,
}

/// Builds the root file system and moves into it.
pub(crate) fn enter(config: &oci::Spec, root: &Root<'_>) -> Result<(), StartError> {
    let none = Vec::new();
    let mounts = config.mounts().as_ref().unwrap_or(&none);
    // Cloned before anything turns private: a shared source stays one where that is wanted.
    let sources = mounts.iter().map(|m| open_source(m, root.subpaths)).collect::<Result<Vec<_>, _>>()?;
    rustix::mount::mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .step(|| "make the mount namespace private".to_owned())?;

    let at = root.mount_point;
    mount_overlay(root, at)?;
    let tree = rustix::fs::open(at, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .step(|| "open the root file system".to_owned())?;
    let tree = Tree(tree);

    for (m, source) in mounts.iter().zip(sources) {
        tree.mount(m, source, &root.cgroups).map_err(|err| StartError {
            step: format!(
                "mount {} at {:?}: {}",
                m.source().as_deref().unwrap_or(Path::new("")).display(),
                m.destination(),
                err.step
            ),
            ..err
        })?;
    }
    if let Some(linux) = config.linux() {
        tree.make_devices(linux.devices().as_deref().unwrap_or_default())?;
        if let Some(sysctl) = linux.sysctl() {
            tree.write_sysctls(sysctl, root.host_network)?;
        }
        for path in linux.readonly_paths().iter().flatten() {
            tree.make_read_only(path)?;
        }
        tree.mask(linux.masked_paths().as_deref().unwrap_or_default())?;
    }
    if config.root().as_ref().and_then(oci::Root::readonly).unwrap_or(false) {
        let read_only = Attributes { set: libc::MOUNT_ATTR_RDONLY, ..Attributes::default() };
        set_attributes(tree.0.as_fd(), read_only, false).step(|| "make the root read-only".to_owned())?;
    }
    pivot(&tree)
}

/// Makes the root of the namespace the root of the container and lets go of the host's.
fn pivot(tree: &Tree) -> Result<(), StartError> {
    let step = || "change the root".to_owned();
    rustix::process::fchdir(&tree.0).step(step)?;
    // With both the same, the old root ends up mounted over the new one (pivot_root(2)).
    rustix::process::pivot_root(".", ".").step(step)?;
    rustix::mount::unmount(".", UnmountFlags::DETACH).step(step)?;
    rustix::process::chdir("/").step(step)
}

fn mount_overlay(root: &Root<'_>, at: &Path) -> Result<(), StartError> {
    let step = || "mount the root file system (overlay)".to_owned();
    let no_overlay = |err: StartError| match err.errno {
        libc::ENODEV => err.hint("this kernel has no overlay file system: modprobe overlay"),
        _ => err,
    };
    if let Some(missing) = root.layers.iter().find(|layer| !layer.is_dir()) {
        return Err(
            StartError::new(step(), format!("layer {} is missing", missing.display())).hint("pull the image again")
        );
    }
    match overlay_by_descriptor(root, at) {
        // `lowerdir+` came with Linux 6.5.
        Err(Errno::INVAL) => overlay_by_options(root, at).step(step).map_err(no_overlay),
        made => made.step(step).map_err(no_overlay),
    }
}

fn overlay_by_descriptor(root: &Root<'_>, at: &Path) -> Result<(), Errno> {
    let fs = rustix::mount::fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
    for layer in root.layers.iter().rev() {
        rustix::mount::fsconfig_set_string(fs.as_fd(), "lowerdir+", layer)?;
    }
    rustix::mount::fsconfig_set_string(fs.as_fd(), "upperdir", root.bundle.join("upper"))?;
    rustix::mount::fsconfig_set_string(fs.as_fd(), "workdir", root.bundle.join("work"))?;
    rustix::mount::fsconfig_create(fs.as_fd())?;
    let mount = rustix::mount::fsmount(fs.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())?;
    rustix::mount::move_mount(mount.as_fd(), "", CWD, at, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
}

/// Older kernels: one option string of at most a page, so layers are named by descriptor.
fn overlay_by_options(root: &Root<'_>, at: &Path) -> Result<(), Errno> {
    use std::os::fd::AsRawFd as _;
    let open = |path: &Path| rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
    let layers = root.layers.iter().rev().map(|layer| open(layer)).collect::<Result<Vec<_>, _>>()?;
    let (upper, work) = (open(&root.bundle.join("upper"))?, open(&root.bundle.join("work"))?);
    let named = |fd: &OwnedFd| format!("/proc/self/fd/{}", fd.as_raw_fd());
    let lower: Vec<String> = layers.iter().map(named).collect();
    let options = format!("lowerdir={},upperdir={},workdir={}", lower.join(":"), named(&upper), named(&work));
    let options = CString::new(options).map_err(|_| Errno::INVAL)?;
    rustix::mount::mount("overlay", at, "overlay", rustix::mount::MountFlags::empty(), options.as_c_str())
}

/// Returns a detached copy of what is to be bound; `None` for other kinds of mount.
fn open_source(m: &oci::Mount, subpaths: &[Subpath]) -> Result<Option<OwnedFd>, StartError> {
    let options = m.options().as_deref().unwrap_or_default();
    if !is_bind(m) {
        return Ok(None);
    }
    let recursive = if options.iter().any(|option| option == "rbind") {
        OpenTreeFlags::AT_RECURSIVE
    } else {
        OpenTreeFlags::empty()
    };
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | recursive;
    let target = m.destination().to_string_lossy();
    if let Some(part) = subpaths.iter().find(|part| part.target == target) {
        let step = || format!("open {:?} of the volume at {}", part.below, part.volume.display());
        let volume = rustix::fs::open(&part.volume, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).step(step)?;
        let inside = resolve(volume.as_fd(), Path::new(&part.below)).step(step)?;
        let flags = flags | OpenTreeFlags::AT_EMPTY_PATH;
        return Ok(Some(rustix::mount::open_tree(inside.as_fd(), "", flags).step(step)?));
    }
    let source = m.source().as_deref().unwrap_or(Path::new(""));
    let opened =
        rustix::mount::open_tree(CWD, source, flags).step(|| format!("open the mount source {}", source.display()));
    opened.map(Some).map_err(|err| match err.errno {
        libc::ENOENT => err.hint(format!("create {} on the host, or correct the volume", source.display())),
        _ => err,
    })
}

fn is_bind(m: &oci::Mount) -> bool {
    let options = m.options().as_deref().unwrap_or_default();
    m.typ().as_deref() == Some("bind") || options.iter().any(|option| option == "bind" || option == "rbind")
}

/// Returns a descriptor of the path as a process with this root would find it.
fn resolve(root: BorrowedFd<'_>, path: &Path) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    // EAGAIN: a path component changed meanwhile (openat2(2)). Who renames without end is given up on.
    for _ in 0..1000 {
        match rustix::fs::openat2(root, path, flags, Mode::empty(), ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS)
        {
            Err(Errno::AGAIN) => {}
            done => return done,
        }
    }
    Err(Errno::AGAIN)
}

/// Options of a mount, sorted into what each system call takes.
#[derive(Debug, Default, PartialEq, Eq)]
struct Options {
    attributes: Attributes,
    recursive_propagation: bool,
    /// Parameters of the file system: key and value, or a flag.
    data: Vec<(String, Option<String>)>,
}

impl Options {
    fn parse(options: &[String]) -> Self {
        let mut parsed = Self::default();
        for option in options {
            let a = &mut parsed.attributes;
            let mut propagation = |kind: u64, recursive: bool| {
                a.propagation = kind;
                parsed.recursive_propagation = recursive;
            };
            match option.as_str() {
                "bind" | "rbind" | "defaults" | "async" | "auto" | "loud" => {}
                "private" | "rprivate" => propagation(libc::MS_PRIVATE, option.starts_with('r')),
                "shared" | "rshared" => propagation(libc::MS_SHARED, option.starts_with('r')),
                "slave" | "rslave" => propagation(libc::MS_SLAVE, option.starts_with('r')),
                "unbindable" | "runbindable" => propagation(libc::MS_UNBINDABLE, option.starts_with('r')),
                "ro" => a.set |= libc::MOUNT_ATTR_RDONLY,
                "rw" => a.clear |= libc::MOUNT_ATTR_RDONLY,
                "nosuid" => a.set |= libc::MOUNT_ATTR_NOSUID,
                "suid" => a.set &= !libc::MOUNT_ATTR_NOSUID,
                "nodev" => a.set |= libc::MOUNT_ATTR_NODEV,
                "dev" => a.set &= !libc::MOUNT_ATTR_NODEV,
                "noexec" => a.set |= libc::MOUNT_ATTR_NOEXEC,
                "exec" => a.set &= !libc::MOUNT_ATTR_NOEXEC,
                "nodiratime" => a.set |= libc::MOUNT_ATTR_NODIRATIME,
                "noatime" => a.set |= libc::MOUNT_ATTR_NOATIME,
                "strictatime" => a.set |= libc::MOUNT_ATTR_STRICTATIME,
                "relatime" | "norelatime" | "atime" | "diratime" => {}
                other => parsed.data.push(match other.split_once('=') {
                    Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
                    None => (other.to_owned(), None),
                }),
            }
        }
        parsed
    }
}

/// The root file system under construction.
struct Tree(OwnedFd);

impl Tree {
    fn mount(&self, m: &oci::Mount, source: Option<OwnedFd>, cgroups: &(Vec<String>, bool)) -> Result<(), StartError> {
        let options = Options::parse(m.options().as_deref().unwrap_or_default());
        let target = m.destination();
        if let Some(source) = source {
            let attributes = Attributes { propagation: 0, ..options.attributes };
            // Clearing is left out: what the host mounted read-only stays so.
            let attributes = Attributes { clear: 0, ..attributes };
            if attributes != Attributes::default() {
                set_attributes(source.as_fd(), attributes, true).step(|| "set its attributes".to_owned())?;
            }
            let kind = rustix::fs::fstat(&source).map(|stat| FileType::from_raw_mode(stat.st_mode));
            let folder = kind.step(|| "look at the source".to_owned())? == FileType::Directory;
            self.attach(source.as_fd(), target, folder)?;
            let propagation = Attributes { propagation: options.attributes.propagation, ..Attributes::default() };
            if propagation.propagation != 0 {
                set_attributes(source.as_fd(), propagation, options.recursive_propagation)
                    .step(|| "set its propagation".to_owned())?;
            }
            return Ok(());
        }
        match m.typ().as_deref().unwrap_or("") {
            "cgroup" => self.mount_cgroups(target, &options, cgroups),
            kind => {
                let name = m.source().as_ref().map_or(kind.into(), |s| s.to_string_lossy());
                let mount = new_filesystem(kind, &name, &options).step(|| format!("make {kind}"))?;
                self.attach(mount.as_fd(), target, true)
            }
        }
    }

    /// Shows the container its own cgroups: the v2 tree, or a folder with one tree for each
    /// v1 controller.
    fn mount_cgroups(
        &self,
        target: &Path,
        options: &Options,
        (legacy, unified): &(Vec<String>, bool),
    ) -> Result<(), StartError> {
        let step = || "make the cgroup view".to_owned();
        if legacy.is_empty() {
            if *unified {
                let mount = new_filesystem("cgroup2", "cgroup", options).step(step)?;
                self.attach(mount.as_fd(), target, true)?;
            }
            return Ok(());
        }
        let plain = Options { data: vec![("mode".to_owned(), Some("755".to_owned()))], ..Options::default() };
        let folder = new_filesystem("tmpfs", "tmpfs", &plain).step(step)?;
        self.attach(folder.as_fd(), target, true)?;
        for controller in legacy {
            let view = Options {
                attributes: options.attributes,
                data: vec![(controller.clone(), None)],
                ..Options::default()
            };
            match new_filesystem("cgroup", "cgroup", &view) {
                Ok(mount) => self.attach(mount.as_fd(), &target.join(controller), true)?,
                // Mounted together with another controller (`cpu,cpuacct`): the limit holds unseen.
                Err(err) if err.raw_os_error() == Some(libc::EBUSY) => {}
                Err(err) => return Err(err).step(step),
            }
        }
        if *unified {
            let mount = new_filesystem("cgroup2", "cgroup", options).step(step)?;
            self.attach(mount.as_fd(), &target.join("unified"), true)?;
        }
        set_attributes(folder.as_fd(), options.attributes, false).step(step)
    }

    fn attach(&self, mount: BorrowedFd<'_>, target: &Path, folder: bool) -> Result<(), StartError> {
        let at = self.ensure(target, folder)?;
        let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
        rustix::mount::move_mount(mount, "", at.as_fd(), "", flags)
            .step(|| format!("attach it to {}", target.display()))
    }

    /// Returns the path below the root; makes it, and its parents, where it is missing.
    fn ensure(&self, path: &Path, folder: bool) -> Result<OwnedFd, StartError> {
        let step = || format!("make {} in the container", path.display());
        match resolve(self.0.as_fd(), path) {
            Err(Errno::NOENT) => {}
            found => return found.step(step),
        }
        let parts: Vec<_> = path.components().filter(|part| matches!(part, Component::Normal(_))).collect();
        let mut so_far = PathBuf::from("/");
        let mut parent = resolve(self.0.as_fd(), &so_far).step(step)?;
        for (i, part) in parts.iter().enumerate() {
            so_far.push(part);
            let child = match resolve(self.0.as_fd(), &so_far) {
                Err(Errno::NOENT) => {
                    let name = Path::new(part);
                    let last = i + 1 == parts.len();
                    if last && !folder {
                        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::WRONLY;
                        rustix::fs::openat(&parent, name, flags, Mode::from_raw_mode(0o644)).step(step)?;
                    } else {
                        rustix::fs::mkdirat(&parent, name, Mode::from_raw_mode(0o755)).step(step)?;
                    }
                    resolve(self.0.as_fd(), &so_far)
                }
                found => found,
            };
            parent = child.step(step)?;
        }
        Ok(parent)
    }

    /// Makes the standard nodes, those asked for, and the links of `/dev`.
    fn make_devices(&self, extra: &[oci::LinuxDevice]) -> Result<(), StartError> {
        let dev = self.ensure(Path::new("/dev"), true)?;
        let umask = rustix::process::umask(Mode::empty());
        let node = |at: &OwnedFd, name: &Path, kind, mode: u32, major, minor| match rustix::fs::mknodat(
            at,
            name,
            kind,
            Mode::from_raw_mode(mode),
            rustix::fs::makedev(major, minor),
        ) {
            Err(Errno::EXIST) => Ok(()),
            made => made.step(|| format!("make the device {}", name.display())),
        };
        for &(name, major, minor) in devices::STANDARD {
            node(&dev, Path::new(name), FileType::CharacterDevice, 0o666, major, minor)?;
        }
        for device in extra {
            let path = device.path();
            let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { continue };
            let parent = self.ensure(parent, true)?;
            let kind =
                if device.typ() == oci::LinuxDeviceType::B { FileType::BlockDevice } else { FileType::CharacterDevice };
            let mode = device.file_mode().unwrap_or(0o666) & 0o777;
            node(&parent, Path::new(name), kind, mode, device.major() as u32, device.minor() as u32)?;
        }
        rustix::process::umask(umask);
        for &(name, target) in devices::LINKS {
            if name == "core" && resolve(self.0.as_fd(), Path::new(target)).is_err() {
                continue; // a kernel without it
            }
            match rustix::fs::symlinkat(target, &dev, name) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(err) => return Err(StartError::os(format!("make the link /dev/{name}"), &err.into())),
            }
        }
        Ok(())
    }

    fn write_sysctls(
        &self,
        settings: &std::collections::HashMap<String, String>,
        host_network: bool,
    ) -> Result<(), StartError> {
        for (key, value) in settings {
            let step = || format!("set the kernel setting {key} to {value:?}");
            if host_network && key.starts_with("net.") {
                return Err(StartError::new(step(), "it belongs to the host's network, which this container shares"));
            }
            // Dots separate, unless the key already uses slashes (sysctl(8)).
            let path = if key.contains('/') { key.clone() } else { key.replace('.', "/") };
            let path = Path::new("proc/sys").join(path);
            let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
            let file = rustix::fs::openat2(&self.0, &path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty(), resolve)
                .step(step)?;
            rustix::io::write(&file, value.as_bytes()).step(step)?;
        }
        Ok(())
    }

    fn make_read_only(&self, path: &str) -> Result<(), StartError> {
        let step = || format!("make {path} read-only");
        let at = match resolve(self.0.as_fd(), Path::new(path)) {
            Err(Errno::NOENT) => return Ok(()),
            found => found.step(step)?,
        };
        let flags = OpenTreeFlags::OPEN_TREE_CLONE
            | OpenTreeFlags::OPEN_TREE_CLOEXEC
            | OpenTreeFlags::AT_EMPTY_PATH
            | OpenTreeFlags::AT_RECURSIVE;
        let copy = rustix::mount::open_tree(at.as_fd(), "", flags).step(step)?;
        let read_only = Attributes { set: libc::MOUNT_ATTR_RDONLY, ..Attributes::default() };
        set_attributes(copy.as_fd(), read_only, true).step(step)?;
        let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
        rustix::mount::move_mount(copy.as_fd(), "", at.as_fd(), "", flags).step(step)
    }

    /// Hides files below `/dev/null` and folders below an empty one.
    fn mask(&self, paths: &[String]) -> Result<(), StartError> {
        let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
        let clone = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
        let (mut null, mut empty) = (None, None);
        for path in paths {
            let step = || format!("hide {path}");
            let at = match resolve(self.0.as_fd(), Path::new(path)) {
                Err(Errno::NOENT | Errno::NOTDIR) => continue,
                found => found.step(step)?,
            };
            let stat = rustix::fs::statat(&at, "", AtFlags::EMPTY_PATH).step(step)?;
            let folder = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
            let model = if folder { &mut empty } else { &mut null };
            if let Some(model) = model {
                let cover = rustix::mount::open_tree(OwnedFd::as_fd(model), "", clone).step(step)?;
                rustix::mount::move_mount(cover.as_fd(), "", at.as_fd(), "", flags).step(step)?;
                continue;
            }
            let cover = if folder {
                let attributes = Attributes { set: libc::MOUNT_ATTR_RDONLY, ..Attributes::default() };
                new_filesystem("tmpfs", "tmpfs", &Options { attributes, ..Options::default() }).step(step)?
            } else {
                let null = resolve(self.0.as_fd(), Path::new("/dev/null")).step(step)?;
                // A mount at /dev may have anything there, a link to a file of /proc too.
                let stat = rustix::fs::fstat(&null).step(step)?;
                if (FileType::from_raw_mode(stat.st_mode), stat.st_rdev)
                    != (FileType::CharacterDevice, rustix::fs::makedev(1, 3))
                {
                    return Err(StartError::new(step(), "/dev/null is not the null device"));
                }
                rustix::mount::open_tree(null.as_fd(), "", clone).step(step)?
            };
            rustix::mount::move_mount(cover.as_fd(), "", at.as_fd(), "", flags).step(step)?;
            *model = Some(cover); // attached now, so it can be copied
        }
        Ok(())
    }
}

/// Returns a new, detached mount of a file system that has no device.
fn new_filesystem(kind: &str, source: &str, options: &Options) -> io::Result<OwnedFd> {
    let fs = rustix::mount::fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
    if !source.is_empty() {
        rustix::mount::fsconfig_set_string(fs.as_fd(), "source", source)?;
    }
    for (key, value) in &options.data {
        match value {
            Some(value) => rustix::mount::fsconfig_set_string(fs.as_fd(), key.as_str(), value.as_str())?,
            None => rustix::mount::fsconfig_set_flag(fs.as_fd(), key.as_str())?,
        }
    }
    rustix::mount::fsconfig_create(fs.as_fd())?;
    let attributes = MountAttrFlags::from_bits_retain(options.attributes.set as u32);
    Ok(rustix::mount::fsmount(fs.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_sorted_into_their_calls() {
        let options = ["rbind", "ro", "nosuid", "rslave", "size=64m", "noswap"].map(String::from);
        let parsed = Options::parse(&options);
        assert_eq!(parsed.attributes.set, libc::MOUNT_ATTR_RDONLY | libc::MOUNT_ATTR_NOSUID);
        assert_eq!((parsed.attributes.propagation, parsed.recursive_propagation), (libc::MS_SLAVE, true));
        assert_eq!(parsed.data, [("size".into(), Some("64m".into())), ("noswap".into(), None)]);
    }
}
