use clap::CommandFactory as _;

use super::*;

fn parse(line: &str) -> Result<(ProjectArgs, Command), String> {
    let words = std::iter::once("stack").chain(line.split_whitespace());
    let cli = Cli::try_parse_from(words).map_err(|err| err.to_string())?;
    let command = cli.command.ok_or("no command")?;
    let later = match &command {
        Command::Up(args) => args.project.clone(),
        Command::Down(args) => args.project.clone(),
        Command::Ps(args) => args.project.clone(),
        Command::Logs(args) => args.project.clone().into(),
        Command::Rm(args) => args.project.clone().into(),
        Command::Exec(args) => args.project.clone(),
        _ => ProjectArgs::default(),
    };
    Ok((cli.project.then(later), command))
}

fn check_files(line: &str, expected: &[&str]) {
    let (project, _) = parse(line).unwrap_or_else(|err| panic!("{line}: {err}"));
    assert_eq!(project.files, expected.iter().map(PathBuf::from).collect::<Vec<_>>(), "{line}");
}

#[test]
fn the_command_line_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn files_stand_before_and_after_the_command() {
    check_files("up -f stack.yml", &["stack.yml"]);
    check_files("-f stack.yml up", &["stack.yml"]);
    check_files("-f a -f b up", &["a", "b"]);
    check_files("-f a up -f b", &["a", "b"]);
    check_files("-fa up --file=b", &["a", "b"]);
    check_files("up web -f stack.yml -d", &["stack.yml"]);
    check_files("-f a logs --file b", &["a", "b"]);
    check_files("exec -f a web ls -f x", &["a"]);
}

#[test]
fn f_of_logs_and_rm_is_their_own() {
    let check = |line: &str, expected: fn(&Command) -> bool| {
        let (project, command) = parse(line).unwrap();
        assert!(project.files.is_empty() && expected(&command), "{line}");
    };
    check("logs -f", |c| matches!(c, Command::Logs(a) if a.follow));
    check("logs -f web", |c| matches!(c, Command::Logs(a) if a.follow));
    check("rm -f", |c| matches!(c, Command::Rm(a) if a.force));
    check("rm -fsv", |c| matches!(c, Command::Rm(a) if a.force));
    check("version -f json", |c| matches!(c, Command::Version(_)));
}

#[test]
fn the_later_name_wins() {
    let name = |line: &str| parse(line).unwrap().0.rest.project_name;
    assert_eq!(name("-p a up -p b").as_deref(), Some("b"));
    assert_eq!(name("-p a up").as_deref(), Some("a"));
    assert_eq!(name("ps --project-name c").as_deref(), Some("c"));
    let (project, _) = parse("--profile x --env-file e1 up --profile y --env-file e2 --project-directory d").unwrap();
    assert_eq!(project.rest.profiles, ["x", "y"]);
    assert_eq!(project.rest.env_files, [PathBuf::from("e1"), PathBuf::from("e2")]);
    assert_eq!(project.rest.project_directory, Some(PathBuf::from("d")));
}

#[test]
fn words_after_the_service_belong_to_the_command() {
    let words = |line: &str| match parse(line).unwrap().1 {
        Command::Exec(args) => args.words().to_vec(),
        _ => Vec::new(),
    };
    assert_eq!(words("exec web ls -la"), ["web", "ls", "-la"]);
    assert_eq!(words("exec -T -u root -e A=1 web sh -c true -T"), ["web", "sh", "-c", "true", "-T"]);
    assert_eq!(words("exec -it web sh"), ["web", "sh"]);
    assert_eq!(words("exec --tty=false --interactive=false web sh"), ["web", "sh"]);
    assert!(parse("exec web").is_err());
}

#[test]
fn all_options_of_everyday_use_are_known() {
    for line in [
        "up -d --wait --wait-timeout 5 --scale web=3 --remove-orphans --force-recreate -t 3 -V --pull always",
        "up --no-recreate --no-deps --no-start --quiet-pull --no-build -y --timestamps --no-log-prefix --no-color",
        "up --abort-on-container-exit --exit-code-from web --attach web --no-attach db",
        "up --menu=false --ansi never --progress plain --parallel -1",
        "down -v -t 1 --remove-orphans --rmi local web",
        "ps -a --format json -q --status running --status exited --filter status=running --no-trunc --orphans=false",
        "ps --services",
        "logs -fn5 -t --no-color --no-log-prefix --since 1h --until 10m --index 2 web",
        "logs --tail=all",
        "start web",
        "stop -t 3",
        "restart --no-deps",
        "kill -s SIGTERM web",
        "create --pull never --scale web=2",
        "config --format json --no-interpolate --no-normalize --no-path-resolution -q -o out",
        "config --services",
        "config --images",
        "convert --volumes",
        "ls -a -q --format json",
        "port web 80/udp --index 2",
        "image pull redis:7 --missing",
        "image load -i a.tar",
        "image load a.tar",
        "image import rootfs.tar app:1 -c CMD",
        "image ls -q",
        "image rm a b",
        "image inspect a",
        "inspect a b",
        "wait web --down-project",
        "version --short",
        "pull --include-deps --ignore-pull-failures -q --policy missing",
        "images -q",
    ] {
        if let Err(err) = parse(line) {
            panic!("{line}: {err}");
        }
    }
}

#[test]
fn what_contradicts_itself_is_refused() {
    for line in
        ["up --force-recreate --no-recreate", "up -d --abort-on-container-exit", "up --scale web", "ps --format x"]
    {
        assert!(parse(line).is_err(), "{line}");
    }
    let err = parse("pss").unwrap_err();
    assert!(err.contains("'ps'"), "{err}");
    let err = parse("up --detatch").unwrap_err();
    assert!(err.contains("--detach"), "{err}");
}
