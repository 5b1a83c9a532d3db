//! Phases: what the tables ask of the merged tree (`shape`), and what holds across attributes
//! and resources (`references`; spec row `model-consistency`).

use std::collections::{HashMap, HashSet};

use super::canonical::expected;
use super::schema::{Field, Object, SERVICE, Shape, TOP, Twice};
use super::tree::{Map, Mark, Node, Path, Value};
use super::{limits, paths};
use crate::diag::{Diagnostic, Severity, Span, nearest};

/// Most services that are named where another is looked for.
const MAX_NAMED: usize = 8;

/// Reports attributes without a value, missing ones, and list items that come twice.
pub(crate) fn shape(whole: &Node, diagnostics: &mut Vec<Diagnostic>) {
    check_shape(whole, &Shape::Object(&TOP), &Path::ROOT, diagnostics);
}

/// The same for a part of the tree.
pub(crate) fn check_shape(node: &Node, shape: &Shape, path: &Path<'_>, diagnostics: &mut Vec<Diagnostic>) {
    if limits::enough(diagnostics) {
        return;
    }
    match (shape, &node.value) {
        (Shape::Short(_, long), _) => check_shape(node, long, path, diagnostics),
        (Shape::Object(table), Value::Map(map)) => {
            for (key, value) in map {
                let Some(field) = table.field(key).filter(|_| value.mark != Mark::Reset) else { continue };
                let path = path.key(key);
                if !value.is_null() {
                    check_shape(value, &field.shape, &path, diagnostics);
                    range(value, field, &path, diagnostics);
                    grammar(value, field, diagnostics);
                } else if !field.null && !matches!(field.shape, Shape::Any) {
                    let kind = expected(&field.shape);
                    let message = format!("`{path}` has no value, {kind} is expected");
                    diagnostics
                        .push(Diagnostic::error(message, value.key_or_span()).help("give it one, or remove the line"));
                }
            }
            missing(node, map, table, path, diagnostics);
        }
        (Shape::Map(values), Value::Map(map)) => {
            for (key, value) in map.iter().filter(|(_, value)| value.mark != Mark::Reset) {
                let path = path.key(key);
                if !value.is_null() {
                    check_shape(value, &values.shape, &path, diagnostics);
                } else if !values.null {
                    let message = format!("`{path}` must be {}, it is empty", expected(&values.shape));
                    diagnostics.push(Diagnostic::error(message, value.key_or_span()));
                }
            }
        }
        (Shape::List(item, _), Value::List(items)) => {
            for (index, node) in items.iter().enumerate() {
                check_shape(node, item, &path.index(index), diagnostics);
            }
        }
        (Shape::Texts(Twice::Refuse) | Shape::Labels(Twice::Refuse), Value::List(items)) => {
            each_once(items, path, diagnostics);
        }
        _ => {}
    }
}

/// Reports items of a list that come twice.
pub(crate) fn each_once(items: &[Node], path: &Path<'_>, diagnostics: &mut Vec<Diagnostic>) {
    let mut seen = HashSet::new();
    for node in items {
        let Some(text) = node.as_text() else { continue };
        if !seen.insert(text) {
            let message = format!("`{path}`: {text:?} is listed twice");
            diagnostics.push(Diagnostic::error(message, node.span.clone()).help("remove one of them"));
        }
    }
}

fn range(node: &Node, field: &Field, path: &Path<'_>, diagnostics: &mut Vec<Diagnostic>) {
    let number = match field.shape {
        Shape::Bytes(_) => node.as_text().and_then(|text| text.parse().ok()),
        _ => node.as_float(),
    };
    if let (Some((least, most)), Some(number)) = (field.within, number)
        && (number < least as f64 || number > most as f64)
    {
        let most = if most == i64::MAX { String::new() } else { format!(" to {most}") };
        diagnostics.push(Diagnostic::error(format!("`{path}` is a number from {least}{most}"), node.span.clone()));
    }
}

fn grammar(node: &Node, field: &Field, diagnostics: &mut Vec<Diagnostic>) {
    let (Some(grammar), Some(fits)) = (&field.text, field.fits) else { return };
    let Some(text) = node.as_text().filter(|text| !fits(text)) else { return };
    let help = match nearest(text, field.examples.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => grammar.help.to_owned(),
    };
    let message = format!("{text:?} is not a {}", field.name.replace('_', " "));
    diagnostics.push(Diagnostic::error(message, node.span.clone()).help(help));
}

/// Returns true when a mapping has an unknown key that was meant as one of these: it was told already.
fn misspelled(map: &Map, table: &Object, names: &[&str]) -> bool {
    map.keys().any(|key| table.field(key).is_none() && nearest(key, names.iter().copied()).is_some())
}

fn missing(node: &Node, map: &Map, table: &Object, path: &Path<'_>, diagnostics: &mut Vec<Diagnostic>) {
    for name in table.required {
        // What is there without a value was told, or may be so.
        if !map.contains_key(*name) && !misspelled(map, table, &[name]) {
            let message = format!("`{path}` lacks `{name}`");
            let span = node.key_or_span().map(|span| first_line(&span));
            diagnostics.push(Diagnostic::error(message, span).help(format!("{} needs `{name}`", table.name)));
        }
    }
}

fn first_line(span: &Span) -> Span {
    let text = span.source.text.get(span.start..span.end).unwrap_or_default();
    let length = text.find('\n').unwrap_or(text.len());
    Span { end: span.start + length, ..span.clone() }
}

/// Reports references to what is not there and attributes that exclude each other, for the
/// enabled services.
pub(crate) fn references(whole: &Node, disabled: &Map, diagnostics: &mut Vec<Diagnostic>) {
    let empty = Map::default();
    let section = |name: &str| whole.get(name).and_then(Node::as_map).unwrap_or(&empty);
    let mut checker = Checker {
        services: section("services"),
        disabled,
        networks: section("networks"),
        volumes: section("volumes"),
        configs: section("configs"),
        secrets: section("secrets"),
        models: section("models"),
        broken: TOP
            .fields
            .iter()
            .map(|field| field.name)
            .filter(|name| whole.get(name).is_some_and(|node| node.as_map().is_none()))
            .collect(),
        diagnostics,
    };
    for (name, service) in checker.services {
        if limits::enough(checker.diagnostics) {
            break;
        }
        checker.service(name, service);
    }
    checker.container_names();
    checker.resources();
}

struct Checker<'a> {
    services: &'a Map,
    disabled: &'a Map,
    networks: &'a Map,
    volumes: &'a Map,
    configs: &'a Map,
    secrets: &'a Map,
    models: &'a Map,
    /// Sections that are no mappings, as was told: nobody knows what is in them.
    broken: Vec<&'static str>,
    diagnostics: &'a mut Vec<Diagnostic>,
}

fn text<'a>(node: &'a Node, key: &str) -> Option<&'a str> {
    node.get(key).and_then(Node::as_text)
}

impl Checker<'_> {
    fn error(&mut self, message: String, span: Option<Span>, help: impl Into<Option<String>>) {
        let diagnostic = Diagnostic::error(message, span);
        self.diagnostics.push(match help.into() {
            Some(help) => diagnostic.help(help),
            None => diagnostic,
        });
    }

    /// Tells whether a mistake in a section at the top of the file was told.
    fn told_of(&self, section: &str) -> bool {
        let start = format!("`{section}`");
        self.diagnostics.iter().any(|told| told.severity == Severity::Error && told.message.starts_with(&start))
    }

    /// Reports an attribute that another one excludes, and says where that one is.
    fn conflict(&mut self, message: String, one: &Node, other: &str, at: &Node) {
        let diagnostic = Diagnostic::error(message, one.key_or_span()).help("keep one of them");
        self.diagnostics.push(match at.key_or_span() {
            Some(span) => diagnostic.label(format!("{other} at {}", span.location())),
            None => diagnostic,
        });
    }

    /// Returns true when a section does not have a name, as far as is known.
    fn lacks(&self, section: &'static str, map: &Map, name: &str) -> bool {
        !map.contains_key(name) && !self.broken.contains(&section)
    }

    /// Returns true when a mistake was found in a node as a whole.
    fn is_wrong(&self, node: &Node) -> bool {
        let at = node.key_or_span();
        let errors = self.diagnostics.iter().filter(|d| d.severity == Severity::Error);
        at.is_some() && errors.into_iter().any(|d| d.span == at)
    }

    fn service(&mut self, name: &str, service: &Node) {
        let has = |key: &str| service.as_map().is_some_and(|map| map.contains_key(key));
        let empty = service.get("image").filter(|image| image.as_text() == Some("") && !has("build"));
        if let Some(image) = empty {
            let help = "name an image; a variable in it may not be set".to_owned();
            self.error(format!("the `image` of the service `{name}` is empty"), image.key_or_span(), help);
        } else if let Some(map) = service.as_map()
            && !["image", "build", "provider", "extends"].into_iter().any(has)
            && !misspelled(map, &SERVICE, &["image", "build"])
            && !self.is_wrong(service)
        {
            let help = "give it an image: image: NAME[:TAG]".to_owned();
            self.error(format!("the service `{name}` has neither an image nor a build"), service.key_or_span(), help);
        }
        self.dependencies(name, service);
        self.networks(name, service);
        self.mounts(name, service);
        self.targets(name, service);
        self.grants(name, service);
        self.healthcheck(service);
        self.limits(name, service);
        self.device_requests(name, service);
        self.build(name, service);
        self.watch(name, service);
    }

    fn dependencies(&mut self, name: &str, service: &Node) {
        let Some(map) = service.get("depends_on").and_then(Node::as_map) else { return };
        for (target, dependency) in map {
            if self.services.contains_key(target) {
                continue;
            }
            let required = dependency.get("required").is_none_or(Node::is_true);
            let span = dependency.key_or_span();
            if let Some(other) = self.disabled.get(target) {
                if required {
                    let profiles = other.get("profiles").and_then(Node::as_list).unwrap_or_default();
                    let profiles: Vec<&str> = profiles.iter().filter_map(Node::as_text).collect();
                    let help =
                        format!("activate it with --profile {}, or set `required: false`", profiles.join(" or "));
                    self.error(
                        format!("the service `{name}` depends on `{target}`, which no active profile enables"),
                        span,
                        help,
                    );
                }
            } else {
                let others = || self.services.keys().map(String::as_str).filter(|other| *other != name);
                let few: Vec<&str> = others().take(MAX_NAMED + 1).collect();
                let help = match nearest(target, others()) {
                    Some(near) => Some(format!("did you mean `{near}`?")),
                    None if few.is_empty() || few.len() > MAX_NAMED => None,
                    None => Some(format!("define it, or name one of {}", few.join(", "))),
                };
                self.error(format!("the service `{name}` depends on `{target}`, which is not defined"), span, help);
            }
        }
    }

    fn networks(&mut self, name: &str, service: &Node) {
        let named = service.get("networks").and_then(Node::as_map);
        if let (Some(mode), Some(named)) = (service.get("network_mode"), named)
            && !named.is_empty()
        {
            let message = format!("the service `{name}` has both `network_mode` and `networks`");
            let networks = service.get("networks").unwrap_or(mode);
            self.conflict(message, mode, "`networks` is", networks);
        }
        for (network, node) in named.into_iter().flatten() {
            // The default one is put in, so where it lacks the section is wrong, which was told.
            let told = network == "default" && self.told_of("networks");
            if !told && self.lacks("networks", self.networks, network) {
                let help = nearest(network, self.networks.keys().map(String::as_str)).map_or_else(
                    || format!("define it at the top level: networks: {{{network}: }}"),
                    |near| format!("did you mean `{near}`?"),
                );
                self.error(
                    format!("the service `{name}` uses the network `{network}`, which is not defined"),
                    node.key_or_span(),
                    help,
                );
            }
        }
    }

    fn mounts(&mut self, name: &str, service: &Node) {
        for mount in service.get("volumes").and_then(Node::as_list).unwrap_or_default() {
            let source = mount.get("source");
            match (text(mount, "type"), source.and_then(Node::as_text)) {
                (Some("volume"), Some(volume)) if self.lacks("volumes", self.volumes, volume) => {
                    let help = nearest(volume, self.volumes.keys().map(String::as_str)).map_or_else(
                        || {
                            // In the short form these are folders.
                            if volume.starts_with(['.', '/', '~']) {
                                return "a folder is mounted with `type: bind`".to_owned();
                            }
                            if volume.contains('/') {
                                return format!("a folder beside the file is written ./{volume}");
                            }
                            format!(
                                "define it at the top level: volumes: {{{volume}: }}; a folder is written ./{volume}"
                            )
                        },
                        |near| format!("did you mean `{near}`?"),
                    );
                    let span = source.and_then(|node| node.span.clone());
                    self.error(
                        format!("the service `{name}` uses the volume `{volume}`, which is not defined"),
                        span,
                        help,
                    );
                }
                (Some("bind"), None) => {
                    let message = format!("a bind mount of the service `{name}` lacks `source`");
                    self.error(message, mount.span.as_ref().map(first_line), None);
                }
                _ => {}
            }
            if mount.as_map().is_some() && mount.get("target").is_none() {
                let message = format!("a mount of the service `{name}` lacks `target`");
                self.error(message, mount.span.as_ref().map(first_line), None);
            }
        }
    }

    /// Reports what is mounted where something else is (spec row `svc-volumes`).
    fn targets(&mut self, name: &str, service: &Node) {
        let items = |key: &str| service.get(key).and_then(Node::as_list).unwrap_or_default();
        let tmpfs = items("tmpfs").iter().filter_map(|node| {
            let target = node.as_text()?.split(':').next()?;
            Some((target.to_owned(), node))
        });
        let volumes = items("volumes").iter().filter_map(|node| Some((paths::clean(text(node, "target")?), node)));
        let mut seen: HashMap<String, &Node> = HashMap::new();
        for (target, node) in tmpfs.chain(volumes).filter(|(target, _)| !target.is_empty()) {
            let Some(first) = seen.get(&target) else {
                seen.insert(target, node);
                continue;
            };
            let message = format!("the service `{name}` has two mounts at {target}");
            let diagnostic = Diagnostic::error(message, node.span.as_ref().map(first_line))
                .help("only one can be there: remove one, or mount it elsewhere");
            self.diagnostics.push(match &first.span {
                Some(span) => diagnostic.label(format!("also mounted at {}", span.location())),
                None => diagnostic,
            });
        }
    }

    fn grants(&mut self, name: &str, service: &Node) {
        let build_secrets = service.get("build").and_then(|build| build.get("secrets"));
        for (grants, section, defined, kind) in [
            (service.get("configs"), "configs", self.configs, "config"),
            (service.get("secrets"), "secrets", self.secrets, "secret"),
            (build_secrets, "secrets", self.secrets, "secret"),
        ] {
            for grant in grants.and_then(Node::as_list).unwrap_or_default() {
                let Some(source) = grant.get("source") else { continue };
                let Some(wanted) = source.as_text() else { continue };
                if self.lacks(section, defined, wanted) {
                    let help = nearest(wanted, defined.keys().map(String::as_str)).map_or_else(
                        || format!("define it at the top level: {kind}s: {{{wanted}: {{file: ./{wanted}}}}}"),
                        |near| format!("did you mean `{near}`?"),
                    );
                    let message = format!("the service `{name}` uses the {kind} `{wanted}`, which is not defined");
                    self.error(message, source.span.clone(), help);
                }
            }
        }
        for (model, node) in service.get("models").and_then(Node::as_map).into_iter().flatten() {
            if self.lacks("models", self.models, model) {
                let help = nearest(model, self.models.keys().map(String::as_str)).map_or_else(
                    || format!("define it at the top level: models: {{{model}: {{model: NAME}}}}"),
                    |near| format!("did you mean `{near}`?"),
                );
                let message = format!("the service `{name}` uses the model `{model}`, which is not defined");
                self.error(message, node.key_or_span(), help);
            }
        }
    }

    fn healthcheck(&mut self, service: &Node) {
        let Some(healthcheck) = service.get("healthcheck") else { return };
        if let Some(test) = healthcheck.get("test")
            && let Some(first) = test.as_list().and_then(|items| items.first())
            && !matches!(first.as_text(), Some("CMD" | "CMD-SHELL" | "NONE"))
        {
            let message = "a healthcheck's test list must begin with CMD, CMD-SHELL or NONE".to_owned();
            let help = "write [CMD, program, argument], or a plain string for the shell".to_owned();
            self.error(message, first.span.clone(), help);
        }
        if healthcheck.get("start_interval").is_some() && healthcheck.get("start_period").is_none() {
            let span = healthcheck.get("start_interval").and_then(Node::key_or_span);
            self.diagnostics.push(
                Diagnostic::warning("`start_interval` has no effect without `start_period`", span)
                    .help("give the healthcheck a start_period"),
            );
        }
    }

    /// Values that may be given in two places must agree.
    fn limits(&mut self, name: &str, service: &Node) {
        let deploy = service.get("deploy");
        let resource = |kind: &str, key: &str| deploy?.get("resources")?.get(kind)?.get(key);
        let pairs = [
            ("scale", "deploy.replicas", deploy.and_then(|d| d.get("replicas"))),
            ("cpus", "deploy.resources.limits.cpus", resource("limits", "cpus")),
            ("mem_limit", "deploy.resources.limits.memory", resource("limits", "memory")),
            ("mem_reservation", "deploy.resources.reservations.memory", resource("reservations", "memory")),
            ("pids_limit", "deploy.resources.limits.pids", resource("limits", "pids")),
        ];
        for (key, path, other) in pairs {
            if let (Some(one), Some(other)) = (service.get(key), other)
                && one != other
            {
                let message = format!("the service `{name}` has different values for `{key}` and `{path}`");
                let value = |node: &Node| node.scalar_text().unwrap_or_default();
                let message = format!("{message}: {} and {}", value(one), value(other));
                self.conflict(message, one, &format!("`{path}` is"), other);
            }
        }
        let replicas = service.get("scale").or_else(|| deploy.and_then(|d| d.get("replicas")));
        if let (Some(container_name), Some(count)) = (service.get("container_name"), replicas.and_then(Node::as_int))
            && count > 1
        {
            let message =
                format!("the service `{name}` has a `container_name` and {count} replicas, but a name is unique");
            self.error(message, container_name.key_or_span(), "remove `container_name`".to_owned());
        }
    }

    /// Requests for accelerators: by number or by id.
    fn device_requests(&mut self, name: &str, service: &Node) {
        let reserved = ["deploy", "resources", "reservations", "devices"];
        let reserved = reserved.iter().try_fold(service, |node, key| node.get(key));
        for (requests, strict) in [(service.get("gpus"), false), (reserved, true)] {
            for request in requests.and_then(Node::as_list).unwrap_or_default() {
                if let (Some(count), Some(_)) = (request.get("count"), request.get("device_ids")) {
                    let message = format!("a device request of the service `{name}` has both `count` and `device_ids`");
                    self.error(message, count.key_or_span(), "keep one of them".to_owned());
                }
                if strict && request.as_map().is_some() && request.get("capabilities").is_none() {
                    let message = format!("a device request of the service `{name}` lacks `capabilities`");
                    let help = "name what it must be able to do: capabilities: [gpu]".to_owned();
                    self.error(message, request.span.as_ref().map(first_line), help);
                }
            }
        }
    }

    fn build(&mut self, name: &str, service: &Node) {
        let Some(build) = service.get("build") else { return };
        // The default name is put in only where there is no inline text.
        if let (Some(inline), Some(file)) = (build.get("dockerfile_inline"), build.get("dockerfile")) {
            let message = format!("the build of `{name}` has both `dockerfile` and `dockerfile_inline`");
            self.conflict(message, inline, "`dockerfile` is", file);
        }
        for (context, node) in build.get("additional_contexts").and_then(Node::as_map).into_iter().flatten() {
            let Some(target) = node.as_text().and_then(|text| text.strip_prefix("service:")) else { continue };
            let known = self.services.get(target).or_else(|| self.disabled.get(target));
            let problem = match known {
                None => "is not defined",
                Some(other) if other.get("build").is_none() => "is not built",
                Some(_) => continue,
            };
            let message = format!("the context `{context}` of `{name}` is the service `{target}`, which {problem}");
            self.error(message, node.span.clone(), None);
        }
        let platforms = build.get("platforms").and_then(Node::as_list).unwrap_or_default();
        if let Some(platform) = service.get("platform")
            && !platforms.is_empty()
            && !platforms.contains(platform)
        {
            let message = format!("`build.platforms` of `{name}` does not include its platform");
            self.error(message, platform.span.clone(), None);
        }
    }

    fn watch(&mut self, name: &str, service: &Node) {
        let rules = service.get("develop").and_then(|develop| develop.get("watch")).and_then(Node::as_list);
        for rule in rules.unwrap_or_default() {
            if let Some(action) = text(rule, "action")
                && action.starts_with("sync")
                && text(rule, "target").is_none_or(str::is_empty)
            {
                let message = format!("a watch rule of `{name}` with the action {action} lacks `target`");
                self.error(message, rule.span.as_ref().map(first_line), None);
            }
        }
    }

    fn container_names(&mut self) {
        let mut seen: HashMap<&str, &str> = HashMap::new();
        for (name, service) in self.services {
            let Some(node) = service.get("container_name") else { continue };
            let Some(container) = node.as_text().filter(|text| !text.is_empty()) else { continue };
            if let Some(other) = seen.insert(container, name) {
                let message =
                    format!("the services `{other}` and `{name}` have the same `container_name` {container:?}");
                self.error(message, node.span.clone(), "a container's name is unique".to_owned());
            }
        }
    }

    fn resources(&mut self) {
        for (section, entries, sources) in [
            ("networks", self.networks, &[][..]),
            ("volumes", self.volumes, &[][..]),
            ("configs", self.configs, &["file", "environment", "content"][..]),
            ("secrets", self.secrets, &["file", "environment"][..]),
        ] {
            for (name, node) in entries {
                let Some(map) = node.as_map() else { continue };
                let external = node.get("external").is_some_and(Node::is_true);
                let given: Vec<&str> = sources.iter().copied().filter(|key| map.contains_key(*key)).collect();
                // A config may be empty, a secret is what somebody wanted to have.
                let unnamed = section == "secrets" && given == ["environment"] && text(node, "environment") == Some("");
                if section == "volumes" && external {
                    for (key, value) in map.iter().filter(|(key, _)| !matches!(key.as_str(), "name" | "external")) {
                        if !key.starts_with("x-") {
                            let message = format!("`{section}.{name}` is external, so it cannot have `{key}`");
                            self.error(message, value.key_or_span(), None);
                        }
                    }
                }
                if given.len() > 1 {
                    let message = format!("`{section}.{name}` has more than one source: {}", given.join(", "));
                    self.error(message, node.key_or_span(), "keep one of them".to_owned());
                }
                let unknown = |key: &String| nearest(key, sources.iter().copied()).is_some();
                if unnamed && !external {
                    let message = format!("the `environment` of `{section}.{name}` is empty");
                    let help = "name the variable that holds the secret; a variable in it may not be set".to_owned();
                    self.error(message, map.get("environment").and_then(Node::key_or_span), help);
                }
                if !sources.is_empty() && given.is_empty() && !external && !map.keys().any(unknown) {
                    let message = format!("`{section}.{name}` has no source");
                    let help = format!("give it one of {}, or `external: true`", sources.join(", "));
                    self.error(message, node.key_or_span(), help);
                }
            }
        }
    }
}
