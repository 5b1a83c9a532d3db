//! `stack schema`.

use clap::Args;

use crate::cli::context::print;
use crate::cli::error::{Error, Result};
use crate::diag::nearest;
use crate::schemas;

/// Show a JSON Schema: of the Compose file for editors, or of a command's output for scripts.
///
/// For VS Code, write the schema to a file and name it in the first line of the Compose file:
///
///   stack schema > stack.schema.json
///   # yaml-language-server: $schema=stack.schema.json
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct SchemaArgs {
    /// Name of the schema; without it, that of the Compose file.
    #[arg(value_name = "NAME", conflicts_with = "list")]
    name: Option<String>,
    /// Show the names.
    #[arg(long)]
    list: bool,
}

pub(crate) fn run(args: &SchemaArgs) -> Result<()> {
    if args.list {
        let width = schemas::ALL.iter().map(|schema| schema.name.len()).max().unwrap_or(0);
        let line = |schema: &schemas::Schema| format!("{:width$}  {}\n", schema.name, schema.about());
        return print(&schemas::ALL.iter().map(line).collect::<String>());
    }
    let name = args.name.as_deref().unwrap_or(schemas::ALL[0].name);
    let Some(schema) = schemas::find(name) else {
        let hint = match nearest(name, schemas::ALL.iter().map(|schema| schema.name)) {
            Some(near) => format!("did you mean {near}?"),
            None => "`stack schema --list` names them".to_owned(),
        };
        return Err(Error::user(format!("there is no schema {name:?}")).hint(hint));
    };
    print(&schema.text())
}
