//! An operation of the engine from request to result: its events drawn, its failures returned.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::Serialize;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::context::{Context, Remains, block_on, print, project_path};
use super::error::{Error, INTERRUPTED, Result};
use super::project::Target;
use super::render::card;
use super::render::logs::short_name;
use super::render::progress::{FRAME, Reporter};
use super::render::style::Palette;
use crate::api::ServicesRequest;
use crate::api::client::{Client, ClientError, Lines};
use crate::event::{Action, Event, Failure, Resource, Status};

/// What becomes of the sentences in the events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Notes {
    /// They are shown with the progress.
    Show,
    /// They are the answer, and are returned.
    Return,
}

/// Asks for an operation and draws it to its end; returns its sentences where wanted. When
/// the engine dies in the middle, a new one is asked once more: operations can run again.
pub(crate) async fn run(
    context: &Context,
    client: &Client,
    title: &str,
    path: &str,
    request: &impl Serialize,
    notes: Notes,
) -> Result<Vec<String>> {
    let mut interrupts = Interrupts::listen()?;
    let mut operation = Operation::new(context, title, notes);
    let first = tokio::select! {
        // Both arms only read; an operation that nobody watches goes on in the engine.
        done = operation.drive(client, path, request) => done,
        () = interrupts.next() => {
            operation.reporter.finish();
            context.ui.warn("the engine finishes what it has begun");
            return Err(Error::Status(INTERRUPTED));
        }
    };
    let errors = match first {
        Err(err) if err.lost() => {
            operation.reporter.clear();
            context.ui.warn("the engine ended in the middle; starting it again to go on");
            let client = context.connect().await?;
            tokio::select! {
                done = operation.drive(&client, path, request) => done?,
                () = interrupts.next() => return Err(Error::Status(INTERRUPTED)),
            }
        }
        other => other?,
    };
    let Operation { reporter, sentences, .. } = operation;
    reporter.finish();
    if errors.is_empty() { Ok(sentences) } else { Err(Error::Failures(errors)) }
}

/// As [`run`], but for a dry run: there the steps are the answer, and go to standard output.
pub(crate) async fn run_or_tell(
    context: &Context,
    client: &Client,
    title: &str,
    path: &str,
    request: &impl Serialize,
) -> Result<()> {
    let notes = if context.dry_run { Notes::Return } else { Notes::Show };
    let sentences = run(context, client, title, path, request, notes).await?;
    let text: String = sentences.iter().map(|line| format!("{line}\n")).collect();
    if text.is_empty() { Ok(()) } else { print(&text) }
}

/// A running operation and its picture.
#[derive(Debug)]
pub(crate) struct Operation {
    pub(crate) reporter: Reporter,
    palette: Palette,
    /// Containers that died: one card each.
    died: BTreeSet<String>,
    /// Cards are kept rather than shown.
    pub(crate) kept_cards: Option<Vec<String>>,
    notes: Notes,
    sentences: Vec<String>,
}

impl Operation {
    pub(crate) fn new(context: &Context, title: &str, notes: Notes) -> Self {
        Self {
            reporter: Reporter::new(&context.ui, title),
            palette: context.ui.err,
            died: BTreeSet::new(),
            kept_cards: None,
            notes,
            sentences: Vec::new(),
        }
    }

    /// Sends the request and draws its events; returns the failures it ended with.
    pub(crate) async fn drive(
        &mut self,
        client: &Client,
        path: &str,
        request: &impl Serialize,
    ) -> std::result::Result<Vec<Failure>, ClientError> {
        let mut events = client.post(path, request).await?;
        self.follow(&mut events).await
    }

    /// Draws the events to their last one; returns the failures.
    pub(crate) async fn follow(&mut self, events: &mut Lines<Event>) -> std::result::Result<Vec<Failure>, ClientError> {
        let mut frames = tokio::time::interval(FRAME);
        loop {
            tokio::select! {
                biased;
                // Cancel-safe: see `Lines::next`.
                event = events.next() => match event? {
                    Some(event) => {
                        if let Some(errors) = self.take(event) {
                            return Ok(errors);
                        }
                    }
                    None => return Err(ClientError::Truncated),
                },
                // Cancel-safe: a frame that is missed is drawn by the next.
                _ = frames.tick() => self.reporter.tick(),
            }
        }
    }

    /// Takes an event; returns the failures when it is the last.
    pub(crate) fn take(&mut self, event: Event) -> Option<Vec<Failure>> {
        match event {
            Event::Progress { resource, status, detail } => self.progress(&resource, status, &detail),
            Event::Note { message } if self.notes == Notes::Return => self.sentences.push(message),
            Event::Note { message } => self.reporter.note(&message),
            Event::Container { project, name, action: Action::Die { card: Some(card), .. }, .. } => {
                if self.died.insert(name.clone()) {
                    let title = format!("{} died:", short_name(&name, project.as_str()));
                    let text = card::draw(&title, &card, self.palette);
                    match &mut self.kept_cards {
                        Some(kept) => kept.push(text),
                        None => self.reporter.card(&text),
                    }
                }
            }
            Event::Container { .. } | Event::Watch { .. } => {}
            Event::Done { errors } => return Some(errors),
        }
        None
    }

    fn progress(&mut self, resource: &Resource, status: Status, detail: &str) {
        self.reporter.progress(resource, status, detail);
    }
}

/// Ctrl-C and SIGTERM.
#[derive(Debug)]
pub(crate) struct Interrupts {
    interrupt: Signal,
    terminate: Signal,
}

impl Interrupts {
    /// Takes the signals over from their default action.
    pub(crate) fn listen() -> Result<Self> {
        let take = |kind| signal(kind).map_err(|err| Error::host(format!("cannot listen for signals: {err}")));
        Ok(Self { interrupt: take(SignalKind::interrupt())?, terminate: take(SignalKind::terminate())? })
    }

    /// Waits for the next one. Cancel-safe.
    pub(crate) async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// Returns the seconds of a `--timeout`; below zero means without end, as Docker has it.
pub(crate) fn grace(timeout: Option<i64>) -> Option<u64> {
    timeout.map(|t| u64::try_from(t).unwrap_or(Duration::MAX.as_secs() / 4))
}

/// Runs `start`, `stop`, `restart` and `kill`.
pub(crate) fn services_operation(
    context: &Context,
    target: &Target,
    what: &str,
    request: &ServicesRequest,
) -> Result<()> {
    block_on(async {
        let Some(client) = context.connect_if_any(Remains::Containers).await? else {
            return Err(nothing_there(target));
        };
        let request = ServicesRequest { dry_run: context.dry_run, ..request.clone() };
        run_or_tell(context, &client, what, &project_path(&target.name, what), &request).await
    })
}

/// Returns what commands on containers say when there are none.
pub(crate) fn nothing_there(target: &Target) -> Error {
    Error::user(format!("project {:?} has no containers", target.name.as_str())).hint("make them with: stack up -d")
}
