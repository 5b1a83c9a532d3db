//! `stack up`: converge, and in the foreground show what the containers say until they end.

use std::path::PathBuf;

use clap::{ArgAction, Args};

use super::create::ConvergeArgs;
use crate::api::UpRequest;
use crate::cli::args::ProjectArgs;
use crate::cli::context::{Context, block_on, now_ns, project_path};
use crate::cli::error::{Error, Result};
use crate::cli::foreground::{self, Abort, Session};
use crate::cli::operation::{self, Notes, grace};
use crate::cli::project;
use crate::cli::render::logs::Style;
use crate::cli::watching;
use crate::compose::model::Project;
use crate::graph::{Graph, Spans};
use crate::ids::ServiceName;

/// Create and start containers; change only what differs from the file.
#[derive(Debug, Args)]
pub(crate) struct UpArgs {
    /// Only these services and what they depend on.
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
    /// Leave the containers running in the background.
    #[arg(short = 'd', long)]
    detach: bool,
    #[command(flatten)]
    converge: ConvergeArgs,
    /// Leave dependencies alone.
    #[arg(long)]
    no_deps: bool,
    /// Make dependencies anew, too.
    #[arg(long, conflicts_with = "no_recreate")]
    always_recreate_deps: bool,
    /// Do not start what was created.
    #[arg(long)]
    no_start: bool,
    /// Seconds until a container that does not stop is killed.
    #[arg(short = 't', long, value_name = "SECONDS", allow_negative_numbers = true)]
    timeout: Option<i64>,
    /// Make anonymous volumes anew instead of keeping their data.
    #[arg(short = 'V', long)]
    renew_anon_volumes: bool,
    /// Wait until all services run or are healthy; implies --detach.
    #[arg(long, conflicts_with_all = ["abort_on_container_exit", "abort_on_container_failure", "exit_code_from"])]
    wait: bool,
    /// Give up waiting after so many seconds.
    #[arg(long, value_name = "SECONDS")]
    wait_timeout: Option<u64>,
    /// Tell at the end what took how long, and the chain that decided; `stack analyze` tells it later.
    #[arg(long, conflicts_with = "no_start")]
    timings: bool,
    /// Stop everything when any container ends.
    #[arg(long, conflicts_with_all = ["detach", "abort_on_container_failure"])]
    abort_on_container_exit: bool,
    /// Stop everything when any container fails.
    #[arg(long, conflicts_with = "detach")]
    abort_on_container_failure: bool,
    /// End with the exit status of this service; implies --abort-on-container-exit.
    #[arg(long, value_name = "SERVICE", conflicts_with = "detach")]
    exit_code_from: Option<String>,
    /// Show only the output of these services; repeatable.
    #[arg(long, value_name = "SERVICE", conflicts_with = "attach_dependencies")]
    attach: Vec<String>,
    /// Do not show the output of these services; repeatable.
    #[arg(long, value_name = "SERVICE")]
    no_attach: Vec<String>,
    /// Show the output of dependencies, too.
    #[arg(long)]
    attach_dependencies: bool,
    /// No colours in the output.
    #[arg(long)]
    no_color: bool,
    /// No names before the lines of the output.
    #[arg(long)]
    no_log_prefix: bool,
    /// Time before each line of the output.
    #[arg(long)]
    timestamps: bool,
    /// Act on files that change: develop.watch of each service, and the project's own files. With
    /// --detach it goes on in the engine.
    #[arg(short = 'w', long, conflicts_with_all = ["plan", "no_start"])]
    watch: bool,
    /// Carry out this plan of `stack plan --out`, or nothing: refused when what is there has changed since.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["services", "scale", "force_recreate", "no_recreate", "pull",
          "no_deps", "no_start", "renew_anon_volumes", "timeout"])]
    plan: Option<PathBuf>,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true",
          action = ArgAction::Set)]
    menu: Option<bool>,
    #[command(flatten)]
    pub(crate) project: ProjectArgs,
}

pub(crate) fn run(context: &Context, args: &UpArgs) -> Result<()> {
    if args.menu == Some(true) {
        context.ui.warn("--menu has no effect");
    }
    if args.always_recreate_deps {
        context.ui.warn("--always-recreate-deps has no effect; --force-recreate makes all containers anew");
    }
    let context = &args.converge.quieten(context);
    let kept = args.plan.as_deref().map(super::plan::kept).transpose()?;
    let mut watch = None;
    let project = match &kept {
        Some(request) => request.project.clone(),
        None if args.watch => {
            let watched = watching::to_watch(&context.ui, &context.project, &args.services, &reload_options(args))?;
            let project = watched.project.clone();
            watch = Some(watched.request(&args.services, args.detach || args.wait));
            project
        }
        None => project::to_run(&context.ui, &context.project, &args.services)?,
    };
    let exit_code_from = args.exit_code_from.as_deref().map(ServiceName::new);
    let named = args.attach.iter().chain(&args.no_attach).map(String::as_str).chain(args.exit_code_from.as_deref());
    for name in named {
        if !project.services.contains_key(name) {
            return Err(Error::user(format!("no such service: {name}")));
        }
    }
    let scope = scope(args, &project);
    let attached = attached(args, &project, &scope);
    let foreground = !(args.detach || args.wait || args.no_start);
    let request = match kept {
        Some(request) => request,
        None => UpRequest {
            no_deps: args.no_deps,
            renew_anon_volumes: args.renew_anon_volumes,
            start: !args.no_start,
            timeout: grace(args.timeout),
            ..args.converge.request(context, project, &args.services)?
        },
    };
    let request = UpRequest { wait: args.wait, wait_timeout: args.wait_timeout, ..request };
    block_on(async {
        if context.dry_run {
            return super::plan::show(context, &request).await;
        }
        let client = context.connect().await?;
        let began_ns = now_ns();
        if !foreground {
            let path = project_path(&request.project.name, "up");
            let done = operation::run(context, &client, "up", &path, &request, Notes::Show).await;
            if args.timings {
                let shown = super::analyze::show(context, &client, &request.project.name, began_ns).await;
                // Why it failed matters more.
                if done.is_ok() {
                    shown?;
                }
            }
            done?;
            return match &watch {
                Some(watch) => watching::detached(context, watch).await,
                None => Ok(()),
            };
        }
        let abort = match (args.abort_on_container_exit || exit_code_from.is_some(), args.abort_on_container_failure) {
            (_, true) => Abort::OnFailure,
            (true, _) => Abort::OnExit,
            _ => Abort::Never,
        };
        let palette = if args.no_color { crate::cli::render::style::Palette::new(false) } else { context.ui.out };
        let session = Session {
            request: &request,
            watch,
            attached,
            scope,
            abort,
            exit_code_from,
            timings: args.timings,
            style: Style { palette, prefix: !args.no_log_prefix, timestamps: args.timestamps },
        };
        foreground::run(context, &client, session).await
    })
}

/// Returns the options that a reload needs to bring up the same.
fn reload_options(args: &UpArgs) -> Vec<String> {
    let mut options = args.converge.reload_options();
    if args.no_deps {
        options.push("--no-deps".to_owned());
    }
    if let Some(timeout) = args.timeout {
        options.push(format!("--timeout={timeout}"));
    }
    options
}

/// Returns the services that this `up` is about: all, or those named and their dependencies.
fn scope(args: &UpArgs, project: &Project) -> Vec<ServiceName> {
    if args.services.is_empty() {
        return project.services.keys().cloned().collect();
    }
    let named: Vec<ServiceName> = args.services.iter().map(|s| ServiceName::new(s.as_str())).collect();
    // A project that is run has no cycle: that was checked when it was loaded.
    match Graph::build(project, &Spans::new()) {
        Ok(graph) if !args.no_deps => graph.dependencies_closure(&named),
        _ => named,
    }
}

/// Returns the services whose output is shown.
fn attached(args: &UpArgs, project: &Project, scope: &[ServiceName]) -> Vec<ServiceName> {
    let names = |list: &[String]| list.iter().map(|s| ServiceName::new(s.as_str())).collect::<Vec<_>>();
    let mut chosen = if !args.attach.is_empty() {
        names(&args.attach)
    } else if args.services.is_empty() || args.attach_dependencies {
        scope.to_vec()
    } else {
        names(&args.services)
    };
    chosen.retain(|name| {
        let quiet = args.attach.is_empty() && project.services.get(name).and_then(|s| s.attach) == Some(false);
        !quiet && !args.no_attach.iter().any(|n| n == name.as_str())
    });
    chosen
}
