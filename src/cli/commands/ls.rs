//! `stack ls`.

use clap::Args;

use crate::api::ProjectSummary;
use crate::cli::context::{Context, Remains, block_on, print};
use crate::cli::error::{Error, Result};
use crate::cli::render::table;

/// List the projects of this machine.
#[derive(Debug, Args)]
pub(crate) struct LsArgs {
    /// Show stopped projects, too.
    #[arg(short = 'a', long)]
    all: bool,
    /// Only projects whose name contains this: name=TEXT.
    #[arg(long, value_name = "KEY=VALUE")]
    filter: Option<String>,
    /// table or json.
    #[arg(long, value_name = "FORMAT", default_value = "table", value_parser = ["table", "json"])]
    pub(crate) format: String,
    /// Only the names.
    #[arg(short = 'q', long)]
    quiet: bool,
}

pub(crate) fn run(context: &Context, args: &LsArgs) -> Result<()> {
    let part = match args.filter.as_deref().map(|f| f.split_once('=')) {
        None => None,
        Some(Some(("name", part))) => Some(part),
        Some(_) => return Err(Error::user("unknown filter").hint("the one filter is name=TEXT")),
    };
    let mut list: Vec<ProjectSummary> = block_on(async {
        match context.connect_if_any(Remains::Containers).await? {
            Some(client) => Ok(client.get("/v1/projects").await?),
            None => Ok(Vec::new()),
        }
    })?;
    list.retain(|p| {
        let runs = p.states.get("running").is_some_and(|&n| n > 0);
        (args.all || runs) && part.is_none_or(|part| p.name.as_str().contains(part))
    });
    list.sort_by(|a, b| a.name.cmp(&b.name));
    print(&draw(args, &list)?)
}

fn draw(args: &LsArgs, list: &[ProjectSummary]) -> Result<String> {
    if args.quiet {
        return Ok(list.iter().map(|p| format!("{}\n", p.name)).collect());
    }
    let cells = |p: &ProjectSummary| {
        let states: Vec<String> =
            p.states.iter().filter(|(_, n)| **n > 0).map(|(state, n)| format!("{state}({n})")).collect();
        let files: Vec<String> = p.files.iter().map(|f| f.display().to_string()).collect();
        [p.name.to_string(), states.join(", "), files.join(",")]
    };
    if args.format == "json" {
        let list: Vec<_> = list
            .iter()
            .map(|p| {
                let [name, status, files] = cells(p);
                serde_json::json!({ "Name": name, "Status": status, "ConfigFiles": files })
            })
            .collect();
        return Ok(serde_json::to_string(&list)? + "\n");
    }
    let rows: Vec<Vec<String>> = list.iter().map(|p| cells(p).to_vec()).collect();
    Ok(table::draw(&["NAME", "STATUS", "CONFIG FILES"], &rows))
}
