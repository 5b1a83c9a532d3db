//! Files that change while a project runs: copied into containers, restarts, commands, the stack file.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::process::Command;

use crate::support::images;
use crate::support::program::{Running, run};
use crate::support::world::World;
use crate::support::{SOON, becomes, eventually};

/// A world whose service `web` has nothing but one program: no shell, no tar, no rm.
fn bare(action: &str) -> World {
    let world = World::empty();
    world.import("bare", &images::bare());
    world.import("busybox", &images::busybox());
    fs::create_dir_all(world.folder().join("src")).unwrap();
    world.write("src/old", "old");
    world.write(
        "stack.yml",
        &format!(
            "services:\n  web:\n    image: bare\n    command: [/sleep, '1000']\n    stop_grace_period: 0s\n\
             \x20   develop:\n      watch:\n        - {{path: ./src, target: /app, ignore: '*.log', {action}}}\n"
        ),
    );
    world
}

/// Returns the path of a file of a container, seen from the host.
fn inside(world: &World, service: &str, path: &str) -> String {
    format!("/proc/{}/root{path}", world.pid(service))
}

/// Returns what the host's `cat` reads in a container; the message of one that fails.
fn cat(world: &World, service: &str, path: &str) -> String {
    // 0 while it is started again.
    let pid = world.inspect(service)["State"]["Pid"].as_i64().unwrap_or_default();
    let output = Command::new("cat").arg(format!("/proc/{pid}/root{path}")).output().unwrap();
    String::from_utf8_lossy(if output.status.success() { &output.stdout } else { b"none" }).into_owned()
}

/// Returns owner, group and mode of a file in a container, as `stat` prints them.
fn stat(world: &World, path: &str) -> String {
    let path = inside(world, "web", path);
    run(Command::new("stat").args(["-c", "%u:%g %a %F", &path]), SOON).ok().trim_end().to_owned()
}

/// Changes a file in one step: who writes it in two may be kept from the second for longer than a batch lasts.
fn save(world: &World, name: &str, text: &str) {
    let aside = world.folder().join(".#saved");
    fs::write(&aside, text).unwrap();
    fs::rename(aside, world.folder().join(name)).unwrap();
}

#[track_caller]
fn arrives(world: &World, path: &str, text: &str) {
    becomes(path, &text.to_owned(), || cat(world, "web", path));
}

fn interrupt(running: &Running) {
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(running.pid()), nix::sys::signal::Signal::SIGINT).unwrap();
}

#[test]
fn files_are_synced_into_an_image_that_has_nothing() {
    let world = bare("action: sync");
    let output = world.stack(&["up", "-d", "--watch"]);
    assert!(output.stderr.contains("watching 1 file"), "{output}");
    output.ok();
    assert_eq!(cat(&world, "web", "/app/old"), "none", "without initial_sync what is there stays there");

    // As an editor saves: aside, mode, rename over.
    let file = world.folder().join("src/.main.py.swp");
    fs::write(&file, "one").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o750)).unwrap();
    fs::rename(&file, world.folder().join("src/main.py")).unwrap();
    arrives(&world, "/app/main.py", "one");
    assert_eq!(stat(&world, "/app/main.py"), "1000:1000 750 regular file", "the owner is that of the target");

    // Folders, links, what is ignored.
    fs::create_dir_all(world.folder().join("src/deep/er")).unwrap();
    world.write("src/deep/er/a.log", "x");
    world.write("src/a.log", "x");
    world.write("src/deep/er/b", "two");
    symlink("../main.py", world.folder().join("src/deep/link")).unwrap();
    arrives(&world, "/app/deep/er/b", "two");
    arrives(&world, "/app/deep/link", "one");
    assert_eq!(stat(&world, "/app/deep/er"), "1000:1000 755 directory");
    assert_eq!(cat(&world, "web", "/app/deep/er/a.log"), "x");
    assert_eq!(cat(&world, "web", "/app/a.log"), "none", "ignored");

    // Renamed, then removed.
    fs::rename(world.folder().join("src/deep"), world.folder().join("src/moved")).unwrap();
    arrives(&world, "/app/moved/er/b", "two");
    arrives(&world, "/app/deep/er/b", "none");
    world.write("src/moved/er/b", "three");
    arrives(&world, "/app/moved/er/b", "three");
    fs::remove_dir_all(world.folder().join("src/moved")).unwrap();
    arrives(&world, "/app/moved/er/b", "none");
    assert!(!std::path::Path::new(&inside(&world, "web", "/app/moved")).exists());
    // The whole folder is made anew, as a build does it.
    fs::remove_dir_all(world.folder().join("src")).unwrap();
    arrives(&world, "/app/main.py", "none");
    fs::create_dir(world.folder().join("src")).unwrap();
    world.write("src/main.py", "four");
    arrives(&world, "/app/main.py", "four");
}

#[test]
fn a_new_container_gets_what_the_old_one_had() {
    let world = bare("action: sync");
    world.stack(&["up", "-d", "--watch", "--scale", "web=2"]).ok();
    world.write("src/a", "one");
    arrives(&world, "/app/a", "one");
    let before = world.ids();
    world.kill(world.pid("web"));
    world.stack(&["start"]).ok();
    arrives(&world, "/app/a", "one");
    assert_eq!(world.ids(), before);
    world.stack(&["up", "-d", "--force-recreate", "--scale", "web=2"]).ok();
    assert_ne!(world.ids(), before);
    arrives(&world, "/app/a", "one");
    let second = world.inspect_container(&format!("{}-web-2", world.project))["State"]["Pid"].as_i64().unwrap();
    becomes("the second replica", &Some("one".to_owned()), || {
        fs::read_to_string(format!("/proc/{second}/root/app/a")).ok()
    });
    fs::remove_file(world.folder().join("src/a")).unwrap();
    arrives(&world, "/app/a", "none");
}

#[test]
fn watching_goes_on_when_the_engine_is_killed() {
    let world = bare("action: sync");
    world.stack(&["up", "-d", "--watch"]).ok();
    world.write("src/a", "one");
    world.write("src/b", "one");
    arrives(&world, "/app/a", "one");
    arrives(&world, "/app/b", "one");
    let daemon = world.daemon();
    let stop = |signal| nix::sys::signal::kill(nix::unistd::Pid::from_raw(daemon), signal).unwrap();
    // Nobody looks while these change.
    stop(nix::sys::signal::Signal::SIGSTOP);
    world.write("src/a", "two");
    fs::remove_file(world.folder().join("src/b")).unwrap();
    world.kill(daemon);
    arrives(&world, "/app/a", "two");
    arrives(&world, "/app/b", "none");
    world.write("src/c", "three");
    arrives(&world, "/app/c", "three");
    world.down();
    assert!(fs::read_dir(world.root().join("watch")).unwrap().next().is_none(), "nothing is watched any more");
}

#[test]
fn what_is_there_is_copied_where_the_rule_says_so() {
    let world = bare("action: sync, initial_sync: true");
    world.stack(&["up", "-d", "--watch"]).ok();
    arrives(&world, "/app/old", "old");
    world.stack(&["up", "-d", "--force-recreate"]).ok();
    arrives(&world, "/app/old", "old");
}

#[test]
fn changes_that_the_kernel_could_not_keep_are_found() {
    let world = bare("action: sync");
    world.stack(&["up", "-d", "--watch"]).ok();
    world.write("src/gone", "x");
    arrives(&world, "/app/gone", "x");
    let daemon = nix::unistd::Pid::from_raw(world.daemon());
    nix::sys::signal::kill(daemon, nix::sys::signal::Signal::SIGSTOP).unwrap();
    let queue: usize = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap().trim().parse().unwrap();
    // Two events each: the queue is full when what counts happens.
    let [one, other] = ["one", "other"].map(|name| world.folder().join("src").join(name));
    fs::write(&one, "x").unwrap();
    for _ in 0..=queue / 4 {
        fs::rename(&one, &other).unwrap();
        fs::rename(&other, &one).unwrap();
    }
    fs::remove_file(world.folder().join("src/gone")).unwrap();
    fs::create_dir_all(world.folder().join("src/new/folder")).unwrap();
    world.write("src/new/folder/last", "last");
    nix::sys::signal::kill(daemon, nix::sys::signal::Signal::SIGCONT).unwrap();
    arrives(&world, "/app/new/folder/last", "last");
    arrives(&world, "/app/gone", "none");
    world.write("src/new/folder/last", "after");
    arrives(&world, "/app/new/folder/last", "after");
}

#[test]
fn a_change_restarts_the_service_and_dependents_that_ask_for_it() {
    let world = World::with(
        "services:
  web:
    image: busybox
    command: sleep 1000
    stop_grace_period: 0s
    develop:
      watch:
        - {path: ./conf, action: sync+restart, target: /conf}
        - {path: ./cert, action: restart}
  proxy:
    image: busybox
    command: sleep 1000
    stop_grace_period: 0s
    depends_on: {web: {condition: service_started, restart: true}}
  other:
    image: busybox
    command: sleep 1000
    stop_grace_period: 0s
    depends_on: [web]
",
    );
    fs::create_dir(world.folder().join("conf")).unwrap();
    let mut watch = world.start(&["watch"]);
    watch.line_with("watching 0 files");
    let pids = || ["web", "proxy", "other"].map(|service| world.pid(service));
    let before = pids();
    save(&world, "conf/a", "1");
    watch.line_with("web: synced conf");
    watch.line_with("web: restarted: conf");
    let after = pids();
    assert_eq!(std::array::from_fn::<bool, 3, _>(|n| before[n] == after[n]), [false, false, true]);
    assert_eq!(world.sh("web", "cat /conf/a"), "1");
    // A path that was not there when watching began.
    save(&world, "cert", "new");
    watch.line_with("web: restarted: cert changed");
    assert_ne!(world.pid("web"), after[0]);
    // The engine may end meanwhile.
    world.kill(world.daemon());
    watch.line_with("watching 2 files for web");
    save(&world, "conf/a", "2");
    watch.line_with("web: restarted: conf/a");
    assert_eq!(world.sh("web", "cat /conf/a"), "2");
    // What the user stopped stays so.
    world.stack(&["stop", "proxy", "web"]).ok();
    save(&world, "conf/a", "3");
    save(&world, "conf/b", "3");
    let seen = world.root().join("watch").join(format!("{}.files", world.project));
    eventually("the change is seen", SOON, || fs::read_to_string(&seen).unwrap().contains("conf/b").then_some(()));
    assert_eq!(world.state("web"), "exited");
    world.stack(&["start", "web"]).ok();
    becomes("what changed meanwhile", &"3".to_owned(), || cat(&world, "web", "/conf/b"));
    watch.line_with("web: restarted");
    interrupt(&watch);
    assert_eq!(watch.end(SOON).0, Some(0));
    assert_eq!(world.state("web"), "running");
}

#[test]
fn a_command_runs_in_the_container_after_files_were_copied() {
    let world = World::with(
        "services:
  web:
    image: busybox
    command: sleep 1000
    stop_grace_period: 0s
    develop:
      watch:
        - path: ./src
          action: sync+exec
          target: /app
          exec: {command: [sh, -c, 'cat /app/a >> /tmp/ran; echo $$WHO $$(id -u) >> /tmp/ran; test ! -e /app/bad || exit 1; grep -q sleep /app/a && sleep 999 || true'],
                 user: app, environment: [WHO=me]}
",
    );
    fs::create_dir(world.folder().join("src")).unwrap();
    let mut watch = world.start(&["watch"]);
    watch.line_with("watching");
    world.write("src/a", "one\n");
    watch.line_with("web: ran sh -c");
    assert_eq!(world.sh("web", "cat /tmp/ran"), "one\nme 1000");
    world.write("src/bad", "");
    watch.line_with("web: failed: sh -c");
    watch.line_with("ended with status 1");
    // One that does not end keeps nobody.
    world.write("src/a", "sleep\n");
    fs::remove_file(world.folder().join("src/bad")).unwrap();
    eventually("it runs", SOON, || world.sh("web", "ps").contains("sleep 999").then_some(()));
    world.down();
    watch.line_with("the project was taken down");
    assert_eq!(watch.end(SOON).0, Some(0));
}

#[test]
fn a_command_that_takes_long_holds_no_other_change_back() {
    let world = World::with(
        "services:
  web:
    image: busybox
    command: sleep 1000
    stop_grace_period: 0s
    develop:
      watch:
        - {path: ./slow, action: sync+exec, target: /slow, exec: {command: [sleep, '999']}}
        - {path: ./src, action: sync, target: /app}
  db:
    image: busybox
    command: sleep 1000
    stop_grace_period: 0s
    develop:
      watch:
        - {path: ./src, action: sync, target: /app}
        - {path: ./conf, action: restart}
",
    );
    fs::create_dir(world.folder().join("slow")).unwrap();
    fs::create_dir(world.folder().join("src")).unwrap();
    let mut watch = world.start(&["watch"]);
    watch.line_with("watching");
    world.write("slow/a", "one");
    eventually("it runs", SOON, || world.sh("web", "ps").contains("sleep 999").then_some(()));
    world.write("src/a", "two");
    arrives(&world, "/app/a", "two");
    becomes("the other service", &"two".to_owned(), || cat(&world, "db", "/app/a"));
    world.write("conf", "new");
    watch.line_with("db: restarted: conf");
    // Ending waits for no command either.
    interrupt(&watch);
    assert_eq!(watch.end(SOON).0, Some(0));
    world.stack(&["watch", "-d", "--no-up"]).ok();
}

#[test]
fn first_copies_that_nobody_wants_any_more_hold_nobody_up() {
    let world = bare("action: sync, initial_sync: true");
    let big = world.folder().join("src/big");
    fs::create_dir(&big).unwrap();
    (0..800).for_each(|n| fs::write(big.join(n.to_string()), "x").unwrap());
    world.up();
    let watch = world.start(&["watch", "--no-up"]);
    eventually("copying has begun", SOON, || fs::read_dir(inside(&world, "web", "/app/big")).ok().map(drop));
    interrupt(&watch);
    assert_eq!(watch.end(SOON).0, Some(0));
    // Two at once: one of them watches.
    world.write("src/old", "new");
    let both = [world.start(&["watch", "--no-up", "-d"]), world.start(&["watch", "--no-up", "-d"])];
    both.into_iter().for_each(|watch| assert_eq!(watch.end(SOON).0, Some(0)));
    arrives(&world, "/app/old", "new");
}

#[test]
fn what_needs_a_build_is_refused_before_anything_starts() {
    let world = bare("action: rebuild");
    for arguments in [&["up", "-d", "--watch"][..], &["watch"], &["up", "--watch"]] {
        world.stack(arguments).fails_naming(&["`rebuild` is not supported yet", "stack.yml:8:"]);
    }
    assert_eq!(world.state("web"), "gone");
    world.up();
    world.stack(&["watch", "--no-up", "other"]).fails_naming(&["other"]);
}

#[test]
fn the_shortest_form_restarts_a_service_and_a_loop_is_noticed() {
    let world = World::with(
        "services:
  web:
    image: busybox
    command: [sh, -c, 'date +%N > /data/pid; exec sleep 1000']
    stop_grace_period: 0s
    x-stack: {watch: restart}
    volumes: ['./data:/data', './app.conf:/etc/app.conf']
",
    );
    fs::create_dir(world.folder().join("data")).unwrap();
    world.write("app.conf", "1");
    let mut watch = world.start(&["watch"]);
    watch.line_with("watching");
    let before = world.pid("web");
    save(&world, "app.conf", "2");
    watch.line_with("web: restarted: app.conf");
    // Its start changes a file of its own, so it is restarted again meanwhile.
    eventually("another process", SOON, || {
        let pid = world.inspect("web")["State"]["Pid"].as_i64().unwrap_or_default();
        (pid != 0 && pid != i64::from(before)).then_some(())
    });
    watch.line_with("web: not watched any more: data/pid");
    watch.line_with("the service itself writes it");
    let calm = world.pid("web");
    // The rest of the rule goes on.
    save(&world, "data/other", "x");
    watch.line_with("web: restarted: data/other");
    assert_ne!(world.pid("web"), calm);
}

#[test]
fn saving_the_stack_file_applies_the_difference() {
    let file = |services: &str| format!("services:\n{services}");
    let service = |name: &str, rest: &str| {
        format!("  {name}:\n    image: busybox\n    command: sleep 1000\n    stop_grace_period: 0s\n{rest}")
    };
    let web = service("web", "    environment: ['A=${A}', 'B=1']\n    env_file: [web.env]\n");
    let world = World::with(&file(&(web.clone() + &service("old", ""))));
    world.write(".env", "A=one\n");
    world.write("web.env", "C=1\n");
    world.stack(&["up", "-d", "--watch"]).ok();
    let environment = || environment_of(&world);
    assert_eq!(environment(), "one 1 1");
    let before = world.ids();

    world.write(".env", "A=two\n");
    becomes("a variable of .env", &"two 1 1".to_owned(), || environment_of(&world));
    world.write("web.env", "C=2\n");
    becomes("an env_file", &"two 1 2".to_owned(), || environment_of(&world));
    assert_eq!(world.ids()[&world.container("old")], before[&world.container("old")], "the rest stays");

    // As editors do: aside and renamed. A service is new, another is gone.
    world.write("stack.yml.new", &file(&(web.replace("B=1", "B=2") + &service("new", ""))));
    fs::rename(world.folder().join("stack.yml.new"), world.folder().join("stack.yml")).unwrap();
    becomes("the new service", &"running".to_owned(), || world.state("new"));
    becomes("the old service", &"gone".to_owned(), || world.state("old"));
    becomes("the file", &"two 2 2".to_owned(), || environment_of(&world));

    // A mistake changes nothing, and says where it is.
    let ids = world.ids();
    let mut watch = world.start(&["watch", "--no-up"]);
    watch.line_with("watching the project's own files");
    world.write("stack.yml", "services:\n  web: {imag: busybox}\n");
    watch.line_with("stack.yml changed, nothing is applied");
    watch.line_with("stack.yml:2:");
    assert_eq!(world.ids(), ids);
    world.write("stack.yml", &file(&service("new", "")));
    watch.line_with("stack.yml changed: the difference is applied");
    assert_eq!(world.state("web"), "gone");
    assert_eq!(world.state("new"), "running");
}

#[test]
fn a_service_that_writes_the_files_it_is_made_from_is_noticed() {
    let world = World::with(
        "services:
  web:
    image: busybox
    command: [sh, -c, 'echo A=$$(cat /proc/sys/kernel/random/uuid) > /project/web.env; exec sleep 1000']
    stop_grace_period: 0s
    env_file: [web.env]
    volumes: ['.:/project']
",
    );
    world.write("web.env", "A=1\n");
    let mut watch = world.start(&["watch"]);
    watch.line_with("web.env changed: the difference is applied");
    watch.line_with("not watched any more: web.env");
    // Other files go on; the file is read again with them, but what it leads to is not acted on.
    world.write(".env", "UNUSED=1\n");
    watch.line_with(".env changed: the difference is applied");
    let id = world.ids();
    world.write(".env", "UNUSED=1\nBROKEN ${\n");
    watch.line_with(".env changed, nothing is applied");
    assert_eq!(world.ids(), id);
}

/// `A`, `B` and `C` of the service web; empty while it is replaced.
fn environment_of(world: &World) -> String {
    let output = world.stack(&["exec", "-T", "web", "sh", "-c", "echo $A $B $C"]);
    output.stdout.trim_end().to_owned()
}

#[test]
fn reload_applies_the_difference_once() {
    let world = World::with("services:\n  web: {image: busybox, command: sleep 1000, stop_grace_period: 0s}\n");
    world.up();
    world.write("stack.yml", "services:\n  api: {image: busybox, command: sleep 1000, stop_grace_period: 0s}\n");
    world.stack(&["reload"]).ok();
    assert_eq!((world.state("web"), world.state("api")), ("gone".into(), "running".into()));
    world.write("stack.yml", "services:\n  api: {image: busybox, comand: x}\n");
    world.stack(&["reload"]).fails_naming(&["comand", "stack.yml:2:"]);
    assert_eq!(world.state("api"), "running");
    // Another file of the same project has services of its own.
    world.write("more.yml", "services:\n  more: {image: busybox, command: sleep 1000, stop_grace_period: 0s}\n");
    world.stack(&["-f", "more.yml", "reload"]).ok();
    assert_eq!((world.state("api"), world.state("more")), ("running".into(), "running".into()));
}

#[test]
fn up_watches_in_front_and_a_project_is_watched_once() {
    let world = bare("action: sync");
    let mut up = world.start(&["up", "--watch"]);
    up.line_with("watching 1 file");
    world.stack(&["watch", "--no-up"]).fails_naming(&["another command watches"]);
    world.write("src/a", "one");
    up.line_with("web: synced src/a");
    assert_eq!(cat(&world, "web", "/app/a"), "one");
    // A service that ended is no reason to end: the next change may mend it.
    world.kill(world.pid("web"));
    up.line_with("exited with code 137");
    world.stack(&["start"]).ok();
    world.write("src/a", "two");
    up.line_with("web: synced src/a");
    interrupt(&up);
    assert_eq!(up.end(SOON).0, Some(130));
    assert_eq!(world.state("web"), "exited");
    eventually("watching ends with its command", SOON, || {
        fs::read_dir(world.root().join("watch")).map_or(true, |mut files| files.next().is_none()).then_some(())
    });
}

#[test]
fn what_cannot_be_synced_is_named() {
    let world = World::with(
        "services:
  web:
    image: busybox
    command: sleep 1000
    read_only: true
    stop_grace_period: 0s
    volumes: ['./src:/mounted']
    develop:
      watch:
        - {path: ./src, action: sync, target: /app}
        - {path: ./src, action: sync, target: /mounted}
",
    );
    fs::create_dir(world.folder().join("src")).unwrap();
    let mut watch = world.start(&["watch"]);
    watch.line_with("src is mounted at /mounted");
    world.write("src/a", "one");
    watch.line_with("web: not synced");
    watch.line_with("the container's file system is read-only there");
}
