//! `stack create`, and the options that it shares with `up`.

use std::collections::BTreeMap;

use clap::Args;

use crate::api::{Recreate, UpRequest};
use crate::cli::args::{ProjectArgs, scale};
use crate::cli::context::{Context, block_on, project_path};
use crate::cli::error::{Error, Result};
use crate::cli::operation::{self, Notes};
use crate::cli::project;
use crate::compose::model::{Project, PullPolicy};
use crate::ids::ServiceName;

/// Create containers, networks and volumes without starting anything.
#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    /// Only these services and what they depend on.
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
    #[command(flatten)]
    converge: ConvergeArgs,
    #[command(flatten)]
    pub(crate) project: ProjectArgs,
}

/// Options of `up` and `create`.
#[derive(Debug, Default, Args)]
pub(crate) struct ConvergeArgs {
    /// Build images first.
    #[arg(long, conflicts_with = "no_build")]
    build: bool,
    /// Never build images.
    #[arg(long)]
    no_build: bool,
    /// Make all containers anew, changed or not.
    #[arg(long, conflicts_with = "no_recreate")]
    force_recreate: bool,
    /// Leave existing containers as they are, changed or not.
    #[arg(long)]
    no_recreate: bool,
    /// When images are pulled, for all services: always, missing or never.
    #[arg(long, value_name = "POLICY", value_parser = pull_policy)]
    pull: Option<PullPolicy>,
    /// Do not show the progress of pulls.
    #[arg(long)]
    quiet_pull: bool,
    /// Remove containers of services that are no longer in the file.
    #[arg(long, env = "COMPOSE_REMOVE_ORPHANS", hide_env = true, value_parser = clap::builder::FalseyValueParser::new())]
    remove_orphans: bool,
    /// Number of replicas, overriding the file; repeatable.
    #[arg(long, value_name = "SERVICE=NUM", value_parser = scale)]
    scale: Vec<(String, u32)>,
    /// Answer yes to every question.
    #[arg(short = 'y', long)]
    yes: bool,
    #[arg(long, hide = true)]
    quiet_build: bool,
}

pub(crate) fn run(context: &Context, args: &CreateArgs) -> Result<()> {
    let context = &args.converge.quieten(context);
    let project = project::to_run(&context.ui, &context.project, &args.services)?;
    let request = args.converge.request(context, project, &args.services)?;
    block_on(async {
        if context.dry_run {
            return super::plan::show(context, &request).await;
        }
        let client = context.connect().await?;
        let path = project_path(&request.project.name, "up");
        operation::run(context, &client, "create", &path, &request, Notes::Show).await.map(drop)
    })
}

impl ConvergeArgs {
    /// Returns no options but these numbers of replicas.
    pub(crate) fn scaling(counts: &[(String, u32)]) -> Self {
        Self { scale: counts.to_vec(), ..Self::default() }
    }

    /// Returns the request that these options mean; nothing is started.
    pub(crate) fn request(&self, context: &Context, project: Project, services: &[String]) -> Result<UpRequest> {
        if self.build {
            context.ui.warn("--build has no effect: images are not built yet");
        }
        let ignore_orphans = truthy("COMPOSE_IGNORE_ORPHANS");
        if ignore_orphans && self.remove_orphans {
            return Err(Error::user("COMPOSE_IGNORE_ORPHANS and --remove-orphans contradict each other")
                .hint("unset COMPOSE_IGNORE_ORPHANS (or COMPOSE_REMOVE_ORPHANS)"));
        }
        let mut counts = BTreeMap::new();
        for (service, count) in &self.scale {
            let service = ServiceName::new(service.as_str());
            let Some(model) = project.services.get(&service) else {
                return Err(Error::user(format!("--scale: no such service: {service}")));
            };
            if let (2.., Some(name)) = (*count, &model.container_name) {
                return Err(Error::user(format!("--scale: service \"{service}\" has container_name {name:?}"))
                    .hint("remove container_name from the service: only one container can have the name"));
            }
            counts.insert(service, *count);
        }
        let recreate = match (self.force_recreate, self.no_recreate) {
            (true, _) => Recreate::Force,
            (_, true) => Recreate::Never,
            _ => Recreate::Diverged,
        };
        Ok(UpRequest {
            project,
            services: services.iter().map(|s| ServiceName::new(s.as_str())).collect(),
            scale: counts,
            no_deps: false,
            recreate,
            remove_orphans: self.remove_orphans,
            ignore_orphans,
            renew_anon_volumes: false,
            start: false,
            wait: false,
            wait_timeout: None,
            timeout: None,
            pull: self.pull,
            expected: None,
            edited: false,
        })
    }

    /// Returns the options that a reload needs to make the same of the files.
    pub(crate) fn reload_options(&self) -> Vec<String> {
        let mut options: Vec<String> =
            self.scale.iter().map(|(service, count)| format!("--scale={service}={count}")).collect();
        if self.no_recreate {
            options.push("--no-recreate".to_owned());
        }
        if self.remove_orphans {
            options.push("--remove-orphans".to_owned());
        }
        options
    }

    /// Returns the context with what these options say about the progress.
    pub(crate) fn quieten(&self, context: &Context) -> Context {
        let mut context = context.clone();
        context.ui.hide_pulls = self.quiet_pull;
        context
    }
}

/// Tells whether a variable of the environment is set to something that means yes.
fn truthy(key: &str) -> bool {
    std::env::var(key).is_ok_and(|v| matches!(v.to_ascii_lowercase().as_str(), "1" | "t" | "true" | "y" | "yes" | "on"))
}

fn pull_policy(text: &str) -> std::result::Result<PullPolicy, String> {
    match text {
        "always" => Ok(PullPolicy::Always),
        "missing" | "if_not_present" => Ok(PullPolicy::Missing),
        "never" => Ok(PullPolicy::Never),
        _ => Err("must be always, missing or never".to_owned()),
    }
}
