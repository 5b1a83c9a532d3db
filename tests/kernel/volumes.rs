//! Named volumes, binds and tmpfs.

use std::fs;
use std::os::unix::fs::MetadataExt;

use crate::support::World;

#[test]
fn a_named_volume_survives_down_and_goes_with_down_v() {
    let world = World::with(
        "
services: {app: {image: busybox, command: sleep 1000, stop_grace_period: 0s, volumes: ['data:/data']}}
volumes: {data: }
",
    );
    world.up();
    world.sh("app", "echo kept > /data/file");
    world.stack(&["down"]).ok();
    world.up();
    assert_eq!(world.sh("app", "cat /data/file"), "kept");
    world.down();
    world.up();
    assert_eq!(world.sh("app", "ls -A /data"), "");
}

#[test]
fn a_new_volume_takes_content_and_owner_from_the_image() {
    let world = World::with(
        "
services:
  app: {image: busybox, command: sleep 1000, volumes: ['data:/seed']}
  bare: {image: busybox, command: sleep 1000, volumes: [{type: volume, source: empty, target: /seed, volume: {nocopy: true}}]}
volumes: {data: , empty: }
",
    );
    world.up();
    assert_eq!(
        world.sh("app", "cat /seed/from-image; stat -c '%u:%g %a' /seed /seed/from-image"),
        "seeded\n1000:1000 750\n1000:1000 640"
    );
    assert_eq!(world.sh("bare", "ls -A /seed"), "");
}

#[test]
fn binds_show_the_host_and_read_only_is_meant() {
    let world = World::with(
        "
services:
  app:
    image: busybox
    command: sleep 1000
    volumes:
      - ./shared:/shared
      - ./shared:/fixed:ro
      - {type: bind, source: ./one.txt, target: /etc/one.txt, read_only: true}
      - {type: tmpfs, target: /scratch, tmpfs: {size: 1m, mode: 0o700}}
    tmpfs: ['/fast:size=64k']
",
    );
    fs::create_dir(world.folder().join("shared")).unwrap();
    world.write("shared/from-host", "hello");
    world.write("one.txt", "single file");
    world.up();
    assert_eq!(world.sh("app", "cat /shared/from-host /etc/one.txt"), "hellosingle file");
    world.sh("app", "echo back > /shared/from-container");
    assert_eq!(fs::read_to_string(world.folder().join("shared/from-container")).unwrap(), "back\n");
    for refused in ["touch /fixed/new", "sh -c 'echo x > /etc/one.txt'"] {
        let output = world.stack(&["exec", "-T", "app", "sh", "-c", refused]);
        assert!(output.stderr.contains("Read-only file system"), "{output}");
    }
    assert_eq!(world.sh("app", "stat -c %a /scratch; stat -f -c %T /scratch /fast"), "700\ntmpfs\ntmpfs");
    let full = world.stack(&["exec", "-T", "app", "dd", "if=/dev/zero", "of=/fast/big", "bs=1k", "count=100"]);
    assert!(full.stderr.contains("No space left"), "{full}");
}

#[test]
fn a_missing_bind_source_is_made_unless_the_file_forbids_it() {
    let world = World::with("services: {app: {image: busybox, command: sleep 1000, volumes: ['./made:/made']}}");
    world.up();
    assert!(fs::metadata(world.folder().join("made")).unwrap().is_dir());
    assert_eq!(fs::metadata(world.folder().join("made")).unwrap().uid(), 0);

    let world = World::with(
        "services: {app: {image: busybox, command: sleep 1000, volumes: [{type: bind, source: ./missing, target: /m, bind: {create_host_path: false}}]}}",
    );
    world.stack(&["up", "-d"]).fails_naming(&["missing", "app"]);
    assert!(!world.folder().join("missing").exists());
    assert_ne!(world.state("app"), "running");
}

#[test]
fn a_link_in_the_image_does_not_lead_a_mount_out_of_it() {
    let world = World::with(
        "services: {app: {image: busybox, command: sleep 1000, stop_grace_period: 0s, volumes: ['data:/data']}}\nvolumes: {data: }",
    );
    world.up();
    // The container plants a link where a later mount goes.
    world.sh("app", "ln -s ../../../../../../tmp /data/out");
    world.write(
        "stack.yml",
        "services: {app: {image: busybox, command: sleep 1000, stop_grace_period: 0s, volumes: ['data:/data', 'inner:/data/out/inner']}}\nvolumes: {data: , inner: }",
    );
    let _ = world.stack(&["up", "-d"]);
    assert!(!std::path::Path::new("/tmp/inner").exists(), "a mount point was made outside of the container");
}

#[test]
fn an_anonymous_volume_is_kept_by_a_recreated_container() {
    let yaml = |value: &str| {
        format!(
            "services: {{app: {{image: busybox, command: sleep 1000, stop_grace_period: 0s, volumes: [/data], environment: {{A: {value:?}}}}}}}"
        )
    };
    let world = World::with(&yaml("1"));
    world.up();
    world.sh("app", "echo kept > /data/file");
    world.write("stack.yml", &yaml("2"));
    world.up();
    assert_eq!(world.sh("app", "cat /data/file; echo $A"), "kept\n2");
}
