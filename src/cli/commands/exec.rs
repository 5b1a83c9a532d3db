//! `stack exec`.

use std::io::{self, IsTerminal as _};

use clap::{ArgAction, Args};

use crate::api::ShimAddress;
use crate::api::client::escape;
use crate::cli::args::ProjectArgs;
use crate::cli::context::{Context, Remains, block_on, containers, replica};
use crate::cli::error::{Error, Result};
use crate::cli::operation::nothing_there;
use crate::engine::{ExecRequest, exec};

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
        match exec::run(&shim.socket, request).await? {
            0 => Ok(()),
            code => Err(Error::Status(u8::try_from(code).unwrap_or(1))),
        }
    })
}

/// Returns what the options mean here.
fn request(args: &ExecArgs, command: &[String]) -> ExecRequest {
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
    ExecRequest {
        argv: command.to_vec(),
        env: args.env.iter().filter_map(value).collect(),
        user: args.user.clone(),
        cwd: args.workdir.clone(),
        tty,
        interactive: args.interactive && !args.detach,
        detach: args.detach,
        privileged: args.privileged,
        size: (0, 0),
    }
}

#[cfg(test)]
impl ExecArgs {
    pub(crate) fn words(&self) -> &[String] {
        &self.words
    }
}
