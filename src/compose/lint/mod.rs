//! Warnings about what is legal but surely a mistake (some by spec rows, named there), for the enabled
//! services of a project. What is only a matter of taste, or common and harmless,
//! is not told: an unused volume, `latest`, `links`.

mod ports;
mod scalars;
mod sizes;
mod x_stack;

use super::tree::{Map, Node};
use crate::diag::{Diagnostic, Span};

/// Returns the warnings, in no order. Of a project with errors (`failed`) what one service says of another is not judged:
/// what the other lacks may be what is misspelled.
pub(crate) fn lint(whole: &Node, failed: bool) -> Vec<Diagnostic> {
    let empty = Map::default();
    let services = whole.get("services").and_then(Node::as_map).unwrap_or(&empty);
    let mut warnings = Vec::new();
    for (name, service) in services {
        let mut lint = Lint { name, service, services, warnings: &mut warnings };
        if !failed {
            lint.dependencies();
        }
        lint.restart();
        lint.healthcheck();
        lint.commands();
        lint.replicas();
        lint.labels();
        lint.absolute_paths();
        sizes::lint(name, service, &mut warnings);
    }
    let networks = whole.get("networks").and_then(Node::as_map).unwrap_or(&empty);
    ports::lint(services, networks, &mut warnings);
    scalars::lint(whole, &mut warnings);
    x_stack::lint(whole, &mut warnings);
    warnings
}

struct Lint<'a> {
    name: &'a str,
    service: &'a Node,
    services: &'a Map,
    warnings: &'a mut Vec<Diagnostic>,
}

/// How a service's containers are started again.
#[derive(PartialEq)]
enum Restart {
    Never,
    OnFailure,
    Always,
}

impl Lint<'_> {
    fn warn(&mut self, span: Option<Span>, message: String, help: &str) {
        self.warnings.push(Diagnostic::warning(message, span).help(help));
    }

    /// Conditions that cannot come true.
    fn dependencies(&mut self) {
        let Some(map) = self.service.get("depends_on").and_then(Node::as_map) else { return };
        for (target, dependency) in map {
            let Some(service) = self.services.get(target) else { continue };
            let Some(condition) = dependency.get("condition") else { continue };
            let span = condition.span.clone();
            let name = self.name;
            match condition.as_text() {
                Some("service_healthy") if disabled_healthcheck(service) => {
                    let message =
                        format!("`{name}` waits for `{target}` to be healthy, but its healthcheck is turned off");
                    let help = format!("turn the healthcheck of `{target}` on, or wait for `service_started`");
                    self.warn(span, message, &help);
                }
                Some("service_healthy") if service.get("healthcheck").and_then(|h| h.get("test")).is_none() => {
                    let message =
                        format!("`{name}` waits for `{target}` to be healthy, but `{target}` has no healthcheck");
                    let help = format!(
                        "give `{target}` a healthcheck with a `test`; nothing is wrong if its image brings one"
                    );
                    self.warn(span, message, &help);
                }
                Some("service_completed_successfully") if restart(service) == Restart::Always => {
                    let message = format!("`{name}` waits for `{target}` to end, but `{target}` is always restarted");
                    let help = format!("give `{target}` the restart policy `no` or `on-failure`");
                    self.warn(span, message, &help);
                }
                _ => {}
            }
        }
    }

    /// `restart` loses against `deploy.restart_policy` (spec row `svc-deploy-restart-policy`).
    fn restart(&mut self) {
        let policy = self.service.get("deploy").and_then(|deploy| deploy.get("restart_policy"));
        if let (Some(short), Some(long)) = (self.service.get("restart"), policy)
            && short_restart(short) != long_restart(long)
        {
            let message =
                format!("`restart` of `{}` has no effect, because it differs from `deploy.restart_policy`", self.name);
            self.warn(short.key_or_span(), message, "keep one of them; `deploy.restart_policy` wins");
        }
    }

    fn healthcheck(&mut self) {
        let Some(test) = self.service.get("healthcheck").and_then(|healthcheck| healthcheck.get("test")) else {
            return;
        };
        let Some([kind, words @ ..]) = test.as_list() else { return };
        let span = test.span.as_ref().map(first_line);
        match kind.as_text() {
            Some("CMD") => {
                if let Some(operator) = operator(words) {
                    let message = format!(
                        "the healthcheck of `{}` passes {operator:?} to its program, as `CMD` runs no shell",
                        self.name
                    );
                    self.warn(span, message, "use the shell: [CMD-SHELL, \"the whole command line\"]");
                } else if let Some(program) = words.first().and_then(Node::as_text)
                    && program.contains(' ')
                {
                    let message =
                        format!("the healthcheck of `{}` runs a program that is called {program:?}", self.name);
                    let help = "write each argument as an item of its own, or use CMD-SHELL instead of CMD";
                    self.warn(span, message, help);
                }
            }
            Some("CMD-SHELL") if words.len() > 1 => {
                let first = words[0].as_text().unwrap_or_default();
                let message =
                    format!("the healthcheck of `{}` runs {first:?} alone: CMD-SHELL takes one string", self.name);
                self.warn(span, message, "put the whole command line into one string, or use CMD instead of CMD-SHELL");
            }
            _ => {}
        }
    }

    /// Operators of the shell among the arguments of a list; those in a string are told when it
    /// is split.
    fn commands(&mut self) {
        for key in ["command", "entrypoint"] {
            let Some(node) = self.service.get(key) else { continue };
            if let Some(operator) = node.as_list().and_then(operator) {
                let message =
                    format!("`{key}` of `{}` passes {operator:?} to its program, as no shell runs this", self.name);
                let help = "for a shell, write: [sh, -c, \"the whole command line\"]";
                self.warn(node.span.as_ref().map(first_line), message, help);
            }
        }
    }

    /// Labels that say what belongs to a project (spec row `labels-reserved`).
    fn labels(&mut self) {
        for (label, value) in self.service.get("labels").and_then(Node::as_map).into_iter().flatten() {
            if label.starts_with("com.docker.compose.") {
                let message =
                    format!("the label `{label}` of `{}` is one of those that Compose itself sets", self.name);
                self.warn(value.key_or_span(), message, "use a name of your own; `com.docker.compose.` is reserved");
            }
        }
    }

    /// Paths that exist on this machine only (spec row `paths-absolute-warn`).
    fn absolute_paths(&mut self) {
        let build = self.service.get("build");
        let files = self.service.get("env_file").and_then(Node::as_list).unwrap_or_default();
        let paths = [
            ("build.context", build.and_then(|b| b.get("context"))),
            ("build.dockerfile", build.and_then(|b| b.get("dockerfile"))),
        ];
        for (key, path) in paths.into_iter().chain(files.iter().map(|file| ("env_file", file.get("path")))) {
            if let Some(span) = path.and_then(|path| path.span.clone())
                && written(Some(&span)).trim_start_matches(['"', '\'']).starts_with('/')
            {
                let message = format!(
                    "`services.{}.{key}` is an absolute path, so the project runs on this machine only",
                    self.name
                );
                self.warn(Some(span), message, "write a path relative to the file");
            }
        }
    }

    /// What only one of several containers can have.
    fn replicas(&mut self) {
        let count = replicas(self.service);
        if count < 2 {
            return;
        }
        for (network, endpoint) in self.service.get("networks").and_then(Node::as_map).into_iter().flatten() {
            for key in ["ipv4_address", "ipv6_address", "mac_address"] {
                if let Some(address) = endpoint.get(key) {
                    let message = format!(
                        "`{}` has {count} replicas, but only one of them can have this address on `{network}`",
                        self.name
                    );
                    let help = format!("remove `{key}`; the name of the service finds all replicas");
                    self.warn(address.span.clone(), message, &help);
                }
            }
        }
    }
}

/// Returns the first argument that only a shell gives a meaning to.
fn operator(words: &[Node]) -> Option<&str> {
    words.iter().filter_map(Node::as_text).find(|word| matches!(*word, "&&" | "||" | ">>" | "2>&1"))
}

fn disabled_healthcheck(service: &Node) -> bool {
    service.get("healthcheck").is_some_and(|healthcheck| {
        let test = healthcheck.get("test").and_then(Node::as_list).and_then(|test| test.first());
        healthcheck.get("disable").is_some_and(Node::is_true) || test.and_then(Node::as_text) == Some("NONE")
    })
}

fn restart(service: &Node) -> Restart {
    match (service.get("deploy").and_then(|deploy| deploy.get("restart_policy")), service.get("restart")) {
        (Some(long), _) => long_restart(long),
        (None, Some(short)) => short_restart(short),
        (None, None) => Restart::Never,
    }
}

fn short_restart(node: &Node) -> Restart {
    match node.as_text().unwrap_or_default() {
        "always" | "unless-stopped" => Restart::Always,
        text if text.starts_with("on-failure") => Restart::OnFailure,
        _ => Restart::Never,
    }
}

fn long_restart(node: &Node) -> Restart {
    match node.get("condition").and_then(Node::as_text) {
        Some("none") => Restart::Never,
        Some("on-failure") => Restart::OnFailure,
        _ => Restart::Always,
    }
}

/// Returns how many containers a service has.
fn replicas(service: &Node) -> i64 {
    let deployed = || service.get("deploy")?.get("replicas");
    service.get("scale").or_else(deployed).and_then(Node::as_int).unwrap_or(1)
}

/// Returns what was written at a place; empty where nothing was.
fn written(span: Option<&Span>) -> &str {
    span.and_then(|span| span.source.text.get(span.start..span.end)).unwrap_or_default().trim()
}

fn first_line(span: &Span) -> Span {
    let text = span.source.text.get(span.start..span.end).unwrap_or_default();
    Span { end: span.start + text.find('\n').unwrap_or(text.len()), ..span.clone() }
}
