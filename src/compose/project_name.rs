//! The project's name (spec row `project-name-precedence`).

use std::collections::BTreeSet;
use std::sync::Arc;

use super::LoadOptions;
use super::discover::World;
use super::environment::{Environment, Set, Setting};
use super::interpolate::Interpolation;
use super::limits::Budget;
use super::provenance::Via;
use super::tree::{Node, Path, Value};
use super::uses::Uses;
use crate::diag::Diagnostic;

/// The variable that names a project, and that holds its name (spec row `project-name-var`).
const NAME: &str = "COMPOSE_PROJECT_NAME";

/// Returns the name: `-p`, `COMPOSE_PROJECT_NAME`, `name:` of the last file that has it, the folder.
pub(crate) fn project_name(
    options: &LoadOptions,
    budget: &Budget,
    world: &World,
    documents: &[Node],
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<String> {
    let from_environment = || world.environment.get(NAME).filter(|n| !n.is_empty()).map(str::to_owned);
    if let Some(name) = options.project_name.clone().filter(|n| !n.is_empty()).or_else(from_environment) {
        if normalized(&name) != name {
            diagnostics.push(
                Diagnostic::error(format!("{name:?} cannot be the name of a project"), None)
                    .help("lower-case letters, digits, - and _ are allowed; it begins with a letter or digit"),
            );
            return None;
        }
        return Some(name);
    }
    let named = documents.iter().rev().find_map(|document| {
        let node = document.get("name")?;
        node.as_text().filter(|text| !text.is_empty())?;
        Some(node)
    });
    if let Some(node) = named {
        let mut node = node.clone();
        if options.interpolate {
            // Told again, with the same place, when the whole file is interpolated.
            let mut interpolation = Interpolation {
                environment: &world.environment,
                budget,
                told: &mut BTreeSet::new(),
                uses: &mut Uses::default(),
                incomplete: false,
                diagnostics: &mut Vec::new(),
            };
            interpolation.replace(&mut node, &Path::ROOT.key("name"));
        }
        let text = node.as_text().unwrap_or_default();
        let name = normalized(text);
        if !name.is_empty() {
            if name != text {
                let message = format!("{text:?} cannot be the name of a project, {name:?} is used");
                let help = "lower-case letters, digits, - and _ are allowed; it begins with a letter or digit";
                diagnostics.push(Diagnostic::warning(message, node.span).help(help));
            }
            return Some(name);
        }
        let help = "give a variable a default: ${NAME:-value}";
        diagnostics.push(Diagnostic::error("the project's name must not be empty", node.span).help(help));
        return None;
    }
    let folder = world.folder.file_name().map(|n| n.to_string_lossy()).unwrap_or_default();
    let name = normalized(&folder);
    if name.is_empty() {
        let message = format!("the folder name {folder:?} cannot be the name of a project");
        diagnostics.push(Diagnostic::error(message, None).help("give one: -p NAME, or `name:` in the file"));
        return None;
    }
    Some(name)
}

/// Returns the project's name as a node whose trail tells what could have named it.
///
/// `written` is `name:` of the files, with what it hides.
pub(crate) fn with_trail(
    name: &str,
    options: &LoadOptions,
    world: &World,
    environment: &Environment,
    written: Option<Node>,
) -> Node {
    let node = |value: &str, via: Via| {
        let mut node = Node::from(value);
        node.trail_mut().via.push(Arc::new(via));
        node
    };
    let mut candidates: Vec<Node> = Vec::new();
    candidates.extend(options.project_name.as_deref().filter(|n| !n.is_empty()).map(|n| node(n, Via::Option("-p"))));
    let given = environment.settings(NAME).into_iter().flat_map(|settings| settings.iter());
    let given = given.filter(|setting| setting.set != Set::Project && !setting.value.is_empty()).count() > 0;
    candidates.extend(given.then(|| node(name, Via::Variable(NAME.to_owned()))));
    candidates.extend(written.filter(|node| node.as_text().is_some_and(|text| !text.is_empty())));
    let folder = world.folder.file_name().map(|n| normalized(&n.to_string_lossy())).filter(|n| !n.is_empty());
    candidates.extend(folder.map(|folder| node(&folder, Via::Folder)));
    let mut candidates = candidates.into_iter();
    let mut winner = candidates.next().unwrap_or_else(|| name.into());
    winner.value = Value::Text(name.to_owned());
    candidates.for_each(|loser| winner.hide(loser));
    winner
}

/// Returns the text with only what a project's name may hold.
fn normalized(text: &str) -> String {
    let allowed = |c: &char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-');
    let kept: String = text.to_lowercase().chars().filter(allowed).collect();
    kept.trim_start_matches(['_', '-']).to_owned()
}

/// Returns the environment with the project's name in it (spec row `project-name-var`).
pub(crate) fn with_name(mut environment: Environment, name: &str) -> Environment {
    if environment.get(NAME) != Some(name) {
        environment.set(NAME, Setting { value: name.to_owned(), set: Set::Project, made_of: Vec::new() });
    }
    environment
}
