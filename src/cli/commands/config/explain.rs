//! `stack config explain`.

use clap::Args;

use super::ConfigArgs;
use crate::cli::args::ProjectArgs;
use crate::cli::context::{Context, print};
use crate::cli::error::{Error, Result};
use crate::cli::{project, render};
use crate::compose::{self, Loaded, explain::explain};

/// Show where a value comes from: its file and line, the variables in it, and what it wins over.
///
/// PATH is an attribute of the resolved project, as in services.web.ports[0].published; a service's
/// name may stand at the beginning, as in web.image, and a key with dots in brackets, as in
/// web.labels["com.example.a"]. A section, web or web.environment, shows every value in it;
/// without PATH, all of the project.
///
/// Values whose names look secret are shown as ***.
#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// The attribute.
    #[arg(value_name = "PATH")]
    path: Option<String>,
    /// text or json.
    #[arg(long, value_name = "FORMAT", value_parser = ["text", "json"])]
    pub(super) format: Option<String>,
    /// Show secret values as they are.
    #[arg(long)]
    show_secrets: bool,
    #[command(flatten)]
    project: ProjectArgs,
}

/// Runs `config explain`; `outer` are the options that stood before the word.
///
/// `explain` alone means a service of that name where there is one: Compose takes names there.
/// `config -- explain` and `config web explain` mean it in any case.
pub(super) fn run(context: &Context, outer: &ConfigArgs, args: &ExplainArgs) -> Result<()> {
    if let Some(option) = outer.beside_explain() {
        return Err(Error::user(format!("{option} has no meaning for config explain")));
    }
    let mut context = context.clone();
    context.then(args.project.clone());
    let mut options = project::load_options(&context.project, &[])?;
    options.provenance = true;
    let Loaded { diagnostics, provenance, .. } = compose::load(&options);
    // Where a wrong value comes from is asked above all: what there is of an answer is given.
    let Some(provenance) = provenance else { return Err(Error::Diagnostics(diagnostics)) };
    let named = provenance.tree.get("services").and_then(|services| services.get("explain")).is_some();
    if named && args.path.is_none() {
        return super::print_model(&context, outer, &["explain".to_owned()]);
    }
    let path = args.path.as_deref().unwrap_or_default();
    let explained = explain(&provenance, path, args.show_secrets).map_err(|wrong| {
        let error = Error::user(wrong.message);
        match wrong.help {
            Some(help) => error.hint(help),
            None => error,
        }
    });
    let text = match (&explained, args.format.as_deref().or(outer.format.as_deref()).unwrap_or("text")) {
        (Err(_), _) => String::new(),
        (Ok(explained), "json") => serde_json::to_string_pretty(&render::explain::json(explained))? + "\n",
        (Ok(explained), _) => render::explain::text(explained, context.ui.out),
    };
    print(&text)?;
    if let Err(wrong) = explained {
        // A mistake elsewhere does not make the path right: both are told.
        context.ui.diagnostics(&compose::in_order(&[&diagnostics]));
        return Err(wrong);
    }
    project::accept(&context.ui, &diagnostics, Some(()))
}
