//! What stands where a file should: links in circles, pipes, devices, folders.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;

use super::super::{LoadOptions, Loaded, line, load};
use crate::compose::files::{Files as _, Kind, Memory};

/// Returns what comes of a folder that was filled.
fn load_folder(fill: impl FnOnce(&Path)) -> Loaded {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().canonicalize().unwrap().join("demo");
    fs::create_dir(&folder).unwrap();
    fill(&folder);
    load(&LoadOptions { cwd: folder, ..LoadOptions::default() })
}

#[track_caller]
fn refuse_folder(fill: impl FnOnce(&Path)) -> String {
    let loaded = load_folder(fill);
    assert!(loaded.tree.is_none());
    line(&loaded.diagnostics[0])
}

fn pipe(at: &Path) {
    nix::unistd::mkfifo(at, nix::sys::stat::Mode::S_IRWXU).unwrap();
}

#[test]
fn links() {
    let loaded = load_folder(|folder| {
        fs::write(folder.join("real.yml"), "services: {a: {image: x}}").unwrap();
        symlink("real.yml", folder.join("link.yml")).unwrap();
        fs::write(folder.join("stack.yml"), "include: [link.yml]\n").unwrap();
    });
    assert!(loaded.tree.is_some(), "{:?}", loaded.diagnostics);
    // The same file by a path that grows.
    let message = refuse_folder(|folder| {
        symlink(".", folder.join("d")).unwrap();
        fs::write(folder.join("stack.yml"), "include: [d/stack.yml]\n").unwrap();
    });
    assert!(message.contains("in a circle: stack.yml -> d/stack.yml"), "{message}");
    let message = refuse_folder(|folder| {
        symlink(".", folder.join("d")).unwrap();
        fs::write(folder.join("stack.yml"), "services: {a: {extends: {file: d/stack.yml, service: a}}}\n").unwrap();
    });
    assert!(message.contains("in a circle: a -> a"), "{message}");
    let message = refuse_folder(|folder| {
        symlink("b.yml", folder.join("a.yml")).unwrap();
        symlink("a.yml", folder.join("b.yml")).unwrap();
        fs::write(folder.join("stack.yml"), "include: [a.yml]\n").unwrap();
    });
    assert!(message.contains("cannot read a.yml") && message.contains("symbolic links"), "{message}");
}

#[test]
fn what_is_no_file() {
    let include = |what: &str| {
        let text = format!("include: [{what}]\nservices: {{}}\n");
        refuse_folder(|folder| fs::write(folder.join("stack.yml"), text).unwrap())
    };
    assert!(
        include("/dev/zero")
            .contains("stack.yml:1:11 `/dev/zero` error: cannot read /dev/zero: it is a device, not a file")
    );
    assert!(include("/").contains("cannot read /: it is a folder"));
    assert!(include("'nul\\x00'").contains("cannot read"));
    let env = |what: &str| {
        let text = format!("services: {{a: {{image: x, env_file: {what}}}}}\n");
        load_folder(|folder| fs::write(folder.join("stack.yml"), text).unwrap())
    };
    assert!(line(&env("/dev/urandom").diagnostics[0]).contains("it is a device, not a file"));
    assert!(line(&env("/").diagnostics[0]).contains("it is a folder"));
    // Often used for "none".
    assert!(env("/dev/null").tree.is_some());
}

#[test]
fn a_pipe_that_nobody_writes_to() {
    let message = refuse_folder(|folder| pipe(&folder.join("stack.yml")));
    assert!(message.contains("cannot read stack.yml: it is a pipe that nobody writes to"), "{message}");
}

#[test]
fn a_pipe_is_read_to_its_end() {
    let mut writer = None;
    let loaded = load_folder(|folder| {
        let path = folder.join("stack.yml");
        pipe(&path);
        let comment = "# so long that it does not go into the pipe at once\n".repeat(5000);
        writer = Some(std::thread::spawn(move || fs::write(path, comment + "services: {a: {image: x}}")));
    });
    writer.unwrap().join().unwrap().unwrap();
    assert!(loaded.tree.is_some(), "{:?}", loaded.diagnostics);
}

#[test]
fn a_pipe_without_an_end() {
    let mut writer = None;
    let message = refuse_folder(|folder| {
        let path = folder.join("stack.yml");
        pipe(&path);
        writer = Some(std::thread::spawn(move || {
            let mut file = fs::File::create(path).unwrap();
            while std::io::Write::write_all(&mut file, &[b'#'; 4096]).is_ok() {}
        }));
    });
    writer.unwrap().join().unwrap();
    assert!(message.contains("cannot read stack.yml: it is larger than 8 MiB"), "{message}");
}

#[test]
fn memory_is_a_disk_too() {
    let files = [("/p/stack.yml", "include: [sub/b.yml]\nservices: {a: {image: $V}}\n"), ("/p/.env", "V=x\n")];
    let more = [("/p/sub/b.yml", "services: {b: {image: x, env_file: e}}\n"), ("/p/sub/e", "E=1\n")];
    let files = files.into_iter().chain(more).map(|(path, text)| (path.into(), text.as_bytes().to_vec()));
    let memory = Memory { files: files.collect() };
    assert_eq!(memory.kind(Path::new("/p/sub")), Some(Kind::Folder));
    assert_eq!(memory.kind(Path::new("/p/su")), None);
    let loaded = load(&LoadOptions { cwd: "/p".into(), disk: Arc::new(memory), ..LoadOptions::default() });
    let tree = loaded.tree.unwrap_or_else(|| panic!("{:?}", loaded.diagnostics));
    let json = crate::compose::config_json(&tree);
    assert_eq!(json["services"]["a"]["image"], "x");
    assert_eq!(json["services"]["b"]["environment"]["E"], "1");
}
