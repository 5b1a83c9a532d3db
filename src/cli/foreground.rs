//! `up` in the foreground: operation, output and exits of the containers, Ctrl-C.
//!
//! ```text
//! converge --ok--> watch --all have exited--> end
//!    |               |  `--Ctrl-C, or an exit that ends everything--> stop --> end
//!    |               `--stopping and Ctrl-C again--> kill --> end
//!    `--Ctrl-C--> stop
//! ```
//!
//! Containers are followed by the engine's event stream, opened before anything starts, and
//! their log lines from that moment on: nothing that is said or that ends early is missed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::commands::analyze;
use super::context::{Context, containers, now_ns, project_path};
use super::error::{Error, INTERRUPTED, Result};
use super::operation::{Interrupts, Notes, Operation};
use super::render::logs::{LogPrinter, Style, short_name};
use super::ui::Progress;
use super::watching;
use crate::api::client::{Client, ClientError, Lines, escape};
use crate::api::{LogLine, LogsRequest, ServicesRequest, UpRequest, WatchRequest};
use crate::crash::Card;
use crate::event::{Action, Event, Failure};
use crate::ids::ServiceName;

/// A container's last words may come after the news of its end; for so long they are waited for.
const LAST_WORDS: Duration = Duration::from_millis(40);

/// What a foreground `up` is to do.
#[derive(Debug)]
pub(crate) struct Session<'a> {
    pub(crate) request: &'a UpRequest,
    /// Files are watched meanwhile.
    pub(crate) watch: Option<WatchRequest>,
    /// Services whose output is shown.
    pub(crate) attached: Vec<ServiceName>,
    /// Services whose end is waited for.
    pub(crate) scope: Vec<ServiceName>,
    pub(crate) abort: Abort,
    /// The service whose exit status becomes ours.
    pub(crate) exit_code_from: Option<ServiceName>,
    /// What it took is shown once all is started.
    pub(crate) timings: bool,
    pub(crate) style: Style,
}

/// Which end of a container ends everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Abort {
    Never,
    OnExit,
    OnFailure,
}

/// Converges and stays until all containers have ended.
pub(crate) async fn run(context: &Context, client: &Client, session: Session<'_>) -> Result<()> {
    let mut interrupts = Interrupts::listen()?;
    let project = &session.request.project.name;
    let began = now_ns();
    let mut events: Lines<Event> = client.follow(&format!("/v1/events?project={}", escape(project.as_str()))).await?;
    let replaced;
    let converged = converge(context, client, &session, &mut interrupts).await;
    if session.timings && !matches!(converged, Ok(Converged::Interrupted)) {
        let client = if let Ok(Converged::UpByNewEngine(new)) = &converged { new } else { client };
        // Why it failed matters more.
        let shown = analyze::show(context, client, project, began).await;
        if converged.is_ok() {
            shown?;
        }
    }
    let client = match converged? {
        Converged::Up => client,
        Converged::UpByNewEngine(new) => {
            events = new.follow(&format!("/v1/events?project={}", escape(project.as_str()))).await?;
            replaced = new;
            &replaced
        }
        Converged::Interrupted => {
            stop_quietly(context, client, &session, &mut interrupts).await?;
            return Err(Error::Status(INTERRUPTED));
        }
    };
    let services = session.request.project.services.keys().map(ToString::to_string).collect();
    let mut watch = Watch {
        printer: LogPrinter::new(session.style.clone(), project.as_str(), services),
        project: project.to_string(),
        attached: session.attached.clone(),
        scope: session.scope.clone(),
        alive: BTreeSet::new(),
        codes: BTreeMap::new(),
        exits: Vec::new(),
    };
    let mut names = Vec::new();
    for container in containers(client, project).await? {
        let ours = session.attached.iter().any(|s| s.as_str() == container.service);
        let runs = matches!(container.state.as_str(), "running" | "restarting" | "paused");
        if ours && !container.one_off {
            watch.printer.expect(&container.name);
            names.push(short_name(&container.name, project.as_str()).to_owned());
        }
        // Events that wait in the stream are older than this list, but the last one of each
        // container leaves it in the state of the list.
        if runs && watch.counts(&container.service) {
            watch.alive.insert(container.name.clone());
        }
    }
    if names.is_empty() {
        context.ui.warn("no output to attach to");
    } else {
        context.ui.say(&format!("Attaching to {}", names.join(", ")));
    }
    let request = LogsRequest {
        // The foreground decides itself when it is over.
        until_all_ended: false,
        project: project.to_string(),
        services: session.attached.clone(),
        follow: true,
        since_ns: Some(began),
        ..LogsRequest::default()
    };
    // Without a service nothing is shown; an empty list would mean all.
    let mut logs: Option<Lines<LogLine>> =
        if session.attached.is_empty() { None } else { Some(client.ask("/v1/logs", &request).await?) };
    let mut watching = match &session.watch {
        Some(request) => Some(watching::begin(client, request).await?),
        None => None,
    };
    let mut streams = Streams { events: &mut events, logs: &mut logs, watching: &mut watching };
    watch.run(context, client, &session, &mut streams, &mut interrupts).await
}

/// What the engine tells while the containers run.
struct Streams<'a> {
    events: &'a mut Lines<Event>,
    logs: &'a mut Option<Lines<LogLine>>,
    /// What is done about files that change.
    watching: &'a mut Option<Lines<Event>>,
}

enum Converged {
    Up,
    /// The engine was lost in between.
    UpByNewEngine(Client),
    Interrupted,
}

/// Brings the project up.
async fn converge(
    context: &Context,
    client: &Client,
    session: &Session<'_>,
    interrupts: &mut Interrupts,
) -> Result<Converged> {
    let path = project_path(&session.request.project.name, "up");
    let mut operation = Operation::new(context, "up", Notes::Show);
    // Once it is up, cards come with the output.
    operation.kept_cards = Some(Vec::new());
    let first = tokio::select! {
        done = operation.drive(client, &path, session.request) => done,
        () = interrupts.next() => {
            operation.reporter.finish();
            return Ok(Converged::Interrupted);
        }
    };
    let (failures, outcome) = match first {
        Err(err) if err.lost() => {
            operation.reporter.clear();
            context.ui.warn("the engine ended in the middle; starting it again to go on");
            let client = context.connect().await?;
            (operation.drive(&client, &path, session.request).await?, Converged::UpByNewEngine(client))
        }
        other => (other?, Converged::Up),
    };
    operation.reporter.finish();
    if failures.is_empty() {
        return Ok(outcome);
    }
    operation.kept_cards.into_iter().flatten().for_each(|card| context.ui.say(card.trim_end()));
    Err(Error::Failures(failures))
}

/// Stops what was started before anything is attached; a second Ctrl-C leaves at once.
async fn stop_quietly(
    context: &Context,
    client: &Client,
    session: &Session<'_>,
    interrupts: &mut Interrupts,
) -> Result<()> {
    context.ui.say("Gracefully Stopping... press Ctrl+C again to force");
    let request = stop_request(session);
    let mut operation = Operation::new(context, "stop", Notes::Show);
    let path = project_path(&session.request.project.name, "stop");
    let failures = tokio::select! {
        done = operation.drive(client, &path, &request) => done?,
        () = interrupts.next() => return Err(Error::Status(INTERRUPTED)),
    };
    operation.reporter.finish();
    if failures.is_empty() { Ok(()) } else { Err(Error::Failures(failures)) }
}

fn stop_request(session: &Session<'_>) -> ServicesRequest {
    ServicesRequest {
        services: session.request.services.clone(),
        timeout: session.request.timeout,
        ..ServicesRequest::default()
    }
}

/// What is known while the containers run.
struct Watch {
    printer: LogPrinter,
    project: String,
    attached: Vec<ServiceName>,
    scope: Vec<ServiceName>,
    /// Containers that run or will be started again, by name.
    alive: BTreeSet<String>,
    /// Exit status of each container that ended, with its service.
    codes: BTreeMap<String, (String, i32)>,
    /// Ends that are not shown yet.
    exits: Vec<End>,
}

/// A container that ended.
struct End {
    name: String,
    service: String,
    code: i32,
    card: Option<Box<Card>>,
}

/// How far the stopping has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Running,
    Stopping,
    Killing,
}

/// One thing that happened.
enum Input {
    Event(std::result::Result<Option<Event>, ClientError>),
    Log(std::result::Result<Option<LogLine>, ClientError>),
    Operation(std::result::Result<Option<Event>, ClientError>),
    Watching(std::result::Result<Option<Event>, ClientError>),
    Interrupt,
    Quiet,
}

impl Watch {
    async fn run(
        &mut self,
        context: &Context,
        client: &Client,
        session: &Session<'_>,
        streams: &mut Streams<'_>,
        interrupts: &mut Interrupts,
    ) -> Result<()> {
        let Streams { events, logs, watching } = streams;
        let mut stage = Stage::Running;
        let mut operation: Option<(Operation, Lines<Event>)> = None;
        let mut failures: Vec<Failure> = Vec::new();
        let mut status: Option<u8> = None;
        let mut quiet_at: Option<Instant> = self.alive.is_empty().then(|| Instant::now() + LAST_WORDS);
        loop {
            let input = tokio::select! {
                // All arms are cancel-safe (see `Lines::next`). None goes first: one container
                // that talks without end must not hide that another one ended.
                () = interrupts.next() => Input::Interrupt,
                line = next(logs.as_mut()) => Input::Log(line),
                event = events.next() => Input::Event(event),
                event = next(watching.as_mut()) => Input::Watching(event),
                event = next(operation.as_mut().map(|(_, events)| events)) => Input::Operation(event),
                () = wait(quiet_at) => Input::Quiet,
            };
            match input {
                // The news of a death comes with its event.
                Input::Log(Ok(Some(LogLine { card: Some(_), .. }))) => {}
                Input::Log(Ok(Some(line))) => {
                    self.printer.line(&line);
                    if quiet_at.is_some() {
                        quiet_at = Some(Instant::now() + LAST_WORDS);
                    }
                    if !logs.as_ref().is_some_and(Lines::ready) {
                        self.printer.flush()?;
                    }
                }
                Input::Log(Ok(None)) => **logs = None,
                Input::Watching(Ok(Some(Event::Done { errors }))) => {
                    **watching = None;
                    quiet_at = Some(Instant::now() + LAST_WORDS);
                    if !errors.is_empty() {
                        // Nothing was watched: who asked for it must see that.
                        failures = errors;
                        operation = Some(begin(context, client, session, "stop").await?);
                        stage = Stage::Stopping;
                    }
                }
                Input::Watching(Ok(Some(event))) => {
                    self.printer.end_open_line();
                    self.printer.flush()?;
                    watching::show(&context.ui, &event);
                }
                Input::Watching(Ok(None)) => {
                    **watching = None;
                    quiet_at = Some(Instant::now() + LAST_WORDS);
                }
                Input::Event(Ok(Some(event))) => {
                    if let Some((service, code)) = self.take(event) {
                        quiet_at = Some(Instant::now() + LAST_WORDS);
                        let aborts = match session.abort {
                            Abort::Never => false,
                            Abort::OnExit => true,
                            Abort::OnFailure => code != 0,
                        };
                        if aborts && stage == Stage::Running {
                            status = Some(exit_status(code));
                            self.show_exits()?;
                            let why = if session.abort == Abort::OnExit { "exit" } else { "failure" };
                            context.ui.say(&format!("Aborting on container {why}..."));
                            tracing::debug!(service, code, "a container ended everything");
                            operation = Some(begin(context, client, session, "stop").await?);
                            stage = Stage::Stopping;
                        }
                    }
                }
                Input::Operation(Ok(Some(event))) => {
                    // Progress begins on a line of its own, whatever a container left unfinished.
                    self.printer.end_open_line();
                    self.printer.flush()?;
                    if let Some((drawn, _)) = &mut operation
                        && let Some(errors) = drawn.take(event)
                    {
                        failures = errors;
                        operation.take().expect("it was just used").0.reporter.finish();
                        quiet_at = Some(Instant::now() + LAST_WORDS);
                    }
                }
                Input::Interrupt => match stage {
                    Stage::Running => {
                        status = Some(INTERRUPTED);
                        self.printer.end_open_line();
                        self.printer.flush()?;
                        context.ui.say("Gracefully Stopping... press Ctrl+C again to force");
                        operation = Some(begin(context, client, session, "stop").await?);
                        stage = Stage::Stopping;
                    }
                    Stage::Stopping => {
                        if let Some((drawn, _)) = operation.take() {
                            drawn.reporter.finish();
                        }
                        operation = Some(begin(context, client, session, "kill").await?);
                        stage = Stage::Killing;
                    }
                    Stage::Killing => return Err(Error::Status(INTERRUPTED)),
                },
                Input::Quiet => {
                    quiet_at = None;
                    self.show_exits()?;
                    if operation.is_none() && (stage != Stage::Running || self.alive.is_empty() && watching.is_none()) {
                        break;
                    }
                }
                Input::Event(Ok(None) | Err(_)) | Input::Operation(Ok(None)) => {
                    return Err(lost(context));
                }
                Input::Log(Err(err)) | Input::Operation(Err(err)) | Input::Watching(Err(err)) if err.lost() => {
                    return Err(lost(context));
                }
                Input::Log(Err(err)) | Input::Operation(Err(err)) | Input::Watching(Err(err)) => return Err(err.into()),
            }
        }
        if !failures.is_empty() {
            return Err(Error::Failures(failures));
        }
        if status != Some(INTERRUPTED)
            && let Some(service) = &session.exit_code_from
        {
            let code = self.codes.values().find(|(s, _)| s == service.as_str()).map_or(0, |(_, code)| *code);
            status = Some(exit_status(code));
        }
        match status {
            None | Some(0) => Ok(()),
            Some(status) => Err(Error::Status(status)),
        }
    }

    /// Takes an event; returns service and exit status of a container that ended for good.
    fn take(&mut self, event: Event) -> Option<(String, i32)> {
        let Event::Container { name, service, action, .. } = event else { return None };
        if !self.counts(&service) {
            return None;
        }
        match action {
            Action::Start => {
                self.printer.expect(&name);
                self.alive.insert(name);
                None
            }
            Action::Die { exit_code, restart_in_ms, card, .. } => {
                self.codes.insert(name.clone(), (service.clone(), exit_code));
                self.exits.push(End { name: name.clone(), service: service.clone(), code: exit_code, card });
                if restart_in_ms.is_some() {
                    return None;
                }
                self.alive.remove(&name);
                Some((service, exit_code))
            }
            Action::Destroy => {
                self.alive.remove(&name);
                None
            }
            Action::Create
            | Action::Kill { .. }
            | Action::Oom
            | Action::Heal { .. }
            | Action::Stop
            | Action::Health { .. }
            | Action::Ready { .. } => None,
        }
    }

    /// Tells whether a service is one that this `up` is about.
    fn counts(&self, service: &str) -> bool {
        self.scope.iter().any(|s| s.as_str() == service)
    }

    /// Shows the ends of containers whose output is shown.
    fn show_exits(&mut self) -> Result<()> {
        for End { name, service, code, card } in std::mem::take(&mut self.exits) {
            if self.attached.iter().any(|s| s.as_str() == service) {
                tracing::debug!(project = self.project, name, code, "ended");
                self.printer.status(&name, &service, &format!("exited with code {code}"));
                if let Some(card) = card.filter(|card| card.is_crash()) {
                    self.printer.card(&name, &card);
                }
            }
        }
        self.printer.flush()?;
        Ok(())
    }
}

/// Begins `stop` or `kill` of what this `up` started.
async fn begin(
    context: &Context,
    client: &Client,
    session: &Session<'_>,
    what: &str,
) -> Result<(Operation, Lines<Event>)> {
    let path = project_path(&session.request.project.name, what);
    let events = client.post(&path, &stop_request(session)).await?;
    // Log lines go on meanwhile: a block that is drawn in place would be torn by them.
    let mut context = context.clone();
    if context.ui.progress == Progress::Live {
        context.ui.progress = Progress::Plain;
    }
    Ok((Operation::new(&context, what, Notes::Show), events))
}

/// Returns the next object of a stream; never, when there is none. Cancel-safe as the stream is.
async fn next<T: serde::de::DeserializeOwned>(
    lines: Option<&mut Lines<T>>,
) -> std::result::Result<Option<T>, ClientError> {
    match lines {
        Some(lines) => lines.next().await,
        None => std::future::pending().await,
    }
}

async fn wait(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

fn lost(context: &Context) -> Error {
    let _ = context;
    Error::host("the engine ended; the containers run on").hint("show their output with: stack logs -f")
}

fn exit_status(code: i32) -> u8 {
    u8::try_from(code.rem_euclid(256)).unwrap_or(1)
}
