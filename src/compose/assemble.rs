//! Phases per file, in this order: parse, interpolate, canonical, extends, include; then merge
//! into what earlier files said.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::{Path as FilePath, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use super::canonical::{Context, canonical, merged_ports};
use super::discover::{self, Input};
use super::environment::Environment;
use super::files::Kind;
use super::interpolate::Interpolation;
use super::limits::{self, Budget, MAX_EXTENDS, MAX_FILE, MAX_FILES, MAX_INCLUDES};
use super::merge::{merge, ssh_of_both, ssh_of_two, strip_resets};
use super::paths::{self, Base};
use super::provenance::{Trail, Via};
use super::schema::{SERVICE, Shape, TOP};
use super::tree::{Map, Mark, Node, Path, Value};
use super::uses::Uses;
use super::{LoadOptions, normalize, parse, remote, validate};
use crate::diag::{Diagnostic, Severity, Span};

/// What all files of a project share while they are put together.
pub(crate) struct Assembly<'a> {
    /// How to load.
    options: &'a LoadOptions,
    /// What may still be spent.
    budget: &'a Budget,
    /// What was found wrong.
    pub(crate) diagnostics: Vec<Diagnostic>,
    /// What is wrong as long as no later file replaces it.
    late: Vec<Diagnostic>,
    /// Unset variables that were reported.
    told: BTreeSet<String>,
    /// Which variables are in which texts.
    pub(crate) uses: Uses,
    /// How many of the diagnostics have their notes on variables, or need none.
    pub(crate) annotated: usize,
    /// How many files were read.
    files: usize,
    /// Files whose services are extended: each is read once.
    extended: HashMap<PathBuf, Foreign>,
    /// A file with variables could not be read.
    incomplete: bool,
    /// That a chain of services is too long was told; of a longer one each part would be.
    too_long: bool,
}

/// A file whose services are extended.
#[derive(Clone)]
struct Foreign {
    documents: Rc<Vec<Node>>,
    /// All of it could be parsed.
    whole: bool,
}

/// A file with the documents in it.
pub(crate) struct Parsed {
    /// Its path, absolute.
    pub(crate) path: PathBuf,
    /// Its documents.
    pub(crate) documents: Vec<Node>,
}

/// A file on the way to another one.
#[derive(Clone)]
pub(crate) struct Link {
    /// As it was named.
    path: PathBuf,
    /// Its one path without links.
    identity: PathBuf,
}

impl<'a> Assembly<'a> {
    /// Returns an assembly of nothing, with what went wrong before it.
    pub(crate) fn new(options: &'a LoadOptions, budget: &'a Budget, diagnostics: Vec<Diagnostic>) -> Self {
        Self {
            // What could not be read so far are files with variables, or whole files.
            incomplete: errors(&diagnostics) > 0,
            too_long: false,
            options,
            budget,
            diagnostics,
            late: Vec::new(),
            told: BTreeSet::new(),
            uses: Uses::default(),
            annotated: 0,
            files: 0,
            extended: HashMap::new(),
        }
    }

    /// Adds to what was found wrong which variables it came from.
    pub(crate) fn annotate(&mut self) {
        self.uses.annotate(&mut self.diagnostics[self.annotated..]);
        self.annotated = self.diagnostics.len();
    }

    /// Takes those mistakes in for which no later file had a better value.
    pub(crate) fn settle(&mut self, whole: &Node) {
        if self.late.is_empty() {
            return;
        }
        let key = |span: &Span| (Arc::as_ptr(&span.source), span.start, span.end);
        let mut wrong: HashSet<_> = self.late.iter().filter_map(|d| d.span.as_ref().map(key)).collect();
        whole.each(&mut |node| {
            if let Some(span) = &node.span {
                wrong.remove(&key(span));
            }
        });
        let stays = |d: &Diagnostic| d.span.as_ref().is_none_or(|span| !wrong.contains(&key(span)));
        self.diagnostics.extend(std::mem::take(&mut self.late).into_iter().filter(stays));
    }

    fn interpolate(&mut self, node: &mut Node, path: &Path<'_>, environment: &Environment) {
        self.annotate();
        let Self { budget, told, uses, diagnostics, incomplete, .. } = self;
        Interpolation { environment, budget, told, uses, incomplete: *incomplete, diagnostics }.replace(node, path);
        // What interpolation itself has to say is about the variable already.
        self.annotated = self.diagnostics.len();
    }

    /// Parses a file, the `order`-th of `total` that are merged.
    pub(crate) fn parse(&mut self, input: Input, order: usize, total: usize) -> Parsed {
        self.files += 1;
        let via = || vec![Arc::new(Via::File { order, total })];
        let trail = self.options.provenance.then(|| Arc::new(Trail { via: via(), ..Trail::default() }));
        let documents =
            parse::documents_with(&input.shown, input.bytes, trail.as_ref(), self.budget, &mut self.diagnostics);
        Parsed { path: input.path, documents }
    }

    /// Returns the tree that files make together: defaults filled in, paths resolved.
    ///
    /// `chain` holds the files that include these, outermost first.
    pub(crate) fn model(&mut self, files: Vec<Parsed>, base: &Base, environment: &Environment, chain: &[Link]) -> Node {
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
                canonical(&mut document, &top, &Path::ROOT, &mut self.context());
                self.drop_version(&mut document);
                self.refuse_no_services(&document);
                self.extend_services(&mut document, &file.path, base, environment);
                self.include(&mut document, &file.path, base, environment, chain);
                if whole.as_map().is_some_and(Map::is_empty) {
                    whole = document;
                } else {
                    // A file has to be right before another one changes it.
                    validate::shape(&whole, &mut self.diagnostics);
                    if let Some((name, place)) = ssh_of_both(&whole, &document) {
                        self.diagnostics.push(two_of_ssh(name, place));
                    }
                    merge(&mut whole, document, &top, !self.options.interpolate);
                }
                if !self.options.interpolate {
                    merged_ports(&mut whole, &mut Context { merged: true, ..self.context() });
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

    fn context(&mut self) -> Context<'_> {
        Context {
            diagnostics: &mut self.diagnostics,
            late: &mut self.late,
            replaceable: false,
            budget: self.budget,
            raw: !self.options.interpolate,
            merged: false,
        }
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
            if !limits::room_to_warn(&self.diagnostics) {
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
        let identity = self.options.disk.identity(file);
        let mut services = Services {
            map: std::mem::take(map),
            file: &identity,
            base,
            environment,
            origin: None,
            failed: HashSet::new(),
        };
        for name in names {
            self.extend(&mut services, &name, &mut Vec::new());
        }
        *map = services.map;
    }

    /// Replaces `extends` of a service by what it stands for (spec row `svc-extends`). Returns false where that failed,
    /// which was told; the service then keeps its `extends`, so that what it lacks is not taken for another mistake.
    fn extend(&mut self, services: &mut Services<'_>, name: &str, chain: &mut Vec<(PathBuf, String)>) -> bool {
        services.prepare(name, self);
        if self.budget.spent() || limits::enough(&self.diagnostics) || services.failed.contains(name) {
            return false;
        }
        let link = (services.file.to_owned(), name.to_owned());
        if chain.contains(&link) || chain.len() >= MAX_EXTENDS {
            let circle = chain.contains(&link);
            chain.push(link);
            let names = self.steps(chain);
            chain.pop();
            let message = match circle {
                true => format!("services extend each other in a circle: {names}"),
                false => format!("more than {MAX_EXTENDS} services extend one another: {names}"),
            };
            let help = match circle {
                true => "take `extends` out of one of them",
                false => "let some of them extend the last one directly",
            };
            let place = services.map.get(name).and_then(Node::key_or_span);
            if circle || !std::mem::replace(&mut self.too_long, true) {
                self.diagnostics.push(Diagnostic::error(message, place).help(help));
            }
            return false;
        }
        let Some(service) = services.map.get_mut(name) else { return true };
        let Some(extends) = service.as_map_mut().and_then(|map| map.shift_remove("extends")) else { return true };
        if extends.mark == Mark::Reset {
            return true;
        }
        let Some(target) = extends.get("service").and_then(Node::as_text).map(str::to_owned) else {
            if extends.as_map().is_some_and(|map| !map.contains_key("service")) {
                let message = format!("`services.{name}.extends` lacks `service`");
                self.diagnostics.push(Diagnostic::error(message, extends.key_or_span()));
                services.failed.insert(name.to_owned());
            }
            let wrong = !extends.is_null();
            if wrong {
                service.as_map_mut().map(|map| map.insert("extends".to_owned(), extends));
            }
            return !wrong;
        };
        let place = extends.get("service").and_then(|node| node.span.clone());
        let at = place.clone();
        chain.push(link);
        let found = match extends.get("file") {
            Some(file) => self.foreign_service(services, file, &target, place, name, chain),
            None => self.own_service(services, &target, place, name, chain),
        };
        chain.pop();
        let Some(service) = services.map.get_mut(name) else { return false };
        let Some(mut below) = found else {
            service.as_map_mut().map(|map| map.insert("extends".to_owned(), extends));
            services.failed.insert(name.to_owned());
            return false;
        };
        let file = extends.get("file").and_then(Node::as_text).map(str::to_owned);
        below.all_came(Via::Extends { service: target, file, at });
        let above = std::mem::replace(service, Node::map());
        let (key, span, mark) = (above.key.clone(), above.span.clone(), above.mark);
        if let Some(place) = ssh_of_two(&below, &above) {
            self.diagnostics.push(two_of_ssh(name, place));
        }
        merge(&mut below, Node { mark: Mark::None, ..above }, &Shape::Object(&SERVICE), !self.options.interpolate);
        *service = Node { key, span, mark, ..below };
        true
    }

    /// Returns the names of services that extend one another, the first and last ones, with their files where there are
    /// several.
    fn steps(&self, chain: &[(PathBuf, String)]) -> String {
        const MOST: usize = 12;
        let several = chain.iter().any(|(file, _)| *file != chain[0].0);
        let mut steps = Vec::new();
        for (index, (file, name)) in chain.iter().enumerate() {
            let changes = several && (index == 0 || chain[index - 1].0 != *file);
            steps.push(if changes { format!("{name} ({})", self.shown(file)) } else { name.clone() });
        }
        if steps.len() > MOST {
            steps.splice(3..steps.len() - 2, ["...".to_owned()]);
        }
        steps.join(" -> ")
    }

    fn own_service(
        &mut self,
        services: &mut Services<'_>,
        target: &str,
        place: Option<Span>,
        name: &str,
        chain: &mut Vec<(PathBuf, String)>,
    ) -> Option<Node> {
        if !services.has(target) {
            let known = services.origin.unwrap_or(&services.map).keys().map(String::as_str);
            let known = known.filter(|known| *known != name);
            self.diagnostics.push(unknown_base(name, target, None, place, known));
            return None;
        }
        if !self.extend(services, target, chain) {
            return None;
        }
        let found = services.map.get(target).filter(|node| node.as_map().is_some())?;
        self.budget.values(limits::size(found), place.as_ref(), &mut self.diagnostics).then(|| found.clone())
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
        let path = self.place(file, services.base)?;
        let Foreign { documents, whole } = self.extended(&path, file)?;
        let folder = path.parent().unwrap_or(FilePath::new("/")).to_owned();
        let base = services.base.at(&folder);
        let mut known: Vec<&String> = Vec::new();
        for document in documents.iter().rev() {
            let Some(origin) = document.get("services").and_then(Node::as_map) else { continue };
            if !origin.contains_key(target) {
                known.extend(origin.keys());
                continue;
            }
            let identity = self.options.disk.identity(&path);
            let (environment, map) = (services.environment, Map::default());
            let mut foreign = Services {
                map,
                file: &identity,
                base: &base,
                environment,
                origin: Some(origin),
                failed: HashSet::new(),
            };
            if !self.extend(&mut foreign, target, chain) {
                return None;
            }
            let mut service = foreign.map.swap_remove(target)?;
            paths::resolve(&mut service, &Shape::Object(&SERVICE), &base);
            return service.as_map().is_some().then_some(service);
        }
        // Of a file that is broken, nobody knows what is in it.
        if whole {
            let known = known.into_iter().map(String::as_str);
            self.diagnostics.push(unknown_base(name, target, Some(self.shown(&path)), place, known));
        }
        None
    }

    /// Returns the documents of a file whose services are extended.
    fn extended(&mut self, path: &FilePath, named: &Node) -> Option<Foreign> {
        if let Some(known) = self.extended.get(path) {
            return Some(known.clone());
        }
        let input = self.read(path.to_owned(), named)?;
        let before = errors(&self.diagnostics);
        let documents = Rc::new(self.parse(input, 0, 1).documents);
        let foreign = Foreign { documents, whole: errors(&self.diagnostics) == before };
        self.extended.insert(path.to_owned(), foreign.clone());
        Some(foreign)
    }

    /// Loads what `include` names and takes its resources in (spec row `include`).
    fn include(
        &mut self,
        document: &mut Node,
        file: &FilePath,
        base: &Base,
        environment: &Environment,
        chain: &[Link],
    ) {
        let Some(include) = document.as_map_mut().and_then(|map| map.shift_remove("include")) else { return };
        let link = Link { path: file.to_owned(), identity: self.options.disk.identity(file) };
        let chain: Vec<Link> = chain.iter().cloned().chain([link]).collect();
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

    fn included(&mut self, item: &Node, base: &Base, environment: &Environment, chain: &[Link]) -> Option<Node> {
        let mut files = Vec::new();
        let mut folder = None;
        let paths = item.get("path").and_then(Node::as_list)?;
        for (order, node) in paths.iter().enumerate() {
            let path = self.place(node, base)?;
            let identity = self.options.disk.identity(&path);
            let circle = chain.iter().any(|link| link.identity == identity);
            if circle || chain.len() >= MAX_INCLUDES {
                let names = chain.iter().map(|link| &link.path).chain([&path]);
                let names: Vec<String> = names.map(|path| self.shown(path)).collect();
                let message = match circle {
                    true => format!("files include each other in a circle: {}", names.join(" -> ")),
                    false => {
                        let names: Vec<&str> = names.iter().map(String::as_str).collect();
                        format!("more than {MAX_INCLUDES} files include one another: {}", ends(&names))
                    }
                };
                let help = match circle {
                    true => "take `include` out of one of them",
                    false => "include some of them from the first file directly",
                };
                self.diagnostics.push(Diagnostic::error(message, node.span.clone()).help(help));
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
            Some(given) if self.options.disk.kind(&given) == Some(Kind::Folder) => given,
            Some(given) => given.parent().map_or_else(|| given.clone(), FilePath::to_owned),
            None => own_folder,
        };
        let env_files: Vec<(PathBuf, Option<Span>)> = match item.get("env_file").and_then(Node::as_list) {
            Some(listed) => {
                listed.iter().filter_map(|node| Some((base.locate(node.as_text()?), node.span.clone()))).collect()
            }
            None => {
                let path = env_folder.join(".env");
                let found = self.options.disk.kind(&path) == Some(Kind::File);
                found.then_some((path, None)).into_iter().collect()
            }
        };
        let before = errors(&self.diagnostics);
        let more = discover::env_files(&env_files, self.options, self.budget, environment, &mut self.diagnostics);
        let base = base.at(&folder);
        let incomplete = self.incomplete || errors(&self.diagnostics) > before;
        let of_outside = std::mem::replace(&mut self.incomplete, incomplete);
        let mut model = if more.size() == 0 {
            self.model(files, &base, environment, chain)
        } else {
            let length = environment.size();
            if !self.budget.text(length, item.span.as_ref(), &mut self.diagnostics) {
                return None;
            }
            let mut inner = environment.clone();
            inner.add_below(more);
            let mut model = self.model(files, &base, &inner, chain);
            normalize::included(&mut model, &inner);
            model
        };
        self.incomplete = of_outside;
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

    /// Returns the file of this machine that is named; one that is elsewhere is fetched.
    fn place(&mut self, named: &Node, base: &Base) -> Option<PathBuf> {
        let text = named.as_text()?;
        match remote::local(text, self.options) {
            None => Some(base.locate(text)),
            Some(Ok(path)) => Some(path),
            Some(Err(refusal)) => {
                self.diagnostics.push(Diagnostic { span: named.span.clone(), ..refusal });
                None
            }
        }
    }

    fn read(&mut self, path: PathBuf, named: &Node) -> Option<Input> {
        if self.files >= MAX_FILES {
            let message = format!("this project is made from more than {MAX_FILES} files");
            let diagnostic = Diagnostic::error(message, named.span.clone()).help("put several services into one file");
            self.diagnostics.push(diagnostic);
            return None;
        }
        let shown = discover::shown(&path, self.options);
        match self.options.disk.read(&path, MAX_FILE) {
            Ok(bytes) if !self.budget.bytes(bytes.len(), named.span.as_ref(), &mut self.diagnostics) => None,
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
    /// Those that went through the first phases.
    map: Map,
    /// The file, without links.
    file: &'a FilePath,
    base: &'a Base,
    environment: &'a Environment,
    /// All services of another file, as they were read: only what is used of such a file has to be right.
    /// `None` where the whole document went through the first phases.
    origin: Option<&'a Map>,
    /// Those that could not be extended.
    failed: HashSet<String>,
}

impl Services<'_> {
    fn has(&self, name: &str) -> bool {
        self.origin.unwrap_or(&self.map).contains_key(name)
    }

    /// Puts one service of another file through the phases before this one.
    fn prepare(&mut self, name: &str, assembly: &mut Assembly<'_>) {
        let Some(origin) = self.origin.and_then(|origin| origin.get(name)) else { return };
        let size = limits::size(origin);
        if self.map.contains_key(name) || !assembly.budget.values(size, origin.key.as_ref(), &mut assembly.diagnostics)
        {
            return;
        }
        let mut service = origin.clone();
        let services = Path::ROOT.key("services");
        let path = services.key(name);
        if assembly.options.interpolate {
            assembly.interpolate(&mut service, &path, self.environment);
        }
        canonical(&mut service, &Shape::Object(&SERVICE), &path, &mut assembly.context());
        self.map.insert(name.to_owned(), service);
    }
}

/// Returns the beginning and the end of a long chain.
fn ends(names: &[&str]) -> String {
    let (first, last) = (&names[..names.len().min(3)], &names[names.len().saturating_sub(2).max(3)..]);
    format!("{} -> ... -> {}", first.join(" -> "), last.join(" -> "))
}

fn two_of_ssh(name: &str, place: Option<Span>) -> Diagnostic {
    Diagnostic::error(format!("`services.{name}.build.ssh` is set twice, and lists of it are not merged"), place)
        .help("write `ssh: !override` where it is set again, and repeat what shall stay")
}

fn errors(diagnostics: &[Diagnostic]) -> usize {
    diagnostics.iter().filter(|d| d.severity == Severity::Error).count()
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
