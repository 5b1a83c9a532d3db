//! What an `up` took, as a table with bars and as JSON.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use unicode_width::UnicodeWidthStr as _;

use super::duration::absolute;
use super::logs::short_name;
use super::style::Palette;
use crate::timing::{Phase, Row, Span, Timings};

/// Phases that are shown even where no container had them.
const ALWAYS: [Phase; 6] = [Phase::Pull, Phase::Unpack, Phase::Create, Phase::Network, Phase::Start, Phase::Ready];

/// Columns that a bar has at least; where there is less room, there is none.
const SHORTEST: usize = 20;
const LONGEST: usize = 60;

/// Returns the table of containers, bars where `width` columns leave room for them, and the critical path;
/// only the containers that `wanted` wants.
pub(crate) fn draw(timings: &Timings, palette: Palette, width: usize, wanted: impl Fn(&str) -> bool) -> String {
    let path = timings.critical_path();
    let critical: BTreeSet<usize> = path.iter().copied().collect();
    let mut text = headline(timings) + "\n";
    let project = of_project(timings, &critical);
    if !project.is_empty() {
        text += &format!("for the project: {project}\n");
    }
    let rows: Vec<Row<'_>> = timings.rows().into_iter().filter(|row| wanted(row.container)).collect();
    if !rows.is_empty() {
        text += &format!("\n{}", table(timings, &rows, &critical, palette, width));
    }
    if path.is_empty() {
        return text;
    }
    let sum: u64 = path.iter().map(|&index| timings.spans[index].took_us()).sum();
    text += &format!("\nThe critical path (*), {} of {}:\n", span_of(sum), span_of(timings.end_us()));
    for &index in &path {
        let span = &timings.spans[index];
        let line = format!(
            "  {:>8} {:>9}  {}",
            format!("@{}", span_of(span.begin_us)),
            format!("+{}", span_of(span.took_us())),
            what(span, timings.project.as_str())
        );
        text += &(if span.failed { palette.red(&format!("{line} (failed)")) } else { line } + "\n");
    }
    text
}

fn headline(timings: &Timings) -> String {
    let mut text = format!(
        "up of {} at {} {} {}",
        timings.project,
        absolute(timings.began_ns.div_euclid(1_000_000_000)).replace(" +0000", ""),
        if timings.failed { "failed after" } else { "took" },
        span_of(timings.took_us)
    );
    let not_ready = |row: &Row<'_>| row.phases.contains_key(&Phase::Start) && !row.phases.contains_key(&Phase::Ready);
    if timings.rows().iter().any(not_ready) {
        text += ", not all is ready";
    } else if timings.end_us() > timings.took_us {
        text += &format!(", all was ready after {}", span_of(timings.end_us()));
    }
    text
}

/// Returns what was done for no container in particular.
fn of_project(timings: &Timings, critical: &BTreeSet<usize>) -> String {
    let spans = timings.spans.iter().enumerate().filter(|(_, span)| span.containers.is_empty());
    let word = |(index, span): (usize, &Span)| {
        let star = if critical.contains(&index) { "*" } else { "" };
        format!("{} {}{star}", what(span, timings.project.as_str()), span_of(span.took_us()))
    };
    spans.map(word).collect::<Vec<_>>().join(", ")
}

fn table(timings: &Timings, rows: &[Row<'_>], critical: &BTreeSet<usize>, palette: Palette, width: usize) -> String {
    let had = |phase: &Phase| ALWAYS.contains(phase) || rows.iter().any(|row| row.phases.contains_key(phase));
    let phases: Vec<Phase> = Phase::ALL.into_iter().filter(had).collect();
    let mut lines: Vec<Vec<String>> = Vec::new();
    let header = phases.iter().map(|phase| format!("{} ", phase.word().to_uppercase()));
    lines.push(std::iter::once("CONTAINER".to_owned()).chain(header).collect());
    for row in rows {
        let cell = |phase: &Phase| {
            let Some(took) = row.phases.get(phase) else { return "- ".to_owned() };
            let marked = row.spans.iter().any(|i| critical.contains(i) && timings.spans[*i].phase == *phase);
            format!("{}{}", span_of(*took), if marked { '*' } else { ' ' })
        };
        let name = short_name(row.container, timings.project.as_str()).to_owned();
        lines.push(std::iter::once(name).chain(phases.iter().map(cell)).collect());
    }
    let widths: Vec<usize> = (0..=phases.len())
        .map(|column| {
            lines.iter().map(|line| line[column].width()).max().unwrap_or(0).max(if column > 0 { 7 } else { 0 })
        })
        .collect();
    let used: usize = widths.iter().sum::<usize>() + 2 * phases.len() + 2;
    let room = width.saturating_sub(used).min(LONGEST);
    let mut text = String::new();
    for (number, line) in lines.iter().enumerate() {
        let mut drawn = format!("{}{}", line[0], " ".repeat(widths[0] - line[0].width()));
        for (cell, &width) in line.iter().zip(&widths).skip(1) {
            let cell = format!("  {}{cell}", " ".repeat(width - cell.width()));
            drawn += &(if cell.ends_with('*') { palette.red(&cell) } else { cell });
        }
        if number > 0 && room >= SHORTEST {
            drawn += &format!("  {}", bar(timings, &rows[number - 1], critical, palette, room));
        }
        text += drawn.trim_end();
        text.push('\n');
    }
    text
}

/// Returns when a container was worked on: full blocks where that is on the critical path.
fn bar(timings: &Timings, row: &Row<'_>, critical: &BTreeSet<usize>, palette: Palette, width: usize) -> String {
    let total = timings.end_us().max(1);
    let mut cells = vec![' '; width];
    let at = |us: u64| usize::try_from(u128::from(us) * width as u128 / u128::from(total)).unwrap_or(width);
    for pass in [false, true] {
        for index in row.spans.iter().filter(|index| critical.contains(index) == pass) {
            let span = &timings.spans[*index];
            let begin = at(span.begin_us).min(width - 1);
            cells[begin..at(span.end_us).clamp(begin + 1, width)].fill(if pass { '█' } else { '░' });
        }
    }
    let text: String = cells.into_iter().collect();
    let text = text.trim_end();
    if text.contains('█') { palette.red(text) } else { text.to_owned() }
}

/// Returns what a span did: `pull redis:7`, `start web-1`, `plan`.
fn what(span: &Span, project: &str) -> String {
    let word = span.phase.word();
    match (&span.subject[..], span.phase) {
        ("", _) => word.to_owned(),
        (subject, Phase::Ready) => format!("{} {word}", short_name(subject, project)),
        (subject, _) => format!("{word} {}", short_name(subject, project)),
    }
}

/// Returns a duration with at most three digits: `0.21 ms`, `12.3 ms`, `812 ms`, `1.24 s`, `2 min 5 s`.
fn span_of(us: u64) -> String {
    let value = |unit: f64| {
        let value = us as f64 / unit;
        let decimals = if value >= 99.95 {
            0
        } else if value >= 9.995 {
            1
        } else {
            2
        };
        format!("{value:.decimals$}")
    };
    match us {
        0..999_500 => format!("{} ms", value(1e3)),
        999_500..99_950_000 => format!("{} s", value(1e6)),
        _ => format!("{} min {} s", us / 60_000_000, us % 60_000_000 / 1_000_000),
    }
}

/// Returns the object of `stack analyze --format json`.
pub(crate) fn to_json(timings: &Timings, wanted: impl Fn(&str) -> bool) -> Value {
    let path = timings.critical_path();
    let rows = timings.rows().into_iter().filter(|row| wanted(row.container)).map(|row| {
        let phases: serde_json::Map<_, _> =
            row.phases.iter().map(|(phase, us)| (format!("{}_us", phase.word()), json!(us))).collect();
        json!({"name": row.container, "phases": phases})
    });
    json!({
        "project": timings.project,
        "began_ns": timings.began_ns,
        "took_us": timings.took_us,
        "ready_us": timings.end_us(),
        "failed": timings.failed,
        "containers": rows.collect::<Vec<_>>(),
        "spans": timings.spans,
        "critical_path": path,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::ProjectName;

    fn timings() -> Timings {
        let span = |phase, subject: &str, containers: &[&str], begin_us, end_us, after: &[u32]| Span {
            phase,
            subject: subject.to_owned(),
            containers: containers.iter().map(|&name| name.to_owned()).collect(),
            begin_us,
            end_us,
            after: after.to_vec(),
            failed: false,
        };
        let spans = vec![
            span(Phase::Pull, "redis:7", &["app-db-1"], 100, 812_000, &[]),
            span(Phase::Unpack, "redis:7", &["app-db-1"], 812_000, 1_113_000, &[0]),
            span(Phase::Plan, "", &[], 1_113_000, 1_114_200, &[1]),
            span(Phase::Network, "app_default", &[], 1_114_200, 1_116_000, &[2]),
            span(Phase::Create, "app-db-1", &["app-db-1"], 1_116_000, 1_117_000, &[3]),
            span(Phase::Create, "app-web-1", &["app-web-1"], 1_116_000, 1_117_300, &[3]),
            span(Phase::Network, "app-db-1", &["app-db-1"], 1_117_000, 1_119_000, &[4]),
            span(Phase::Start, "app-db-1", &["app-db-1"], 1_119_000, 1_121_500, &[6]),
            span(Phase::Ready, "db", &["app-db-1"], 1_121_500, 1_900_000, &[7]),
            span(Phase::Network, "app-web-1", &["app-web-1"], 1_900_000, 1_901_900, &[8]),
            span(Phase::Start, "app-web-1", &["app-web-1"], 1_901_900, 1_904_000, &[9]),
        ];
        let project = ProjectName::new("app");
        Timings { project, began_ns: 1_700_000_000_000_000_000, took_us: 1_904_300, failed: false, spans }
    }

    #[test]
    fn the_table_marks_what_decided() {
        insta::assert_snapshot!(draw(&timings(), Palette::new(false), 110, |_| true), @r"
        up of app at 2023-11-14 22:13:20 UTC took 1.90 s, not all is ready
        for the project: plan 1.20 ms*, network app_default 1.80 ms*

        CONTAINER    PULL   UNPACK    CREATE   NETWORK     START    READY
        db-1       812 ms*  301 ms*  1.00 ms*  2.00 ms*  2.50 ms*  778 ms*  █████████████████████████████████████████
        web-1           -        -   1.30 ms   1.90 ms*  2.10 ms*       -                           ░                █

        The critical path (*), 1.90 s of 1.90 s:
          @0.10 ms   +812 ms  pull redis:7
           @812 ms   +301 ms  unpack redis:7
           @1.11 s  +1.20 ms  plan
           @1.11 s  +1.80 ms  network app_default
           @1.12 s  +1.00 ms  create db-1
           @1.12 s  +2.00 ms  network db-1
           @1.12 s  +2.50 ms  start db-1
           @1.12 s   +778 ms  db ready
           @1.90 s  +1.90 ms  network web-1
           @1.90 s  +2.10 ms  start web-1
        ");
    }

    #[test]
    fn a_narrow_terminal_has_no_bars_and_one_container_its_own_line_only() {
        insta::assert_snapshot!(draw(&timings(), Palette::new(false), 80, |name| name == "app-web-1"), @r"
        up of app at 2023-11-14 22:13:20 UTC took 1.90 s, not all is ready
        for the project: plan 1.20 ms*, network app_default 1.80 ms*

        CONTAINER    PULL   UNPACK    CREATE   NETWORK     START    READY
        web-1           -        -   1.30 ms   1.90 ms*  2.10 ms*       -

        The critical path (*), 1.90 s of 1.90 s:
          @0.10 ms   +812 ms  pull redis:7
           @812 ms   +301 ms  unpack redis:7
           @1.11 s  +1.20 ms  plan
           @1.11 s  +1.80 ms  network app_default
           @1.12 s  +1.00 ms  create db-1
           @1.12 s  +2.00 ms  network db-1
           @1.12 s  +2.50 ms  start db-1
           @1.12 s   +778 ms  db ready
           @1.90 s  +1.90 ms  network web-1
           @1.90 s  +2.10 ms  start web-1
        ");
    }

    #[test]
    fn failures_and_late_readiness_are_told() {
        let mut timings = timings();
        timings.spans.truncate(8);
        timings.spans[7].failed = true;
        timings.failed = true;
        timings.took_us = 1_121_600;
        let text = draw(&timings, Palette::new(false), 80, |_| false);
        assert!(
            text.starts_with("up of app at 2023-11-14 22:13:20 UTC failed after 1.12 s, not all is ready\n"),
            "{text}"
        );
        assert!(text.ends_with("start db-1 (failed)\n"), "{text}");
    }

    #[test]
    fn the_last_container_may_be_ready_after_the_command() {
        let mut timings = timings();
        let end = |timings: &Timings| headline(timings).split("UTC ").nth(1).unwrap_or_default().to_owned();
        assert_eq!(end(&timings), "took 1.90 s, not all is ready");
        timings.add_ready(&[("app-web-1".to_owned(), timings.began_ns + 3_000_000_000)].into());
        assert_eq!(end(&timings), "took 1.90 s, all was ready after 3.00 s");
    }

    #[test]
    fn durations_have_three_digits() {
        let check = |us, expected: &str| assert_eq!(span_of(us), expected);
        check(0, "0.00 ms");
        check(210, "0.21 ms");
        check(9_996, "10.0 ms");
        check(12_340, "12.3 ms");
        check(812_000, "812 ms");
        check(999_600, "1.00 s");
        check(12_340_000, "12.3 s");
        check(125_000_000, "2 min 5 s");
    }

    #[test]
    fn the_object_is_as_its_schema_says() {
        let mut timings = timings();
        timings.spans[7].failed = true;
        crate::schemas::check("timings", &to_json(&timings, |_| true));
    }
}
