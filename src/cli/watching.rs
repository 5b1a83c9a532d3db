//! The client's half of watching: what it asks the engine for, and drawing what comes back.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::args::ProjectArgs;
use super::context::{Context, now_ns, project_path};
use super::error::{Error, Result};
use super::operation::Interrupts;
use super::project;
use super::render;
use super::ui::{Progress, Ui};
use crate::api::client::{Client, ClientError, Lines};
use crate::api::{Caller, WatchRequest};
use crate::compose::files::Recorded;
use crate::compose::model::Project;
use crate::compose::tree::Node;
use crate::compose::{self, Loaded};
use crate::diag::Diagnostic;
use crate::event::Event;
use crate::ids::ServiceName;

/// A project that is going to be watched.
#[derive(Debug)]
pub(crate) struct Watched {
    pub(crate) project: Project,
    pub(crate) caller: Caller,
}

/// Returns the project as a reload wants it: to run, and with the files that it was read from.
pub(crate) fn to_reload(ui: &Ui, args: &ProjectArgs, services: &[String]) -> Result<Watched> {
    load(ui, args, services, |_| Ok(()))
}

/// Returns the project to run and watch. What cannot be done when a file changes is refused now,
/// before anything starts.
///
/// `reload` are the options that a later `reload` needs to apply the same project.
pub(crate) fn to_watch(ui: &Ui, args: &ProjectArgs, services: &[String], reload: &[String]) -> Result<Watched> {
    let mut watched = load(ui, args, services, |loaded| refuse_rebuild(loaded, services))?;
    if args.files.iter().any(|file| file.as_os_str() == "-")
        || watched.caller.environment.get("COMPOSE_FILE").is_some_and(|file| args.files.is_empty() && file == "-")
    {
        return Err(Error::user("a Compose file from standard input cannot be watched")
            .hint("write it to a file and name that with -f"));
    }
    let arguments = &mut watched.caller.arguments;
    arguments.extend(project_arguments(args));
    arguments.push("reload".to_owned());
    arguments.extend_from_slice(reload);
    arguments.push("--".to_owned());
    arguments.extend_from_slice(services);
    Ok(watched)
}

fn load(
    ui: &Ui,
    args: &ProjectArgs,
    services: &[String],
    check: impl FnOnce(&Loaded) -> Result<()>,
) -> Result<Watched> {
    let disk = Arc::new(Recorded::default());
    let mut options = project::load_options(args, services)?;
    options.disk = Arc::clone(&disk) as _;
    let read_ns = now_ns();
    let (folder, environment) = (options.cwd.clone(), options.environment.clone());
    let loaded = compose::load(&options);
    check(&loaded)?;
    let project = project::runnable(ui, &options, loaded, services)?;
    let sources = disk.seen().into_iter().filter(|path| path.is_absolute()).collect();
    Ok(Watched { project, caller: Caller { arguments: Vec::new(), folder, environment, sources, read_ns } })
}

impl Watched {
    /// Returns what the engine is asked for.
    pub(crate) fn request(self, services: &[String], detach: bool) -> WatchRequest {
        WatchRequest {
            project: self.project,
            services: services.iter().map(|name| ServiceName::new(name.as_str())).collect(),
            detach,
            resume: false,
            caller: Some(self.caller),
        }
    }
}

/// Refuses rules that need images to be built, all at their places.
fn refuse_rebuild(loaded: &Loaded, services: &[String]) -> Result<()> {
    let written = loaded.tree.as_ref().and_then(|tree| tree.get("services")).and_then(Node::as_map);
    let mut found = Vec::new();
    for (name, service) in written.into_iter().flatten() {
        if !services.is_empty() && !services.iter().any(|service| service == name) {
            continue;
        }
        let rules = service.get("develop").and_then(|develop| develop.get("watch")).and_then(Node::as_list);
        for action in rules.unwrap_or_default().iter().filter_map(|rule| rule.get("action")) {
            if action.as_text() == Some("rebuild") {
                let message = format!("`rebuild` is not supported yet: no image of \"{name}\" can be built");
                let mut diagnostic = Diagnostic::error(message, action.span.clone());
                diagnostic.help = Some("use sync, sync+restart, sync+exec or restart, or do not watch".to_owned());
                found.push(diagnostic);
            }
        }
    }
    if found.is_empty() { Ok(()) } else { Err(Error::Diagnostics(found)) }
}

/// Returns the options that name a project, as they are written on a command line.
fn project_arguments(args: &ProjectArgs) -> Vec<String> {
    let path = |path: &Path| path.to_string_lossy().into_owned();
    let mut arguments = Vec::new();
    let mut option = |name: &str, value: String| arguments.extend([name.to_owned(), value]);
    args.files.iter().for_each(|file| option("--file", path(file)));
    args.rest.project_name.iter().for_each(|name| option("--project-name", name.clone()));
    args.rest.env_files.iter().for_each(|file| option("--env-file", path(file)));
    args.rest.profiles.iter().for_each(|profile| option("--profile", profile.clone()));
    args.rest.project_directory.iter().for_each(|folder| option("--project-directory", path(folder)));
    arguments
}

/// Asks for watching; the answer goes on until it ends.
pub(crate) async fn begin(client: &Client, request: &WatchRequest) -> std::result::Result<Lines<Event>, ClientError> {
    client.post(&project_path(&request.project.name, "watch"), request).await
}

/// Asks for watching that goes on in the engine.
pub(crate) async fn detached(context: &Context, request: &WatchRequest) -> Result<()> {
    let client = context.connect().await?;
    let mut events = begin(&client, request).await?;
    while let Some(event) = events.next().await? {
        match event {
            Event::Done { errors } if errors.is_empty() => return Ok(()),
            Event::Done { errors } => return Err(Error::Failures(errors)),
            event => show(&context.ui, &event),
        }
    }
    Err(Error::host("the engine ended; nothing is watched"))
}

/// Watches in front: shows what is done until Ctrl-C, or until the project is taken down.
pub(crate) async fn in_front(context: &Context, mut request: WatchRequest) -> Result<()> {
    let mut interrupts = Interrupts::listen()?;
    let mut pauses = Pauses::default();
    loop {
        let began = Instant::now();
        let why = tokio::select! {
            // Either way it is over: nothing is lost with the other arm.
            over = until_over(context, &request) => over?,
            () = interrupts.next() => Some("the containers run on"),
        };
        if let Some(why) = why {
            context.ui.say(&format!("not watching any more: {why}"));
            return Ok(());
        }
        // The next one goes on from what this one left.
        request.resume = true;
        let pause = pauses.after(began.elapsed());
        if !pause.is_zero() {
            context.ui.warn("the engine ended again; starting it to go on watching");
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = interrupts.next() => return Ok(()),
        }
    }
}

/// Shows what is done until that is over; returns why it is, `None` when the engine was lost.
async fn until_over(context: &Context, request: &WatchRequest) -> Result<Option<&'static str>> {
    let client = context.connect().await?;
    let mut events = match begin(&client, request).await {
        Err(error) if error.lost() => return Ok(None),
        begun => begun?,
    };
    loop {
        match events.next().await {
            Ok(Some(Event::Done { errors })) if errors.is_empty() => return Ok(Some("the project was taken down")),
            Ok(Some(Event::Done { errors })) => return Err(Error::Failures(errors)),
            Ok(Some(event)) => show(&context.ui, &event),
            Ok(None) => return Err(Error::host("the engine ended; nothing is watched any more")),
            Err(error) if error.lost() => return Ok(None),
            Err(error) => return Err(error.into()),
        }
    }
}

/// How long to wait before an engine is asked in the place of one that was lost: not at all for one
/// that served for a while, ever longer where each is lost right away.
#[derive(Debug, Default)]
struct Pauses(Duration);

impl Pauses {
    fn after(&mut self, served: Duration) -> Duration {
        const A_WHILE: Duration = Duration::from_secs(10);
        const SHORTEST: Duration = Duration::from_millis(100);
        const LONGEST: Duration = Duration::from_secs(5);
        if served >= A_WHILE {
            self.0 = Duration::ZERO;
        }
        let next = (self.0 * 2).clamp(SHORTEST, LONGEST);
        std::mem::replace(&mut self.0, next)
    }
}

/// Shows what watching did, on standard error.
pub(crate) fn show(ui: &Ui, event: &Event) {
    let folder = std::env::current_dir().unwrap_or_default();
    match event {
        _ if ui.progress == Progress::Quiet
            && !matches!(event, Event::Watch { failures, .. } if !failures.is_empty()) => {}
        _ if ui.progress == Progress::Json => {
            if let Ok(line) = serde_json::to_string(event) {
                ui.say(&line);
            }
        }
        Event::Note { message } => ui.say(message),
        event => {
            if let Some(text) = render::watch::line(event, &folder, ui.err) {
                ui.say(&text);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_that_is_lost_each_time_is_asked_ever_more_seldom() {
        let mut pauses = Pauses::default();
        let mut after = |seconds: &[u64]| {
            let pause = |&seconds: &u64| pauses.after(Duration::from_secs(seconds)).as_millis();
            seconds.iter().map(pause).collect::<Vec<_>>()
        };
        assert_eq!(after(&[60, 0, 0, 1, 0, 0, 0, 0, 0]), [0, 100, 200, 400, 800, 1600, 3200, 5000, 5000]);
        assert_eq!(after(&[10, 0]), [0, 100]);
    }
}
