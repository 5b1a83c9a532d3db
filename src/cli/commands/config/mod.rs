//! `stack config`.

mod explain;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::cli::args::ProjectArgs;
use crate::cli::context::{Context, print};
use crate::cli::error::{Error, Result};
use crate::cli::project;
use crate::compose::tree::{Node, Value};
use crate::compose::{self, Loaded};
use crate::diag::Severity;

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
    /// yaml or json.
    #[arg(long, value_name = "FORMAT", default_value = "yaml", value_parser = ["yaml", "json"])]
    format: String,
    /// Only check: print nothing on success.
    #[arg(short = 'q', long)]
    quiet: bool,
    /// Write to a file.
    #[arg(short = 'o', long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Print the names of the services.
    #[arg(long = "services", group = "what")]
    service_names: bool,
    /// Print the names of the volumes.
    #[arg(long, group = "what")]
    volumes: bool,
    /// Print the names of the networks.
    #[arg(long, group = "what")]
    networks: bool,
    /// Print the names of the images.
    #[arg(long, group = "what")]
    images: bool,
    /// Print the names of the profiles.
    #[arg(long, group = "what")]
    profiles: bool,
    /// Print the variables that the files can use.
    #[arg(long, group = "what")]
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
    /// Accepted for Compose's sake: references between services are always checked.
    #[arg(long, hide = true)]
    no_consistency: bool,
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

/// Prints the model, or what of it is asked for; `services` narrows it.
fn print_model(context: &Context, args: &ConfigArgs, services: &[String]) -> Result<()> {
    if args.no_consistency {
        context.ui.warn("--no-consistency has no effect: references are always checked");
    }
    let mut options = project::load_options(&context.project, services)?;
    options.interpolate = !args.no_interpolate;
    options.normalize = !args.no_normalize;
    options.resolve_paths = !args.no_path_resolution;
    if args.profiles {
        // All of them are asked for, also those of services that are off.
        options.profiles = vec!["*".to_owned()];
    }
    let Loaded { project, tree, diagnostics, unsupported, dependency_spans, environment, .. } = compose::load(&options);
    let tree = project::accept(&context.ui, &diagnostics, tree)?;
    // A model that cannot run lacks services: others would seem to wait for what is not there.
    if let Some(project) = project.filter(|_| unsupported.iter().all(|d| d.severity != Severity::Error)) {
        project::refuse_cycles(&project, dependency_spans)?;
    }
    let service = tree.get("services");
    for name in services {
        if service.and_then(|s| s.get(name)).is_none() {
            return Err(Error::user(format!("no such service: {name}")));
        }
    }
    if args.quiet {
        return Ok(());
    }
    let text = match () {
        () if args.service_names => lines(keys(service)),
        () if args.volumes => lines(keys(tree.get("volumes"))),
        () if args.networks => lines(keys(tree.get("networks"))),
        () if args.profiles => lines(profiles(service)),
        () if args.images => lines(images(&tree)),
        () if args.environment => lines(environment.iter().map(|(k, v)| format!("{k}={v}"))),
        () if args.format == "json" && args.no_interpolate => {
            serde_json::to_string_pretty(&compose::template_json(&tree))? + "\n"
        }
        () if args.format == "json" => serde_json::to_string_pretty(&compose::config_json(&tree))? + "\n",
        () => compose::config_yaml(&tree),
    };
    match &args.output {
        Some(path) => {
            std::fs::write(path, text).map_err(|err| Error::host(format!("cannot write {}: {err}", path.display())))
        }
        None => print(&text),
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

/// Returns the images of the services; one that is built without a name gets `project-service`.
fn images(tree: &Node) -> BTreeSet<String> {
    let Some(Value::Map(services)) = tree.get("services").map(|n| &n.value) else { return BTreeSet::new() };
    let project = tree.get("name").and_then(Node::as_text).unwrap_or_default();
    services
        .iter()
        .map(|(name, service)| match service.get("image").and_then(Node::as_text) {
            Some(image) => image.to_owned(),
            None => format!("{project}-{name}"),
        })
        .collect()
}

fn lines(list: impl IntoIterator<Item = String>) -> String {
    let mut text = String::new();
    for line in list {
        let _ = writeln!(text, "{line}");
    }
    text
}
