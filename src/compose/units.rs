//! Units as Compose writes them (spec rows `fmt-bytes`, `fmt-duration`): text to numbers and back.

use std::time::Duration;

/// Returns the number of bytes that `1g`, `1.5 GiB`, `512` or `64mb` stands for; -1 is unlimited.
pub(crate) fn bytes(text: &str) -> Option<i64> {
    if text == "-1" {
        return Some(-1);
    }
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, suffix) = text.split_at(digits);
    let suffix = suffix.strip_prefix(' ').unwrap_or(suffix).to_ascii_lowercase();
    let unit = suffix.strip_suffix("ib").or_else(|| suffix.strip_suffix('b')).unwrap_or(&suffix);
    let shift = match unit {
        "" if suffix == "ib" => return None,
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        "p" => 50,
        _ => return None,
    };
    if let Ok(whole) = number.parse::<i64>() {
        return whole.checked_mul(1 << shift);
    }
    let value = number.parse::<f64>().ok()? * (1_i64 << shift) as f64;
    (value.is_finite() && value < i64::MAX as f64).then_some(value as i64)
}

/// Returns the duration that `1h5m30s20ms`, `1.5s` or `0` stands for.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Some(Duration::ZERO);
    }
    if rest.is_empty() {
        return None;
    }
    let mut nanoseconds: u128 = 0;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at(end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() && fraction.is_empty() || fraction.contains('.') || whole.len() > 18 {
            return None;
        }
        let end = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(end);
        let scale: u128 = match unit {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            "d" => 86_400_000_000_000,
            "w" => 604_800_000_000_000,
            _ => return None,
        };
        if !whole.is_empty() {
            nanoseconds += whole.parse::<u128>().ok()? * scale;
        }
        let mut digit_scale = scale;
        for digit in fraction.bytes() {
            digit_scale /= 10;
            nanoseconds += u128::from(digit - b'0') * digit_scale;
        }
        rest = tail;
    }
    // The longest duration that the reference can hold, about 292 years.
    (nanoseconds <= i64::MAX as u128).then(|| Duration::from_nanos(nanoseconds as u64))
}

/// Returns a duration in its canonical text: `1m30s`, `1h0m0s`, `500ms`, `0s`.
pub(crate) fn duration_text(duration: Duration) -> String {
    let nanoseconds = duration.as_nanos();
    if nanoseconds == 0 {
        return "0s".to_owned();
    }
    let decimal = |value: u128, unit: u128| {
        let (whole, fraction) = (value / unit, value % unit);
        if fraction == 0 {
            return whole.to_string();
        }
        let width = unit.ilog10() as usize;
        format!("{whole}.{}", format!("{fraction:0width$}").trim_end_matches('0'))
    };
    match nanoseconds {
        0..1_000 => format!("{nanoseconds}ns"),
        1_000..1_000_000 => format!("{}µs", decimal(nanoseconds, 1_000)),
        1_000_000..1_000_000_000 => format!("{}ms", decimal(nanoseconds, 1_000_000)),
        _ => {
            let minutes = nanoseconds / 60_000_000_000;
            let seconds = decimal(nanoseconds % 60_000_000_000, 1_000_000_000);
            match (minutes / 60, minutes % 60) {
                (0, 0) => format!("{seconds}s"),
                (0, minutes) => format!("{minutes}m{seconds}s"),
                (hours, minutes) => format!("{hours}h{minutes}m{seconds}s"),
            }
        }
    }
}

/// Returns the age of `every_AGE`, of weeks, days, hours, minutes and seconds (spec row `svc-pull-policy`).
pub(crate) fn age(text: &str) -> Option<Duration> {
    let mut seconds: u64 = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: u64 = rest[..end].parse().ok()?;
        let mut tail = rest[end..].chars();
        let unit = match tail.next()? {
            'w' => 7 * 24 * 3600,
            'd' => 24 * 3600,
            'h' => 3600,
            'm' => 60,
            's' => 1,
            _ => return None,
        };
        seconds = seconds.checked_add(number.checked_mul(unit)?)?;
        rest = tail.as_str();
    }
    (!text.is_empty()).then(|| Duration::from_secs(seconds))
}

/// Returns a number as Compose turns it into a string: shortest, with an exponent from a million on.
pub(crate) fn float_text(number: f64) -> String {
    if number.is_nan() {
        return "NaN".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let size = number.abs();
    if size != 0.0 && !(1e-4..1e6).contains(&size) {
        let text = format!("{number:e}");
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let (sign, digits) = exponent.strip_prefix('-').map_or(('+', exponent), |digits| ('-', digits));
        return format!("{mantissa}e{sign}{digits:0>2}");
    }
    format!("{number}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        let check = |text: &str, expected: Option<i64>| assert_eq!(bytes(text), expected, "{text}");
        check("2b", Some(2));
        check("512k", Some(512 << 10));
        check("300m", Some(300 << 20));
        check("1gb", Some(1 << 30));
        check("1GiB", Some(1 << 30));
        check("1.5g", Some(3 << 29));
        check("64 mb", Some(64 << 20));
        check("1073741824", Some(1 << 30));
        check("-1", Some(-1));
        check("", None);
        check("-2", None);
        check("ten", None);
        check("1.2.3g", None);
        check("9999999999p", None);
        check("1ib", None);
    }

    #[test]
    fn durations() {
        let check = |text: &str, expected: Option<&str>| {
            assert_eq!(duration(text).map(duration_text).as_deref(), expected, "{text}");
        };
        check("10ms", Some("10ms"));
        check("40s", Some("40s"));
        check("90s", Some("1m30s"));
        check("1h5m30s20ms", Some("1h5m30.02s"));
        check("1.5s", Some("1.5s"));
        check("120m", Some("2h0m0s"));
        check("0", Some("0s"));
        check("0s", Some("0s"));
        check("100us", Some("100µs"));
        check("1.5ms", Some("1.5ms"));
        check("10", None);
        check("", None);
        check("1x", None);
        check("s", None);
        check("1s2", None);
        check("999999999h", None);
    }

    #[test]
    fn ages() {
        let check = |text: &str, expected: Option<u64>| assert_eq!(age(text).map(|a| a.as_secs()), expected, "{text}");
        check("12h", Some(12 * 3600));
        check("1w2d", Some(9 * 86400));
        check("90s", Some(90));
        for wrong in ["", "12", "h", "1y", "1.5d", "99999999999999999999d", "9999999999999999w"] {
            check(wrong, None);
        }
    }

    #[test]
    fn numbers() {
        let check = |number: f64, expected: &str| assert_eq!(float_text(number), expected);
        check(1.5, "1.5");
        check(1e3, "1000");
        check(1e21, "1e+21");
        check(1e6, "1e+06");
        check(999_999.0, "999999");
        check(123_456.789, "123456.789");
        check(2_500_000.0, "2.5e+06");
        check(12_345_678.9, "1.23456789e+07");
        check(-1e15, "-1e+15");
        check(0.0001, "0.0001");
        check(0.00001, "1e-05");
        check(0.0, "0");
        check(-2.25, "-2.25");
    }
}
