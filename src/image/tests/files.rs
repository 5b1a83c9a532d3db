use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::process::Command;

use super::super::*;
use super::support::{World, compress, layer, layout, skopeo};

#[tokio::test]
async fn archives_of_docker_and_oci_are_loaded() {
    let world = World::new();
    let layers = [layer(&[("a", "1"), ("gone", "x")]), layer(&[(".wh.gone", ""), ("b", "2")])];
    let dir = layout(&world.dir().join("oci"), &layers, "gz", "localhost/app:1");
    let from = format!("oci:{}:localhost/app:1", dir.display());
    let docker = world.dir().join("docker.tar");
    skopeo(&["copy", &from, &format!("docker-archive:{}:localhost/app:2", docker.display())]);
    let oci = world.dir().join("oci.tar");
    skopeo(&["copy", &from, &format!("oci-archive:{}:localhost/app:3", oci.display())]);
    let packed = world.write("docker.tar.gz", &compress(&fs::read(&docker).unwrap(), "gz"));
    let store = world.store();
    let mut seen = Vec::new();
    for (file, name) in [(&docker, "localhost/app:2"), (&oci, "localhost/app:3"), (&packed, "localhost/app:2")] {
        let images = store.load(file).await.unwrap();
        assert_eq!(images.len(), 1);
        assert_eq!(images[0].references, [name]);
        assert_eq!(fs::read_to_string(images[0].layers[1].join("b")).unwrap(), "2");
        assert_eq!(fs::symlink_metadata(images[0].layers[1].join("gone")).unwrap().rdev(), 0);
        seen.push(images[0].layers.clone());
    }
    assert!(seen.iter().all(|layers| *layers == seen[0]), "the same content is unpacked once");
    assert_eq!(world.leftovers(), [] as [String; 0]);
    // As `image:` in a file names them.
    for (text, ok) in [
        (format!("oci:{}", dir.display()), true),
        (format!("oci:{}:localhost/app:1", dir.display()), true),
        (format!("oci-archive:{}:localhost/app:3", oci.display()), true),
        (format!("docker-archive:{}", docker.display()), true),
        (format!("oci:{}:localhost/other:1", dir.display()), false),
    ] {
        let pulled = store.pull(&text, &|_| {}).await;
        assert_eq!(pulled.is_ok(), ok, "{text}: {pulled:?}");
        assert_eq!(store.get(&text).unwrap(), pulled.ok(), "{text}");
    }
}

#[tokio::test]
async fn a_root_file_system_is_imported_from_tar_and_folder() {
    let world = World::new();
    let rootfs = world.dir().join("rootfs");
    fs::create_dir_all(rootfs.join("bin")).unwrap();
    fs::copy("/bin/busybox", rootfs.join("bin/busybox")).unwrap();
    fs::hard_link(rootfs.join("bin/busybox"), rootfs.join("bin/cat")).unwrap();
    symlink("busybox", rootfs.join("bin/sh")).unwrap();
    fs::set_permissions(rootfs.join("bin"), fs::Permissions::from_mode(0o2751)).unwrap();
    std::os::unix::fs::chown(rootfs.join("bin"), Some(4), Some(5)).unwrap();
    let flags = rustix::fs::XattrFlags::empty();
    rustix::fs::lsetxattr(rootfs.join("bin/busybox"), "user.note", b"x", flags).unwrap();
    let store = world.store();
    let check = |image: &Image| {
        let bin = image.layers[0].join("bin");
        let metadata = fs::metadata(&bin).unwrap();
        let actual = (metadata.mode() & 0o7777, metadata.uid(), metadata.gid());
        assert!(actual == (0o2751, 4, 5) || actual == (0o751, 4, 5), "{actual:?}");
        assert_eq!(fs::metadata(bin.join("cat")).unwrap().ino(), fs::metadata(bin.join("busybox")).unwrap().ino());
        assert_eq!(fs::read_link(bin.join("sh")).unwrap().to_str(), Some("busybox"));
    };
    let image = store.import(&rootfs, "bb", &[]).await.unwrap();
    check(&image);
    let mut value = [0; 8];
    assert_eq!(rustix::fs::lgetxattr(image.layers[0].join("bin/cat"), "user.note", &mut value[..]).unwrap(), 1);
    let named = format!("rootfs:{}", rootfs.display());
    let image = store.pull(&named, &|_| {}).await.unwrap();
    check(&image);
    assert_eq!(store.get(&named).unwrap(), Some(image.clone()));
    assert_eq!(store.pull(&named, &|_| {}).await.unwrap(), image, "unchanged, so the same image");
    for how in ["", "gz", "zst"] {
        let tar = world.dir().join("rootfs.tar");
        let made = Command::new("tar").arg("-C").arg(&rootfs).arg("-cf").arg(&tar).arg(".").status().unwrap();
        assert!(made.success());
        let tar = world.write("rootfs.packed", &compress(&fs::read(&tar).unwrap(), how));
        check(&store.import(&tar, &format!("bb:{how}x"), &[]).await.unwrap());
    }
    assert_eq!(world.leftovers(), [] as [String; 0]);
}

#[tokio::test]
async fn wrong_files_are_explained() {
    let world = World::new();
    let store = world.store();
    let text = |error: ImageError| {
        let sources = std::iter::successors(std::error::Error::source(&error), |e| e.source());
        let text = sources.fold(error.to_string(), |text, source| format!("{text}: {source}"));
        text.replace(&world.dir().display().to_string(), "")
    };
    let missing = store.load(&world.dir().join("none.tar")).await.unwrap_err();
    assert_eq!(text(missing), "failed to read /none.tar: No such file or directory (os error 2)");
    let plain = world.write("plain.tar", &layer(&[("a", "1")]));
    let error = text(store.load(&plain).await.unwrap_err());
    assert!(error.starts_with("/plain.tar is not what it should be: it is no image archive"), "{error}");
    let junk = world.write("junk", &[b'x'; 4096]);
    let error = text(store.load(&junk).await.unwrap_err());
    assert_eq!(error, "/junk is not what it should be: it is no tar archive, or a damaged one");
    assert!(text(store.import(&junk, "x", &[]).await.unwrap_err()).contains("the tar stream is damaged"));
    let xz = world.write("a.xz", b"\xfd7zXZ\x00 and more");
    assert!(text(store.import(&xz, "x", &[]).await.unwrap_err()).contains("xz is not supported"));
    let cut = compress(&layer(&[("a", &"1".repeat(100_000))]), "gz");
    let cut = world.write("cut.gz", &cut[..cut.len() / 2]);
    assert!(text(store.import(&cut, "x", &[]).await.unwrap_err()).contains("the tar stream is damaged"));
    let change = store.import(&plain, "x", &["RUN x".to_owned()]).await.unwrap_err();
    assert!(text(change).starts_with("the change \"RUN x\" is not understood"));
    assert_eq!(store.list(), []);
    assert_eq!(world.leftovers(), [] as [String; 0]);
}

/// Unpacking a tree of many files is bound by the file system, not by us.
#[tokio::test]
#[ignore = "a measurement, not a test: prints what importing 64 MiB and 5,000 files costs"]
async fn cost_of_an_import() {
    let world = World::new();
    let big = "x".repeat(64 << 20);
    let small: Vec<String> = (0..5000).map(|number| format!("d{}/f{number}", number % 50)).collect();
    let entries: Vec<(&str, &str)> =
        small.iter().map(|name| (name.as_str(), "content")).chain([("big", big.as_str())]).collect();
    let bytes = layer(&entries);
    for how in ["", "gz", "zst"] {
        let tar = world.write("big.tar", &compress(&bytes, how));
        let start = std::time::Instant::now();
        let image = world.store().import(&tar, &format!("big:x{how}"), &[]).await.unwrap();
        println!("import {how:>4}: {:?}", start.elapsed());
        let store = world.store();
        let start = std::time::Instant::now();
        for _ in 0..1000 {
            assert!(store.get("big:x").unwrap().is_some());
        }
        println!("get: {:?} each; {} bytes", start.elapsed() / 1000, image.size);
    }
}
