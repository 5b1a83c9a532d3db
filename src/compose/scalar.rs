//! What a plain YAML scalar means: the YAML 1.2 core schema plus what Compose's reader takes
//! besides (spec rows `yaml-number-traps`, `yaml-bool-words`): octal with a leading 0,
//! underscores in numbers, dates.

use super::tree::{Time, Value};

/// Returns the value of an unquoted scalar.
pub(crate) fn resolve(text: &str) -> Value {
    let Some(&first) = text.as_bytes().first() else { return Value::Null };
    match first {
        b'~' | b'n' | b'N' if matches!(text, "~" | "null" | "Null" | "NULL") => Value::Null,
        b't' | b'T' if matches!(text, "true" | "True" | "TRUE") => Value::Bool(true),
        b'f' | b'F' if matches!(text, "false" | "False" | "FALSE") => Value::Bool(false),
        b'0'..=b'9' | b'+' | b'-' | b'.' => number(text).unwrap_or_else(|| Value::Text(text.to_owned())),
        _ => Value::Text(text.to_owned()),
    }
}

/// Returns the value of a scalar with a tag of YAML's own, `!!int`; `None` where it is not of that kind.
pub(crate) fn tagged(text: &str, tag: &str) -> Option<Value> {
    let read = resolve(text);
    match (tag, read) {
        ("str", _) => Some(Value::Text(text.to_owned())),
        ("binary", _) => binary(text).map(Value::Text),
        ("null", read @ Value::Null)
        | ("bool", read @ Value::Bool(_))
        | ("int", read @ (Value::Int(_) | Value::Large(_)))
        | ("float", read @ Value::Float(_))
        | ("timestamp", read @ Value::Time(_)) => Some(read),
        ("float", Value::Int(number)) => Some(Value::Float(number as f64)),
        ("float", Value::Large(number)) => Some(Value::Float(number as f64)),
        ("null" | "bool" | "int" | "float" | "timestamp", _) => None,
        (_, read) => Some(read),
    }
}

/// Returns the text that `!!binary` stands for.
fn binary(text: &str) -> Option<String> {
    use base64::Engine as _;
    let digits: String = text.split_ascii_whitespace().collect();
    String::from_utf8(base64::engine::general_purpose::STANDARD.decode(digits).ok()?).ok()
}

fn number(text: &str) -> Option<Value> {
    match text {
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => return Some(Value::Float(f64::INFINITY)),
        "-.inf" | "-.Inf" | "-.INF" => return Some(Value::Float(f64::NEG_INFINITY)),
        ".nan" | ".NaN" | ".NAN" => return Some(Value::Float(f64::NAN)),
        _ => {}
    }
    let plain = text.replace('_', "");
    let (sign, digits) = match plain.as_bytes().first()? {
        b'-' => (-1_i128, &plain[1..]),
        b'+' => (1, &plain[1..]),
        _ => (1, plain.as_str()),
    };
    if let Some(integer) = integer(digits) {
        return Some(match i64::try_from(sign * i128::from(integer)) {
            Ok(value) => Value::Int(value),
            Err(_) if sign > 0 => Value::Large(integer),
            Err(_) => Value::Float(-(integer as f64)),
        });
    }
    if is_float(digits) {
        // One that is too large for a number is text.
        return plain.parse().ok().filter(|number: &f64| number.is_finite()).map(Value::Float);
    }
    date(text).map(Value::Time)
}

fn integer(digits: &str) -> Option<u64> {
    let radix = |digits: &str, radix| {
        (!digits.is_empty() && digits.bytes().all(|b| b.is_ascii_alphanumeric()))
            .then(|| u64::from_str_radix(digits, radix).ok())
            .flatten()
    };
    match digits.as_bytes() {
        [b'0', b'x', ..] => radix(&digits[2..], 16),
        [b'0', b'o', ..] => radix(&digits[2..], 8),
        [b'0', b'b', ..] => radix(&digits[2..], 2),
        [b'0', _, ..] => radix(&digits[1..], 8),
        _ => radix(digits, 10),
    }
}

/// Returns true for `1.5`, `.5`, `1e3`, `1.`.
fn is_float(digits: &str) -> bool {
    let (mantissa, exponent) = match digits.find(['e', 'E']) {
        Some(at) => (&digits[..at], Some(&digits[at + 1..])),
        None => (digits, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let numeric = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if !numeric(whole) || !numeric(fraction) || (whole.is_empty() && fraction.is_empty()) {
        return false;
    }
    exponent.is_none_or(|e| {
        let e = e.strip_prefix(['+', '-']).unwrap_or(e);
        !e.is_empty() && numeric(e)
    })
}

/// Returns an unquoted date or time.
fn date(text: &str) -> Option<Time> {
    let (day, clock) = match text.find(['T', 't', ' ']) {
        Some(at) => (&text[..at], Some((&text[at + 1..], &text[at..at + 1] == " "))),
        None => (text, None),
    };
    let [year, month, day] = day.split('-').collect::<Vec<_>>()[..] else { return None };
    if year.len() != 4 {
        return None;
    }
    let date = jiff::civil::Date::new(short(year, 4)?, short(month, 2)?, short(day, 2)?).ok()?;
    let Some((clock, blank)) = clock else { return Some(time(&date.to_string(), "00:00:00", "", "")) };
    // After a blank there is no zone, and after a `T` there must be one.
    let zone = if blank { clock.len() } else { clock.find(['Z', '+', '-'])? };
    let (clock, zone) = clock.split_at(zone);
    let (clock, fraction) = clock.split_once('.').map_or((clock, None), |(clock, fraction)| (clock, Some(fraction)));
    let [hour, minute, second] = clock.split(':').collect::<Vec<_>>()[..] else { return None };
    let (hour, minute, second): (i8, i8, i8) = (short(hour, 2)?, short(minute, 2)?, short(second, 2)?);
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let fraction = match fraction {
        None => String::new(),
        Some(digits) if (1..=9).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit()) => {
            format!(".{digits}").trim_end_matches(['0']).trim_end_matches('.').to_owned()
        }
        Some(_) => return None,
    };
    let zone = match zone {
        "" | "Z" | "+00:00" | "-00:00" => "",
        _ => {
            let (hours, minutes) = zone[1..].split_once(':')?;
            if hours.len() != 2 || minutes.len() != 2 {
                return None;
            }
            let (_, _): (i8, i8) = (short(hours, 2).filter(|h| *h <= 24)?, short(minutes, 2).filter(|m| *m < 60)?);
            zone
        }
    };
    Some(time(&date.to_string(), &format!("{hour:02}:{minute:02}:{second:02}"), &fraction, zone))
}

/// Returns a time in both of its forms; without a zone it is UTC.
fn time(date: &str, clock: &str, fraction: &str, zone: &str) -> Time {
    if zone.is_empty() {
        return Time {
            alone: format!("{date}T{clock}{fraction}Z"),
            text: format!("{date} {clock}{fraction} +0000 UTC"),
        };
    }
    let offset = zone.replace(':', "");
    Time {
        alone: format!("{date}T{clock}{fraction}{zone}"),
        text: format!("{date} {clock}{fraction} {offset} {offset}"),
    }
}

/// Returns the number of a few digits.
fn short<T: std::str::FromStr>(digits: &str, most: usize) -> Option<T> {
    let fits = (1..=most).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    fits.then(|| digits.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags() {
        let check = |text: &str, tag: &str, expected: Option<Value>| assert_eq!(tagged(text, tag), expected, "{text}");
        let text = |t: &str| Some(Value::Text(t.to_owned()));
        check("1.50", "str", text("1.50"));
        check("aGVsbG8=", "binary", text("hello"));
        check("aGVs bG8", "binary", None);
        check("true", "bool", Some(Value::Bool(true)));
        check("yes", "bool", None);
        check("0x10", "int", Some(Value::Int(16)));
        check("1.5", "int", None);
        check("3", "float", Some(Value::Float(3.0)));
        check("x", "float", None);
        check("", "null", Some(Value::Null));
        check("x", "null", None);
        check("x", "timestamp", None);
        check("12", "other", Some(Value::Int(12)));
    }

    #[test]
    fn plain_scalars() {
        let text = |t: &str| Value::Text(t.to_owned());
        let check = |input: &str, expected: Value| assert_eq!(resolve(input), expected, "{input}");
        check("", Value::Null);
        check("~", Value::Null);
        check("null", Value::Null);
        check("nullable", text("nullable"));
        check("true", Value::Bool(true));
        check("yes", text("yes"));
        check("off", text("off"));
        check("80", Value::Int(80));
        check("-3", Value::Int(-3));
        check("1_000", Value::Int(1000));
        check("0440", Value::Int(0o440));
        check("0o440", Value::Int(0o440));
        check("0x1F", Value::Int(31));
        check("08", Value::Float(8.0));
        check("22:22", text("22:22"));
        check("1e3", Value::Float(1000.0));
        check("1.", Value::Float(1.0));
        check("1.2.3", text("1.2.3"));
        check("-", text("-"));
        check(".", text("."));
        check("./x", text("./x"));
        check("1e400", text("1e400"));
        check("-1e400", text("-1e400"));
        check("2024-13-02", text("2024-13-02"));
        let check_time = |input: &str, alone: &str, expected: &str| match resolve(input) {
            Value::Time(time) => assert_eq!((time.alone.as_str(), time.text.as_str()), (alone, expected), "{input}"),
            other => panic!("{input} is {other:?}"),
        };
        check_time("2024-01-02", "2024-01-02T00:00:00Z", "2024-01-02 00:00:00 +0000 UTC");
        check_time("2021-1-1", "2021-01-01T00:00:00Z", "2021-01-01 00:00:00 +0000 UTC");
        check_time("2021-01-01T00:00:00Z", "2021-01-01T00:00:00Z", "2021-01-01 00:00:00 +0000 UTC");
        check_time("2021-1-1t1:2:3Z", "2021-01-01T01:02:03Z", "2021-01-01 01:02:03 +0000 UTC");
        check_time("2021-01-01T00:00:00.50Z", "2021-01-01T00:00:00.5Z", "2021-01-01 00:00:00.5 +0000 UTC");
        check_time("2021-01-01T00:00:00+02:00", "2021-01-01T00:00:00+02:00", "2021-01-01 00:00:00 +0200 +0200");
        check_time("2021-01-01 00:00:00.25", "2021-01-01T00:00:00.25Z", "2021-01-01 00:00:00.25 +0000 UTC");
        for wrong in
            ["2021-01-01T00:00:00", "2021-01-01 00:00:00Z", "2021-13-01T00:00:00Z", "2021-01-01T24:00:00Z", "1-2-3"]
        {
            check(wrong, text(wrong));
        }
        check("10.0.0.1", text("10.0.0.1"));
        check("99999999999999999999", Value::Float(1e20));
        check("9223372036854775807", Value::Int(i64::MAX));
        check("9223372036854775808", Value::Large(1 << 63));
        check("0xFFFFFFFFFFFFFFFF", Value::Large(u64::MAX));
        check("-9223372036854775808", Value::Int(i64::MIN));
        check("-9223372036854775809", Value::Float(-9_223_372_036_854_775_809.0));
    }
}
