//! Log lines of many containers: ` name-1  | text`, each service in its colour.

use std::io::{self, Write as _};

use unicode_width::UnicodeWidthStr as _;

use super::duration::log_time;
use super::style::Palette;
use crate::api::LogLine;
use crate::crash::Card;

/// How log lines look.
#[derive(Debug, Clone)]
pub(crate) struct Style {
    /// Colours.
    pub(crate) palette: Palette,
    /// Name of the container before each line.
    pub(crate) prefix: bool,
    /// Time before each line.
    pub(crate) timestamps: bool,
}

/// Turns log lines into text for standard output and standard error.
#[derive(Debug)]
pub(crate) struct LogPrinter {
    style: Style,
    project: String,
    /// Services in the order that gives them their colours.
    services: Vec<String>,
    /// Width of the longest name so far.
    width: usize,
    /// Container and stream whose line has not ended yet.
    open: Option<(String, bool)>,
    out: Vec<u8>,
    err: Vec<u8>,
}

impl LogPrinter {
    /// Returns a printer for a project; `services` get distinct colours in their order.
    pub(crate) fn new(style: Style, project: &str, services: Vec<String>) -> Self {
        Self { style, project: project.to_owned(), services, width: 0, open: None, out: Vec::new(), err: Vec::new() }
    }

    /// Makes room for the name of a container whose lines may come.
    pub(crate) fn expect(&mut self, container: &str) {
        self.width = self.width.max(short_name(container, &self.project).width());
    }

    /// Adds a line.
    pub(crate) fn line(&mut self, line: &LogLine) {
        let stderr = line.stream == "stderr";
        let continues = self.open.as_ref().is_some_and(|(c, s)| *c == line.container && *s == stderr);
        if !continues {
            self.end_open_line();
            let prefix = self.prefix(&line.container, &line.service);
            let time = if self.style.timestamps { log_time(line.time_ns) + " " } else { String::new() };
            let _ = write!(self.to(stderr), "{prefix}{time}");
        }
        self.to(stderr).extend_from_slice(line.text.as_bytes());
        self.open = (!line.text.ends_with('\n')).then(|| (line.container.clone(), stderr));
    }

    /// Adds how a container died.
    pub(crate) fn card(&mut self, container: &str, card: &Card) {
        self.end_open_line();
        let title = format!("{} died:", short_name(container, &self.project));
        let text = super::card::draw(&title, card, self.style.palette);
        self.to(true).extend_from_slice(text.as_bytes());
    }

    /// Adds what happened to a container: `web-1 exited with code 1`.
    pub(crate) fn status(&mut self, container: &str, service: &str, what: &str) {
        self.end_open_line();
        let text = format!("{} {what}", short_name(container, &self.project));
        let painted = self.paint(service, &text);
        let _ = writeln!(self.out, "{painted}");
    }

    /// Ends a line that was left open.
    pub(crate) fn end_open_line(&mut self) {
        if let Some((_, stderr)) = self.open.take() {
            self.to(stderr).push(b'\n');
        }
    }

    /// Writes what was added.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        if !self.out.is_empty() {
            let mut stdout = io::stdout().lock();
            stdout.write_all(&self.out)?;
            stdout.flush()?;
            self.out.clear();
        }
        if !self.err.is_empty() {
            io::stderr().lock().write_all(&self.err)?;
            self.err.clear();
        }
        Ok(())
    }

    /// Standard error is gathered apart; what was gathered for the other stream goes first.
    fn to(&mut self, stderr: bool) -> &mut Vec<u8> {
        let other = if stderr { &self.out } else { &self.err };
        if !other.is_empty() && !cfg!(test) {
            // A reader that left is noticed at the next flush.
            let _ = self.flush();
        }
        if stderr { &mut self.err } else { &mut self.out }
    }

    fn prefix(&mut self, container: &str, service: &str) -> String {
        if !self.style.prefix {
            return String::new();
        }
        self.expect(container);
        let name = short_name(container, &self.project);
        let padding = " ".repeat(self.width + 1 - name.width());
        self.paint(service, &format!("{name}{padding} | "))
    }

    fn paint(&self, service: &str, text: &str) -> String {
        // A service that the file does not know keeps its colour from run to run as well.
        let index = self
            .services
            .iter()
            .position(|s| s == service)
            .unwrap_or_else(|| service.bytes().fold(7, |hash, b| hash * 31 % 9973 + usize::from(b)));
        self.style.palette.service(index, text)
    }
}

/// Returns the container's name without the project's, as Compose shows it: `web-1`.
pub(crate) fn short_name<'a>(container: &'a str, project: &str) -> &'a str {
    container.strip_prefix(project).and_then(|rest| rest.strip_prefix('-')).unwrap_or(container)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(container: &str, service: &str, stream: &str, text: &str) -> LogLine {
        LogLine {
            container: container.to_owned(),
            service: service.to_owned(),
            number: 1,
            stream: stream.to_owned(),
            time_ns: 1_700_000_000_000_000_000,
            text: text.to_owned(),
            card: None,
        }
    }

    fn check(color: bool, prefix: bool, timestamps: bool, lines: &[LogLine], expected: (&str, &str)) {
        let style = Style { palette: Palette::new(color), prefix, timestamps };
        let mut printer = LogPrinter::new(style, "demo", vec!["db".to_owned(), "web".to_owned()]);
        printer.expect("demo-web-1");
        for line in lines {
            printer.line(line);
        }
        printer.end_open_line();
        assert_eq!(String::from_utf8(printer.out).unwrap(), expected.0);
        assert_eq!(String::from_utf8(printer.err).unwrap(), expected.1);
    }

    #[test]
    fn names_are_padded_to_the_longest() {
        let lines = [line("demo-web-1", "web", "stdout", "one\n"), line("demo-db-1", "db", "stdout", "two\n")];
        check(false, true, false, &lines, ("web-1  | one\ndb-1   | two\n", ""));
        check(false, false, false, &lines, ("one\ntwo\n", ""));
        let stamped = "web-1  | 2023-11-14T22:13:20.000000000Z one\ndb-1   | 2023-11-14T22:13:20.000000000Z two\n";
        check(false, true, true, &lines, (stamped, ""));
        let coloured = "\x1b[33mweb-1  | \x1b[0mone\n\x1b[36mdb-1   | \x1b[0mtwo\n";
        check(true, true, false, &lines, (coloured, ""));
    }

    #[test]
    fn streams_stay_apart_and_a_container_name_of_its_own_stays_whole() {
        let lines = [line("demo-web-1", "web", "stderr", "bad\n"), line("database", "db", "stdout", "ok\n")];
        check(false, true, false, &lines, ("database  | ok\n", "web-1  | bad\n"));
    }

    #[test]
    fn pieces_of_a_line_are_joined_unless_another_container_interrupts() {
        let lines = [
            line("demo-web-1", "web", "stdout", "one "),
            line("demo-web-1", "web", "stdout", "line\n"),
            line("demo-web-1", "web", "stdout", "cut"),
            line("demo-db-1", "db", "stdout", "two\n"),
        ];
        check(false, true, false, &lines, ("web-1  | one line\nweb-1  | cut\ndb-1   | two\n", ""));
    }
}
