//! `stack config`: the model that the files result in, or a list of what is in it.

mod digests;
mod explain;
mod variables;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::mem::ManuallyDrop;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::cli::args::ProjectArgs;
use crate::cli::context::{Context, print};
use crate::cli::error::{Error, Result};
use crate::cli::project;
use crate::compose::model::Project;
use crate::compose::tree::{Node, Value};
use crate::compose::{self, Loaded};
use crate::diag::{self, Diagnostic};
use crate::plan;

/// Check the files and print the model they result in.
#[derive(Debug, Args)]
#[command(disable_help_subcommand = true)]
pub(crate) struct ConfigArgs {
    // Compose has names of services here. Only the first word can be a command, and after `--`
    // none is: a service that is called `explain` can still be named.
    #[command(subcommand)]
    command: Option<ConfigCommand>,
    /// Only these services and what they depend on.
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
    /// yaml (the default) or json; --variables draws a table by default.
    #[arg(long, value_name = "FORMAT", value_parser = ["yaml", "json", "table"], hide_possible_values = true)]
    format: Option<String>,
    /// Only check: print nothing on success.
    #[arg(short = 'q', long)]
    quiet: bool,
    /// Write to a file.
    #[arg(short = 'o', long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Print the names of the services.
    #[arg(long = "services")]
    service_names: bool,
    /// Print the names of the volumes.
    #[arg(long)]
    volumes: bool,
    /// Print the names of the networks.
    #[arg(long)]
    networks: bool,
    /// Print the names of the models.
    #[arg(long)]
    models: bool,
    /// Print a service, or `*` for all, with the hash that tells whether its containers are up to date.
    #[arg(long, value_name = "SERVICES")]
    hash: Option<String>,
    /// Print the names of the profiles.
    #[arg(long)]
    profiles: bool,
    /// Print the names of the images.
    #[arg(long)]
    images: bool,
    /// Print the variables that the files take, with what stands in for them.
    #[arg(long)]
    variables: bool,
    /// Print the values that variables have.
    #[arg(long)]
    environment: bool,
    /// Leave variables as they are written.
    #[arg(long)]
    no_interpolate: bool,
    /// Do not fill in implied values.
    #[arg(long)]
    no_normalize: bool,
    /// Leave relative paths as they are written.
    #[arg(long)]
    no_path_resolution: bool,
    /// Leave env files as they are, instead of folding them into the environment.
    #[arg(long)]
    no_env_resolution: bool,
    /// Do not check that what is referred to is there; the result may be of no use.
    #[arg(long)]
    no_consistency: bool,
    /// Put the digests that registries have now behind the names of images.
    #[arg(long)]
    resolve_image_digests: bool,
    /// Print a file of image names with digests, to be used as a second file: -f FILE -f LOCK.
    #[arg(long)]
    lock_image_digests: bool,
    #[command(flatten)]
    pub(crate) project: ProjectArgs,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    Explain(explain::ExplainArgs),
}

impl ConfigArgs {
    /// Returns an option that makes no sense before `explain`, if there is one.
    fn beside_explain(&self) -> Option<&'static str> {
        let given = [
            (self.quiet, "--quiet"),
            (self.output.is_some(), "--output"),
            (self.service_names, "--services"),
            (self.volumes, "--volumes"),
            (self.networks, "--networks"),
            (self.images, "--images"),
            (self.models, "--models"),
            (self.hash.is_some(), "--hash"),
            (self.variables, "--variables"),
            (self.resolve_image_digests, "--resolve-image-digests"),
            (self.lock_image_digests, "--lock-image-digests"),
            (self.no_env_resolution, "--no-env-resolution"),
            (self.no_consistency, "--no-consistency"),
            (self.profiles, "--profiles"),
            (self.environment, "--environment"),
            (self.no_interpolate, "--no-interpolate"),
            (self.no_normalize, "--no-normalize"),
            (self.no_path_resolution, "--no-path-resolution"),
        ];
        given.into_iter().find_map(|(given, name)| given.then_some(name))
    }
}

pub(crate) fn run(context: &Context, args: &ConfigArgs) -> Result<()> {
    match &args.command {
        Some(ConfigCommand::Explain(explain)) => explain::run(context, args, explain),
        None => print_model(context, args, &args.services),
    }
}

/// What is printed; of several that are asked for the first counts, as in Compose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Services,
    Volumes,
    Networks,
    Models,
    Hash,
    Profiles,
    Images,
    Variables,
    Environment,
    Model,
}

impl ConfigArgs {
    /// Tells whether what is printed is JSON.
    pub(crate) fn prints_json(&self) -> bool {
        let explain = self.command.as_ref().and_then(|ConfigCommand::Explain(explain)| explain.format.as_deref());
        explain.or(self.format.as_deref()) == Some("json")
    }

    fn what(&self) -> What {
        [
            (self.service_names, What::Services),
            (self.volumes, What::Volumes),
            (self.networks, What::Networks),
            (self.models, What::Models),
            (self.hash.is_some(), What::Hash),
            (self.profiles, What::Profiles),
            (self.images, What::Images),
            (self.variables, What::Variables),
            (self.environment, What::Environment),
        ]
        .into_iter()
        .find_map(|(asked, what)| asked.then_some(what))
        .unwrap_or(What::Model)
    }
}

/// Prints the model, or what of it is asked for; `services` narrows it.
fn print_model(context: &Context, args: &ConfigArgs, services: &[String]) -> Result<()> {
    let what = args.what();
    let format = args.format.as_deref().unwrap_or(if what == What::Variables { "table" } else { "yaml" });
    if format == "table" && what != What::Variables {
        return Err(Error::user("--format table is for --variables").hint("use yaml or json"));
    }
    let interpolate = !args.no_interpolate && what != What::Variables;
    let whole = matches!(what, What::Services | What::Volumes | What::Networks | What::Models | What::Hash);
    let chosen = if whole || !interpolate { &[] } else { services };
    if !interpolate && !services.is_empty() && !whole {
        context.ui.warn("variables are left as they are written, so all services are printed, not only those named");
    }
    let mut options = project::load_options(&context.project, chosen)?;
    options.interpolate = interpolate;
    options.normalize = !args.no_normalize;
    options.resolve_paths = !args.no_path_resolution;
    options.consistency = !args.no_consistency;
    // Names can be told also while an env file is missing.
    options.resolve_environment = !args.no_env_resolution && (!whole || what == What::Hash);
    if what == What::Profiles {
        // The project must be right with those that are on; then all of them are printed.
        options.to_run = false;
        let Loaded { tree, diagnostics, .. } = compose::load(&options);
        let _ = ManuallyDrop::new(project::accept(&context.ui, &diagnostics, tree)?);
        options.profiles = vec!["*".to_owned()];
        options.services.clear();
    }
    options.to_run = what == What::Hash;
    let Loaded { project, tree, diagnostics, advice, unsupported, dependency_spans, environment, .. } =
        compose::load(&options);
    // Lists are made for scripts; who asks for the model, or to check it, is told what seems wrong in it.
    let told = match what {
        What::Model => compose::in_order(&[&diagnostics, &advice, &unsupported]),
        _ => diagnostics,
    };
    // The process ends with this command: freeing every node of a large tree would only take time.
    let mut tree = ManuallyDrop::new(project::accept(&context.ui, &told, tree)?);
    if options.consistency {
        project::refuse_cycles(dependency_spans)?;
    }
    for name in &options.services {
        known(name, &tree)?;
    }
    if args.quiet {
        return Ok(());
    }
    let service = tree.get("services");
    let text = match what {
        What::Services => lines(dependencies_first(service)),
        What::Volumes => lines(keys(tree.get("volumes"))),
        What::Networks => lines(keys(tree.get("networks"))),
        What::Models => lines(models(&tree)),
        What::Hash => hashes(args.hash.as_deref().unwrap_or_default(), &tree, project.as_ref(), &unsupported)?,
        What::Profiles => lines(profiles(service)),
        What::Images => lines(images(&tree)),
        What::Variables => variables::variables(&tree, format)?,
        What::Environment => lines(environment.iter().map(|(k, v)| format!("{k}={v}"))),
        What::Model => {
            if args.resolve_image_digests || args.lock_image_digests {
                digests::resolve(context, &mut tree)?;
            }
            if args.lock_image_digests {
                for name in digests::lock(&mut tree) {
                    context.ui.warn(&format!(
                        "the image of a pre_start hook of `{name}` is not locked: print the whole model with --resolve-image-digests"
                    ));
                }
            }
            match format {
                "json" if !interpolate => serde_json::to_string_pretty(&compose::template_json(&tree))? + "\n",
                "json" => serde_json::to_string_pretty(&compose::config_json(&tree))? + "\n",
                _ if !interpolate => compose::plain_yaml(&tree),
                _ => compose::config_yaml(&tree),
            }
        }
    };
    match &args.output {
        Some(path) => {
            std::fs::write(path, text).map_err(|err| Error::host(format!("cannot write {}: {err}", path.display())))
        }
        None => print(&text),
    }
}

/// Refuses the name of a service that the tree does not have.
fn known(name: &str, tree: &Node) -> Result<()> {
    let services = keys(tree.get("services"));
    if services.contains(name) {
        return Ok(());
    }
    let error = Error::user(format!("no such service: {name}"));
    Err(match diag::nearest(name, services.iter().map(String::as_str)) {
        Some(near) => error.hint(format!("did you mean \"{near}\"?")),
        None => error,
    })
}

/// Returns `SERVICE HASH` lines for services named in a list with commas, or for all (`*`). The
/// hash is the one that containers carry; where it changes, `up` changes them in place or makes them anew.
fn hashes(wanted: &str, tree: &Node, project: Option<&Project>, unsupported: &[Diagnostic]) -> Result<String> {
    let names: BTreeSet<String> = match wanted {
        "*" => keys(tree.get("services")),
        list => list.split(',').map(str::to_owned).collect(),
    };
    let mut text = String::new();
    for name in names {
        known(&name, tree)?;
        let Some(service) = project.and_then(|project| project.services.get(name.as_str())) else {
            // It cannot run; why is told with the others that cannot.
            return Err(Error::Diagnostics(unsupported.to_vec()));
        };
        let _ = writeln!(text, "{name} {}", plan::service_hash(service));
    }
    Ok(text)
}

/// Returns what is run of the models.
fn models(tree: &Node) -> BTreeSet<String> {
    let models = tree.get("models").and_then(Node::as_map);
    let name = |model: &Node| model.get("model").and_then(Node::as_text).map(str::to_owned);
    models.into_iter().flat_map(|models| models.values()).filter_map(name).collect()
}

/// Returns the names of services, each after those it depends on.
fn dependencies_first(services: Option<&Node>) -> Vec<String> {
    let mut left = keys(services);
    let mut order = Vec::with_capacity(left.len());
    loop {
        let waits = |name: &String| {
            let service = services.and_then(|services| services.get(name));
            let dependencies = service.and_then(|service| service.get("depends_on")).and_then(Node::as_map);
            dependencies.is_some_and(|map| map.keys().any(|other| left.contains(other)))
        };
        let ready: Vec<String> = left.iter().filter(|name| !waits(name)).cloned().collect();
        if ready.is_empty() {
            // What is left waits in a circle.
            order.extend(left);
            return order;
        }
        for name in ready {
            left.remove(&name);
            order.push(name);
        }
    }
}

fn keys(node: Option<&Node>) -> BTreeSet<String> {
    match node.map(|n| &n.value) {
        Some(Value::Map(map)) => map.keys().cloned().collect(),
        _ => BTreeSet::new(),
    }
}

fn profiles(services: Option<&Node>) -> BTreeSet<String> {
    let Some(Value::Map(services)) = services.map(|n| &n.value) else { return BTreeSet::new() };
    let of = |service: &Node| match service.get("profiles").map(|n| &n.value) {
        Some(Value::List(list)) => list.iter().filter_map(Node::as_text).map(str::to_owned).collect(),
        _ => Vec::new(),
    };
    services.values().flat_map(of).collect()
}

/// Returns the image of each service, in the order of the alphabet; one that is built without a name gets
/// `project-service`.
fn images(tree: &Node) -> Vec<String> {
    let Some(Value::Map(services)) = tree.get("services").map(|n| &n.value) else { return Vec::new() };
    let project = tree.get("name").and_then(Node::as_text).unwrap_or_default();
    let mut images: Vec<String> = services
        .iter()
        .map(|(name, service)| match service.get("image").and_then(Node::as_text) {
            Some(image) => image.to_owned(),
            None => format!("{project}-{name}"),
        })
        .collect();
    images.sort();
    images
}

fn lines(list: impl IntoIterator<Item = String>) -> String {
    let mut text = String::new();
    for line in list {
        let _ = writeln!(text, "{line}");
    }
    text
}
