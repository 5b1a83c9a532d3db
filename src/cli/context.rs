//! What every command has at hand: the terminal, the folders, the project options, the engine.

use std::future::Future;
use std::io::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use super::args::ProjectArgs;
use super::error::{Error, Result};
use super::project::{self, Target};
use super::ui::Ui;
use crate::api::ContainerSummary;
use crate::api::client::{Client, Starter, escape};
use crate::ids::{ProjectName, ServiceName};
use crate::paths::Paths;

/// What every command has at hand.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    pub(crate) ui: Ui,
    pub(crate) paths: Paths,
    pub(crate) project: ProjectArgs,
    /// Show what would be done instead of doing it.
    pub(crate) dry_run: bool,
}

/// What can be left on disk when no engine runs, by the folder below the root that holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Remains {
    /// Containers, and what belongs to them.
    Containers,
    /// Volumes as well.
    Volumes,
}

impl Context {
    pub(crate) fn new(ui: Ui, project: ProjectArgs, dry_run: bool) -> Self {
        Self { ui, paths: Paths::from_env(), project, dry_run }
    }

    /// Adds the project options that stood after the command.
    pub(crate) fn then(&mut self, later: ProjectArgs) -> &Self {
        self.project = std::mem::take(&mut self.project).then(later);
        self
    }

    /// Connects to the engine; starts it when it does not run.
    pub(crate) async fn connect(&self) -> Result<Client> {
        Ok(Client::connect(&self.paths, &Starter::this_program()).await?)
    }

    /// Connects to the engine; `None`, without starting it, when it does not run and nothing is
    /// left on disk that it could know about.
    pub(crate) async fn connect_if_any(&self, remains: Remains) -> Result<Option<Client>> {
        match Client::connect_running(&self.paths).await {
            Ok(Some(client)) => return Ok(Some(client)),
            Ok(None) => {}
            // It was there a moment ago: another is started to go on.
            Err(err) if err.lost() => return self.connect().await.map(Some),
            Err(err) => return Err(err.into()),
        }
        let folders: &[&str] = match remains {
            Remains::Containers => &["containers", "projects", "networks"],
            Remains::Volumes => &["containers", "projects", "networks", "volumes"],
        };
        for folder in folders {
            let empty = match std::fs::read_dir(self.paths.root.join(folder)) {
                Ok(mut entries) => entries.next().is_none(),
                // What we may not see may be there: then connecting says why.
                Err(err) => err.kind() == std::io::ErrorKind::NotFound,
            };
            if !empty {
                return self.connect().await.map(Some);
            }
        }
        Ok(None)
    }

    /// Returns the project that a command on existing containers means.
    pub(crate) fn target(&self, services: &[String]) -> Result<Target> {
        project::existing(&self.ui, &self.project, services)
    }
}

/// Runs a command's exchange with the engine on this thread.
pub(crate) fn block_on<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()
        .map_err(|err| Error::host(format!("cannot wait for the engine: {err}")))?;
    runtime.block_on(work)
}

/// Returns the path of a request on a project.
pub(crate) fn project_path(project: &ProjectName, what: &str) -> String {
    format!("/v1/projects/{}/{what}", escape(project.as_str()))
}

/// Returns the project's containers, by name.
pub(crate) async fn containers(client: &Client, project: &ProjectName) -> Result<Vec<ContainerSummary>> {
    let mut list: Vec<ContainerSummary> = client.get(&project_path(project, "containers")).await?;
    list.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(list)
}

/// Returns a service's container: replica `index`, else the first that runs, else the first.
pub(crate) fn replica<'a>(
    containers: &'a [ContainerSummary],
    service: &ServiceName,
    index: Option<u32>,
) -> Result<&'a ContainerSummary> {
    let mut own: Vec<&ContainerSummary> =
        containers.iter().filter(|c| c.service == service.as_str() && !c.one_off).collect();
    own.sort_by_key(|c| c.number);
    let found = match index.filter(|&i| i > 0) {
        Some(index) => own.iter().find(|c| c.number == index),
        None => own.iter().find(|c| c.state == "running").or(own.first()),
    };
    found.copied().ok_or_else(|| match index.filter(|&i| i > 0) {
        Some(index) => Error::user(format!("service \"{service}\" has no container #{index}")),
        None => Error::user(format!("service \"{service}\" is not running"))
            .hint(format!("start it with: stack up -d {service}")),
    })
}

/// Returns the seconds since 1970.
pub(crate) fn now() -> i64 {
    now_ns() / 1_000_000_000
}

/// Returns the nanoseconds since 1970.
pub(crate) fn now_ns() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| i64::try_from(d.as_nanos()).unwrap_or(i64::MAX))
}

/// Writes data to standard output.
pub(crate) fn print(text: &str) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()?;
    Ok(())
}
