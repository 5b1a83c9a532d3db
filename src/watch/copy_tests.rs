use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

use super::*;

/// A folder of the host, `s`, and the root of a container, `c`.
struct World(tempfile::TempDir);

impl World {
    fn new() -> Self {
        let world = Self(tempfile::tempdir().unwrap());
        fs::create_dir_all(world.path("s")).unwrap();
        fs::create_dir_all(world.path("c/app")).unwrap();
        world
    }

    fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    fn write(&self, path: &str, text: &str) {
        fs::create_dir_all(self.path(path).parent().unwrap()).unwrap();
        fs::write(self.path(path), text).unwrap();
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// Copies these paths below `s` to `/app` and returns what was done, without the folder's own path.
    fn copy(&self, paths: &[&str], lacking: bool) -> String {
        self.copy_while(paths, lacking, &|| true)
    }

    fn copy_while(&self, paths: &[&str], lacking: bool, goes_on: &dyn Fn() -> bool) -> String {
        let root = File::open(self.path("c")).unwrap();
        let copies: Vec<Copy> =
            paths.iter().map(|path| Copy { from: self.path("s").join(path), to: format!("/app/{path}") }).collect();
        let Copied { written, removed, failed, same } = copy(root.as_fd(), &copies, lacking, goes_on);
        let source = self.path("s");
        let name = |path: &PathBuf| path.strip_prefix(&source).unwrap().display().to_string();
        let mut text = String::new();
        for (what, paths) in [("written", written), ("removed", removed), ("same", same)] {
            let names: Vec<String> = paths.iter().map(name).collect();
            if !names.is_empty() {
                text += &format!("{what}: {}\n", names.join(" "));
            }
        }
        failed.iter().for_each(|(path, why)| text += &format!("failed: {path}: {why}\n"));
        text
    }
}

#[test]
fn files_folders_and_links_arrive_as_they_are() {
    let world = World::new();
    world.write("s/a", "one");
    world.write("s/d/e/f", "two");
    fs::set_permissions(world.path("s/a"), fs::Permissions::from_mode(0o4751)).unwrap();
    fs::set_permissions(world.path("s/d"), fs::Permissions::from_mode(0o2770)).unwrap();
    symlink("../../a", world.path("s/d/link")).unwrap();
    insta::assert_snapshot!(world.copy(&["a", "d", "d/e", "d/e/f", "d/link"], false), @"written: a d d/e d/e/f d/link");
    assert_eq!((world.read("c/app/a"), world.read("c/app/d/e/f")), ("one".into(), "two".into()));
    assert_eq!(fs::read_link(world.path("c/app/d/link")).unwrap(), PathBuf::from("../../a"));
    for path in ["a", "d", "d/e/f"] {
        let (host, there) = (world.path("s").join(path), world.path("c/app").join(path));
        let (host, there) = (host.metadata().unwrap(), there.metadata().unwrap());
        assert_eq!(host.mode(), there.mode(), "{path}");
        assert!(path == "d" || host.mtime_nsec() == there.mtime_nsec(), "{path}");
    }
    assert_eq!(fs::read_dir(world.path("c/app")).unwrap().count(), 2, "nothing is left beside them");
}

#[test]
fn missing_folders_are_made() {
    let world = World::new();
    world.write("s/x/y/z", "1");
    insta::assert_snapshot!(world.copy(&["x/y/z"], false), @"written: x/y/z");
    assert_eq!(world.read("c/app/x/y/z"), "1");
}

#[test]
fn what_is_gone_is_removed_but_not_what_the_container_made() {
    let world = World::new();
    for path in ["c/app/d/mine", "c/app/d/copied", "c/app/e/f"] {
        world.write(path, "x");
    }
    insta::assert_snapshot!(world.copy(&["d", "d/copied", "e", "e/f", "never"], false), @"removed: d/copied e e/f");
    assert_eq!(world.read("c/app/d/mine"), "x");
    assert_eq!(world.copy(&["d/copied"], false), "");
}

#[test]
fn one_kind_takes_the_place_of_another() {
    let world = World::new();
    world.write("c/app/a", "file");
    world.write("c/app/b/own", "folder");
    fs::create_dir(world.path("c/app/c")).unwrap();
    symlink("/nowhere", world.path("c/app/d")).unwrap();
    fs::create_dir(world.path("s/a")).unwrap();
    for name in ["s/b", "s/c", "s/d"] {
        world.write(name, "file");
    }
    insta::assert_snapshot!(world.copy(&["a", "b", "c", "d"], false), @r"
    written: a c d
    failed: /app/b: a folder with files of the container is in its place
    ");
    assert!(world.path("c/app/a").is_dir());
    assert!(world.path("c/app/d").symlink_metadata().unwrap().is_file(), "a link is replaced, not followed");
}

#[test]
fn no_link_leads_out_of_the_container() {
    let world = World::new();
    world.write("outside/secret", "untouched");
    let outside = world.path("outside");
    symlink(&outside, world.path("c/app/absolute")).unwrap();
    symlink("../../../../../../../../outside", world.path("c/app/relative")).unwrap();
    symlink(outside.join("secret"), world.path("c/app/secret")).unwrap();
    for path in ["s/absolute/secret", "s/relative/secret", "s/secret"] {
        world.write(path, "written");
    }
    // Links are those of the container: they lead to folders below its root.
    fs::create_dir_all(world.path("c").join(outside.strip_prefix("/").unwrap())).unwrap();
    fs::create_dir(world.path("c/outside")).unwrap();
    insta::assert_snapshot!(
        world.copy(&["absolute/secret", "relative/secret", "secret"], false),
        @"written: absolute/secret relative/secret secret");
    assert_eq!(world.read("outside/secret"), "untouched");
    assert_eq!(world.read("c/outside/secret"), "written");
    fs::remove_dir_all(world.path("s/absolute")).unwrap();
    insta::assert_snapshot!(world.copy(&["absolute/secret"], false), @"removed: absolute/secret");
    assert_eq!(world.read("outside/secret"), "untouched");
}

#[test]
fn a_file_is_replaced_as_a_whole() {
    let world = World::new();
    world.write("s/a", "new");
    world.write("c/app/a", "old content");
    let open = File::open(world.path("c/app/a")).unwrap();
    world.copy(&["a"], false);
    assert_eq!(world.read("c/app/a"), "new");
    assert_eq!(io::read_to_string(open).unwrap(), "old content", "who has it open reads on in the old one");
}

#[test]
fn what_a_new_container_has_already_is_left_alone() {
    let world = World::new();
    world.write("s/a", "one");
    world.write("s/b", "two");
    world.copy(&["a", "b"], false);
    world.write("s/b", "2");
    insta::assert_snapshot!(world.copy(&["a", "b"], true), @"written: b");
}

#[test]
fn a_file_is_not_copied_onto_itself() {
    let world = World::new();
    world.write("s/a", "one");
    fs::remove_dir(world.path("c/app")).unwrap();
    fs::create_dir(world.path("c/app")).unwrap();
    fs::hard_link(world.path("s/a"), world.path("c/app/a")).unwrap();
    insta::assert_snapshot!(world.copy(&["a"], false), @"same: a");
}

#[test]
fn what_cannot_be_copied_is_told() {
    let world = World::new();
    world.write("s/a/b", "x");
    world.write("c/app/a", "a file");
    insta::assert_snapshot!(world.copy(&["a/b"], false), @"failed: /app/a/b: a file is where its folder should be");
}

#[test]
fn no_link_of_the_host_is_followed() {
    let world = World::new();
    world.write("outside/secret", "of the host");
    world.write("c/app/x/secret", "copied before");
    symlink(world.path("outside"), world.path("s/x")).unwrap();
    insta::assert_snapshot!(world.copy(&["x", "x/secret"], false), @r"
    written: x
    removed: x/secret
    ");
    assert_eq!(fs::read_link(world.path("c/app/x")).unwrap(), world.path("outside"));
}

#[test]
fn who_renames_folders_without_end_is_given_up_on() {
    let mut tries = 0;
    let open = |until: i32, tries: &mut i32| {
        settled(|| {
            *tries += 1;
            if *tries < until { Err(Errno::AGAIN) } else { Err(Errno::NOENT) }
        })
        .unwrap_err()
    };
    assert_eq!((open(10, &mut tries), tries), (Errno::NOENT, 10));
    assert_eq!(open(i32::MAX, &mut tries), Errno::AGAIN);
    assert_eq!(explain(Errno::AGAIN.into(), "open").to_string(), "folders on the way to it are renamed without end");
}

#[test]
fn copying_ends_when_nobody_wants_it_any_more() {
    let world = World::new();
    ["a", "b", "c"].iter().for_each(|name| world.write(&format!("s/{name}"), "x"));
    let asked = std::cell::Cell::new(0);
    let goes_on = || asked.replace(asked.get() + 1) < 4; // once a path to look at it, once to write it
    insta::assert_snapshot!(world.copy_while(&["a", "b", "c"], false, &goes_on), @"written: a");
}

#[test]
fn what_a_killed_daemon_left_goes_with_the_next_copy() {
    let world = World::new();
    world.write("s/a", "whole");
    symlink("a", world.path("s/link")).unwrap();
    let root = File::open(world.path("c")).unwrap();
    let device = rustix::fs::fstat(&root).unwrap().st_dev;
    for name in ["a", "link"] {
        let aside = aside(device, OsStr::new(name));
        fs::write(world.path("c/app").join(aside), "ha").unwrap();
    }
    insta::assert_snapshot!(world.copy(&["a", "link"], false), @"written: a link");
    assert_eq!(world.read("c/app/a"), "whole");
    assert_eq!(fs::read_dir(world.path("c/app")).unwrap().count(), 2, "nothing is left beside them");
}
