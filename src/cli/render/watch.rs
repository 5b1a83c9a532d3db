//! What watching did, as text.

use std::path::Path;

use super::style::Palette;
use crate::event::{Event, Watched};

/// Returns the lines that tell of an event; `None` for one that is not of watching. Paths below
/// `folder` are shown relative to it.
pub(crate) fn line(event: &Event, folder: &Path, palette: Palette) -> Option<String> {
    let Event::Watch { service, done, paths, count, failures, .. } = event else { return None };
    let files = files(paths, *count, folder);
    let fine = failures.is_empty();
    let what = match done {
        Watched::Ready { services } if services.is_empty() => {
            "watching the project's own files: no service has rules in `develop.watch`".to_owned()
        }
        Watched::Ready { services } => {
            format!("watching {count} file{} for {}", if *count == 1 { "" } else { "s" }, services.join(", "))
        }
        Watched::Sync if *count == 0 => "not synced".to_owned(),
        Watched::Sync => format!("synced {files}"),
        Watched::Restart if !fine => "not restarted".to_owned(),
        Watched::Restart if *count == 0 => "restarted".to_owned(),
        Watched::Restart => format!("restarted: {files} changed"),
        Watched::Exec { command } if fine => format!("ran {}", shell_words::join(command)),
        Watched::Exec { command } => format!("failed: {}", shell_words::join(command)),
        Watched::Reload if fine => format!("{files} changed: the difference is applied"),
        Watched::Reload if *count == 0 => "the project changed".to_owned(),
        Watched::Reload => format!("{files} changed, nothing is applied"),
        Watched::Loop => format!("not watched any more: {files}"),
        Watched::Lost => "files are not watched".to_owned(),
    };
    let subject = if service.is_empty() { String::new() } else { format!("{service}: ") };
    let sign = if fine { palette.green("⦿") } else { palette.red("✘") };
    let mut text = format!("{sign} {subject}{what}");
    for failure in failures {
        for line in failure.lines() {
            text += "\n    ";
            // What a command in a container said must not steer the terminal.
            text.extend(line.chars().map(|c| if c.is_control() { ' ' } else { c }));
        }
    }
    Some(text)
}

fn files(paths: &[String], count: u64, folder: &Path) -> String {
    let short = |path: &String| Path::new(path).strip_prefix(folder).map_or(path.clone(), |p| p.display().to_string());
    let names: Vec<String> = paths.iter().map(short).collect();
    let more = count.saturating_sub(names.len() as u64);
    match (names.is_empty(), more) {
        (true, _) => "nothing".to_owned(),
        (false, 0) => names.join(", "),
        (false, more) => format!("{} and {more} more", names.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::ProjectName;

    fn show(service: &str, done: Watched, paths: &[&str], count: u64, failures: &[&str]) -> String {
        let event = Event::Watch {
            time_ns: 1,
            project: ProjectName::new("demo"),
            service: service.to_owned(),
            done,
            paths: paths.iter().map(ToString::to_string).collect(),
            count,
            failures: failures.iter().map(ToString::to_string).collect(),
        };
        line(&event, Path::new("/p"), Palette::new(false)).unwrap()
    }

    #[test]
    fn each_event_is_a_line() {
        let lines = [
            show("", Watched::Ready { services: vec!["web".to_owned(), "api".to_owned()] }, &["/p/src/a"], 1200, &[]),
            show("", Watched::Ready { services: Vec::new() }, &[], 0, &[]),
            show("web", Watched::Sync, &["/p/src/a", "/other/b"], 2, &[]),
            show("web", Watched::Sync, &["/p/src/a"], 1000, &[]),
            show("web", Watched::Sync, &[], 0, &["demo-web-1:/app/a: no space is left"]),
            show("web", Watched::Restart, &["/p/src/a"], 1, &[]),
            show("web", Watched::Restart, &["/p/src/a"], 1, &["start: no such file\nlook there"]),
            show("web", Watched::Exec { command: vec!["make".to_owned(), "a b".to_owned()] }, &[], 0, &[]),
            show("", Watched::Reload, &["/p/stack.yml"], 1, &[]),
            show("", Watched::Reload, &["/p/stack.yml"], 1, &["error: unknown key"]),
            show("web", Watched::Exec { command: vec!["make".to_owned()] }, &[], 0, &["a:\n\u{1b}[2Jb\tc\r\nd\u{9b}e"]),
            show("web", Watched::Loop, &["/p/pid"], 1, &["changed 5 times"]),
        ];
        insta::assert_snapshot!(lines.join("\n"), @r"
        ⦿ watching 1200 files for web, api
        ⦿ watching the project's own files: no service has rules in `develop.watch`
        ⦿ web: synced src/a, /other/b
        ⦿ web: synced src/a and 999 more
        ✘ web: not synced
            demo-web-1:/app/a: no space is left
        ⦿ web: restarted: src/a changed
        ✘ web: not restarted
            start: no such file
            look there
        ⦿ web: ran make 'a b'
        ⦿ stack.yml changed: the difference is applied
        ✘ stack.yml changed, nothing is applied
            error: unknown key
        ✘ web: failed: make
            a:
             [2Jb c
            d e
        ✘ web: not watched any more: pid
            changed 5 times
        ");
    }
}
