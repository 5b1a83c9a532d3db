//! Crash cards as text: one for `up`, `logs` and `why`.

use std::time::Duration;

use super::style::Palette;
use crate::crash::Card;

/// Returns the card's lines, the first one beginning with `title`.
pub(crate) fn draw(title: &str, card: &Card, palette: Palette) -> String {
    let mut first = format!("{}, after {}", card.verdict(), span(card.uptime_ms));
    if card.restarts > 0 {
        first += &format!("; restarted {} {}", card.restarts, if card.restarts == 1 { "time" } else { "times" });
    }
    if let Some(pause) = card.next_try_ms {
        first += &format!("; next try in {}", span(pause));
    }
    let mut text = format!("{} {first}\n", palette.red(title));
    if let Some(memory) = &card.memory {
        text += &format!("  memory: {}\n", memory.words());
    }
    for line in &card.lines {
        text += &format!("  {} {line}\n", palette.dim("|"));
    }
    for hint in &card.hints {
        text += &format!("  {} {hint}\n", palette.cyan("hint:"));
    }
    text
}

/// Returns a span of time with what matters of it: `80 ms`, `3.2 s`, `4 minutes`.
fn span(milliseconds: u64) -> String {
    match milliseconds {
        0..1000 => format!("{milliseconds} ms"),
        1000..60_000 => {
            let text = format!("{:.1}", milliseconds as f64 / 1000.0);
            format!("{} s", text.strip_suffix(".0").unwrap_or(&text))
        }
        _ => super::duration::human(Duration::from_millis(milliseconds)).to_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crash::{Death, Memory, card};

    #[test]
    fn a_card_is_a_few_lines() {
        let death = Death {
            exit_code: 137,
            signal: Some(9),
            memory: Memory { kills: 1, limit: Some(64 << 20), peak: Some(64 << 20) },
            uptime: Duration::from_millis(3_240),
            restarts: 2,
            next_try: Some(Duration::from_millis(400)),
            lines: vec!["loading".to_owned(), "still loading".to_owned()],
            ..Death::default()
        };
        insta::assert_snapshot!(draw("web-1:", &card(&death), Palette::new(false)), @r"
        web-1: killed by the kernel: out of memory, after 3.2 s; restarted 2 times; next try in 400 ms
          memory: limit 64 MiB, peak 64 MiB
          | loading
          | still loading
          hint: give it more than 64 MiB (deploy.resources.limits.memory or mem_limit), or have it use less
        ");
        let quiet = Death { exit_code: 1, uptime: Duration::from_secs(240), ..Death::default() };
        insta::assert_snapshot!(draw("web-1:", &card(&quiet), Palette::new(false)), @"web-1: ended by itself: exit code 1, after 4 minutes");
    }
}
