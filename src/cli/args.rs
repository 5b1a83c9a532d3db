//! What was typed. What it means is worked out by each command.

use std::path::PathBuf;

use clap::builder::styling::{AnsiColor, Styles};
use clap::{Args, Parser, Subcommand};

use super::commands as c;

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());

/// Runs Compose files without Docker.
#[derive(Debug, Parser)]
#[command(
    name = "stack",
    styles = STYLES,
    disable_version_flag = true,
    disable_help_subcommand = true,
    infer_long_args = false,
    max_term_width = 100
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) project: ProjectArgs,
    #[command(flatten)]
    pub(crate) global: GlobalArgs,
    /// Old name of --project-directory.
    #[arg(long, value_name = "DIR", hide = true)]
    pub(crate) workdir: Option<PathBuf>,
    /// Show the version.
    #[arg(short = 'v', long)]
    pub(crate) version: bool,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// Which project: accepted before and after the command.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
#[command(next_help_heading = "Project options")]
pub(crate) struct ProjectArgs {
    /// Compose file; repeat to merge several, `-` is standard input [env: COMPOSE_FILE].
    #[arg(short = 'f', long = "file", value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) rest: ProjectArgsWithoutFile,
}

/// [`ProjectArgs`] for commands whose `-f` means something else (`logs -f`, `rm -f`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
#[command(next_help_heading = "Project options")]
pub(crate) struct ProjectArgsLong {
    /// Compose file; repeat to merge several, `-` is standard input [env: COMPOSE_FILE].
    #[arg(long = "file", value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) rest: ProjectArgsWithoutFile,
}

/// What all commands on a project take besides its files.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
#[command(next_help_heading = "Project options")]
pub(crate) struct ProjectArgsWithoutFile {
    /// Project name; most commands then need no file [env: COMPOSE_PROJECT_NAME].
    #[arg(short = 'p', long, value_name = "NAME")]
    pub(crate) project_name: Option<String>,
    /// Read the variables of the file from here instead of `.env`; repeatable.
    #[arg(long = "env-file", value_name = "FILE")]
    pub(crate) env_files: Vec<PathBuf>,
    /// Activate a profile; repeatable, `*` for all [env: COMPOSE_PROFILES].
    #[arg(id = "project_profile", long = "profile", value_name = "PROFILE")]
    pub(crate) profiles: Vec<String>,
    /// Folder that relative paths and `.env` start from.
    #[arg(long, value_name = "DIR")]
    pub(crate) project_directory: Option<PathBuf>,
}

impl From<ProjectArgsLong> for ProjectArgs {
    fn from(args: ProjectArgsLong) -> Self {
        Self { files: args.files, rest: args.rest }
    }
}

impl ProjectArgs {
    /// Returns what stood before the command joined with what stood after it: lists are
    /// appended, the later single value wins.
    pub(crate) fn then(mut self, later: Self) -> Self {
        self.files.extend(later.files);
        self.rest.env_files.extend(later.rest.env_files);
        self.rest.profiles.extend(later.rest.profiles);
        self.rest.project_name = later.rest.project_name.or(self.rest.project_name);
        self.rest.project_directory = later.rest.project_directory.or(self.rest.project_directory);
        self
    }
}

/// How everything is shown: accepted before and after the command.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct GlobalArgs {
    /// Colours and cursor movement: auto, always or never [env: COMPOSE_ANSI].
    #[arg(long, global = true, value_name = "WHEN", value_parser = ["auto", "always", "never"])]
    pub(crate) ansi: Option<String>,
    /// How progress is shown: auto, tty, plain, json or quiet [env: COMPOSE_PROGRESS].
    #[arg(long, global = true, value_name = "STYLE", value_parser = ["auto", "tty", "plain", "json", "quiet"])]
    pub(crate) progress: Option<String>,
    /// Bound of operations at the same time; accepted for Compose's sake: the engine finds its own.
    #[arg(long, global = true, value_name = "N", allow_negative_numbers = true, hide_short_help = true)]
    pub(crate) parallel: Option<i64>,
    /// Show the steps that a command would take, and change nothing.
    #[arg(long, global = true)]
    pub(crate) dry_run: bool,
    /// Old spelling of --ansi never.
    #[arg(long, global = true, hide = true)]
    pub(crate) no_ansi: bool,
    /// Create networks and volumes even if no service uses them.
    #[arg(long, global = true, hide = true)]
    pub(crate) all_resources: bool,
    /// Names with underscores, as Compose version 1 made them.
    #[arg(long, global = true, hide = true)]
    pub(crate) compatibility: bool,
    /// Plain HTTP registries for files that come from one.
    #[arg(long, global = true, hide = true, value_name = "REGISTRY")]
    pub(crate) insecure_registry: Vec<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Up(Box<c::up::UpArgs>),
    Plan(Box<c::plan::PlanArgs>),
    Down(c::down::DownArgs),
    Ps(c::ps::PsArgs),
    Logs(c::logs::LogsArgs),
    Events(c::events::EventsArgs),
    Exec(c::exec::ExecArgs),
    Create(c::create::CreateArgs),
    Start(c::start::StartArgs),
    Stop(c::stop::StopArgs),
    Reload(Box<c::reload::ReloadArgs>),
    Restart(c::restart::RestartArgs),
    Scale(c::scale::ScaleArgs),
    Rollback(c::rollback::RollbackArgs),
    Kill(c::kill::KillArgs),
    Rm(c::rm::RmArgs),
    Pull(c::pull::PullArgs),
    #[command(visible_alias = "convert")]
    Config(c::config::ConfigArgs),
    Ls(c::ls::LsArgs),
    Port(c::port::PortArgs),
    Images(c::images::ImagesArgs),
    Image(c::image::ImageArgs),
    Inspect(c::inspect::InspectArgs),
    Wait(c::wait::WaitArgs),
    Why(c::why::WhyArgs),
    Analyze(c::analyze::AnalyzeArgs),
    Watch(c::watch::WatchArgs),
    Schema(c::schema::SchemaArgs),
    Version(c::version::VersionArgs),
    /// Run the engine in the foreground.
    #[command(hide = true)]
    Daemon,
}

impl Command {
    /// Tells whether what the command prints was asked for as JSON; then problems are JSON, too.
    pub(crate) fn prints_json(&self) -> bool {
        let format = match self {
            Self::Config(args) => return args.prints_json(),
            Self::Events(args) => return args.json,
            Self::Ps(args) => &args.format,
            Self::Images(args) => &args.format,
            Self::Ls(args) => &args.format,
            Self::Why(args) => &args.format,
            Self::Analyze(args) => &args.format,
            _ => return false,
        };
        format == "json"
    }
}

/// Parses a replica count, `web=3`.
pub(crate) fn scale(text: &str) -> Result<(String, u32), String> {
    let (service, count) = text.split_once('=').ok_or("must be SERVICE=NUM, for example web=3")?;
    if service.is_empty() {
        return Err("the service is missing before `=`".to_owned());
    }
    let count = count.parse().map_err(|_| format!("{count:?} is no number of replicas"))?;
    Ok((service.to_owned(), count))
}

#[cfg(test)]
#[path = "args_tests.rs"]
mod tests;
