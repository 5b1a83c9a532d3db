//! The order of the phases, written once.

use std::collections::{BTreeSet, HashMap, HashSet};

use indexmap::IndexMap;

use super::assemble::Assembly;
use super::env_files::EnvFiles;
use super::environment::Environment;
use super::limits::{Budget, MAX_DIAGNOSTICS};
use super::paths::Base;
use super::project_name::{self, project_name, with_name};
use super::provenance::Provenance;
use super::schema::{Shape, TOP};
use super::tree::{Map, Node};
use super::uses::Uses;
use super::{
    LoadOptions, Loaded, bind, discover, discretion, finish, lint, normalize, profiles, unsupported, validate,
};
use crate::diag::{Diagnostic, Severity, Span};

/// Returns the project that the options describe; never panics and never prints.
pub fn load(options: &LoadOptions) -> Loaded {
    let mut loaded = Loaded::default();
    let mut diagnostics = Vec::new();
    let budget = Budget::new();
    let Some(world) = discover::discover(options, &budget, &mut diagnostics) else {
        discretion::hide(&mut diagnostics, &Uses::default());
        return Loaded { diagnostics, ..loaded };
    };
    loaded.environment = world.environment.values();
    let mut assembly = Assembly::new(options, &budget, diagnostics);
    let mut world = world;
    let total = world.files.len();
    let inputs = std::mem::take(&mut world.files).into_iter().enumerate();
    let files: Vec<_> = inputs.map(|(order, input)| assembly.parse(input, order, total)).collect();
    let paths: Vec<_> = files.iter().map(|file| file.path.clone()).collect();
    let documents: Vec<Node> = files.iter().flat_map(|file| file.documents.iter()).map(top_only).collect();
    if files.is_empty() || documents.is_empty() {
        if !failed(&assembly.diagnostics) {
            let name = paths.first().map(|p| discover::shown(p, options).display().to_string()).unwrap_or_default();
            assembly.diagnostics.push(Diagnostic::error(format!("{name} is empty"), None));
        }
        loaded.diagnostics = tidy(assembly.diagnostics);
        return loaded;
    }
    let name = project_name(options, &budget, &world, &documents, &mut assembly.diagnostics);
    let name = name.unwrap_or_default();
    let environment = with_name(std::mem::take(&mut world.environment), &name);
    loaded.environment = environment.values();

    let base = Base {
        folder: world.folder.clone(),
        prefix: options.resolve_paths.then(|| world.folder.clone()),
        home: options.environment.get("HOME").filter(|h| !h.is_empty()).map(Into::into),
    };
    let mut whole = assembly.model(files, &base, &environment, &[]);
    assembly.settle(&whole);
    assembly.annotate();
    let Assembly { mut diagnostics, uses, annotated, .. } = assembly;

    validate::shape(&whole, &mut diagnostics);
    if whole.as_map().is_some_and(Map::is_empty) && !failed(&diagnostics) {
        let shown = paths.first().map(|p| discover::shown(p, options).display().to_string()).unwrap_or_default();
        diagnostics.push(
            Diagnostic::error(format!("{shown} says nothing"), None)
                .help("name a service: services: {NAME: {image: IMAGE}}"),
        );
    }
    if let Some(top) = whole.as_map_mut() {
        if options.interpolate {
            top.entry("services".to_owned()).or_insert_with(Node::map);
        }
        if options.interpolate || options.normalize {
            let node = if options.provenance {
                project_name::with_trail(&name, options, &world, &environment, top.shift_remove("name"))
            } else {
                name.as_str().into()
            };
            top.insert("name".to_owned(), node);
        }
    }
    if options.normalize {
        // What stays a template is not made of the environment either, but for the project's name.
        let only_name = with_name(Environment::default(), &name);
        normalize::normalize(&mut whole, &name, if options.interpolate { &environment } else { &only_name });
    }
    if !options.interpolate {
        // Values are still templates: they are printed as they are, and nothing is made of them.
        loaded.tree = (!failed(&diagnostics)).then_some(whole);
        uses.annotate(&mut diagnostics[annotated..]);
        loaded.diagnostics = tidy(diagnostics);
        discretion::hide(&mut loaded.diagnostics, &uses);
        return loaded;
    }
    if !options.normalize {
        normalize::without(&mut whole, &environment);
    }
    let disabled = profiles::disable(&mut whole, options, &environment, &mut diagnostics);
    if options.consistency {
        validate::references(&whole, &disabled, &mut diagnostics);
    }
    loaded.advice = tidy(lint::lint(&whole, failed(&diagnostics)));
    let mut env_files = EnvFiles {
        folder: &world.folder,
        options,
        budget: &budget,
        environment: &environment,
        sources: HashMap::new(),
        diagnostics: &mut diagnostics,
    };
    if let Some(services) = whole.get_mut("services").and_then(Node::as_map_mut) {
        for service in services.values_mut().filter_map(Node::as_map_mut) {
            let kept = if options.resolve_environment { None } else { service.shift_remove("env_file") };
            env_files.fold(service);
            service.extend(kept.map(|files| ("env_file".to_owned(), files)));
        }
    }
    let explained = options.provenance.then(|| with_disabled(&whole, &disabled));
    loaded.service_spans = service_spans(&whole);
    loaded.dependency_spans = dependency_spans(&whole);
    if options.to_run {
        loaded.unsupported = unsupported::unsupported(&whole);
        loaded.unsupported.extend(unsupported::variables(&environment));
    } else {
        loaded.unsupported = unsupported::elsewhere(&whole, &environment);
        loaded.unsupported.extend(bind::words(&whole));
        loaded.unsupported = tidy(std::mem::take(&mut loaded.unsupported));
    }
    if failed(&diagnostics) {
        if options.to_run {
            let refused = bind::words(&whole).into_iter().map(|d| match d.label.as_str() {
                bind::REFUSED => Diagnostic { severity: Severity::Error, label: String::new(), ..d },
                _ => d,
            });
            loaded.unsupported = tidy(refused.chain(std::mem::take(&mut loaded.unsupported)).collect());
        }
        loaded.unsupported.retain(|found| !touches(found, &diagnostics));
        loaded.advice.retain(|found| !touches(found, &diagnostics));
    } else {
        // What only the value's own grammar tells stops a project from running, not from being printed.
        if options.to_run {
            let mut grammar = Vec::new();
            loaded.project = bind::project(&whole, &disabled, &name, &world.folder, paths, &mut grammar);
            loaded.unsupported = tidy(grammar.into_iter().chain(std::mem::take(&mut loaded.unsupported)).collect());
        }

        profiles::select(&mut whole, &options.services);
        profiles::prune(&mut whole);
        // Files that were read have become variables; those that were not are shown.
        let unread = if options.resolve_environment { Vec::new() } else { env_files_of(&whole) };
        finish::finish(&mut whole, &Shape::Object(&TOP));
        for (name, files) in unread {
            let service = whole.get_mut("services").and_then(|services| services.get_mut(&name));
            service.and_then(Node::as_map_mut).map(|service| service.insert("env_file".to_owned(), files));
        }
        restore_services(&mut whole);
        finish::escape(&mut whole);
        loaded.tree = Some(whole);
    }
    uses.annotate(&mut diagnostics[annotated..]);
    uses.annotate(&mut loaded.unsupported);
    loaded.diagnostics = tidy(diagnostics);
    for found in [&mut loaded.diagnostics, &mut loaded.unsupported, &mut loaded.advice] {
        discretion::hide(found, &uses);
    }
    loaded.provenance = explained.map(|(tree, disabled)| Provenance { tree, disabled, uses, environment });
    loaded
}

/// Returns the `env_file` of each service that has some, by its name.
fn env_files_of(whole: &Node) -> Vec<(String, Node)> {
    services(whole).filter_map(|(name, service)| Some((name.clone(), service.get("env_file")?.clone()))).collect()
}

/// Returns the tree with the services that are off in it, and their names.
fn with_disabled(whole: &Node, disabled: &Map) -> (Node, BTreeSet<String>) {
    let mut tree = whole.clone();
    if let Some(services) = tree.get_mut("services").and_then(Node::as_map_mut) {
        // These have become variables and labels.
        for service in services.values_mut().filter_map(Node::as_map_mut) {
            service.retain(|key, _| !matches!(key.as_str(), "env_file" | "label_file"));
        }
        services.extend(disabled.iter().map(|(name, service)| (name.clone(), service.clone())));
    }
    (tree, disabled.keys().cloned().collect())
}

fn failed(diagnostics: &[Diagnostic]) -> bool {
    diagnostics.iter().any(|d| d.severity == Severity::Error)
}

/// Returns what the project's name needs of a document.
fn top_only(document: &Node) -> Node {
    let mut top = Node::map();
    if let (Some(map), Some(name)) = (top.as_map_mut(), document.get("name")) {
        map.insert("name".to_owned(), name.clone());
    }
    top
}

/// A project without services is printed with an empty section.
fn restore_services(whole: &mut Node) {
    if let Some(top) = whole.as_map_mut() {
        top.entry("services".to_owned()).or_insert_with(Node::map);
    }
}

fn services(whole: &Node) -> impl Iterator<Item = (&String, &Node)> {
    whole.get("services").and_then(Node::as_map).into_iter().flat_map(Map::iter)
}

fn service_spans(whole: &Node) -> HashMap<String, Span> {
    services(whole).filter_map(|(name, service)| Some((name.clone(), service.key_or_span()?))).collect()
}

fn dependency_spans(whole: &Node) -> IndexMap<(String, String), Span> {
    let mut spans = IndexMap::new();
    for (name, service) in services(whole) {
        for (target, node) in service.get("depends_on").and_then(Node::as_map).into_iter().flatten() {
            if let Some(span) = node.key_or_span() {
                spans.insert((name.clone(), target.clone()), span);
            }
        }
    }
    spans
}

/// Tells whether something was found on a line on which there is a mistake: it may only follow from that.
fn touches(found: &Diagnostic, mistakes: &[Diagnostic]) -> bool {
    let lines = |span: &Span| (span.source.line_of(span.start), span.source.line_of(span.end.max(span.start + 1) - 1));
    let Some(at) = &found.span else { return false };
    let (first, last) = (lines(at).0, lines(at).1);
    mistakes
        .iter()
        .filter(|mistake| mistake.severity == Severity::Error)
        .filter_map(|mistake| mistake.span.as_ref())
        .any(|span| span.source.path == at.source.path && lines(span).0 <= last && first <= lines(span).1)
}

/// Returns several lists as one for a reader: warnings, then what keeps the command from going on, which so stands next
/// to the prompt; both in the order of the files.
pub fn in_order(lists: &[&[Diagnostic]]) -> Vec<Diagnostic> {
    let all = tidy(lists.concat());
    let (mut warnings, errors): (Vec<_>, Vec<_>) = all.into_iter().partition(|d| d.severity == Severity::Warning);
    warnings.extend(errors);
    warnings
}

/// Puts diagnostics into the order of the files and drops repetitions: what an alias repeats is
/// one mistake. Of very many the first ones stay, errors before warnings.
fn tidy(mut diagnostics: Vec<Diagnostic>) -> Vec<Diagnostic> {
    let mut seen = HashSet::new();
    diagnostics.retain(|d| match &d.span {
        Some(span) => {
            // The path in front differs with the place of the alias.
            let message =
                d.message.strip_prefix('`').and_then(|m| m.split_once('`')).map_or(d.message.as_str(), |(_, m)| m);
            seen.insert((span.source.path.clone(), span.start, span.end, message.to_owned()))
        }
        None => true,
    });
    let mut order: Vec<std::path::PathBuf> = Vec::new();
    for d in &diagnostics {
        if let Some(span) = &d.span
            && !order.contains(&span.source.path)
        {
            order.push(span.source.path.clone());
        }
    }
    diagnostics.sort_by_key(|d| {
        d.span.as_ref().map(|span| (order.iter().position(|path| *path == span.source.path), span.start))
    });
    if diagnostics.len() > MAX_DIAGNOSTICS {
        let errors = diagnostics.iter().filter(|d| d.severity == Severity::Error).count();
        let (mut errors_left, mut warnings_left) = (MAX_DIAGNOSTICS, MAX_DIAGNOSTICS.saturating_sub(errors));
        diagnostics.retain(|d| {
            let left = if d.severity == Severity::Error { &mut errors_left } else { &mut warnings_left };
            let kept = *left > 0;
            *left = left.saturating_sub(1);
            kept
        });
        let (severity, what) = if errors > 0 { (Severity::Error, "mistakes") } else { (Severity::Warning, "warnings") };
        let message = format!("there are more {what}: these are the first {MAX_DIAGNOSTICS}");
        diagnostics.push(Diagnostic { severity, ..Diagnostic::error(message, None) });
    }
    diagnostics
}
