//! Times and sizes in Docker's words.

use std::time::Duration;

/// Returns a span of time as `docker ps` words it: `3 seconds`, `About an hour`, `2 weeks`.
pub(crate) fn human(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let minutes = seconds / 60;
    // Hours are rounded, all else is cut.
    let hours = (seconds + 1800) / 3600;
    match () {
        () if seconds < 1 => "Less than a second".to_owned(),
        () if seconds == 1 => "1 second".to_owned(),
        () if seconds < 60 => format!("{seconds} seconds"),
        () if minutes == 1 => "About a minute".to_owned(),
        () if minutes < 60 => format!("{minutes} minutes"),
        () if hours == 1 => "About an hour".to_owned(),
        () if hours < 48 => format!("{hours} hours"),
        () if hours < 24 * 7 * 2 => format!("{} days", hours / 24),
        () if hours < 24 * 30 * 2 => format!("{} weeks", hours / 24 / 7),
        () if hours < 24 * 365 * 2 => format!("{} months", hours / 24 / 30),
        () => format!("{} years", seconds / 3600 / 24 / 365),
    }
}

/// Returns how long ago a time was, both in seconds since 1970: `3 seconds ago`.
pub(crate) fn ago(then: i64, now: i64) -> String {
    format!("{} ago", human(Duration::from_secs(now.saturating_sub(then).max(0).unsigned_abs())))
}

/// Returns a number of bytes with three significant digits in decimal units: `117MB`.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 7] = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1000.0 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    let decimals = if value >= 100.0 || unit == 0 {
        0
    } else if value >= 10.0 {
        1
    } else {
        2
    };
    let text = format!("{value:.decimals$}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text}{}", UNITS[unit])
}

/// Returns a time as Go prints it, which is what Compose shows: `2026-11-21 22:18:03 +0000 UTC`.
pub(crate) fn absolute(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds)
        .map_or_else(|_| seconds.to_string(), |t| t.strftime("%Y-%m-%d %H:%M:%S +0000 UTC").to_string())
}

/// Returns a time of the log with all nine digits of its second.
pub(crate) fn log_time(nanoseconds: i64) -> String {
    jiff::Timestamp::from_nanosecond(i128::from(nanoseconds))
        .map_or_else(|_| nanoseconds.to_string(), |t| t.strftime("%Y-%m-%dT%H:%M:%S.%9fZ").to_string())
}

/// Returns the nanoseconds since 1970 that `--since` and `--until` mean: a time of RFC 3339
/// (without zone in UTC), seconds since 1970, or a duration before `now_ns` (`1h30m`).
pub(crate) fn parse_moment(text: &str, now_ns: i64) -> Result<i64, String> {
    let nanoseconds = |t: jiff::Timestamp| i64::try_from(t.as_nanosecond()).ok();
    if let Some(before) = parse_go_duration(text) {
        return Ok(now_ns.saturating_sub(before));
    }
    if let Some((whole, fraction)) = Some(text.split_once('.').unwrap_or((text, "")))
        && !whole.is_empty()
        && whole.len() <= 11
        && fraction.len() <= 9
        && whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit())
    {
        let seconds: i64 = whole.parse().map_err(|_| format!("{text:?} is out of range"))?;
        let nanos: i64 = format!("{fraction:0<9}").parse().unwrap_or(0);
        return seconds.checked_mul(1_000_000_000).map(|s| s + nanos).ok_or(format!("{text:?} is out of range"));
    }
    let zoned = text.parse::<jiff::Timestamp>().ok();
    let utc = || {
        let civil = text.parse::<jiff::civil::DateTime>().ok()?;
        civil.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|z| z.timestamp())
    };
    zoned.or_else(utc).and_then(nanoseconds).ok_or_else(|| {
        format!("{text:?} is neither a time (2026-11-21T22:18:03Z), nor a duration (1h30m), nor seconds since 1970")
    })
}

/// Returns the nanoseconds of a Go duration, `1h30m`, `1.5s`; `None` when it is none.
fn parse_go_duration(text: &str) -> Option<i64> {
    const UNITS: [(&str, f64); 6] = [("ns", 1.0), ("us", 1e3), ("ms", 1e6), ("h", 3.6e12), ("m", 6e10), ("s", 1e9)];
    let mut rest = text.strip_prefix('-').unwrap_or(text);
    let mut total = 0.0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let (unit, factor) = UNITS.iter().find(|(unit, _)| rest.starts_with(unit))?;
        total += number * factor;
        rest = &rest[unit.len()..];
    }
    Some(total as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_of_time_are_worded_as_docker_does() {
        let check = |seconds: u64, expected: &str| assert_eq!(human(Duration::from_secs(seconds)), expected);
        check(0, "Less than a second");
        check(1, "1 second");
        check(59, "59 seconds");
        check(60, "About a minute");
        check(119, "About a minute");
        check(120, "2 minutes");
        check(3599, "59 minutes");
        check(3600, "About an hour");
        check(5399, "About an hour");
        check(5400, "2 hours");
        check(47 * 3600, "47 hours");
        check(48 * 3600, "2 days");
        check(13 * 86400, "13 days");
        check(14 * 86400, "2 weeks");
        check(61 * 86400, "2 months");
        check(800 * 86400, "2 years");
        assert_eq!(ago(100, 103), "3 seconds ago");
        assert_eq!(ago(103, 100), "Less than a second ago");
    }

    #[test]
    fn sizes_have_three_digits() {
        let check = |bytes: u64, expected: &str| assert_eq!(size(bytes), expected);
        check(0, "0B");
        check(999, "999B");
        check(1000, "1kB");
        check(4_491_234, "4.49MB");
        check(41_700_000, "41.7MB");
        check(117_000_000, "117MB");
        check(1_500_000_000, "1.5GB");
    }

    #[test]
    fn moments_are_times_durations_or_seconds() {
        let now = 1_700_000_000_000_000_000;
        let check = |text: &str, expected: Option<i64>| assert_eq!(parse_moment(text, now).ok(), expected, "{text}");
        check("10s", Some(now - 10_000_000_000));
        check("1h30m", Some(now - 5_400_000_000_000));
        check("1.5s", Some(now - 1_500_000_000));
        check("1700000000", Some(now));
        check("1700000000.5", Some(now + 500_000_000));
        check("2023-11-14T22:13:20Z", Some(now));
        check("2023-11-14T23:13:20+01:00", Some(now));
        check("2023-11-14T22:13:20", Some(now));
        check("2023-11-14", Some(1_699_920_000_000_000_000));
        check("yesterday", None);
        check("", None);
        assert_eq!(log_time(now + 5), "2023-11-14T22:13:20.000000005Z");
        assert_eq!(absolute(1_700_000_000), "2023-11-14 22:13:20 +0000 UTC");
    }
}
