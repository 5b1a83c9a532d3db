//! `stack exec`.

use std::io::{self, IsTerminal as _};
use std::path::Path;

use clap::{ArgAction, Args};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use crate::api::ShimAddress;
use crate::api::client::escape;
use crate::api::session::{self, Exec, Said};
use crate::cli::args::ProjectArgs;
use crate::cli::context::{Context, Remains, block_on, containers, replica};
use crate::cli::error::{Error, Result};
use crate::cli::operation::nothing_there;
use crate::cli::terminal::{self, RawMode};

/// Run a command in a running container; its exit status becomes ours.
#[derive(Debug, Args)]
pub(crate) struct ExecArgs {
    /// The service, then the command with its arguments.
    #[arg(value_names = ["SERVICE", "COMMAND"], required = true, num_args = 2.., trailing_var_arg = true,
          allow_hyphen_values = true)]
    words: Vec<String>,
    /// Run the command in the background.
    #[arg(short = 'd', long)]
    detach: bool,
    /// Set a variable, or pass one on by its name; repeatable.
    #[arg(short = 'e', long, value_name = "KEY[=VALUE]")]
    env: Vec<String>,
    /// Which replica.
    #[arg(long, value_name = "N", default_value_t = 0)]
    index: u32,
    /// All capabilities for the command.
    #[arg(long)]
    privileged: bool,
    /// User or user:group, names or numbers.
    #[arg(short = 'u', long)]
    user: Option<String>,
    /// Folder in the container.
    #[arg(short = 'w', long, value_name = "DIR")]
    workdir: Option<String>,
    /// No terminal for the command; without this it gets one when standard input is one.
    #[arg(short = 'T', long, visible_alias = "no-TTY")]
    no_tty: bool,
    #[arg(short = 'i', long, hide = true, default_value_t = true, num_args = 0..=1, require_equals = true,
          default_missing_value = "true", action = ArgAction::Set)]
    interactive: bool,
    #[arg(short = 't', long, hide = true, default_value_t = true, num_args = 0..=1, require_equals = true,
          default_missing_value = "true", action = ArgAction::Set)]
    tty: bool,
    #[command(flatten)]
    pub(crate) project: ProjectArgs,
}

pub(crate) fn run(context: &Context, args: &ExecArgs) -> Result<()> {
    let (named, command) = args.words.split_at(1);
    let target = context.target(named)?;
    let service = &target.services(named)?[0];
    let request = request(args, command);
    block_on(async {
        let client = context.connect_if_any(Remains::Containers).await?.ok_or_else(|| nothing_there(&target))?;
        let list = containers(&client, &target.name).await?;
        let container = replica(&list, service, Some(args.index))?;
        if container.state != "running" {
            return Err(Error::user(format!("container {} is not running: it is {}", container.name, container.state))
                .hint(format!("start it with: stack up -d {service}")));
        }
        let shim: ShimAddress = client.get(&format!("/v1/containers/{}/shim", escape(container.id.as_str()))).await?;
        drop(client);
        match drive(&shim.socket, &request).await? {
            0 => Ok(()),
            code => Err(Error::Status(u8::try_from(code).unwrap_or(1))),
        }
    })
}

/// Returns what the options mean here.
fn request(args: &ExecArgs, command: &[String]) -> Exec {
    // A terminal for the program makes sense only where keys and screen are one.
    let terminal = io::stdin().is_terminal() && io::stdout().is_terminal();
    let tty = terminal && args.tty && !args.no_tty && !args.detach;
    let value = |entry: &String| {
        if entry.contains('=') {
            return Some(entry.clone());
        }
        // A name alone passes our own value on; a variable that is not set stays unset.
        std::env::var(entry).ok().map(|value| format!("{entry}={value}"))
    };
    Exec {
        argv: command.to_vec(),
        env: args.env.iter().filter_map(value).collect(),
        user: args.user.clone(),
        cwd: args.workdir.clone(),
        tty,
        interactive: args.interactive && !args.detach,
        detach: args.detach,
        privileged: args.privileged,
        size: if tty { terminal::size() } else { (0, 0) },
    }
}

/// Runs the program to its end with our streams as its own; returns its exit status.
async fn drive(socket: &Path, request: &Exec) -> Result<i32> {
    let (mut input, mut output) = session::exec(socket, request).await?;
    // Only once the program runs: a failure is shown on a terminal in its usual mode.
    let mut raw: Option<RawMode> = None;
    let mut keys = None;
    let mut watched = Signals::listen()?;
    loop {
        tokio::select! {
            // All arms are cancel-safe. None goes first: a program that floods the screen must
            // still hear Ctrl-C.
            said = output.next() => match said? {
                Said::Started if request.detach => return Ok(0),
                Said::Started => {
                    if request.tty {
                        raw = RawMode::enter().map_err(|err| Error::host(format!("cannot use the terminal: {err}")))?;
                    }
                    keys = request.interactive.then(terminal::read_stdin);
                }
                Said::Stdout(bytes) => write(io::stdout().lock(), &bytes)?,
                Said::Stderr(bytes) => write(io::stderr().lock(), &bytes)?,
                Said::Ended(code) => {
                    drop(raw);
                    return Ok(code);
                }
            },
            piece = next_piece(&mut keys) => {
                // A program that has closed its input, or has ended, says so itself.
                let _ = input.stdin(&piece).await;
                if piece.is_empty() {
                    keys = None;
                }
            }
            signal = watched.next() => match signal {
                Watched::Resized if request.tty => {
                    let (rows, columns) = terminal::size();
                    let _ = input.resize(rows, columns).await;
                }
                Watched::Resized => {}
                Watched::Ending(number) => {
                    let _ = input.signal(number).await;
                }
            },
        }
    }
}

async fn next_piece(keys: &mut Option<mpsc::Receiver<Vec<u8>>>) -> Vec<u8> {
    match keys {
        Some(keys) => keys.recv().await.unwrap_or_default(),
        None => std::future::pending().await,
    }
}

fn write(mut to: impl io::Write, bytes: &[u8]) -> Result<()> {
    to.write_all(bytes)?;
    to.flush()?;
    Ok(())
}

/// Signals that concern the program.
struct Signals {
    resized: Signal,
    interrupt: Signal,
    terminate: Signal,
}

enum Watched {
    Resized,
    /// The number of the signal.
    Ending(i32),
}

impl Signals {
    fn listen() -> Result<Self> {
        let take = |kind| signal(kind).map_err(|err| Error::host(format!("cannot listen for signals: {err}")));
        Ok(Self {
            resized: take(SignalKind::window_change())?,
            interrupt: take(SignalKind::interrupt())?,
            terminate: take(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) -> Watched {
        tokio::select! {
            _ = self.resized.recv() => Watched::Resized,
            _ = self.interrupt.recv() => Watched::Ending(SignalKind::interrupt().as_raw_value()),
            _ = self.terminate.recv() => Watched::Ending(SignalKind::terminate().as_raw_value()),
        }
    }
}

#[cfg(test)]
impl ExecArgs {
    pub(crate) fn words(&self) -> &[String] {
        &self.words
    }
}
