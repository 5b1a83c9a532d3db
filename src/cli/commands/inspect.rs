//! `stack inspect`.

use clap::Args;
use serde_json::Value;

use crate::api::client::escape;
use crate::cli::context::{Context, Remains, block_on, print};
use crate::cli::error::{Error, Result};

/// Show everything about containers, in the shape of `docker inspect`.
#[derive(Debug, Args)]
pub(crate) struct InspectArgs {
    /// Names or ids, or beginnings of ids.
    #[arg(value_name = "CONTAINER", required = true)]
    containers: Vec<String>,
}

pub(crate) fn run(context: &Context, args: &InspectArgs) -> Result<()> {
    let mut found: Vec<Value> = Vec::new();
    let failed = block_on(async {
        let Some(client) = context.connect_if_any(Remains::Containers).await? else {
            return Ok(Some(Error::user(format!("no such container: {}", args.containers[0]))));
        };
        let mut failed = None;
        for name in &args.containers {
            match client.get(&format!("/v1/containers/{}", escape(name))).await {
                Ok(object) => found.push(object),
                Err(err) => {
                    failed.get_or_insert(Error::from(err));
                }
            }
        }
        Ok(failed)
    })?;
    // What was found is shown even if something else was not, as Docker does.
    let mut text = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    serde::Serialize::serialize(&found, &mut serde_json::Serializer::with_formatter(&mut text, formatter))?;
    text.push(b'\n');
    print(&String::from_utf8_lossy(&text))?;
    failed.map_or(Ok(()), Err)
}
