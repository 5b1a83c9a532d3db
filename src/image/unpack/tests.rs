use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};

use super::*;

/// An entry in short: kind and name, and what follows `=` or `->`.
fn tar_of(entries: &[&str]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for entry in entries {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_mtime(1_000_000_000);
        header.set_size(0);
        let (kind, rest) = entry.split_once(' ').unwrap();
        let (name, value) = rest.split_once('=').unwrap_or((rest, ""));
        header.set_entry_type(match kind {
            "f" => EntryType::Regular,
            "d" => EntryType::Directory,
            "l" => EntryType::Symlink,
            "h" => EntryType::Link,
            "c" => EntryType::Char,
            "p" => EntryType::Fifo,
            other => panic!("{other}"),
        });
        // Names as they are: the builder would refuse the hostile ones.
        let bytes = header.as_gnu_mut().unwrap();
        bytes.name[..name.len()].copy_from_slice(name.as_bytes());
        let mut content: &[u8] = b"";
        match kind {
            "l" | "h" => bytes.linkname[..value.len()].copy_from_slice(value.as_bytes()),
            "c" => {
                let (major, minor) = value.split_once(':').unwrap();
                header.set_device_major(major.parse().unwrap()).unwrap();
                header.set_device_minor(minor.parse().unwrap()).unwrap();
            }
            _ => content = value.as_bytes(),
        }
        if kind == "d" {
            header.set_mode(0o750);
        }
        header.set_size(content.len() as u64);
        header.set_cksum();
        archive.append(&header, content).unwrap();
    }
    archive.into_inner().unwrap()
}

fn small() -> Limits {
    Limits { bytes: 1 << 20, entries: 1000 }
}

fn try_unpack(bytes: &[u8]) -> (tempfile::TempDir, Result<Unpacked, UnpackError>) {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("layer");
    std::fs::create_dir(&root).unwrap();
    let result = unpack(bytes, &root, &small());
    (dir, result)
}

/// The folder as overlayfs would take it: `-x` a whiteout, `!x/` an opaque folder.
fn tree(dir: &Path) -> Vec<String> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let mut lines = Vec::new();
    for path in paths {
        let name = path.file_name().unwrap().to_str().unwrap();
        let metadata = path.symlink_metadata().unwrap();
        let kind = metadata.file_type();
        if kind.is_dir() {
            let mut value = [0; 1];
            let opaque = rustix::fs::lgetxattr(&path, OPAQUE, &mut value[..]).is_ok();
            lines.push(format!("{}{name}/", if opaque { "!" } else { "" }));
            lines.extend(tree(&path).into_iter().map(|line| format!("{name}/{line}")));
        } else if kind.is_symlink() {
            lines.push(format!("{name} -> {}", std::fs::read_link(&path).unwrap().display()));
        } else if kind.is_char_device() && metadata.rdev() == 0 {
            lines.push(format!("-{name}"));
        } else if kind.is_file() {
            lines.push(format!("{name}={}", std::fs::read_to_string(&path).unwrap()));
        } else {
            lines.push(format!("{name}?"));
        }
    }
    lines
}

#[track_caller]
fn check(entries: &[&str], expected: &[&str]) {
    let (dir, result) = try_unpack(&tar_of(entries));
    result.unwrap();
    assert_eq!(tree(&dir.path().join("layer")), expected);
    assert_eq!(tree(dir.path()).iter().filter(|line| !line.starts_with("layer")).count(), 0, "nothing lies outside");
}

#[track_caller]
fn check_refused(entries: &[&str], expected: &str) {
    let (dir, result) = try_unpack(&tar_of(entries));
    assert_eq!(result.unwrap_err().to_string(), expected);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "nothing lies outside");
}

#[test]
fn entries_become_files() {
    check(
        &["d ./", "d ./a", "f ./a/x=1", "l ./a/l=../../x", "h ./b=./a/x", "p fifo", "f /abs=2"],
        &["a/", "a/l -> ../../x", "a/x=1", "abs=2", "b=1", "fifo?"],
    );
    check(&["f x=1", "f x=2", "d x", "f x/y=3"], &["x/", "x/y=3"]);
    check(&["d x", "f x/y=3", "f x=1"], &["x=1"]);
    check(&["l l=x", "f l=1"], &["l=1"]);
}

#[test]
fn whiteouts_hide_what_is_below_and_only_that() {
    check(&["d d", "f d/.wh.gone=", "f .wh.top="], &["d/", "d/-gone", "-top"]);
    check(&["d d", "f d/.wh..wh..opq=", "f d/x=1"], &["!d/", "d/x=1"]);
    check(&["f d/.wh..wh..opq="], &["!d/"]);
    check(&["f d/.wh.x=", "f d/x=1"], &["d/", "d/x=1"]);
    check(&["f d/x=1", "f d/.wh.x="], &["d/", "d/x=1"]);
    check(&["f .wh.d=", "f d/x=1"], &["!d/", "d/x=1"]);
    check(&["f .wh.d=", "d d", "f d/x=1"], &["!d/", "d/x=1"]);
    check(&["f .wh..wh.plnk=", "f .wh..wh.aufs="], &[]);
    let (_dir, result) = try_unpack(&tar_of(&["f .wh..wh..opq="]));
    assert!(result.unwrap().opaque_root);
}

#[test]
fn hostile_paths_stay_inside() {
    check_refused(&["f ../x=1"], "the entry \"../x\" leads out of the layer");
    check_refused(&["f a/../../x=1"], "the entry \"a/../../x\" leads out of the layer");
    check_refused(&["f .wh..="], "the entry \".wh..\" leads out of the layer");
    check_refused(&["f a/.wh...="], "the entry \"a/.wh...\" leads out of the layer");
    check_refused(&["f a/.wh.="], "the entry \"a/.wh.\" leads out of the layer");
    check_refused(&["l ./=/etc"], "the entry \"\" leads out of the layer");
    // Through links: absolute and upward targets are those of the layer's root.
    check(&["l l=../..", "f l/x=1"], &["l -> ../..", "x=1"]);
    check(&["l l=/tmp/in", "f l/x=1"], &["l -> /tmp/in", "tmp/", "tmp/in/", "tmp/in/x=1"]);
    check(&["l a=b", "l b=../../c", "f a/x=1"], &["a -> b", "b -> ../../c", "c/", "c/x=1"]);
    check_refused(&["l a=b", "l b=a", "f a/x=1"], "failed to open the folder a");
    check_refused(&["f a=1", "f a/x=1"], "failed to open the folder a");
    // Times of folders are set last: through a link that came in between, nothing outside is touched.
    let before = std::fs::metadata("/etc").unwrap().mtime();
    check(&["d a", "d a/etc", "d a/etc/x", "f a=1", "l a=/"], &["a -> /"]);
    check(&["d etc", "l etc=/etc"], &["etc -> /etc"]);
    assert_eq!(std::fs::metadata("/etc").unwrap().mtime(), before);
}

#[test]
fn hostile_hard_links_are_refused() {
    let gone = |target: &str| format!("the entry \"h\" is a hard link to {target:?}, which is not in the layer");
    check_refused(&["h h=/etc/passwd"], &gone("etc/passwd"));
    check_refused(&["h h=../../etc/passwd"], "the entry \"../../etc/passwd\" leads out of the layer");
    check_refused(&["l l=/etc", "h h=l/passwd"], &gone("l/passwd"));
    check_refused(&["d d", "h h=d"], &gone("d"));
    check_refused(&["f .wh.x=", "h h=x"], &gone("x"));
    // A link to a link is a second name of the link itself.
    check(&["l l=/etc/passwd", "h h=l", "f h=mine"], &["h=mine", "l -> /etc/passwd"]);
}

#[test]
fn device_nodes_are_left_out_but_the_harmless() {
    check(&["c null=1:3", "c sda=8:0", "c hide=0:0", "c mem=1:1"], &["null?"]);
}

#[test]
fn bombs_are_defused() {
    let (_dir, result) = try_unpack(&tar_of(&[&format!("f big={}", "x".repeat((1 << 20) + 1))]));
    assert_eq!(result.unwrap_err().to_string(), "it unpacks to more than 1 MiB");
    let many: Vec<String> = (0..1001).map(|number| format!("f {number}=")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let (_dir, result) = try_unpack(&tar_of(&many));
    assert_eq!(result.unwrap_err().to_string(), "it has more than 1000 entries");
    // A long name of 64 MiB, as a header that memory would have to hold.
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(EntryType::GNULongName);
    header.set_size(64 << 20);
    header.set_cksum();
    let stream = io::Read::chain(&header.as_bytes()[..], io::repeat(b'x').take(64 << 20));
    let dir = tempfile::tempdir().unwrap();
    let error = unpack(stream, dir.path(), &small()).unwrap_err();
    assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "an entry has more than 4 MiB of headers");
    // A size that the stream does not have.
    let mut header = tar::Header::new_gnu();
    header.set_path("huge").unwrap();
    header.set_size(u64::MAX >> 1);
    header.set_cksum();
    let dir = tempfile::tempdir().unwrap();
    let error = unpack(io::Read::chain(&header.as_bytes()[..], io::repeat(0)), dir.path(), &small()).unwrap_err();
    assert_eq!(error.to_string(), "it unpacks to more than 1 MiB");
    let (_dir, result) = try_unpack(&tar_of(&["f x=123"])[..514]);
    assert_eq!(result.unwrap_err().to_string(), "the tar stream is damaged");
    let (_dir, result) = try_unpack(&[b'x'; 2048]);
    assert_eq!(result.unwrap_err().to_string(), "the tar stream is damaged");
}

#[test]
fn attributes_are_kept() {
    let mut archive = tar::Builder::new(Vec::new());
    archive
        .append_pax_extensions([
            ("mtime", &b"1350244992.023960108"[..]),
            ("SCHILY.xattr.user.note", b"hello"),
            ("SCHILY.xattr.trusted.overlay.redirect", b"/etc"),
            ("SCHILY.xattr.user.overlay.opaque", b"y"),
            ("SCHILY.xattr.security.selinux", b"x"),
        ])
        .unwrap();
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o4711);
    header.set_uid(3_000_000);
    header.set_gid(7);
    header.set_size(2);
    archive.append_data(&mut header, format!("d/{}", "long".repeat(60)), &b"hi"[..]).unwrap();
    let (dir, result) = try_unpack(&archive.into_inner().unwrap());
    let found = result.unwrap();
    assert_eq!(found.size, 2);
    assert_eq!(found.implicit, BTreeSet::from([PathBuf::new(), PathBuf::from("d")]));
    let path = dir.path().join("layer/d").join("long".repeat(60));
    let metadata = path.metadata().unwrap();
    assert_eq!((metadata.uid(), metadata.gid(), metadata.mode() & 0o7777), (3_000_000, 7, 0o4711));
    assert_eq!((metadata.mtime(), metadata.mtime_nsec()), (1_350_244_992, 23_960_108));
    let mut names = [0; 256];
    let length = rustix::fs::llistxattr(&path, &mut names[..]).unwrap();
    assert_eq!(&names[..length], b"user.note\0");
}

#[test]
fn folders_keep_their_times() {
    let (dir, result) = try_unpack(&tar_of(&["d ./", "d ./a", "f ./a/x=1"]));
    assert!(result.unwrap().implicit.is_empty());
    for path in ["layer", "layer/a"] {
        let metadata = dir.path().join(path).metadata().unwrap();
        assert_eq!((metadata.mtime(), metadata.mode() & 0o7777), (1_000_000_000, 0o750), "{path}");
    }
}
