//! The store against real tools: `skopeo` writes and reads what it holds, Debian's
//! `docker-registry` serves on loopback. A missing tool fails a test, it never passes one.

mod files;
mod pulls;
mod support;

use std::fs;
use std::os::unix::fs::MetadataExt as _;

use self::support::{World, layer, layout, skopeo};
use super::*;

#[tokio::test]
async fn what_was_imported_is_found_under_every_name() {
    let world = World::new();
    let store = world.store();
    let tar = world.write("root.tar", &layer(&[("bin/", ""), ("bin/sh", "#!"), ("etc/passwd", "root")]));
    let changes = ["CMD [\"sh\"]".to_owned(), "ENV A=1".to_owned()];
    let image = store.import(&tar, "redis:7", &changes).await.unwrap();
    assert_eq!(image.references, ["docker.io/library/redis:7"]);
    assert_eq!(image.config.cmd, ["sh"]);
    assert_eq!((image.layers.len(), image.size, image.os.as_str()), (1, 6, "linux"));
    assert_eq!(fs::read_to_string(image.layers[0].join("etc/passwd")).unwrap(), "root");
    let id = image.id.hex();
    for name in
        ["redis:7", "docker.io/redis:7", "docker.io/library/redis:7", image.id.as_str(), id, &id[..12], &id[..3]]
    {
        assert_eq!(store.get(name).unwrap().as_ref(), Some(&image), "{name}");
    }
    for name in ["redis", "redis:8", "localhost/redis:7"] {
        assert_eq!(store.get(name).unwrap(), None, "{name}");
    }
    assert_eq!(store.get("Redis").unwrap_err().to_string(), "\"Redis\" is no image reference");
    // The same store again, from the disk.
    assert_eq!(world.store().get("redis:7").unwrap(), Some(image.clone()));
    // The same content again is the same image; other content takes the name.
    assert_eq!(store.import(&tar, "redis:7", &changes).await.unwrap(), image);
    let other = store.import(&tar, "redis:7", &[]).await.unwrap();
    assert_ne!(other.id, image.id);
    assert_eq!(other.layers, image.layers, "a layer is kept once");
    assert!(store.get(id).unwrap().unwrap().references.is_empty());
    assert_eq!(store.list().len(), 2);
}

#[tokio::test]
async fn other_tools_read_the_store() {
    let world = World::new();
    let store = world.store();
    let tar = world.write("root.tar", &layer(&[("etc/passwd", "root")]));
    let image = store.import(&tar, "localhost:5000/team/app:1.0", &["LABEL a=b".to_owned()]).await.unwrap();
    let name = format!("oci:{}/images:localhost:5000/team/app:1.0", world.root().display());
    let text = skopeo(&["inspect", &name]);
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(json["Digest"], image.manifest.as_str());
    assert_eq!(json["Labels"]["a"], "b");
    let config: serde_json::Value = serde_json::from_str(&skopeo(&["inspect", "--config", &name])).unwrap();
    assert_eq!(config["os"], "linux");
}

#[tokio::test]
async fn inspect_has_dockers_shape() {
    let world = World::new();
    let store = world.store();
    let layers = [layer(&[("a", "1")]), layer(&[("b", "2")])];
    let dir = layout(&world.dir().join("oci"), &layers, "gz", "docker.io/library/two:1");
    let image = store.load(&dir).await.unwrap().remove(0);
    let json = store.inspect_json("two:1").unwrap();
    crate::schemas::check("image-inspect", &serde_json::json!([json]));
    assert_eq!(json["Id"], image.id.as_str());
    assert_eq!(json["RepoTags"][0], "two:1");
    assert_eq!(json["Config"]["Cmd"][0], "sh");
    assert_eq!(json["RootFS"]["Layers"].as_array().unwrap().len(), 2);
    assert_eq!(json["GraphDriver"]["Data"]["LowerDir"], image.layers[0].to_str().unwrap());
    assert_eq!(store.inspect_json("three").unwrap_err().to_string(), "there is no image \"three\" here");
}

#[tokio::test]
async fn removing_names_and_images() {
    let world = World::new();
    let store = world.store();
    let nobody = |_: &Image| None;
    let user = |_: &Image| Some("container \"web-1\"".to_owned());
    let base = layer(&[("base", "1")]);
    let one = layout(&world.dir().join("one"), &[base.clone(), layer(&[("one", "1")])], "gz", "one:1");
    let two = layout(&world.dir().join("two"), &[base, layer(&[("two", "1")])], "gz", "two:1");
    let one = store.load(&one).await.unwrap().remove(0);
    let two = store.load(&two).await.unwrap().remove(0);
    assert_eq!(one.layers[0], two.layers[0]);
    store.tag("one:1", "uno").unwrap();
    let error = store.remove(one.id.as_str(), false, &nobody).unwrap_err();
    assert_eq!(error.to_string(), format!("{} has more than one name: one:1, uno:latest", one.id));
    let removed = store.remove("uno", false, &user).unwrap();
    assert_eq!(removed, Removed { untagged: vec!["uno:latest".to_owned()], deleted: vec![] });
    assert_eq!(store.remove("one:1", false, &user).unwrap_err().to_string(), "one:1 is used by container \"web-1\"");
    let removed = store.remove("one:1", true, &user).unwrap();
    assert_eq!(removed.deleted, [], "a used image stays, without a name");
    assert!(store.get(one.id.as_str()).unwrap().unwrap().references.is_empty());
    let removed = store.remove(one.id.as_str(), false, &nobody).unwrap();
    assert_eq!(removed.deleted, std::slice::from_ref(&one.id));
    assert!(one.layers[0].exists() && !one.layers[1].exists(), "the shared layer stays");
    assert!(store.get("two:1").unwrap().is_some());
    store.remove("two:1", false, &nobody).unwrap();
    assert_eq!(fs::read_dir(world.root().join("images/blobs/sha256")).unwrap().count(), 0);
    assert_eq!(fs::read_dir(world.root().join("layers")).unwrap().count(), 0);
    assert_eq!(store.remove("two:1", false, &nobody).unwrap_err().to_string(), "there is no image \"two:1\" here");
}

#[tokio::test]
async fn lost_layers_are_unpacked_again_and_damaged_images_left_out() {
    let world = World::new();
    let store = world.store();
    let layers = [layer(&[("d/", ""), ("d/a", "1")]), layer(&[("d/b", "2")])];
    let dir = layout(&world.dir().join("oci"), &layers, "zst", "app:1");
    let image = store.load(&dir).await.unwrap().remove(0);
    for layer in &image.layers {
        fs::remove_dir_all(layer).unwrap();
    }
    let image = store.get("app:1").unwrap().unwrap();
    assert_eq!(fs::read_to_string(image.layers[1].join("d/b")).unwrap(), "2");
    assert_eq!(world.leftovers(), [] as [String; 0]);
    // Blobs that are damaged, too: as if the image were not here, and loading it mends it.
    let manifest: serde_json::Value =
        serde_json::from_slice(&fs::read(world.root().join("images/blobs/sha256").join(image.manifest.hex())).unwrap())
            .unwrap();
    let blob = manifest["layers"][0]["digest"].as_str().unwrap().replace("sha256:", "images/blobs/sha256/");
    fs::write(world.root().join(blob), "x").unwrap();
    fs::remove_dir_all(&image.layers[0]).unwrap();
    assert_eq!(store.get("app:1").unwrap(), None);
    store.load(&dir).await.unwrap();
    assert_eq!(store.get("app:1").unwrap(), Some(image.clone()));
    let good = world.write("root.tar", &layers[0]);
    store.import(&good, "good:1", &[]).await.unwrap();
    fs::write(world.root().join("images/blobs/sha256").join(image.id.hex()), "{}").unwrap();
    let store = world.store();
    assert_eq!(store.get("app:1").unwrap(), None);
    assert!(store.get("good:1").unwrap().is_some());
    store.sweep().unwrap();
    assert!(store.get("good:1").unwrap().unwrap().layers[0].is_dir());
    assert!(!image.layers[1].exists());
}

#[tokio::test]
async fn a_layer_that_a_power_cut_may_have_damaged_is_unpacked_again() {
    let world = World::new();
    let tar = world.write("root.tar", &layer(&[("a", "1")]));
    let image = world.store().import(&tar, "app:1", &[]).await.unwrap();
    let record = image.layers[0].with_extension("json");
    let text = "{\"version\":1,\"record\":{\"diff_id\":\"DIFF\",\"size\":1,\"unsynced\":\"another boot\"}}";
    let diff_id = format!("sha256:{}", image.layers[0].file_name().unwrap().to_str().unwrap());
    support::until(|| fs::read_to_string(&record).unwrap().contains("null"), "layers are synced");
    fs::write(&record, text.replace("DIFF", &diff_id)).unwrap();
    fs::write(image.layers[0].join("a"), "").unwrap();
    let store = world.store();
    assert!(!image.layers[0].exists());
    store.get("app:1").unwrap();
    assert_eq!(fs::read_to_string(image.layers[0].join("a")).unwrap(), "1");
}

/// A folder that the upper layer does not describe has the attributes of the one below.
#[tokio::test]
async fn folders_without_an_entry_are_as_below() {
    let world = World::new();
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Directory);
    header.set_mode(0o1777);
    header.set_uid(12);
    header.set_size(0);
    archive.append_data(&mut header, "tmp/", &b""[..]).unwrap();
    let layers =
        [archive.into_inner().unwrap(), layer(&[("tmp/file", "x")]), layer(&[(".wh..wh..opq", ""), ("new", "1")])];
    let dir = layout(&world.dir().join("oci"), &layers, "", "app:1");
    let image = world.store().load(&dir).await.unwrap().remove(0);
    let metadata = fs::metadata(image.layers[1].join("tmp")).unwrap();
    assert_eq!((metadata.mode() & 0o7777, metadata.uid()), (0o1777, 12));
    let hidden = fs::symlink_metadata(image.layers[2].join("tmp")).unwrap();
    assert_eq!((hidden.mode() & 0o170_000, hidden.rdev()), (0o020_000, 0), "an opaque root hides name by name");
}

/// The kernel's own overlay of the layers shows what the image's builder meant.
#[tokio::test]
async fn overlayfs_shows_the_layers_as_one_tree() {
    let world = World::new();
    let layers = [
        layer(&[("d/", ""), ("d/a", "1"), ("d/gone", "1"), ("o/", ""), ("o/old", "1"), ("f", "1"), ("r/x", "1")]),
        layer(&[
            ("d/.wh.gone", ""),
            ("d/b", "2"),
            ("o/.wh..wh..opq", ""),
            ("o/new", "2"),
            (".wh.f", ""),
            (".wh.r", ""),
        ]),
        layer(&[("r/y", "3")]),
    ];
    let dir = layout(&world.dir().join("oci"), &layers, "gz", "app:1");
    let image = world.store().load(&dir).await.unwrap().remove(0);
    let lower: Vec<&str> = image.layers.iter().rev().map(|layer| layer.to_str().unwrap()).collect();
    let at = world.dir().join("merged");
    fs::create_dir(&at).unwrap();
    // In a mount namespace of its own, so nothing stays mounted.
    let script = format!(
        "mount -t overlay overlay -o lowerdir={} \"$1\" && cd \"$1\" && find . -type f | sort",
        lower.join(":")
    );
    let mut command = std::process::Command::new("timeout");
    let output = command.args(["20", "unshare", "-m", "sh", "-c", &script, "sh"]).arg(&at).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "./d/a\n./d/b\n./o/new\n./r/y\n");
}
