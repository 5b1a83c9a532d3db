//! Making and removing what a container has on disk.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::bundle::{self, Host};
use super::capability::CapabilitySet;
use super::cgroup::Cgroup;
use super::record::{self, ContainerRecord};
use super::user::{self, UnknownUser, User};
use super::{Engine, EngineError, now_ns, refused};
use crate::ids::ContainerId;
use crate::spec::{ContainerSpec, MountKind};

impl Engine {
    /// Writes the bundle and the record of a container. Running it again with the same
    /// specification changes nothing but the bundle, which it renders anew.
    pub fn create(&self, spec: &ContainerSpec) -> Result<(), EngineError> {
        check(spec)?;
        let folder = self.container_dir(&spec.id);
        self.prepare_root()?;
        for name in ["upper", "work"] {
            make_dir(&folder.join(name))?;
        }
        copy_root_attributes(spec, &folder.join("upper"))?;
        for mount in &spec.mounts {
            if let MountKind::Bind { source, create: true, .. } = &mount.kind
                && !source.exists()
            {
                make_dir(source)?;
            }
        }
        self.write_bundle(spec, &folder)?;
        let resolv = fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
        write(&folder.join("hosts"), bundle::hosts(spec).as_bytes())?;
        write(&folder.join("hostname"), format!("{}\n", spec.hostname).as_bytes())?;
        write(&folder.join("resolv.conf"), bundle::resolv_conf(spec, &resolv).as_bytes())?;
        let _writing = self.inner.records.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let record = match record::load(&folder) {
            Ok(old) => ContainerRecord { spec: spec.clone(), ..old },
            Err(_) => ContainerRecord::new(spec.clone(), now_ns()),
        };
        record::save(&folder, &record)
    }

    /// Writes the container's `config.json`: whoever reads it sees the old one or the new one.
    pub(super) fn write_bundle(&self, spec: &ContainerSpec, folder: &Path) -> Result<(), EngineError> {
        let host = Host {
            bundle: folder,
            // Who it really is, its own files tell when it starts.
            user: image_user(spec).unwrap_or_else(|_| root()),
            devices: if spec.privileged { host_devices() } else { Vec::new() },
        };
        let config = bundle::config(spec, &host)
            .map_err(|source| EngineError::Bundle { name: spec.name.clone(), source: Box::new(source) })?;
        let path = folder.join("config.json");
        let text = serde_json::to_vec(&config).map_err(|source| EngineError::Json {
            doing: "write",
            path: path.clone(),
            source,
        })?;
        if !path.exists() {
            return write(&path, &text);
        }
        let aside = folder.join(".config.json.new");
        write(&aside, &text)?;
        fs::rename(&aside, &path).map_err(|source| EngineError::File { doing: "write", path, source })
    }

    /// Makes what all containers share: the folder their roots are mounted on, each in its own
    /// namespace, and a lowest layer with the standard mount points, which would otherwise be
    /// made in the upper folder of every container (about 1.5 ms).
    fn prepare_root(&self) -> Result<(), EngineError> {
        if self.inner.prepared.load(Ordering::Relaxed) {
            return Ok(());
        }
        make_dir(&self.mount_point())?;
        let base = self.base_layer();
        for name in ["dev", "proc", "sys", "etc"] {
            make_dir(&base.join(name))?;
        }
        for name in ["resolv.conf", "hostname", "hosts"] {
            let path = base.join("etc").join(name);
            if !path.exists() {
                write(&path, b"")?; // containers that run have it below them
            }
        }
        self.inner.prepared.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Returns where roots are mounted.
    pub(super) fn mount_point(&self) -> PathBuf {
        self.inner.config.paths.root.join("base/rootfs")
    }

    /// Returns the layer below every image.
    pub(super) fn base_layer(&self) -> PathBuf {
        self.inner.config.paths.root.join("base/layer")
    }

    /// Removes everything a container has, once its shim has ended: kills what is left of it,
    /// then bundle, runtime folder and cgroups. The log stays. Running it again is fine.
    ///
    /// The bundle moves into the [`Trash`](crate::store::Trash) at once; its files are deleted
    /// later, in the background.
    pub async fn remove(&self, id: &ContainerId) -> Result<(), EngineError> {
        let folder = self.container_dir(id);
        match record::load(&folder) {
            Ok(record) => self.remove_cgroups(self.cgroup(&record.spec), &record.spec.cgroup_parent).await?,
            // Somebody deleted its files.
            Err(_) => {
                if let Some(cgroup) = Cgroup::find(&self.inner.hierarchies, id.as_str()) {
                    self.remove_cgroups(cgroup, id.as_str()).await?;
                }
            }
        }
        remove_all(&self.run_dir(id))?;
        // What is not deleted when this daemon ends, the next one deletes.
        self.inner.trash.discard(&folder).map_err(EngineError::Trash)
    }

    /// Lets go of a container whose record is damaged, once its shim has ended: its runtime folder
    /// and its cgroups, which its bundle names. Its files stay.
    pub async fn abandon(&self, id: &ContainerId) -> Result<(), EngineError> {
        remove_all(&self.run_dir(id))?;
        let text = fs::read(self.container_dir(id).join("config.json")).unwrap_or_default();
        let bundle: serde_json::Value = serde_json::from_slice(&text).unwrap_or_default();
        let path = bundle.pointer("/linux/cgroupsPath").and_then(serde_json::Value::as_str).map(Path::new);
        let Some(parent) = path.and_then(Path::parent).and_then(Path::to_str) else { return Ok(()) };
        let hierarchies = self.inner.hierarchies.clone();
        self.remove_cgroups(Cgroup::new(hierarchies, parent, id.as_str()), parent).await
    }

    /// Removes the cgroups of a container whose record is gone.
    pub async fn remove_cgroups_of(&self, spec: &ContainerSpec) -> Result<(), EngineError> {
        self.remove_cgroups(self.cgroup(spec), &spec.cgroup_parent).await
    }

    /// Removes the folder of a container whose creation did not end.
    pub fn discard(&self, id: &ContainerId) -> Result<(), EngineError> {
        self.inner.trash.discard(&self.container_dir(id)).map_err(EngineError::Trash)
    }

    async fn remove_cgroups(&self, cgroup: Cgroup, parent: &str) -> Result<(), EngineError> {
        const DEADLINE: Duration = Duration::from_secs(5);
        let failed = |source| EngineError::File { doing: "remove the cgroups below", path: parent.into(), source };
        cgroup.remove(DEADLINE).await.map_err(failed)
    }
}

/// Refuses what cannot be built.
fn check(spec: &ContainerSpec) -> Result<(), EngineError> {
    let invalid = |why: String| EngineError::Invalid { name: spec.name.clone(), why };
    // Docker's rule; the name is also that of the log's folder.
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"_.-".contains(&b);
    if !spec.name.bytes().all(plain)
        || !spec.name.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric())
        || spec.name.len() > 200
    {
        return Err(invalid("a container's name is letters, digits and _ . - after the first".to_owned()));
    }
    if let Some(name) = CapabilitySet::of(&spec.capabilities, spec.privileged).1.first() {
        return Err(invalid(format!("there is no capability {name:?}")));
    }
    if spec.argv.first().is_none_or(String::is_empty) {
        return Err(invalid("no command: neither the image nor the file names one".to_owned()));
    }
    if spec.image.layers.is_empty() {
        return Err(invalid("its image has no layer".to_owned()));
    }
    for key in spec.sysctls.keys() {
        if !is_namespaced(key) {
            return Err(invalid(format!("the kernel setting {key} is the whole host's, not the container's")));
        }
        if spec.host_network && key.starts_with("net") {
            return Err(invalid(format!("the kernel setting {key} is the host's, whose network it shares")));
        }
    }
    if Path::new(&spec.cgroup_parent).components().any(|part| part == std::path::Component::ParentDir) {
        return Err(invalid(format!("cgroup_parent {:?} leads upwards", spec.cgroup_parent)));
    }
    Ok(())
}

/// Returns what is known to make creating or starting the container fail, before either is tried.
pub fn foresee(spec: &ContainerSpec) -> Vec<String> {
    let mut problems = Vec::new();
    if let Err(EngineError::Invalid { why, .. }) = check(spec) {
        problems.push(why);
    }
    problems.extend(refused::by_this_host(spec));
    // A mount may bring the files along.
    let etc_is_the_images = spec.mounts.iter().all(|mount| !Path::new(&mount.target).starts_with("/etc"));
    if etc_is_the_images && let Err(unknown) = image_user(spec) {
        problems.push(unknown.to_string());
    }
    problems
}

/// Tells whether a kernel setting belongs to a namespace that containers have of their own.
fn is_namespaced(key: &str) -> bool {
    const IPC: [&str; 8] = ["msgmax", "msgmnb", "msgmni", "sem", "shmall", "shmmax", "shmmni", "shm_rmid_forced"];
    let separator = if key.contains('/') { '/' } else { '.' };
    let words: Vec<&str> = key.split(separator).collect();
    let plain = words.iter().all(|word| !word.is_empty() && *word != "." && *word != "..");
    plain
        && match words[..] {
            ["net", _, ..] | ["fs", "mqueue", _] | ["kernel", "domainname"] => true,
            ["kernel", name] => IPC.contains(&name),
            _ => false,
        }
}

fn make_dir(path: &Path) -> Result<(), EngineError> {
    let made = match fs::create_dir(path) {
        Err(err) if err.kind() == io::ErrorKind::NotFound => fs::create_dir_all(path),
        Err(err) if err.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made,
    };
    made.map_err(|source| EngineError::File { doing: "make the folder", path: path.to_owned(), source })
}

fn write(path: &Path, text: &[u8]) -> Result<(), EngineError> {
    fs::write(path, text).map_err(|source| EngineError::File { doing: "write", path: path.to_owned(), source })
}

pub(super) fn remove_all(path: &Path) -> Result<(), EngineError> {
    match fs::remove_dir_all(path) {
        Err(err) if err.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done.map_err(|source| EngineError::File { doing: "remove", path: path.to_owned(), source }),
    }
}

/// The root folder of an overlay has owner and permissions of its upper folder: those of the
/// image's top layer are wanted.
fn copy_root_attributes(spec: &ContainerSpec, upper: &Path) -> Result<(), EngineError> {
    let Some(top) = spec.image.layers.last() else { return Ok(()) };
    // A layer that is missing is reported by the start, with advice.
    let Ok(meta) = fs::metadata(top) else { return Ok(()) };
    let step = |source| EngineError::File { doing: "set the permissions of", path: upper.to_owned(), source };
    fs::set_permissions(upper, fs::Permissions::from_mode(meta.mode() & 0o7777)).map_err(step)?;
    std::os::unix::fs::chown(upper, Some(meta.uid()), Some(meta.gid())).map_err(step)
}

/// Returns the user as far as the image's files tell, for runtimes that take numbers only;
/// the built-in runtime looks into the container itself.
fn image_user(spec: &ContainerSpec) -> Result<User, UnknownUser> {
    let file = |name: &str| {
        let find = |layer: &PathBuf| {
            let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::CLOEXEC | rustix::fs::OFlags::NONBLOCK;
            let folder = fs::File::open(layer).ok()?;
            let resolve = rustix::fs::ResolveFlags::IN_ROOT | rustix::fs::ResolveFlags::NO_MAGICLINKS;
            let file = rustix::fs::openat2(&folder, name, flags, rustix::fs::Mode::empty(), resolve).ok()?;
            let file = fs::File::from(file);
            let plain = file.metadata().is_ok_and(|meta| meta.is_file() && meta.len() < 4 << 20);
            if plain { io::read_to_string(file).ok() } else { None }
        };
        spec.image.layers.iter().rev().find_map(find).unwrap_or_default()
    };
    user::resolve(&spec.user, &spec.group_add, &file("etc/passwd"), &file("etc/group"))
}

fn root() -> User {
    User { uid: 0, gid: 0, groups: Vec::new(), home: "/".to_owned() }
}

/// Returns the device nodes of the host, for a privileged container.
fn host_devices() -> Vec<(PathBuf, char, u32, u32)> {
    fn walk(folder: &Path, found: &mut Vec<(PathBuf, char, u32, u32)>) {
        let Ok(entries) = fs::read_dir(folder) else { return };
        for entry in entries.flatten() {
            let path = entry.path();
            let Ok(meta) = entry.metadata() else { continue };
            let kind = meta.file_type();
            let device =
                |letter| (path.clone(), letter, rustix::fs::major(meta.rdev()), rustix::fs::minor(meta.rdev()));
            if kind.is_dir() {
                // These are file systems of the container's own.
                if !["/dev/pts", "/dev/shm", "/dev/mqueue", "/dev/fd", "/dev/hugepages"]
                    .iter()
                    .any(|own| path == Path::new(own))
                {
                    walk(&path, found);
                }
            } else if kind.is_char_device() && path != Path::new("/dev/console") && path != Path::new("/dev/ptmx") {
                found.push(device('c'));
            } else if kind.is_block_device() {
                found.push(device('b'));
            }
        }
    }
    let mut found = Vec::new();
    walk(Path::new("/dev"), &mut found);
    found
}
