//! Signals by name and number (signal(7)), as Compose files, images and users write them.

use std::str::FromStr as _;

use nix::sys::signal::Signal;

/// First and last real-time signal that programs may use: glibc keeps 32 and 33 to itself.
const REAL_TIME: std::ops::RangeInclusive<i32> = 34..=64;

/// Returns the number of a signal: `SIGQUIT`, `quit`, `3`, `SIGRTMIN+3`, `RTMAX-1`.
pub fn number(text: &str) -> Option<i32> {
    if let Ok(number) = text.parse::<i32>() {
        return (1..=*REAL_TIME.end()).contains(&number).then_some(number);
    }
    let name = text.to_ascii_uppercase();
    let name = name.strip_prefix("SIG").unwrap_or(&name);
    let real_time = |rest: &str, base: i32| {
        // A sign must be there: `RTMIN3` is no signal.
        let offset = match rest {
            "" => 0,
            _ if rest.starts_with(['+', '-']) => rest.parse().ok()?,
            _ => return None,
        };
        base.checked_add(offset).filter(|number| REAL_TIME.contains(number))
    };
    if let Some(rest) = name.strip_prefix("RTMIN") {
        real_time(rest, *REAL_TIME.start())
    } else if let Some(rest) = name.strip_prefix("RTMAX") {
        real_time(rest, *REAL_TIME.end())
    } else {
        Signal::from_str(&format!("SIG{name}")).ok().map(|signal| signal as i32)
    }
}

/// Returns `SIGTERM` for 15, `SIGRTMIN+3` for 37; a number that has no name as it is.
pub fn name(number: i32) -> String {
    match Signal::try_from(number) {
        Ok(signal) => signal.as_str().to_owned(),
        Err(_) if REAL_TIME.contains(&number) => format!("SIGRTMIN+{}", number - REAL_TIME.start()),
        Err(_) => number.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_have_names_and_numbers() {
        let check = |text: &str, expected: Option<i32>| assert_eq!(number(text), expected, "{text}");
        check("SIGQUIT", Some(3));
        check("quit", Some(3));
        check("9", Some(9));
        check("34", Some(34));
        check("SIGRTMIN", Some(34));
        check("SIGRTMIN+3", Some(37));
        check("rtmax-1", Some(63));
        for wrong in ["", "0", "99", "SIGNOPE", "RTMIN-1", "RTMIN+99", "RTMIN3", "RTMAX+1", "RTMIN+99999999999"] {
            check(wrong, None);
        }
    }

    #[test]
    fn a_name_is_read_as_the_number_it_was_made_from() {
        for signal in (1..=31).chain(REAL_TIME) {
            assert_eq!(number(&name(signal)), Some(signal));
        }
        assert_eq!((name(15).as_str(), name(37).as_str(), name(33).as_str()), ("SIGTERM", "SIGRTMIN+3", "33"));
    }
}
