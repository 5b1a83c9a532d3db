use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

use super::*;

fn spec(name: &str) -> VolumeSpec {
    VolumeSpec { name: name.into(), labels: BTreeMap::new(), external: false, device: None }
}

fn world() -> (tempfile::TempDir, Volumes) {
    let dir = tempfile::tempdir().unwrap();
    let volumes = Volumes::open(dir.path()).unwrap();
    (dir, volumes)
}

/// Makes layers below `dir`, lowest first: `d/` is a folder, `-f` hides, `!d` is opaque,
/// `l -> t` a link, anything else a file that holds its layer's number.
fn layers(dir: &Path, content: &[&[&str]]) -> Vec<PathBuf> {
    let make = |(number, entries): (usize, &&[&str])| {
        let layer = dir.join(format!("layer{number}"));
        fs::create_dir(&layer).unwrap();
        for entry in *entries {
            if let Some(folder) = entry.strip_suffix('/') {
                fs::create_dir_all(layer.join(folder)).unwrap();
            } else if let Some(hidden) = entry.strip_prefix('-') {
                let kind = rustix::fs::FileType::CharacterDevice;
                let mode = rustix::fs::Mode::empty();
                rustix::fs::mknodat(rustix::fs::CWD, layer.join(hidden), kind, mode, 0).unwrap();
            } else if let Some(opaque) = entry.strip_prefix('!') {
                let flags = rustix::fs::XattrFlags::empty();
                fs::create_dir_all(layer.join(opaque)).unwrap();
                rustix::fs::lsetxattr(layer.join(opaque), "trusted.overlay.opaque", b"y", flags).unwrap();
            } else if let Some((link, target)) = entry.split_once(" -> ") {
                symlink(target, layer.join(link)).unwrap();
            } else {
                fs::write(layer.join(entry), number.to_string()).unwrap();
            }
        }
        layer
    };
    content.iter().enumerate().map(make).collect()
}

fn tree(dir: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    let mut names: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    for path in names {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.is_symlink() {
            lines.push(format!("{name} -> {}", fs::read_link(&path).unwrap().display()));
        } else if path.is_dir() {
            lines.push(format!("{name}/"));
            lines.extend(tree(&path).into_iter().map(|line| format!("{name}/{line}")));
        } else {
            lines.push(format!("{name}={}", fs::read_to_string(&path).unwrap()));
        }
    }
    lines
}

#[track_caller]
fn check_seed(content: &[&[&str]], target: &str, expected: &[&str]) {
    let (dir, volumes) = world();
    let layers = layers(dir.path(), content);
    let info = volumes.ensure(&spec("data")).unwrap();
    assert!(volumes.seed(&info.name, &layers, target).unwrap());
    assert_eq!(tree(&info.path), expected);
}

#[test]
fn a_new_volume_has_what_the_image_shows_there() {
    check_seed(
        &[&["d/", "d/a", "d/b", "d/sub/", "d/sub/x"], &["d/", "d/b", "-d/a", "!d/sub", "d/sub/y"]],
        "/d",
        &["b=1", "sub/", "sub/y=1"],
    );
    check_seed(&[&["d/", "d/a"], &["-d"], &["d/", "d/c"]], "/d", &["c=2"]);
    check_seed(&[&["d/", "d/a"], &["d"]], "/d", &[]);
    check_seed(&[&["d/", "d/a"]], "/missing/deep", &[]);
    check_seed(&[&["d/", "d/l -> /etc/passwd"]], "d/", &["l -> /etc/passwd"]);
}

#[test]
fn links_on_the_way_stay_inside_the_image() {
    check_seed(&[&["real/", "real/a"], &["var/", "var/d -> ../real"]], "/var/d", &["a=0"]);
    check_seed(&[&["real/", "real/a", "abs -> /real"]], "/abs", &["a=0"]);
    check_seed(&[&["etc/", "etc/own", "up -> ../../../../etc"]], "/up", &["own=0"]);
    check_seed(&[&["host -> /root"]], "/host", &[]);
    let (dir, volumes) = world();
    let layers = layers(dir.path(), &[&["a -> b", "b -> a"]]);
    volumes.ensure(&spec("loop")).unwrap();
    let error = volumes.seed(&"loop".into(), &layers, "/a").unwrap_err();
    assert_eq!(error.to_string(), "failed to copy the image's content to /a for the volume \"loop\"");
}

#[test]
fn seeding_keeps_owners_modes_links_and_attributes() {
    let (dir, volumes) = world();
    let layers = layers(dir.path(), &[&["d/", "d/a", "d/s -> a"]]);
    let (from, flags) = (layers[0].join("d"), rustix::fs::XattrFlags::empty());
    std::os::unix::fs::chown(&from, Some(999), Some(998)).unwrap();
    fs::set_permissions(&from, fs::Permissions::from_mode(0o1770)).unwrap();
    std::os::unix::fs::chown(from.join("a"), Some(5), Some(6)).unwrap();
    fs::set_permissions(from.join("a"), fs::Permissions::from_mode(0o4755)).unwrap();
    rustix::fs::lsetxattr(from.join("a"), "user.note", b"hello", flags).unwrap();
    fs::hard_link(from.join("a"), from.join("b")).unwrap();
    let info = volumes.ensure(&spec("data")).unwrap();
    volumes.seed(&info.name, &layers, "/d").unwrap();
    let root = fs::metadata(&info.path).unwrap();
    assert_eq!((root.uid(), root.gid(), root.mode() & 0o7777), (999, 998, 0o1770));
    let a = fs::metadata(info.path.join("a")).unwrap();
    assert_eq!((a.uid(), a.gid(), a.mode() & 0o7777, a.nlink()), (5, 6, 0o4755, 2));
    assert_eq!(a.mtime_nsec(), fs::metadata(from.join("a")).unwrap().mtime_nsec());
    let mut value = [0; 16];
    let length = rustix::fs::lgetxattr(info.path.join("b"), "user.note", &mut value[..]).unwrap();
    assert_eq!(&value[..length], b"hello");
}

#[test]
fn a_volume_is_seeded_once_and_users_data_is_never_touched() {
    let (dir, volumes) = world();
    let layers = layers(dir.path(), &[&["d/", "d/a"]]);
    let info = volumes.ensure(&spec("data")).unwrap();
    assert!(info.created);
    assert!(!volumes.ensure(&spec("data")).unwrap().created);
    fs::create_dir(info.path.join("../_seed")).unwrap();
    fs::write(info.path.join("../_seed/half"), "left by a crash").unwrap();
    assert!(volumes.seed(&info.name, &layers, "/d").unwrap());
    assert_eq!(tree(&info.path), ["a=0"]);
    fs::remove_file(info.path.join("a")).unwrap();
    assert!(!volumes.seed(&info.name, &layers, "/d").unwrap(), "the user emptied it");

    let other = volumes.ensure(&spec("other")).unwrap();
    fs::write(other.path.join("mine"), "x").unwrap();
    assert!(!volumes.seed(&other.name, &layers, "/d").unwrap());
    fs::write(dir.path().join("volumes/other/record.json"), "{ damaged").unwrap();
    assert!(!volumes.ensure(&spec("other")).unwrap().created, "the data outlives the record");
    assert!(!volumes.seed(&other.name, &layers, "/d").unwrap());
    assert_eq!(tree(&other.path), ["mine=x"]);
}

#[test]
fn volumes_are_listed_and_removed() {
    let (dir, volumes) = world();
    let hex = "0123456789abcdef".repeat(4);
    for name in ["b", "a", &hex] {
        volumes.ensure(&spec(name)).unwrap();
    }
    let names: Vec<String> = volumes.list().iter().map(|info| info.name.to_string()).collect();
    assert_eq!(names, [hex.as_str(), "a", "b"]);
    assert!(volumes.inspect(&hex.as_str().into()).unwrap().unwrap().anonymous);
    assert!(volumes.remove(&"a".into()).unwrap());
    assert!(!volumes.remove(&"a".into()).unwrap());
    assert_eq!(volumes.inspect(&"a".into()).unwrap(), None);
    assert!(volumes.trash.wait_empty(std::time::Duration::from_secs(10)));
    assert!(!dir.path().join("volumes/a").exists());
}

#[test]
fn what_cannot_be_is_explained() {
    let (dir, volumes) = world();
    let error = |spec: &VolumeSpec| volumes.ensure(spec).unwrap_err().to_string();
    let external = VolumeSpec { external: true, ..spec("theirs") };
    assert_eq!(error(&external), "the volume \"theirs\" is external and does not exist");
    for name in ["../x", "", ".", "a/b", "-a"] {
        assert!(error(&spec(name)).contains("is no volume name"), "{name}");
    }
    let device = dir.path().join("device");
    let bind = VolumeSpec { device: Some(device.clone()), ..spec("bind") };
    assert!(error(&bind).contains("does not exist"));
    fs::create_dir(&device).unwrap();
    let info = volumes.ensure(&bind).unwrap();
    assert_eq!(info.path, device);
    fs::write(device.join("mine"), "x").unwrap();
    volumes.remove(&info.name).unwrap();
    assert!(device.join("mine").exists(), "a folder of the host is not ours to remove");
}

#[test]
fn a_volume_whose_making_was_interrupted_keeps_its_owner() {
    let (dir, volumes) = world();
    let mine = VolumeSpec { labels: BTreeMap::from([("a".to_owned(), "b".to_owned())]), ..spec("data") };
    let made = volumes.ensure(&mine).unwrap();
    // The record was written, its folder was not made.
    fs::remove_dir(&made.path).unwrap();
    let found = volumes.ensure(&mine).unwrap();
    assert_eq!((&found.labels, found.created, found.path.is_dir()), (&mine.labels, false, true));
    // One that was used is never made anew: its data is somewhere else.
    volumes.seed(&mine.name, &[], "/data").unwrap();
    fs::rename(&found.path, dir.path().join("elsewhere")).unwrap();
    assert!(!volumes.ensure(&mine).unwrap().path.exists());
}
