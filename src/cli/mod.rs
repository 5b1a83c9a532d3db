//! The command line: what was typed ([`args`]), a file per command ([`commands`]), how it looks
//! ([`render`]), and what a failure means ([`error`]).
//!
//! Data goes to standard output, everything else to standard error. Commands that change
//! something ask the engine and draw its events; the model is made here, from the files.

mod args;
mod commands;
mod configuration;
mod context;
mod error;
mod foreground;
mod operation;
mod project;
pub mod render;
mod ui;
mod watching;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};

use args::{Cli, Command};
use context::Context;
use error::Result;
use ui::{Surroundings, Ui};

/// Runs the command line; `args` begins with the program's name. Returns the exit status.
pub fn main(args: impl Iterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(err) => {
            // Help and version are no errors; what is one exits with 1 as Compose does.
            let code = u8::from(err.use_stderr());
            let _ = err.print();
            return ExitCode::from(code);
        }
    };
    if let Some(Command::Daemon) = cli.command {
        return crate::daemon::run();
    }
    let mut ui = Ui::new(&cli.global, &Surroundings::of_process());
    ui.problems_as_data |= cli.command.as_ref().is_some_and(Command::prints_json);
    if cli.global.no_ansi {
        ui.warn("--no-ansi is an old spelling of --ansi never");
    }
    if !cli.global.insecure_registry.is_empty() {
        ui.warn("--insecure-registry has no effect: Compose files are not read from registries");
    }
    if cli.global.compatibility {
        ui.warn("--compatibility has no effect: names are separated by dashes");
    }
    let mut project = cli.project;
    if let Some(folder) = cli.workdir {
        ui.warn("--workdir is an old name of --project-directory");
        project.rest.project_directory.get_or_insert(folder);
    }
    let context = Context::new(ui, project, cli.global.dry_run);
    match dispatch(context, cli.command, cli.version) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failed { ui, error }) => {
            ui.error(&error);
            ExitCode::from(error.exit_code())
        }
    }
}

struct Failed {
    ui: Ui,
    error: error::Error,
}

fn dispatch(context: Context, command: Option<Command>, version: bool) -> std::result::Result<(), Failed> {
    let ui = context.ui.clone();
    run(context, command, version).map_err(|error| Failed { ui, error })
}

fn run(mut context: Context, command: Option<Command>, version: bool) -> Result<()> {
    use commands as c;
    if version {
        return c::version::run(&c::version::VersionArgs::default());
    }
    let Some(command) = command else {
        Cli::command().print_help()?;
        return Ok(());
    };
    if context.dry_run
        && let Command::Exec(_) | Command::Pull(_) | Command::Image(_) | Command::Wait(_) | Command::Watch(_) = command
    {
        return Err(error::Error::user("--dry-run has no meaning for this command")
            .hint("it shows the steps of up, create, down, start, stop, restart, scale, rollback, kill and rm"));
    }
    match command {
        Command::Up(args) => c::up::run(context.then(args.project.clone()), &args),
        Command::Plan(args) => c::plan::run(context.then(args.project.clone()), &args),
        Command::Analyze(args) => c::analyze::run(context.then(args.project.clone()), &args),
        Command::Down(args) => c::down::run(context.then(args.project.clone()), &args),
        Command::Ps(args) => c::ps::run(context.then(args.project.clone()), &args),
        Command::Logs(args) => c::logs::run(context.then(args.project.clone().into()), &args),
        Command::Events(args) => c::events::run(context.then(args.project.clone()), &args),
        Command::Exec(args) => c::exec::run(context.then(args.project.clone()), &args),
        Command::Create(args) => c::create::run(context.then(args.project.clone()), &args),
        Command::Start(args) => c::start::run(context.then(args.project.clone()), &args),
        Command::Stop(args) => c::stop::run(context.then(args.project.clone()), &args),
        Command::Reload(args) => c::reload::run(context.then(args.project.clone()), &args),
        Command::Restart(args) => c::restart::run(context.then(args.project.clone()), &args),
        Command::Rollback(args) => c::rollback::run(context.then(args.project.clone()), &args),
        Command::Scale(args) => c::scale::run(context.then(args.project.clone()), &args),
        Command::Kill(args) => c::kill::run(context.then(args.project.clone()), &args),
        Command::Rm(args) => c::rm::run(context.then(args.project.clone().into()), &args),
        Command::Pull(args) => c::pull::run(context.then(args.project.clone()), &args),
        Command::Config(args) => c::config::run(context.then(args.project.clone()), &args),
        Command::Ls(args) => c::ls::run(&context, &args),
        Command::Port(args) => c::port::run(context.then(args.project.clone()), &args),
        Command::Images(args) => c::images::run(context.then(args.project.clone()), &args),
        Command::Image(args) => c::image::run(&context, &args),
        Command::Inspect(args) => c::inspect::run(&context, &args),
        Command::Wait(args) => c::wait::run(context.then(args.project.clone()), &args),
        Command::Why(args) => c::why::run(context.then(args.project.clone()), &args),
        Command::Watch(args) => c::watch::run(context.then(args.project.clone()), &args),
        Command::Schema(args) => c::schema::run(&args),
        Command::Version(args) => c::version::run(&args),
        Command::Daemon => Ok(()),
    }
}
