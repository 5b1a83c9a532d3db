use std::collections::BTreeMap;

use super::*;
use crate::compose::{LoadOptions, files::Files};

/// A host in memory: files with their text, links with what they mean.
#[derive(Debug, Default)]
struct Fake {
    links: BTreeMap<PathBuf, PathBuf>,
    files: BTreeMap<PathBuf, String>,
}

impl Host for Fake {
    fn real(&self, path: &Path) -> PathBuf {
        self.links.get(path).cloned().unwrap_or_else(|| path.to_owned())
    }

    fn is_there(&self, path: &Path) -> bool {
        !path.ends_with("missing")
    }

    fn is_folder(&self, path: &Path) -> bool {
        !self.files.contains_key(path)
    }

    fn text(&self, path: &Path) -> Option<String> {
        self.files.get(path).cloned()
    }
}

#[derive(Debug)]
struct OneFile(String);

impl Files for OneFile {
    fn read(&self, _: &Path, _: usize) -> std::io::Result<Vec<u8>> {
        Ok(self.0.clone().into_bytes())
    }

    fn kind(&self, path: &Path) -> Option<crate::compose::files::Kind> {
        path.ends_with("stack.yml").then_some(crate::compose::files::Kind::File)
    }

    fn identity(&self, path: &Path) -> PathBuf {
        path.to_owned()
    }
}

fn project(yaml: &str) -> Project {
    let loaded = crate::compose::load(&LoadOptions {
        files: vec!["/p/stack.yml".into()],
        cwd: "/p".into(),
        disk: std::sync::Arc::new(OneFile(yaml.to_owned())),
        ..LoadOptions::default()
    });
    loaded.project.unwrap_or_else(|| panic!("{:?}", loaded.diagnostics))
}

fn web(rest: &str, rules: &[&str]) -> Project {
    let rules: String = rules.iter().map(|rule| format!("        - {{{rule}}}\n")).collect();
    project(&format!("services:\n  web:\n    image: x\n{rest}    develop:\n      watch:\n{rules}"))
}

fn show(rules: &Rules, changed: &[&str]) -> String {
    let changed: Vec<PathBuf> = changed.iter().map(PathBuf::from).collect();
    let mut text = String::new();
    for reaction in rules.react(&changed, &BTreeSet::new()) {
        for copy in &reaction.copies {
            text += &format!("{}: {} -> {}\n", reaction.service, copy.from.display(), copy.to);
        }
        for rule in &reaction.exec {
            text += &format!("run: {}\n", rules.rules[*rule]);
        }
        for rule in &reaction.restart {
            text += &format!("restart: {}\n", rules.rules[*rule]);
        }
    }
    text
}

/// Returns what changes lead to, the rules' notes first.
#[track_caller]
fn react(project: &Project, host: &Fake, changed: &[&str]) -> String {
    let rules = Rules::of(project, &[], host).unwrap();
    let notes: String = rules.notes.iter().map(|note| format!("note: {note}\n")).collect();
    notes + &show(&rules, changed)
}

#[test]
fn each_action_does_what_its_name_says() {
    let project = web(
        "",
        &[
            "path: ./src, action: sync, target: /app/src",
            "path: ./conf, action: sync+restart, target: /etc/app/",
            "path: ./t, action: sync+exec, target: /t, exec: {command: [make, a b]}",
            "path: ./Gemfile.lock, action: restart",
        ],
    );
    let host = Fake { files: [("/p/Gemfile.lock".into(), String::new())].into(), ..Fake::default() };
    insta::assert_snapshot!(react(&project, &host, &["/p/src/a/b.rs"]), @"web: /p/src/a/b.rs -> /app/src/a/b.rs");
    insta::assert_snapshot!(react(&project, &host, &["/p/conf/x"]), @r"
    web: /p/conf/x -> /etc/app/x
    restart: web: /p/conf -> /etc/app, restart
    ");
    insta::assert_snapshot!(react(&project, &host, &["/p/t/a", "/p/t/b"]), @r"
    web: /p/t/a -> /t/a
    web: /p/t/b -> /t/b
    run: web: /p/t -> /t, run make 'a b'
    ");
    insta::assert_snapshot!(react(&project, &host, &["/p/Gemfile.lock"]), @"restart: web: /p/Gemfile.lock, restart");
    insta::assert_snapshot!(react(&project, &host, &["/p/other", "/p/srcs/x"]), @"");
}

#[test]
fn one_batch_is_one_reaction_a_service() {
    let project = project(
        "services:
  web:
    image: x
    develop:
      watch:
        - {path: ./src, action: sync, target: /app}
        - {path: ./src/lib, action: sync+restart, target: /app/lib}
        - {path: ./src, action: restart, include: '*.toml'}
  job:
    image: x
    develop:
      watch:
        - {path: ./src, action: restart}
",
    );
    insta::assert_snapshot!(react(&project, &Fake::default(), &["/p/src/lib/a", "/p/src/b.toml"]), @r"
    web: /p/src/b.toml -> /app/b.toml
    web: /p/src/lib/a -> /app/lib/a
    restart: web: /p/src/lib -> /app/lib, restart
    restart: web: /p/src, restart
    restart: job: /p/src, restart
    ");
}

#[test]
fn a_file_goes_to_its_target_or_into_it() {
    let project = web(
        "",
        &["path: ./a.conf, action: sync, target: /etc/b.conf", "path: ./a.conf, action: sync, target: /etc/d/"],
    );
    let host = Fake { files: [("/p/a.conf".into(), String::new())].into(), ..Fake::default() };
    insta::assert_snapshot!(react(&project, &host, &["/p/a.conf"]), @r"
    web: /p/a.conf -> /etc/b.conf
    web: /p/a.conf -> /etc/d/a.conf
    ");
}

#[test]
fn ignored_files_and_what_editors_leave_for_a_moment_lead_to_nothing() {
    let project = web("", &["path: ., action: sync, target: /app, ignore: [node_modules, '*.log', '!keep.log']"]);
    let passing = [
        ".main.rs.swp",
        ".main.rs.swx",
        "main.rs~",
        ".#main.rs",
        "#main.rs#",
        "a.rs___jb_tmp___",
        "a.rs___jb_old___",
        ".goutputstream-XYZ",
        ".git",
        ".git/index",
        "sub/.git/HEAD",
        ".stack-copy-a",
        "node_modules/a/b.js",
        "a.log",
    ];
    let passing: Vec<String> = passing.iter().map(|name| format!("/p/{name}")).collect();
    let names: Vec<&str> = passing.iter().map(String::as_str).collect();
    assert_eq!(react(&project, &Fake::default(), &names), "");
    insta::assert_snapshot!(
        react(&project, &Fake::default(), &["/p/keep.log", "/p/.gitignore", "/p/sub/a.log", "/p/#", "/p/a.swp"]), @r"
    web: /p/# -> /app/#
    web: /p/.gitignore -> /app/.gitignore
    web: /p/a.swp -> /app/a.swp
    web: /p/keep.log -> /app/keep.log
    web: /p/sub/a.log -> /app/sub/a.log
    ");
}

#[test]
fn the_dockerignore_of_the_build_context_counts_below_it() {
    let build = "    build: {context: ./web, dockerfile: dev.Dockerfile}\n";
    let rule = "path: ./web/src, action: sync, target: /app";
    let ignore = |name: &str, text: &str| (PathBuf::from(name), text.to_owned());
    let mut host = Fake { files: [ignore("/p/web/.dockerignore", "src/*.log\n**/tmp")].into(), ..Fake::default() };
    let changed = ["/p/web/src/a", "/p/web/src/a.log", "/p/web/src/x/tmp/y"];
    insta::assert_snapshot!(react(&web(build, &[rule]), &host, &changed), @"web: /p/web/src/a -> /app/a");
    host.files.extend([ignore("/p/web/dev.Dockerfile.dockerignore", "src/a")]);
    insta::assert_snapshot!(react(&web(build, &[rule]), &host, &changed), @r"
    web: /p/web/src/a.log -> /app/a.log
    web: /p/web/src/x/tmp/y -> /app/x/tmp/y
    ");
    let outside = "path: ./other, action: sync, target: /app";
    insta::assert_snapshot!(react(&web(build, &[outside]), &host, &["/p/other/src/a"]), @"web: /p/other/src/a -> /app/src/a");
}

#[test]
fn a_watched_path_may_be_a_link() {
    let project = web("", &["path: ./src, action: sync, target: /app"]);
    let host = Fake { links: [("/p/src".into(), "/real/src".into())].into(), ..Fake::default() };
    insta::assert_snapshot!(react(&project, &host, &["/real/src/a"]), @"web: /real/src/a -> /app/a");
}

#[test]
fn what_is_mounted_at_its_target_is_not_copied_onto_itself() {
    let mounts = "    volumes: ['./:/app', './lib:/lib']\n";
    let rules = [
        "path: ./src, action: sync, target: /app/src",
        "path: ./lib, action: sync+restart, target: /lib/",
        "path: ./src, action: sync, target: /elsewhere",
    ];
    insta::assert_snapshot!(react(&web(mounts, &rules), &Fake::default(), &["/p/src/a", "/p/lib/b"]), @r#"
    note: service "web": /p/src is mounted at /app, where `develop.watch` would copy it to: nothing is copied
    note: service "web": /p/lib is mounted at /lib, where `develop.watch` would copy it to: nothing is copied
    web: /p/src/a -> /elsewhere/a
    restart: web: /p/lib, restart
    "#);
}

#[test]
fn rules_that_cannot_be_carried_out_are_all_told() {
    let project =
        web("", &["path: ., action: rebuild", "path: ., action: restart, ignore: '[a'", "path: ., action: restart"]);
    let errors = Rules::of(&project, &[], &Fake::default()).unwrap_err();
    insta::assert_snapshot!(errors.join("\n"), @r#"
    service "web", `develop.watch`: the action `rebuild` needs images to be built, which is not supported yet
    service "web", `develop.watch`: `ignore`: "[a" is no pattern: unclosed character class; missing ']'
    "#);
    assert!(Rules::of(&project, &["other".into()], &Fake::default()).unwrap().rules.is_empty());
}

#[test]
fn folders_that_no_rule_looks_into_are_not_entered() {
    let project = web(
        "",
        &[
            "path: ., action: sync, target: /app, ignore: node_modules",
            "path: ./docs, action: restart, include: '*.md'",
        ],
    );
    let rules = Rules::of(&project, &[], &Fake::default()).unwrap();
    let entered = |path: &str| rules.enters(Path::new(path));
    assert!(entered("/p") && entered("/p/docs") && entered("/p/src/deep"));
    assert!(!entered("/p/node_modules") && !entered("/p/.git") && !entered("/other"));
    let only = web("", &["path: ./docs, action: restart, include: '*.md'"]);
    assert!(!Rules::of(&only, &[], &Fake::default()).unwrap().enters(Path::new("/p/docs/sub")));
}

#[test]
fn what_is_muted_is_not_heard() {
    let rules = Rules::of(&web("", &["path: ., action: restart"]), &[], &Fake::default()).unwrap();
    let muted = BTreeSet::from([(0, PathBuf::from("/p/pid"))]);
    assert!(rules.react(&["/p/pid".into()], &muted).is_empty());
    assert_eq!(rules.react(&["/p/pid".into(), "/p/a".into()], &muted)[0].causes, [PathBuf::from("/p/a")].into());
}

#[test]
fn the_shortest_form_restarts_a_service_when_what_is_mounted_changes() {
    let project = project(
        "services:\n  web:\n    image: x\n    x-stack: {watch: restart}\n    volumes: ['./conf:/etc/app', './app.py:/app.py', 'data:/data']\n\
         volumes: {data: }\n",
    );
    insta::assert_snapshot!(react(&project, &Fake::default(), &["/p/conf/a", "/p/other"]), @"restart: web: /p/conf, restart");
    insta::assert_snapshot!(react(&project, &Fake::default(), &["/p/app.py", "/p/.app.py.swp"]), @"restart: web: /p/app.py, restart");
}

#[test]
fn a_path_that_is_not_there_is_told() {
    let project = web("", &["path: ./missing, action: sync, target: /app"]);
    insta::assert_snapshot!(react(&project, &Fake::default(), &["/p/missing/a"]), @r#"
    note: service "web": /p/missing is not there yet: it is waited for
    web: /p/missing/a -> /app/a
    "#);
}
