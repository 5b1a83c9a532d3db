//! Images as the program sees them: archives, and a real registry on loopback.

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::support::images::busybox;
use crate::support::program::{Running, run};
use crate::support::world::free_port;
use crate::support::{SOON, World, eventually};

/// Debian's `docker-registry` on a port of its own, killed when dropped.
pub(crate) struct Registry {
    pub(crate) address: String,
    _server: Running,
}

impl Registry {
    #[track_caller]
    pub(crate) fn start(world: &World) -> Self {
        let address = format!("127.0.0.1:{}", free_port());
        let storage = world.folder().join("registry");
        world.write(
            "registry.yml",
            &format!(
                "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {:?}}}}}\nhttp: {{addr: {address:?}}}\n",
                storage.display().to_string()
            ),
        );
        let server =
            Running::start(Command::new("docker-registry").arg("serve").arg(world.folder().join("registry.yml")));
        eventually("the registry listens", SOON, || std::net::TcpStream::connect(&address).ok());
        Self { address, _server: server }
    }

    /// Pushes the busybox image, through skopeo and an image layout of its own.
    #[track_caller]
    pub(crate) fn push(&self, world: &World, name: &str) {
        let layout = world.folder().join("layout");
        make_layout(&layout);
        let copied = run(
            Command::new("skopeo")
                .args(["--insecure-policy", "copy", "--quiet", "--dest-tls-verify=false"])
                .arg(format!("oci:{}:latest", layout.display()))
                .arg(format!("docker://{}/{name}", self.address))
                .env("HOME", world.folder()),
            Duration::from_secs(60),
        );
        copied.ok();
    }
}

/// Writes an OCI image layout with one layer by hand: the test does not trust the program with its own oracle.
fn make_layout(at: &std::path::Path) {
    use sha2::Digest as _;
    let blobs = at.join("blobs/sha256");
    fs::create_dir_all(&blobs).unwrap();
    let put = |bytes: &[u8]| -> String {
        let hex: String = sha2::Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        fs::write(blobs.join(&hex), bytes).unwrap();
        format!("sha256:{hex}")
    };
    let layer = fs::read(busybox().tar).unwrap();
    let layer_digest = put(&layer);
    let config = serde_json::json!({
        "architecture": if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" }, "os": "linux",
        "config": {"Cmd": ["sh", "-c", "echo from the registry; exec sleep 1000"], "Env": ["PATH=/bin"]},
        "rootfs": {"type": "layers", "diff_ids": [layer_digest]}
    })
    .to_string();
    let config_digest = put(config.as_bytes());
    let manifest = serde_json::json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": config_digest, "size": config.len()},
        "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": layer_digest, "size": layer.len()}]
    })
    .to_string();
    let manifest_digest = put(manifest.as_bytes());
    let index = serde_json::json!({
        "schemaVersion": 2,
        "manifests": [{"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": manifest_digest, "size": manifest.len(),
                       "annotations": {"org.opencontainers.image.ref.name": "latest"}}]
    });
    fs::write(at.join("index.json"), index.to_string()).unwrap();
    fs::write(at.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
}

#[test]
fn up_pulls_what_is_missing_from_a_registry() {
    let world = World::empty();
    let registry = Registry::start(&world);
    registry.push(&world, "team/app:1");
    world.write("stack.yml", &format!("services: {{app: {{image: '{}/team/app:1'}}}}", registry.address));
    world.up();
    let logs = eventually("its line", SOON, || {
        let logs = world.stack(&["logs", "--no-log-prefix"]).ok();
        (!logs.is_empty()).then_some(logs)
    });
    assert_eq!(logs, "from the registry\n");
    let analysis: serde_json::Value =
        serde_json::from_str(&world.stack(&["analyze", "--format", "json"]).ok()).unwrap();
    let phases = &analysis["containers"][0]["phases"];
    assert!(phases["pull_us"].as_u64() > Some(0) && phases["unpack_us"].is_u64(), "{analysis}");
    // The second time the registry is not asked.
    drop(registry);
    world.down();
    world.up();
}

#[test]
fn a_damaged_layer_is_refused() {
    let world = World::empty();
    let registry = Registry::start(&world);
    registry.push(&world, "team/app:1");
    let blobs =
        run(Command::new("find").arg(world.folder().join("registry")).args(["-name", "data", "-size", "+500k"]), SOON)
            .ok();
    let blob = blobs.lines().next().expect("the layer");
    let mut bytes = fs::read(blob).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(blob, bytes).unwrap();
    let image = format!("{}/team/app:1", registry.address);
    let message = world.stack(&["image", "pull", &image]).fails(1);
    assert!(message.contains("digest"), "{message}");
    world.stack(&["image", "inspect", &image]).fails(1);
}

#[test]
fn an_image_that_the_registry_does_not_have_is_named() {
    let world = World::empty();
    let registry = Registry::start(&world);
    let image = format!("{}/no/such:tag", registry.address);
    world.write("stack.yml", &format!("services: {{app: {{image: '{image}'}}}}"));
    world.stack(&["up", "-d"]).fails_naming(&[&image]);
    assert_eq!(world.state("app"), "gone");
}

#[test]
fn an_unreachable_registry_is_an_error_within_seconds() {
    let world = World::empty();
    // Nobody listens there.
    let image = format!("127.0.0.1:{}/team/app:1", free_port());
    world.write("stack.yml", &format!("services: {{app: {{image: '{image}'}}}}"));
    let up = world.stack(&["up", "-d"]);
    assert!(up.took < Duration::from_secs(15), "{up}");
    up.fails_naming(&[&image, "refused"]);
    assert_eq!(world.ids().len(), 0, "nothing half-made");
}

#[test]
fn a_missing_image_that_must_not_be_pulled_is_named() {
    let world = World::with("services: {app: {image: not-here:1, pull_policy: never}}");
    world.stack(&["up", "-d"]).fails_naming(&["not-here:1", "pull_policy"]);
}

#[test]
fn imported_images_are_listed_inspected_and_removed() {
    let world = World::new();
    assert!(world.stack(&["image", "ls"]).ok().contains("busybox"));
    let inspect: Vec<serde_json::Value> =
        serde_json::from_str(&world.stack(&["image", "inspect", "busybox"]).ok()).unwrap();
    assert_eq!(inspect[0]["Config"]["Cmd"], serde_json::json!(["sh"]));
    world.stack(&["image", "rm", "busybox"]).ok();
    world.stack(&["image", "inspect", "busybox"]).fails_naming(&["busybox"]);
}

#[test]
fn an_archive_that_docker_saved_can_be_loaded() {
    let world = World::empty();
    let layout = world.folder().join("layout");
    make_layout(&layout);
    let archive = world.folder().join("saved.tar");
    run(
        Command::new("skopeo")
            .args(["--insecure-policy", "copy", "--quiet"])
            .arg(format!("oci:{}:latest", layout.display()))
            .arg(format!("docker-archive:{}:saved/app:2", archive.display()))
            .env("HOME", world.folder())
            .stdin(Stdio::null()),
        Duration::from_secs(60),
    )
    .ok();
    world.stack(&["image", "load", "-i", archive.to_str().unwrap()]).ok();
    world.write("stack.yml", "services: {app: {image: 'saved/app:2', pull_policy: never}}");
    world.up();
    assert_eq!(world.state("app"), "running");
}
