//! Compose files that are elsewhere: a git repository served on loopback, and an artifact of a real registry.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use crate::images::Registry;
use crate::support::program::{Running, run};
use crate::support::world::free_port;
use crate::support::{SOON, World, eventually};

const LONG: Duration = Duration::from_secs(60);

fn git(world: &World, arguments: &[&str]) {
    let mut command = Command::new("git");
    command.arg("-C").arg(world.folder().join("served/shop")).args(arguments).env("HOME", world.folder());
    run(&mut command, LONG).ok();
}

#[test]
fn a_file_of_a_git_repository_is_fetched_anew_when_its_branch_moves() {
    let world = World::empty();
    fs::create_dir_all(world.folder().join("served/shop/deploy")).unwrap();
    let commit = |text: &str| {
        world.write("served/shop/deploy/stack.yml", text);
        git(&world, &["add", "."]);
        git(&world, &["-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "--quiet", "-m", "x"]);
    };
    git(&world, &["init", "--quiet", "--initial-branch=main", "."]);
    commit("services: {web: {image: one, volumes: ['./data:/data']}}");
    let port = free_port();
    let served = world.folder().join("served");
    // Not by `git daemon`, which would leave its child behind when it is killed.
    let programs = run(Command::new("git").arg("--exec-path"), LONG).ok();
    let _server = Running::start(
        Command::new(PathBuf::from(programs.trim()).join("git-daemon"))
            .args(["--listen=127.0.0.1", "--export-all", "--reuseaddr"])
            .arg(format!("--port={port}"))
            .arg(format!("--base-path={}", served.display())),
    );
    eventually("git listens", SOON, || std::net::TcpStream::connect(("127.0.0.1", port)).ok());

    world.write("stack.yml", &format!("include: ['git://127.0.0.1:{port}/shop#main:deploy']"));
    let shown = world.stack(&["config"]).ok();
    assert!(shown.contains("image: one"), "{shown}");
    let cache = world.folder().with_file_name(".cache/stack/git");
    assert!(shown.contains(&format!("source: {}", cache.display())), "paths begin in the checkout: {shown}");

    commit("services: {web: {image: two}}");
    assert_eq!(world.stack(&["config", "--images"]).ok(), "two\n");
    let by_option = ["-f", &format!("git://127.0.0.1:{port}/shop#:deploy"), "config", "--images"];
    assert_eq!(world.stack(&by_option).ok(), "two\n");
    assert_eq!(fs::read_dir(cache).unwrap().count(), 2, "a folder for each commit");
}

/// Puts a file into a registry; returns its descriptor.
fn blob(world: &World, registry: &Registry, media_type: &str, text: &str) -> serde_json::Value {
    use sha2::Digest as _;
    let hex: String = sha2::Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect();
    world.write("blob", text);
    let uploads = format!("http://{}/v2/team/shop/blobs/uploads/", registry.address);
    let answer = run(Command::new("curl").args(["-fsS", "-D", "-", "-X", "POST", &uploads]), LONG).ok();
    let place = answer.lines().find_map(|line| line.strip_prefix("Location: ")).expect(&answer).trim();
    let mut put = Command::new("curl");
    put.args(["-fsS", "-X", "PUT", "-H", "Content-Type: application/octet-stream", "--data-binary"]);
    put.arg(format!("@{}", world.folder().join("blob").display())).arg(format!("{place}&digest=sha256:{hex}"));
    run(&mut put, LONG).ok();
    serde_json::json!({"mediaType": media_type, "digest": format!("sha256:{hex}"), "size": text.len()})
}

#[test]
fn a_file_that_was_published_to_a_registry_is_loaded() {
    let world = World::empty();
    let registry = Registry::start(&world);
    let file = "application/vnd.docker.compose.file+yaml";
    let mut base = blob(&world, &registry, file, "services: {base: {image: below}}");
    base["annotations"] = serde_json::json!({
        "com.docker.compose.extends": "true", "com.docker.compose.file": "base.yml"
    });
    let whole = "services: {web: {image: web}, more: {extends: {file: base.yml, service: base}}}";
    let manifest = serde_json::json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "artifactType": "application/vnd.docker.compose.project",
        "config": blob(&world, &registry, "application/vnd.oci.empty.v1+json", "{}"),
        "layers": [base, blob(&world, &registry, file, whole)],
    });
    world.write("manifest.json", &manifest.to_string());
    let mut put = Command::new("curl");
    put.args(["-fsS", "-X", "PUT", "-H", "Content-Type: application/vnd.oci.image.manifest.v1+json", "--data-binary"]);
    put.arg(format!("@{}", world.folder().join("manifest.json").display()));
    put.arg(format!("http://{}/v2/team/shop/manifests/v1", registry.address));
    run(&mut put, LONG).ok();

    let named = |reference: &str| {
        world.stack(&["-f", &format!("oci://{}/{reference}", registry.address), "config", "--images"])
    };
    assert_eq!(named("team/shop:v1").ok(), "below\nweb\n");
    registry.push(&world, "team/app:1");
    assert!(named("team/app:1").fails(1).contains("it is no Compose file"));
}
