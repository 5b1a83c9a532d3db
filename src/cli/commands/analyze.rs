//! `stack analyze`, and what `up --timings` shows at its end.

use clap::Args;

use crate::api::client::Client;
use crate::cli::args::ProjectArgs;
use crate::cli::context::{Context, block_on, print, project_path};
use crate::cli::error::{Error, Result};
use crate::cli::render::timing;
use crate::cli::ui::{Progress, terminal_size};
use crate::ids::{ProjectName, ServiceName};
use crate::timing::Timings;

/// Tell what the last `up` took: pull, unpack, create, network, start and ready of each container, and the chain
/// of them that decided. It is kept when the engine ends and when the project is gone.
#[derive(Debug, Args)]
pub(crate) struct AnalyzeArgs {
    /// Only the containers of these services; the critical path is that of all.
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
    /// text, or json.
    #[arg(long, value_name = "FORMAT", default_value = "text", value_parser = ["text", "json"])]
    pub(crate) format: String,
    #[command(flatten)]
    pub(crate) project: ProjectArgs,
}

pub(crate) fn run(context: &Context, args: &AnalyzeArgs) -> Result<()> {
    let target = context.target(&args.services)?;
    let services = target.services(&args.services)?;
    let timings = block_on(async { of(&context.connect().await?, &target.name).await })?;
    let timings = timings.ok_or_else(|| {
        Error::user(format!("no `up` of project {} is known", target.name)).hint("bring it up with: stack up -d")
    })?;
    let wanted = |container: &str| services.is_empty() || services.iter().any(|s| is_of(container, &target.name, s));
    match args.format.as_str() {
        "json" => print(&format!("{}\n", timing::to_json(&timings, wanted))),
        _ => print(&timing::draw(&timings, context.ui.out, terminal_size().0, wanted)),
    }
}

/// Tells whether a container has the name of one of the service.
fn is_of(container: &str, project: &ProjectName, service: &ServiceName) -> bool {
    let number = container.strip_prefix(project.as_str()).and_then(|rest| rest.strip_prefix('-'));
    let number = number.and_then(|rest| rest.strip_prefix(service.as_str())).and_then(|rest| rest.strip_prefix('-'));
    number.is_some_and(|number| number.parse::<u32>().is_ok())
}

/// Shows what the `up` took that began after `since_ns`, where progress goes; nothing when it never came to work.
pub(crate) async fn show(context: &Context, client: &Client, project: &ProjectName, since_ns: i64) -> Result<()> {
    let Some(timings) = of(client, project).await?.filter(|timings| timings.began_ns >= since_ns) else {
        return Ok(());
    };
    let text = match context.ui.progress {
        Progress::Json => timing::to_json(&timings, |_| true).to_string(),
        _ => timing::draw(&timings, context.ui.err, terminal_size().0, |_| true),
    };
    context.ui.say(text.trim_end());
    Ok(())
}

async fn of(client: &Client, project: &ProjectName) -> Result<Option<Timings>> {
    Ok(client.get(&project_path(project, "timings")).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containers_are_of_a_service_by_their_name() {
        let check = |container: &str, expected: bool| {
            assert_eq!(is_of(container, &ProjectName::new("app"), &"web".into()), expected, "{container}");
        };
        check("app-web-1", true);
        check("app-web-admin-1", false);
        check("app-webs-1", false);
        check("my-web", false);
    }
}
