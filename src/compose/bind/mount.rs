//! What a service finds in its file system besides the image.

use std::path::PathBuf;

use super::Binder;
use super::read::{bytes, flag, items, text, texts_by_key};
use crate::compose::model::{FileGrant, Mode, VolumeMount, VolumeMountKind, VolumesFrom, VolumesFromSource};
use crate::compose::paths;
use crate::compose::tree::Node;
use crate::ids::ServiceName;

const PROPAGATIONS: [&str; 6] = ["private", "rprivate", "shared", "rshared", "slave", "rslave"];

impl Binder<'_> {
    pub(super) fn mounts(&mut self, node: &Node) -> Vec<VolumeMount> {
        let items = items(node, "volumes");
        let mounts = items.iter().filter_map(|item| self.mount(item)).map(undo_drive_letter).collect();
        items.iter().for_each(|item| self.mount_target(item));
        mounts
    }

    fn mount_target(&mut self, node: &Node) {
        if let Some(at) = node.get("target")
            && let Some(target) = at.as_text()
            && !target.starts_with('/')
            && !paths::is_windows_drive(target)
        {
            self.error(at, format!("the mount target {target:?} is not an absolute path"));
        }
    }

    /// Reports mistakes in mounts, without reading them.
    pub(super) fn mount_words(&mut self, node: &Node) {
        for item in items(node, "volumes") {
            if let Some(bind) = item.get("bind") {
                self.propagation(bind);
            }
            if let Some(tmpfs) = item.get("tmpfs") {
                self.mode(tmpfs);
            }
            self.mount_target(item);
        }
    }

    pub(super) fn tmpfs_mounts(&mut self, node: &Node) -> Vec<VolumeMount> {
        items(node, "tmpfs").iter().filter_map(|item| self.tmpfs(item)).collect()
    }

    /// Reads `PATH[:options]` of the `tmpfs` attribute.
    fn tmpfs(&mut self, node: &Node) -> Option<VolumeMount> {
        let (target, written) = node.as_text()?.split_once(':').unwrap_or((node.as_text()?, ""));
        let (mut size, mut mode, mut options) = (None, None, Vec::new());
        for option in written.split(',').filter(|option| !option.is_empty()) {
            if let Some(text) = option.strip_prefix("size=") {
                size = text.parse().ok();
                if size.is_none() {
                    self.error(node, format!("{text:?} is not a size"));
                }
            } else if let Some(text) = option.strip_prefix("mode=") {
                mode = text.parse().ok();
                if mode.is_none() {
                    self.error(node, format!("{text:?} is not an octal number"));
                }
            } else {
                options.push(option.to_owned());
            }
        }
        if !target.starts_with('/') {
            self.error(node, format!("the mount target {target:?} is not an absolute path"));
        }
        let kind = VolumeMountKind::Tmpfs { size, mode, options };
        Some(VolumeMount { target: target.to_owned(), read_only: false, kind, consistency: None })
    }

    fn mount(&mut self, node: &Node) -> Option<VolumeMount> {
        let source = text(node, "source");
        let (bind, volume) = (node.get("bind"), node.get("volume"));
        let kind = match node.get("type")?.as_text()? {
            "bind" => VolumeMountKind::Bind {
                source: PathBuf::from(source?),
                create_host_path: bind.and_then(|bind| bind.get("create_host_path")).is_none_or(Node::is_true),
                propagation: bind.and_then(|bind| self.propagation(bind)).unwrap_or_default(),
                recursive: bind.and_then(|bind| {
                    self.word(bind.get("recursive"), &["enabled", "disabled", "writable", "readonly"])
                }),
                selinux: bind.and_then(|bind| self.word(bind.get("selinux"), &["z", "Z"])),
            },
            "volume" => VolumeMountKind::Volume {
                source,
                nocopy: volume.is_some_and(|volume| flag(volume, "nocopy")),
                subpath: volume.and_then(|volume| text(volume, "subpath")),
                labels: volume.map(|volume| texts_by_key(volume, "labels")).unwrap_or_default(),
            },
            "tmpfs" => {
                let tmpfs = node.get("tmpfs");
                VolumeMountKind::Tmpfs {
                    size: tmpfs.and_then(|tmpfs| bytes(tmpfs, "size")),
                    mode: tmpfs.and_then(|tmpfs| self.mode(tmpfs)),
                    options: Vec::new(),
                }
            }
            "image" => VolumeMountKind::Image {
                source: source.unwrap_or_default(),
                subpath: node.get("image").and_then(|image| text(image, "subpath")),
            },
            "npipe" => VolumeMountKind::Npipe { source },
            "cluster" => VolumeMountKind::Cluster { source },
            _ => return None,
        };
        let consistency = text(node, "consistency");
        Some(VolumeMount { target: text(node, "target")?, read_only: flag(node, "read_only"), kind, consistency })
    }

    fn propagation(&mut self, node: &Node) -> Option<String> {
        let word = text(node, "propagation")?;
        if let Some(at) = node.get("propagation")
            && !PROPAGATIONS.contains(&word.as_str())
        {
            self.error(at, format!("{word:?} is not a propagation: {}", PROPAGATIONS.join(", ")));
            self.meant(&word, PROPAGATIONS);
        }
        Some(word)
    }

    /// Reads permission bits: the tree has them as a number.
    fn mode(&mut self, node: &Node) -> Option<Mode> {
        self.whole(node, "mode", 0..=0o7777).map(Mode)
    }

    pub(super) fn grants(&mut self, node: &Node, key: &str) -> Vec<FileGrant> {
        let grants = items(node, key).iter().filter(|item| item.as_map().is_some());
        grants
            .map(|item| FileGrant {
                source: text(item, "source").unwrap_or_default(),
                target: text(item, "target"),
                uid: self.owner(item, "uid"),
                gid: self.owner(item, "gid"),
                mode: self.mode(item),
            })
            .collect()
    }

    /// Reads the number of a user or group. What is no number owns nothing: no more than in the reference.
    fn owner(&mut self, node: &Node, key: &str) -> Option<u32> {
        let at = node.get(key)?;
        let text = at.as_text().filter(|text| !text.is_empty())?;
        let number = text.parse().ok();
        if number.is_none() {
            self.doubt(at, format!("`{key}` is the number of a user or group, not {text:?}"));
        }
        number
    }

    pub(super) fn volumes_from(&mut self, node: &Node) -> Vec<VolumesFrom> {
        items(node, "volumes_from").iter().filter_map(|item| self.mounts_of(item)).collect()
    }

    /// Reads `[container:]NAME[:ro|rw]`.
    fn mounts_of(&mut self, node: &Node) -> Option<VolumesFrom> {
        let text = node.as_text()?;
        let (outside, rest) = text.strip_prefix("container:").map_or((false, text), |rest| (true, rest));
        let (name, access) = rest.split_once(':').unwrap_or((rest, "rw"));
        if name.is_empty() || !matches!(access, "rw" | "ro") {
            self.error(node, format!("{text:?} is not [container:]NAME[:ro] or [container:]NAME[:rw]"));
            return None;
        }
        let source = match outside {
            true => VolumesFromSource::Container(name.to_owned()),
            false => VolumesFromSource::Service(ServiceName::new(name)),
        };
        Some(VolumesFrom { source, read_only: access == "ro" })
    }
}

/// The short form reads `v:/data` as a folder on drive V, as the reference does; here it can only
/// be the volume `v`.
fn undo_drive_letter(mut mount: VolumeMount) -> VolumeMount {
    if let VolumeMountKind::Volume { source, .. } = &mut mount.kind
        && source.is_none()
        && paths::is_windows_drive(&mount.target)
    {
        *source = Some(mount.target[..1].to_owned());
        mount.target.drain(..2);
    }
    mount
}
