//! Lines of an excerpt that are too long for the terminal: a part around the place is shown.

use unicode_width::UnicodeWidthChar as _;

/// A text in which the lines around a place fit, and the place in it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fitted {
    pub(super) text: String,
    pub(super) start: usize,
    pub(super) end: usize,
}

/// Returns the text with the line of a place and its neighbours cut to so many columns; `None`
/// where they fit. The number of lines stays.
pub(super) fn fit(text: &str, start: usize, end: usize, room: usize) -> Option<Fitted> {
    let line_start = text[..start].rfind('\n').map_or(0, |at| at + 1);
    let first = text[..line_start.saturating_sub(1)].rfind('\n').map_or(0, |at| at + 1);
    let line_end = text[start..].find('\n').map_or(text.len(), |at| start + at);
    let last = text[line_end..].get(1..).and_then(|rest| rest.find('\n')).map_or(text.len(), |at| line_end + 1 + at);
    if text[first..last].lines().all(|line| columns(line) <= room) {
        return None;
    }
    let mut out = text[..first].to_owned();
    if first < line_start {
        out.push_str(&head(&text[first..line_start - 1], room));
        out.push('\n');
    }
    let line = &text[line_start..line_end];
    let (from, to) = window(line, start - line_start, room);
    let begins = if from > 0 { "…" } else { "" };
    let ends = if to < line.len() { "…" } else { "" };
    let base = out.len() + begins.len();
    out.push_str(&format!("{begins}{}{ends}", &line[from..to]));
    let place = |at: usize| base + (at - line_start).clamp(from, to) - from;
    let (new_start, new_end) = (place(start), place(end.min(line_end)));
    if line_end < text.len() {
        out.push('\n');
        out.push_str(&head(&text[line_end + 1..last], room));
    }
    Some(Fitted { text: out, start: new_start, end: new_end })
}

/// Returns which bytes of a line are shown: from a third of the columns before the place on.
fn window(line: &str, at: usize, room: usize) -> (usize, usize) {
    let before = columns(&line[..at]).saturating_sub(room / 3);
    let from = if columns(line) <= room { 0 } else { skip(line, before) };
    (from, from + skip(&line[from..], room.saturating_sub(2)))
}

fn head(line: &str, room: usize) -> String {
    if columns(line) <= room {
        return line.to_owned();
    }
    format!("{}…", &line[..skip(line, room.saturating_sub(1))])
}

/// Returns the byte that stands so many columns after the beginning of a line.
fn skip(line: &str, wanted: usize) -> usize {
    let mut used = 0;
    for (at, c) in line.char_indices() {
        used += c.width().unwrap_or(0);
        if used > wanted {
            return at;
        }
    }
    line.len()
}

fn columns(line: &str) -> usize {
    line.chars().map(|c| c.width().unwrap_or(0)).sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_long_line_is_cut_around_the_place() {
        let line = format!("{}HERE{}", "a".repeat(50), "b".repeat(50));
        let text = format!("first\n{line}\n{}\nlast\n", "c".repeat(40));
        let start = text.find("HERE").unwrap();
        let fitted = fit(&text, start, start + 4, 30).unwrap();
        assert_eq!(fitted.text, format!("first\n…{}HERE{}…\n{}…", "a".repeat(10), "b".repeat(14), "c".repeat(29)));
        assert_eq!(&fitted.text[fitted.start..fitted.end], "HERE");
        assert_eq!(fit("a\nb\nc", 2, 3, 30), None);
    }

    proptest! {
        #[test]
        fn the_place_stays_the_place(text in "[ab日é\n]{0,200}", at in 0..200_usize, length in 0..5_usize) {
            let boundary = |at: usize| (0..=at.min(text.len())).rev().find(|&i| text.is_char_boundary(i)).unwrap();
            let start = boundary(at);
            let line_end = text[start..].find('\n').map_or(text.len(), |n| start + n);
            let end = boundary((start + length).min(line_end)).max(start);
            if let Some(fitted) = fit(&text, start, end, 20) {
                let part = &fitted.text[fitted.start..fitted.end];
                prop_assert!(text[start..end].starts_with(part));
                prop_assert_eq!(text[..start].matches('\n').count(), fitted.text[..fitted.start].matches('\n').count());
            }
        }
    }
}
