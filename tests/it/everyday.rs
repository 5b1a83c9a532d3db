//! Without an engine: help, versions, mistakes, and commands that find nothing.

use std::os::unix::process::CommandExt as _;

use crate::env::{TestEnv, finish};

#[test]
fn help_names_the_commands() {
    let env = TestEnv::new();
    for args in [&[][..], &["--help"], &["-h"]] {
        let help = env.run(args).success();
        for command in ["up", "down", "ps", "logs", "exec", "config", "image"] {
            assert!(help.lines().any(|l| l.trim_start().starts_with(command)), "{command}: {help}");
        }
        assert!(!help.contains("daemon"), "{help}");
    }
    let help = env.run(&["up", "--help"]).success();
    assert!(help.contains("--detach") && help.contains("--file"), "{help}");
}

#[test]
fn the_version_has_three_forms() {
    let env = TestEnv::new();
    let version = env!("CARGO_PKG_VERSION");
    for args in [&["version"][..], &["--version"], &["-v"]] {
        assert_eq!(env.run(args).success(), format!("stack version {version}\n"));
    }
    assert_eq!(env.run(&["version", "--short"]).success(), format!("{version}\n"));
    assert_eq!(env.run(&["version", "--format", "json"]).success(), format!("{{\"version\":\"{version}\"}}\n"));
    assert_eq!(env.run(&["version", "-f", "json"]).success(), format!("{{\"version\":\"{version}\"}}\n"));
}

#[test]
fn what_is_mistyped_is_refused_with_a_suggestion() {
    let env = TestEnv::new();
    let said = env.run(&["upp"]).failure(1);
    assert!(said.contains("'up'"), "{said}");
    let said = env.run(&["up", "--detahc"]).failure(1);
    assert!(said.contains("--detach"), "{said}");
    let said = env.run(&["-p", "Not Valid", "ps"]).failure(1);
    assert_eq!(
        said,
        "error: \"Not Valid\" is no valid project name\n\
         hint: use lower-case letters, digits, dashes and underscores, beginning with a letter or digit\n"
    );
    let said = env.run(&["-p", "demo", "logs", "--since", "soon"]).failure(1);
    assert!(said.starts_with("error: --since: \"soon\" is neither a time"), "{said}");
    let said = env.run(&["-p", "demo", "--progress", "json", "ps", "--filter", "x"]).failure(1);
    assert_eq!(
        said,
        "{\"error\":true,\"severity\":\"error\",\"message\":\"arguments to --filter should be in form KEY=VAL\"}\n"
    );
}

#[test]
fn nothing_to_show_starts_no_engine() {
    let env = TestEnv::new();
    let header = "NAME      IMAGE     COMMAND   SERVICE   CREATED   STATUS    PORTS\n";
    assert_eq!(env.run(&["-p", "demo", "ps"]).success(), header);
    assert_eq!(env.run(&["-p", "demo", "ps", "--format", "json"]).success(), "");
    assert_eq!(env.run(&["ls"]).success(), "NAME      STATUS    CONFIG FILES\n");
    assert_eq!(env.run(&["ls", "--format", "json"]).success(), "[]\n");
    let down = env.run(&["-p", "demo", "down"]);
    assert_eq!(down.stderr, "warning: no resource found to remove for project \"demo\"\n");
    assert_eq!(down.success(), "");
    let said = env.run(&["-p", "demo", "stop"]).failure(1);
    assert!(said.starts_with("error: project \"demo\" has no containers\n"), "{said}");
    let said = env.run(&["inspect", "demo-web-1"]).failure_with("[]\n", 1);
    assert_eq!(said, "error: no such container: demo-web-1\n");
    assert!(!env.run_folder().exists() && !env.root_folder().exists(), "an engine was started");
}

#[test]
fn without_root_rights_the_message_says_what_to_do() {
    let env = TestEnv::new();
    // Anything left from before makes the engine necessary.
    std::fs::create_dir_all(env.root_folder().join("containers/x")).unwrap();
    let open = |path: &std::path::Path| {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    };
    open(env.work().parent().unwrap());
    let program = env.work().join("stack");
    std::fs::copy(assert_cmd::cargo::cargo_bin!("stack"), &program).unwrap();
    open(&program);
    let mut command = env.command(&["-p", "demo", "ps"]);
    let mut plain = std::process::Command::new(&program);
    plain.args(command.get_args()).current_dir("/").env_clear();
    for (key, value) in command.get_envs() {
        plain.env(key, value.unwrap());
    }
    command = plain;
    let outcome = finish(command.uid(65534).gid(65534));
    assert_eq!(
        outcome.failure(1),
        "error: stack needs root rights to make namespaces, mounts and network links\n\
         hint: run it as root, for example: sudo stack ...\n"
    );
}

#[test]
fn an_engine_that_cannot_start_is_quoted() {
    let env = TestEnv::new();
    std::fs::write(env.run_folder(), "a file is in the way").unwrap();
    let said = env.run(&["image", "ls"]).failure(1);
    assert!(said.starts_with("error: cannot "), "{said}");
}

#[test]
fn config_prints_the_model_and_its_names() {
    let env = TestEnv::new();
    env.write(
        "stack.yml",
        "name: demo\nservices:\n  web:\n    image: app:${TAG:-1}\n    depends_on: [db]\n  db:\n    image: redis\n  job:\n    image: job\n    profiles: [x]\nvolumes:\n  data:\n",
    );
    assert_eq!(env.run(&["config", "--services"]).success(), "db\nweb\n");
    assert_eq!(env.run(&["config", "--profiles"]).success(), "x\n");
    assert_eq!(env.run(&["config", "--images", "--profile", "x"]).success(), "app:1\njob\nredis\n");
    assert_eq!(env.run(&["config", "-q"]).success(), "");
    let json = env.run(&["config", "--format", "json", "-f", "stack.yml"]).success();
    let model: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&model["name"], &model["services"]["web"]["image"]), (&"demo".into(), &"app:1".into()));
    assert_eq!(env.run(&["config", "-o", "out.yml"]).success(), "");
    let written = std::fs::read_to_string(env.work().join("out.yml")).unwrap();
    assert_eq!(written, env.run(&["config"]).success());
    assert!(env.run(&["config", "--no-interpolate"]).success().contains("app:${TAG:-1}"));
}

#[test]
fn mistakes_of_a_file_are_all_shown_with_their_places() {
    let env = TestEnv::new();
    env.write("stack.yml", "services:\n  web:\n    imagee: a\n    prots: []\n  db:\n    image: 1.5\n");
    let said = env.run(&["config"]).failure(1);
    assert!(said.contains("stack.yml:3:5") && said.contains("stack.yml:4:5"), "{said}");
    assert!(said.contains("did you mean `image`?"), "{said}");
    let circle = "services:\n  a:\n    image: x\n    depends_on: [b]\n  b:\n    image: x\n    depends_on: [a]\n";
    env.write("stack.yml", circle);
    for args in [&["config"][..], &["up", "-d"], &["create"]] {
        let said = env.run(args).failure(1);
        assert!(said.contains("a -> b -> a") && said.contains("stack.yml:4:18"), "{said}");
    }
    std::fs::remove_file(env.work().join("stack.yml")).unwrap();
    let said = env.run(&["up"]).failure(1);
    assert!(said.contains("no stack file found"), "{said}");
    assert!(!env.run_folder().exists(), "an engine was started");
}

#[test]
fn a_file_comes_from_standard_input() {
    use std::io::Write as _;
    let env = TestEnv::new();
    let mut command = env.command(&["-f", "-", "-p", "piped", "config", "--images"]);
    let mut child = command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"services: {a: {image: one}}").unwrap();
    assert_eq!(child.wait_with_output().unwrap().stdout, b"one\n");
}

#[test]
fn config_explain_tells_where_values_come_from() {
    let env = TestEnv::new();
    env.write(
        "stack.yml",
        "services:\n  web:\n    image: app:${TAG:-1}\n    environment:\n      DB_PASSWORD: hunter2\n      MODE: dev\n",
    );
    env.write("prod.yml", "services:\n  web:\n    environment:\n      MODE: prod\n");
    env.write(".env", "TAG=2\n");
    let told = env.run(&["config", "explain", "web.image"]).success();
    assert!(told.contains("services.web.image: app:2") && told.contains("TAG=2 is set in .env:1"), "{told}");
    // Options of the project stand before or behind the word.
    for args in [
        &["-f", "stack.yml", "-f", "prod.yml", "config", "explain", "services.web.environment.MODE"][..],
        &["config", "-f", "stack.yml", "-f", "prod.yml", "explain", "services.web.environment.MODE"],
        &["config", "explain", "-f", "stack.yml", "-f", "prod.yml", "web.environment.MODE"],
    ] {
        let told = env.run(args).success();
        assert!(told.contains("prod.yml:4:13  override file") && told.contains("1. stack.yml:6:13  dev"), "{told}");
    }
    let told = env.run(&["config", "explain", "web"]).success();
    assert!(told.contains("***") && !told.contains("hunter2"), "{told}");
    let told = env.run(&["config", "explain", "web.environment.DB_PASSWORD", "--show-secrets"]).success();
    assert!(told.contains("hunter2"), "{told}");
    let told = env.run(&["config", "explain", "web.image", "--ansi", "always"]).success();
    assert!(told.contains("\u{1b}["), "{told}");
    let json = env.run(&["config", "explain", "web.image", "--format", "json"]).success();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let value = &json["values"][0];
    assert_eq!((&value["value"], &value["origin"]["line"]), (&"app:2".into(), &3.into()));
    assert_eq!(value["variables"][0]["settings"][0]["file"], ".env");
    let said = env.run(&["config", "explain", "web.imgae"]).failure(1);
    assert!(said.contains("did you mean `services.web.image`?"), "{said}");
    let said = env.run(&["config", "--services", "explain", "web"]).failure(1);
    assert!(said.contains("--services has no meaning for config explain"), "{said}");
    let help = env.run(&["config", "explain", "--help"]).success();
    assert!(help.contains("--show-secrets") && help.contains("PATH"), "{help}");
}

#[test]
fn a_value_that_is_wrong_is_explained_all_the_same() {
    let env = TestEnv::new();
    env.write("stack.yml", "services:\n  web:\n    image: x\n    mem_limit: ${LIMIT}\n");
    env.write(".env", "LIMIT=much\n");
    let outcome = env.run(&["config", "explain", "web.mem_limit"]);
    assert!(outcome.stdout.contains("LIMIT=much is set in .env:1"), "{outcome:?}");
    let said = &outcome.stderr;
    assert!(said.contains("\"much\" is not a size") && said.contains("note: LIMIT=much is set in .env:1"), "{said}");
    assert_eq!(outcome.status, 1);
}

#[test]
fn a_service_may_be_called_explain() {
    let env = TestEnv::new();
    env.write("stack.yml", "services:\n  explain: {image: one}\n  web: {image: two}\n");
    for args in [&["config", "explain"][..], &["config", "--", "explain"]] {
        let model = env.run(args).success();
        assert!(model.contains("image: one") && !model.contains("image: two"), "{model}");
    }
    let model = env.run(&["config", "web", "explain"]).success();
    assert!(model.contains("image: one") && model.contains("image: two"), "{model}");
    let told = env.run(&["config", "explain", "explain.image"]).success();
    assert!(told.starts_with("services.explain.image: one"), "{told}");
    // A service that is called `help` is none of the commands.
    env.write("stack.yml", "services: {help: {image: one}}\n");
    assert!(env.run(&["config", "help"]).success().contains("image: one"));
}
