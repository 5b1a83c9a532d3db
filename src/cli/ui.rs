//! Where text goes and how it may look: data on standard output, all else on standard error.

use std::io::{self, IsTerminal as _, Write as _};

use super::args::GlobalArgs;
use super::error::{Error, INTERRUPTED};
use super::render;
use super::render::style::Palette;
use crate::diag::Diagnostic;

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// A block that is drawn anew in place.
    Live,
    /// A line for each change.
    Plain,
    /// A JSON object for each change.
    Json,
    /// Nothing.
    Quiet,
}

/// The terminal of this run.
#[derive(Debug, Clone)]
pub(crate) struct Ui {
    /// Colours on standard output.
    pub(crate) out: Palette,
    /// Colours on standard error.
    pub(crate) err: Palette,
    /// How progress is shown.
    pub(crate) progress: Progress,
    /// Progress of pulls is left out.
    pub(crate) hide_pulls: bool,
    /// Problems are told as data: a JSON object on a line of its own.
    pub(crate) problems_as_data: bool,
}

/// What [`Ui::new`] looks at besides the options.
#[derive(Debug, Clone, Default)]
pub(crate) struct Surroundings {
    pub(crate) out_is_terminal: bool,
    pub(crate) err_is_terminal: bool,
    pub(crate) no_color: bool,
    pub(crate) dumb: bool,
    pub(crate) compose_ansi: Option<String>,
    pub(crate) compose_progress: Option<String>,
}

impl Surroundings {
    /// Returns those of this process.
    pub(crate) fn of_process() -> Self {
        let var = |key: &str| std::env::var(key).ok().filter(|v| !v.is_empty());
        Self {
            out_is_terminal: io::stdout().is_terminal(),
            err_is_terminal: io::stderr().is_terminal(),
            no_color: var("NO_COLOR").is_some(),
            dumb: var("TERM").is_some_and(|t| t == "dumb"),
            compose_ansi: var("COMPOSE_ANSI"),
            compose_progress: var("COMPOSE_PROGRESS"),
        }
    }
}

impl Ui {
    /// Returns how to draw: an option wins over the environment, `--ansi` over `NO_COLOR`.
    pub(crate) fn new(args: &GlobalArgs, around: &Surroundings) -> Self {
        let ansi = if args.no_ansi { Some("never") } else { args.ansi.as_deref().or(around.compose_ansi.as_deref()) };
        let color = |terminal: bool| match ansi {
            Some("always") => true,
            Some("never") => false,
            _ => terminal && !around.no_color && !around.dumb,
        };
        let movable = around.err_is_terminal && !around.dumb && ansi != Some("never");
        let progress = match args.progress.as_deref().or(around.compose_progress.as_deref()) {
            Some("tty") => Progress::Live,
            Some("plain") => Progress::Plain,
            Some("json") => Progress::Json,
            Some("quiet") => Progress::Quiet,
            _ if movable => Progress::Live,
            _ => Progress::Plain,
        };
        Self {
            out: Palette::new(color(around.out_is_terminal)),
            err: Palette::new(color(around.err_is_terminal)),
            progress,
            hide_pulls: false,
            problems_as_data: progress == Progress::Json,
        }
    }

    /// Shows a warning.
    pub(crate) fn warn(&self, message: &str) {
        if self.problems_as_data {
            return self.diagnostics(&[Diagnostic::warning(message, None)]);
        }
        self.say(&format!("{} {message}", self.err.yellow("warning:")));
    }

    /// Writes a line to standard error; one that nobody reads is no failure.
    #[expect(clippy::unused_self, reason = "what is said belongs to the terminal of the run")]
    pub(crate) fn say(&self, line: &str) {
        let _ = writeln!(io::stderr().lock(), "{line}");
    }

    /// Shows diagnostics with their excerpts, or as data.
    pub(crate) fn diagnostics(&self, diagnostics: &[Diagnostic]) {
        if diagnostics.is_empty() {
            return;
        }
        let text = match self.problems_as_data {
            true => render::diagnostics::json_lines(diagnostics),
            false => render::diagnostics::draw(diagnostics, self.err.is_on(), terminal_size().0),
        };
        let _ = io::stderr().lock().write_all(text.as_bytes());
    }

    /// Shows why the command failed.
    pub(crate) fn error(&self, error: &Error) {
        if self.problems_as_data {
            return self.diagnostics(&problems(error));
        }
        let word = self.err.red("error:");
        let hint = |hint: &Option<String>| {
            if let Some(hint) = hint {
                self.say(&format!("{} {hint}", self.err.cyan("hint:")));
            }
        };
        match error {
            Error::Failed { message, hint: advice, .. } | Error::NotStarted { message, hint: advice, .. } => {
                self.say(&format!("{word} {message}"));
                hint(advice);
            }
            Error::Diagnostics(diagnostics) => self.diagnostics(diagnostics),
            Error::Failures(failures) => {
                for failure in failures {
                    self.say(&format!("{word} {failure}"));
                    hint(&failure.hint);
                }
            }
            Error::Status(code) => {
                if *code == INTERRUPTED && io::stderr().is_terminal() {
                    self.say("canceled");
                }
            }
        }
    }
}

/// Returns an error as diagnostics; those of files keep their places.
fn problems(error: &Error) -> Vec<Diagnostic> {
    let problem =
        |message: &str, hint: &Option<String>| Diagnostic { help: hint.clone(), ..Diagnostic::error(message, None) };
    match error {
        Error::Failed { message, hint, .. } | Error::NotStarted { message, hint, .. } => vec![problem(message, hint)],
        Error::Diagnostics(list) => list.clone(),
        Error::Failures(failures) => failures.iter().map(|f| problem(&f.to_string(), &f.hint)).collect(),
        Error::Status(_) => Vec::new(),
    }
}

/// Returns columns and rows of the terminal; 80 and 24 where there is none.
pub(crate) fn terminal_size() -> (usize, usize) {
    let size = rustix::termios::tcgetwinsize(io::stderr()).or_else(|_| rustix::termios::tcgetwinsize(io::stdout()));
    match size {
        Ok(size) if size.ws_col > 0 && size.ws_row > 0 => (size.ws_col.into(), size.ws_row.into()),
        _ => (80, 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(ansi: Option<&str>, progress: Option<&str>, around: &Surroundings, expected: (bool, bool, Progress)) {
        let args = GlobalArgs {
            ansi: ansi.map(str::to_owned),
            progress: progress.map(str::to_owned),
            ..GlobalArgs::default()
        };
        let ui = Ui::new(&args, around);
        assert_eq!((ui.out.is_on(), ui.err.is_on(), ui.progress), expected);
    }

    #[test]
    fn colours_and_progress_follow_options_environment_and_terminal() {
        let terminal = || Surroundings { out_is_terminal: true, err_is_terminal: true, ..Surroundings::default() };
        check(None, None, &Surroundings::default(), (false, false, Progress::Plain));
        check(None, None, &terminal(), (true, true, Progress::Live));
        check(Some("never"), None, &terminal(), (false, false, Progress::Plain));
        check(Some("always"), None, &Surroundings::default(), (true, true, Progress::Plain));
        check(None, None, &Surroundings { no_color: true, ..terminal() }, (false, false, Progress::Live));
        check(None, None, &Surroundings { dumb: true, ..terminal() }, (false, false, Progress::Plain));
        check(None, Some("json"), &terminal(), (true, true, Progress::Json));
        let env =
            Surroundings { compose_progress: Some("quiet".into()), compose_ansi: Some("never".into()), ..terminal() };
        check(None, None, &env, (false, false, Progress::Quiet));
        check(Some("always"), Some("plain"), &env, (true, true, Progress::Plain));
    }
}
