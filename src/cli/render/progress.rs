//! Progress of an operation, drawn from its events.
//!
//! On a terminal a block is drawn anew in place:
//!
//! ```text
//! [+] up 1/2
//!  ✔ Network demo_default    Created   0.0s
//!  ⠙ Container demo-web-1    Starting  0.1s
//! ```
//!
//! Each drawing is one write, lines are cleared behind the new text and never before it, and
//! an operation that is over within a blink is drawn once: nothing flickers.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::time::{Duration, Instant};

use unicode_width::UnicodeWidthStr as _;

use super::style::Palette;
use super::table::truncate;
use crate::cli::ui::{Progress, Ui, terminal_size};
use crate::event::{Resource, Status};

/// Time between two drawings.
pub(crate) const FRAME: Duration = Duration::from_millis(50);
const SPINNER: [&str; 10] = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];

/// Draws the progress of one operation.
#[derive(Debug)]
pub(crate) struct Reporter {
    mode: Progress,
    palette: Palette,
    hide_pulls: bool,
    block: Block,
    /// What was last said of each resource: nothing is said twice.
    said: HashMap<Resource, (Status, String)>,
    began: Instant,
    last_drawn: Instant,
    /// Lines of the block on the screen, above the cursor.
    on_screen: usize,
}

impl Reporter {
    /// Returns a reporter; `title` is the name of the command.
    pub(crate) fn new(ui: &Ui, title: &str) -> Self {
        let now = Instant::now();
        Self {
            mode: ui.progress,
            palette: ui.err,
            hide_pulls: ui.hide_pulls,
            block: Block { title: title.to_owned(), ..Block::default() },
            said: HashMap::new(),
            began: now,
            last_drawn: now,
            on_screen: 0,
        }
    }

    /// Takes a change.
    pub(crate) fn progress(&mut self, resource: &Resource, status: Status, detail: &str) {
        if self.hide_pulls && matches!(resource, Resource::Image(_)) && status != Status::Error {
            return;
        }
        if !news(self.said.get(resource), status, detail) {
            return;
        }
        self.said.insert(resource.clone(), (status, detail.to_owned()));
        match self.mode {
            Progress::Live => {
                self.block.update(resource, status, detail, self.began.elapsed());
                self.tick();
            }
            Progress::Plain => write(&plain(resource, status, detail)),
            Progress::Json => write(&json(resource, status, detail)),
            Progress::Quiet => {}
        }
    }

    /// Takes a sentence for the user; it stays above the block.
    pub(crate) fn note(&mut self, message: &str) {
        match self.mode {
            Progress::Json => write(&(serde_json::json!({ "text": message }).to_string() + "\n")),
            Progress::Quiet => {}
            Progress::Plain => write(&format!("{} {message}\n", self.palette.cyan("note:"))),
            Progress::Live => {
                self.clear();
                write(&format!("{} {message}\n", self.palette.cyan("note:")));
            }
        }
    }

    /// Takes a text of its own lines; it stays above the block.
    pub(crate) fn card(&mut self, text: &str) {
        match self.mode {
            Progress::Json => write(&(serde_json::json!({ "text": text.trim_end() }).to_string() + "\n")),
            Progress::Quiet => {}
            Progress::Plain => write(text),
            Progress::Live => {
                self.clear();
                write(text);
            }
        }
    }

    /// Draws anew when it is time to.
    pub(crate) fn tick(&mut self) {
        if self.mode == Progress::Live && !self.block.rows.is_empty() && self.last_drawn.elapsed() >= FRAME {
            let (width, height) = terminal_size();
            self.draw(width, Some(height));
        }
    }

    /// Takes the block off the screen; it comes back with the next drawing.
    pub(crate) fn clear(&mut self) {
        if self.on_screen > 0 {
            write(&format!("\x1b[{}A\x1b[J", self.on_screen));
            self.on_screen = 0;
        }
    }

    /// Draws the last state whole and leaves it.
    pub(crate) fn finish(mut self) {
        if self.mode == Progress::Live && !self.block.rows.is_empty() {
            self.draw(terminal_size().0, None);
        }
    }

    fn draw(&mut self, width: usize, height: Option<usize>) {
        let lines = self.block.lines(width, height, self.began.elapsed(), self.palette);
        // Synchronized output (mode 2026): terminals that know it show the whole or nothing.
        let mut text = String::from("\x1b[?2026h");
        if self.on_screen > 0 {
            let _ = write!(text, "\x1b[{}A", self.on_screen);
        }
        for line in &lines {
            let _ = write!(text, "{line}\x1b[K\r\n");
        }
        text.push_str("\x1b[J\x1b[?2026l");
        write(&text);
        self.on_screen = lines.len();
        self.last_drawn = Instant::now();
    }
}

/// What the block shows.
#[derive(Debug, Default)]
struct Block {
    title: String,
    rows: Vec<Row>,
    index: HashMap<Resource, usize>,
}

#[derive(Debug)]
struct Row {
    kind: &'static str,
    name: String,
    status: Status,
    detail: String,
    began: Duration,
    ended: Option<Duration>,
}

impl Block {
    fn update(&mut self, resource: &Resource, status: Status, detail: &str, now: Duration) {
        let at = *self.index.entry(resource.clone()).or_insert_with(|| {
            let (kind, name) = words(resource);
            let name = name.to_owned();
            self.rows.push(Row { kind, name, status, detail: String::new(), began: now, ended: None });
            self.rows.len() - 1
        });
        let row = &mut self.rows[at];
        row.status = status;
        detail.clone_into(&mut row.detail);
        row.ended = (!status.ongoing()).then_some(now);
    }

    /// Returns the block's lines; with a height, rows that ended give way to those that go on.
    fn lines(&self, width: usize, height: Option<usize>, now: Duration, palette: Palette) -> Vec<String> {
        let done = self.rows.iter().filter(|r| r.ended.is_some()).count();
        let mut lines = vec![format!("[+] {} {done}/{}", self.title, self.rows.len())];
        let mut shown: Vec<&Row> = self.rows.iter().collect();
        let room = height.map_or(usize::MAX, |h| h.saturating_sub(3).max(1));
        if shown.len() > room {
            let failed = |r: &&Row| r.status == Status::Error;
            // The sort is stable: rows keep their places among their like.
            shown.sort_by_key(|r| if failed(r) { 0 } else { usize::from(r.ended.is_some()) + 1 });
            shown.truncate(room);
        }
        let name_width = shown.iter().map(|r| r.kind.width() + 1 + r.name.width()).max().unwrap_or(0);
        let status_width = shown.iter().map(|r| r.status.word().width()).max().unwrap_or(0);
        // " ✔ name  status  12.3s", one column left free: a full line would wrap on some terminals.
        let fixed = 3 + 2 + status_width + 2 + 7 + 1;
        let name_width = name_width.min(width.saturating_sub(fixed).max(8));
        for row in &shown {
            lines.push(row.line(width, name_width, status_width, now, palette));
        }
        if shown.len() < self.rows.len() {
            let more = format!("   ... and {} more", self.rows.len() - shown.len());
            lines.push(palette.dim(&truncate(&more, width.saturating_sub(1))));
        }
        lines
    }
}

impl Row {
    fn line(&self, width: usize, name_width: usize, status_width: usize, now: Duration, palette: Palette) -> String {
        let spent = self.ended.unwrap_or(now).saturating_sub(self.began);
        let frame = (now.as_millis() / 100) as usize % SPINNER.len();
        let (mark, word) = match self.status {
            Status::Error => (palette.red("✘"), palette.red(self.status.word())),
            Status::Skipped => (palette.dim("-"), palette.dim(self.status.word())),
            status if status.ongoing() => (palette.cyan(SPINNER[frame]), status.word().to_owned()),
            status => (palette.green("✔"), palette.green(status.word())),
        };
        let name = truncate(&format!("{} {}", self.kind, self.name), name_width);
        let name_gap = " ".repeat(name_width - name.width() + 2);
        let status_gap = " ".repeat(status_width - self.status.word().width() + 2);
        let time = format!("{:.1}s", spent.as_secs_f64());
        let used = 3 + name_width + 2 + status_width + 2 + time.width() + 2;
        let detail = match (self.detail.lines().next().unwrap_or(""), width.saturating_sub(used + 1)) {
            ("", _) | (_, 0..8) => String::new(),
            (detail, room) => format!("  {}", truncate(detail, room)),
        };
        format!(" {mark} {name}{name_gap}{word}{status_gap}{}{detail}", palette.dim(&time))
    }
}

/// Tells whether a change says more than what was said before: several steps may be one to the
/// user, and what failed is not also skipped.
fn news(before: Option<&(Status, String)>, status: Status, detail: &str) -> bool {
    match before {
        Some((Status::Error, _)) if status == Status::Skipped => false,
        Some((said, why)) => (*said, why.as_str()) != (status, detail),
        None => true,
    }
}

/// Returns what a resource is and its name.
fn words(resource: &Resource) -> (&'static str, &str) {
    match resource {
        Resource::Image(name) => ("Image", name),
        Resource::Network(name) => ("Network", name),
        Resource::Volume(name) => ("Volume", name),
        Resource::Container(name) => ("Container", name),
    }
}

fn plain(resource: &Resource, status: Status, detail: &str) -> String {
    let (kind, name) = words(resource);
    let gap = if detail.is_empty() { "" } else { "  " };
    format!(" {kind} {name}  {}{gap}{detail}\n", status.word())
}

/// The shape is Compose's.
fn json(resource: &Resource, status: Status, detail: &str) -> String {
    let (kind, name) = words(resource);
    let state = match status {
        Status::Error => "Error",
        Status::Skipped => "Warning",
        status if status.ongoing() => "Working",
        _ => "Done",
    };
    let mut object = serde_json::json!({ "id": format!("{kind} {name}"), "status": state, "text": status.word() });
    if !detail.is_empty() {
        object["details"] = detail.into();
    }
    object.to_string() + "\n"
}

/// Progress that nobody reads is no failure.
fn write(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

#[cfg(test)]
#[path = "progress_tests.rs"]
mod tests;
