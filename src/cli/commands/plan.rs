//! `stack plan`: what `up` would do, and why.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use clap::Args;
use serde::{Deserialize, Serialize};

use super::create::ConvergeArgs;
use crate::api::{PlanAnswer, Review, UpRequest};
use crate::cli::args::ProjectArgs;
use crate::cli::context::{Context, block_on, print, project_path};
use crate::cli::error::{Error, Result};
use crate::cli::{project, render};

/// Exit status when `up` would change something.
const CHANGES: u8 = 2;

/// Show what `up` would do, with what changes, why, and what else it touches; change nothing.
///
/// The exit status is 0 when there is nothing to do, 2 when there is, and 1 after an error.
#[derive(Debug, Args)]
pub(crate) struct PlanArgs {
    /// Only these services and what they depend on.
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
    /// text or json.
    #[arg(long, value_name = "FORMAT", default_value = "text", value_parser = ["text", "json"])]
    format: String,
    /// Keep the plan in a file, for `up --plan FILE`; it holds the values of all variables.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Leave dependencies alone.
    #[arg(long)]
    no_deps: bool,
    /// Make anonymous volumes anew instead of keeping their data.
    #[arg(short = 'V', long)]
    renew_anon_volumes: bool,
    #[command(flatten)]
    converge: ConvergeArgs,
    #[command(flatten)]
    pub(crate) project: ProjectArgs,
}

/// A plan in a file.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    /// Version of this form.
    stack_plan: u32,
    /// What was asked for, with the whole project.
    request: UpRequest,
    /// What was shown.
    review: Review,
}

const KEPT: u32 = 1;

pub(crate) fn run(context: &Context, args: &PlanArgs) -> Result<()> {
    let project = project::to_run(&context.ui, &context.project, &args.services)?;
    let request = UpRequest {
        start: true,
        no_deps: args.no_deps,
        renew_anon_volumes: args.renew_anon_volumes,
        ..args.converge.request(context, project, &args.services)?
    };
    let review = block_on(ask(context, &request))?;
    if let Some(path) = &args.out {
        keep(path, &Kept { stack_plan: KEPT, request, review: review.clone() })?;
    }
    if args.format == "json" {
        print(&(serde_json::to_string_pretty(&review)? + "\n"))?;
    } else {
        print(&render::plan::draw(&review, context.ui.out))?;
    }
    if review.changes() > 0 { Err(Error::Status(CHANGES)) } else { Ok(()) }
}

/// Shows what a request would do: the dry run of `up` and `create`.
pub(crate) async fn show(context: &Context, request: &UpRequest) -> Result<()> {
    let review = ask(context, request).await?;
    print(&render::plan::draw(&review, context.ui.out))
}

async fn ask(context: &Context, request: &UpRequest) -> Result<Review> {
    let client = context.connect().await?;
    let answer: PlanAnswer = client.consult(&project_path(&request.project.name, "plan"), request).await?;
    answer.review.ok_or(Error::Failures(answer.errors))
}

fn keep(path: &Path, kept: &Kept) -> Result<()> {
    let cannot = |err: std::io::Error| Error::host(format!("cannot write the plan to {}: {err}", path.display()));
    let mut text = serde_json::to_vec_pretty(kept)?;
    text.push(b'\n');
    // Nobody else reads the values of the variables.
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path).map_err(cannot)?;
    file.write_all(&text).map_err(cannot)
}

/// Returns the request of a plan that was kept in a file; anything but that plan is refused.
pub(crate) fn kept(path: &Path) -> Result<UpRequest> {
    let text =
        std::fs::read(path).map_err(|err| Error::user(format!("cannot read the plan {}: {err}", path.display())))?;
    let again = "make it again: stack plan --out FILE";
    let kept: Kept = serde_json::from_slice(&text)
        .map_err(|err| Error::user(format!("{} is no plan of this program: {err}", path.display())).hint(again))?;
    if kept.stack_plan != KEPT {
        return Err(Error::user(format!("{} is a plan of another version of this program", path.display())).hint(again));
    }
    Ok(UpRequest { expected: Some(kept.review), ..kept.request })
}
