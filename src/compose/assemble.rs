//! Phases per file, in this order: parse, interpolate, canonical, extends, include; then merge
//! into what earlier files said.

use std::collections::{BTreeSet, HashSet};
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

use super::canonical::{Context, canonical};
use super::discover::{self, Input};
use super::environment::Environment;
use super::interpolate::Interpolation;
use super::merge::{merge, strip_resets};
use super::paths::{self, Base};
use super::provenance::{Trail, Via};
use super::schema::{SERVICE, Shape, TOP};
use super::tree::{Map, Mark, Node, Path, Value};
use super::uses::Uses;
use super::{LoadOptions, normalize, parse, validate};
use crate::diag::{Diagnostic, Span};

/// Deepest chain of files that include or extend one another.
const MAX_CHAIN: usize = 50;
/// Files that one project may be made from.
const MAX_FILES: usize = 2000;

/// What all files of a project share while they are put together.
pub(crate) struct Assembly<'a> {
    /// How to load.
    pub(crate) options: &'a LoadOptions,
    /// What was found wrong.
    pub(crate) diagnostics: Vec<Diagnostic>,
    /// Unset variables that were reported.
    pub(crate) told: BTreeSet<String>,
    /// Which variables are in which texts.
    pub(crate) uses: Uses,
    /// How many of the diagnostics have their notes on variables, or need none.
    pub(crate) annotated: usize,
    /// How many files were read.
    pub(crate) files: usize,
}

/// A file with the documents in it.
pub(crate) struct Parsed {
    /// Its path, absolute.
    pub(crate) path: PathBuf,
    /// Its documents.
    pub(crate) documents: Vec<Node>,
}

impl<'a> Assembly<'a> {
    /// Returns an assembly of nothing yet.
    pub(crate) fn new(options: &'a LoadOptions, diagnostics: Vec<Diagnostic>) -> Self {
        Self { options, diagnostics, told: BTreeSet::new(), uses: Uses::default(), annotated: 0, files: 0 }
    }

    /// Adds to what was found wrong which variables it came from.
    pub(crate) fn annotate(&mut self) {
        self.uses.annotate(&mut self.diagnostics[self.annotated..]);
        self.annotated = self.diagnostics.len();
    }

    fn interpolate(&mut self, node: &mut Node, path: &Path<'_>, environment: &Environment) {
        self.annotate();
        let Self { told, uses, diagnostics, .. } = self;
        Interpolation { environment, told, uses, diagnostics }.replace(node, path);
        // What interpolation itself has to say is about the variable already.
        self.annotated = self.diagnostics.len();
    }

    /// Parses a file, the `order`-th of `total` that are merged.
    pub(crate) fn parse(&mut self, input: Input, order: usize, total: usize) -> Parsed {
        self.files += 1;
        let via = || vec![Arc::new(Via::File { order, total })];
        let trail = self.options.provenance.then(|| Arc::new(Trail { via: via(), ..Trail::default() }));
        let documents = parse::documents_with(&input.shown, input.bytes, trail, &mut self.diagnostics);
        Parsed { path: input.path, documents }
    }

    /// Returns the tree that files make together: defaults filled in, paths resolved.
    ///
    /// `chain` holds the files that include these, outermost first.
    pub(crate) fn model(
        &mut self,
        files: Vec<Parsed>,
        base: &Base,
        environment: &Environment,
        chain: &[PathBuf],
    ) -> Node {
        let mut whole = Node::map();
        let top = Shape::Object(&TOP);
        for file in files {
            for mut document in file.documents {
                if document.as_map().is_none() {
                    let message = format!("a stack file must be a mapping, this is {}", document.kind());
                    self.diagnostics.push(Diagnostic::error(message, document.span.clone()));
                    continue;
                }
                if self.options.interpolate {
                    self.interpolate(&mut document, &Path::ROOT, environment);
                }
                let mut cx = Context { diagnostics: &mut self.diagnostics, raw: !self.options.interpolate };
                canonical(&mut document, &top, &Path::ROOT, &mut cx);
                self.drop_version(&mut document);
                self.refuse_no_services(&document);
                self.extend_services(&mut document, &file.path, base, environment);
                self.include(&mut document, &file.path, base, environment, chain);
                if whole.as_map().is_some_and(Map::is_empty) {
                    whole = document;
                } else {
                    // A file has to be right before another one changes it.
                    validate::shape(&whole, &mut self.diagnostics);
                    merge(&mut whole, document, &top);
                }
            }
        }
        strip_resets(&mut whole);
        normalize::defaults(&mut whole, !self.options.interpolate);
        if base.prefix.is_some() {
            paths::resolve(&mut whole, &top, base);
        }
        whole
    }

    /// `services:` without a value is a mistake even where another file has services.
    fn refuse_no_services(&mut self, document: &Node) {
        let services = document.as_map().and_then(|map| map.get("services"));
        if let Some(services) = services.filter(|node| node.is_null() && node.mark == Mark::None) {
            let message = "`services` has no value, a mapping is expected";
            self.diagnostics
                .push(Diagnostic::error(message, services.key_or_span()).help("give it one, or remove the line"));
        }
    }

    fn drop_version(&mut self, document: &mut Node) {
        if let Some(version) = document.as_map_mut().and_then(|map| map.shift_remove("version")) {
            if version.is_null() {
                let message = "`version` has no value, a string is expected";
                let place = version.key_or_span();
                self.diagnostics.push(Diagnostic::error(message, place).help("give it one, or remove the line"));
                return;
            }
            self.diagnostics.push(
                Diagnostic::warning("the attribute `version` is obsolete and ignored", version.key_or_span())
                    .help("remove the line"),
            );
        }
    }

    fn extend_services(&mut self, document: &mut Node, file: &FilePath, base: &Base, environment: &Environment) {
        let Some(Value::Map(map)) = document.get_mut("services").map(|node| &mut node.value) else { return };
        if !map.values().any(|service| service.get("extends").is_some()) {
            return;
        }
        let names: Vec<String> = map.keys().cloned().collect();
        let mut services = Services { map: std::mem::take(map), file, base, environment, prepared: None };
        for name in names {
            self.extend(&mut services, &name, &mut Vec::new());
        }
        *map = services.map;
    }

    /// Replaces `extends` of a service by what it stands for (spec row `svc-extends`).
    fn extend(&mut self, services: &mut Services<'_>, name: &str, chain: &mut Vec<(PathBuf, String)>) {
        services.prepare(name, self);
        let link = (services.file.to_owned(), name.to_owned());
        if chain.contains(&link) || chain.len() >= MAX_CHAIN {
            let names: Vec<&str> = chain.iter().map(|(_, name)| name.as_str()).chain([name]).collect();
            let message = format!("services extend each other in a circle: {}", names.join(" -> "));
            let place = services.map.get(name).and_then(Node::key_or_span);
            self.diagnostics.push(Diagnostic::error(message, place));
            return;
        }
        let Some(service) = services.map.get_mut(name) else { return };
        let Some(extends) = service.as_map_mut().and_then(|map| map.shift_remove("extends")) else { return };
        if extends.mark == Mark::Reset {
            return;
        }
        let Some(target) = extends.get("service").and_then(Node::as_text).map(str::to_owned) else {
            if extends.as_map().is_some_and(|map| !map.contains_key("service")) {
                let message = format!("`services.{name}.extends` lacks `service`");
                self.diagnostics.push(Diagnostic::error(message, extends.key_or_span()));
            }
            return;
        };
        let place = extends.get("service").and_then(|node| node.span.clone());
        let at = place.clone();
        chain.push(link);
        let found = match extends.get("file") {
            Some(file) => self.foreign_service(services, file, &target, place, name, chain),
            None => self.own_service(services, &target, place, name, chain),
        };
        chain.pop();
        let Some(service) = services.map.get_mut(name) else { return };
        let Some(mut below) = found else {
            // Tells later phases that what is missing was reported.
            service.as_map_mut().map(|map| map.insert("extends".to_owned(), extends));
            return;
        };
        let file = extends.get("file").and_then(Node::as_text).map(str::to_owned);
        below.all_came(Via::Extends { service: target, file, at });
        let above = std::mem::replace(service, Node::map());
        let (key, span, mark) = (above.key.clone(), above.span.clone(), above.mark);
        merge(&mut below, Node { mark: Mark::None, ..above }, &Shape::Object(&SERVICE));
        *service = Node { key, span, mark, ..below };
    }

    fn own_service(
        &mut self,
        services: &mut Services<'_>,
        target: &str,
        place: Option<Span>,
        name: &str,
        chain: &mut Vec<(PathBuf, String)>,
    ) -> Option<Node> {
        if !services.map.contains_key(target) {
            let known = services.map.keys().map(String::as_str).filter(|known| *known != name);
            self.diagnostics.push(unknown_base(name, target, None, place, known));
            return None;
        }
        self.extend(services, target, chain);
        services.map.get(target).filter(|node| node.as_map().is_some()).cloned()
    }

    fn foreign_service(
        &mut self,
        services: &Services<'_>,
        file: &Node,
        target: &str,
        place: Option<Span>,
        name: &str,
        chain: &mut Vec<(PathBuf, String)>,
    ) -> Option<Node> {
        let text = file.as_text()?;
        let path = services.base.locate(text);
        let input = self.read(path.clone(), file)?;
        let parsed = self.parse(input, 0, 1);
        let folder = path.parent().unwrap_or(FilePath::new("/")).to_owned();
        let base = services.base.at(&folder);
        let mut known: Vec<String> = Vec::new();
        for mut document in parsed.documents.into_iter().rev() {
            let Some(Value::Map(map)) = document.get_mut("services").map(|node| &mut node.value) else { continue };
            if !map.contains_key(target) {
                known.extend(map.keys().cloned());
                continue;
            }
            let map = std::mem::take(map);
            let environment = services.environment;
            let mut foreign = Services { map, file: &path, base: &base, environment, prepared: Some(HashSet::new()) };
            self.extend(&mut foreign, target, chain);
            let mut service = foreign.map.shift_remove(target)?;
            paths::resolve(&mut service, &Shape::Object(&SERVICE), &base);
            return service.as_map().is_some().then_some(service);
        }
        let known = known.iter().map(String::as_str);
        self.diagnostics.push(unknown_base(name, target, Some(self.shown(&path)), place, known));
        None
    }

    /// Loads what `include` names and takes its resources in (spec row `include`).
    fn include(
        &mut self,
        document: &mut Node,
        file: &FilePath,
        base: &Base,
        environment: &Environment,
        chain: &[PathBuf],
    ) {
        let Some(include) = document.as_map_mut().and_then(|map| map.shift_remove("include")) else { return };
        let chain: Vec<PathBuf> = chain.iter().cloned().chain([file.to_owned()]).collect();
        let Value::List(items) = include.value else { return };
        for (index, item) in items.into_iter().enumerate() {
            if item.as_map().is_some_and(|map| !map.contains_key("path")) {
                let message = format!("`include[{index}]` lacks `path`");
                self.diagnostics.push(Diagnostic::error(message, item.span.clone()).help("name the file to include"));
                continue;
            }
            if let Some(imported) = self.included(&item, base, environment, &chain) {
                self.import(document, imported, &item);
            }
        }
    }

    fn included(&mut self, item: &Node, base: &Base, environment: &Environment, chain: &[PathBuf]) -> Option<Node> {
        let mut files = Vec::new();
        let mut folder = None;
        let paths = item.get("path").and_then(Node::as_list)?;
        for (order, node) in paths.iter().enumerate() {
            let path = base.locate(node.as_text()?);
            if chain.contains(&path) || chain.len() >= MAX_CHAIN {
                let names: Vec<String> = chain.iter().chain([&path]).map(|p| self.shown(p)).collect();
                let message = format!("files include each other in a circle: {}", names.join(" -> "));
                self.diagnostics.push(Diagnostic::error(message, node.span.clone()));
                return None;
            }
            folder = folder.or_else(|| path.parent().map(FilePath::to_owned));
            let input = self.read(path, node)?;
            files.push(self.parse(input, order, paths.len()));
        }
        let own_folder = folder?;
        let given = item.get("project_directory").and_then(Node::as_text).map(|text| base.locate(text));
        let env_folder = given.clone().unwrap_or_else(|| own_folder.clone());
        // The reference takes the parent of a project directory that does not exist.
        let folder = match given {
            Some(given) if given.is_dir() => given,
            Some(given) => given.parent().map_or_else(|| given.clone(), FilePath::to_owned),
            None => own_folder,
        };
        let env_files: Vec<PathBuf> = match item.get("env_file").and_then(Node::as_list) {
            Some(listed) => listed.iter().filter_map(Node::as_text).map(|text| base.locate(text)).collect(),
            None => Some(env_folder.join(".env")).filter(|path| path.is_file()).into_iter().collect(),
        };
        let mut inner = environment.clone();
        inner.add_below(discover::env_files(&env_files, self.options, environment, &mut self.diagnostics));
        let mut model = self.model(files, &base.at(&folder), &inner, chain);
        model.all_came(Via::Include { at: item.span.clone() });
        Some(model)
    }

    /// Takes the resources of an included model; the same name for different things is a conflict.
    fn import(&mut self, document: &mut Node, imported: Node, item: &Node) {
        let Value::Map(imported) = imported.value else { return };
        let Some(target) = document.as_map_mut() else { return };
        for (section, node) in imported {
            if !matches!(section.as_str(), "services" | "networks" | "volumes" | "configs" | "secrets" | "models") {
                continue;
            }
            let Value::Map(entries) = node.value else { continue };
            let existing = target.entry(section.clone()).or_insert_with(Node::map);
            if existing.is_null() {
                *existing = Node::map();
            }
            let Some(existing) = existing.as_map_mut() else { continue };
            for (name, entry) in entries {
                match existing.get_mut(&name) {
                    Some(own) if *own == entry => own.hide(entry),
                    Some(own) => {
                        let by = item.span.as_ref().map(Span::location).unwrap_or_default();
                        let message =
                            format!("`{section}.{name}` is defined here and in a file that is included at {by}");
                        let diagnostic = Diagnostic::error(message, own.key_or_span())
                            .help("rename one of them, or change the included one in a file of its own: include: [{path: [base, override]}]");
                        self.diagnostics.push(diagnostic);
                    }
                    None => {
                        existing.insert(name, entry);
                    }
                }
            }
        }
    }

    fn read(&mut self, path: PathBuf, named: &Node) -> Option<Input> {
        if self.files >= MAX_FILES {
            self.diagnostics.push(Diagnostic::error(format!("more than {MAX_FILES} files"), named.span.clone()));
            return None;
        }
        if let Some(refusal) = named.as_text().and_then(discover::remote) {
            self.diagnostics.push(Diagnostic { span: named.span.clone(), ..refusal });
            return None;
        }
        let shown = discover::shown(&path, self.options);
        match discover::read_bounded(&path) {
            Ok(bytes) => Some(Input { shown, path, bytes }),
            Err(error) => {
                let message = format!("cannot read {}: {}", shown.display(), discover::reason(&error));
                let diagnostic = Diagnostic::error(message, named.span.clone()).label("named here");
                self.diagnostics.push(match discover::meant(&path, &error) {
                    Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
                    None => diagnostic.help("paths start from the folder of the file that names them"),
                });
                None
            }
        }
    }

    fn shown(&self, path: &FilePath) -> String {
        discover::shown(path, self.options).display().to_string()
    }
}

/// The services of one document, while their `extends` are followed.
struct Services<'a> {
    map: Map,
    file: &'a FilePath,
    base: &'a Base,
    environment: &'a Environment,
    /// Those that went through the first phases; `None` where the whole document did.
    prepared: Option<HashSet<String>>,
}

impl Services<'_> {
    /// Puts one service of another file through the phases before this one: only what is used
    /// of such a file has to be right.
    fn prepare(&mut self, name: &str, assembly: &mut Assembly<'_>) {
        let Some(prepared) = &mut self.prepared else { return };
        if !prepared.insert(name.to_owned()) {
            return;
        }
        let Some(service) = self.map.get_mut(name) else { return };
        let services = Path::ROOT.key("services");
        let path = services.key(name);
        if assembly.options.interpolate {
            assembly.interpolate(service, &path, self.environment);
        }
        let mut cx = Context { diagnostics: &mut assembly.diagnostics, raw: !assembly.options.interpolate };
        canonical(service, &Shape::Object(&SERVICE), &path, &mut cx);
    }
}

fn unknown_base<'a>(
    name: &str,
    target: &str,
    file: Option<String>,
    place: Option<Span>,
    known: impl Iterator<Item = &'a str>,
) -> Diagnostic {
    let within = file.map(|file| format!(" in {file}")).unwrap_or_default();
    let message = format!("the service `{name}` extends `{target}`, which does not exist{within}");
    let diagnostic = Diagnostic::error(message, place);
    match crate::diag::nearest(target, known) {
        Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
        None => diagnostic,
    }
}
