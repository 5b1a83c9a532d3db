//! What a plain YAML scalar means: the YAML 1.2 core schema plus what Compose's reader takes
//! besides (spec rows `yaml-number-traps`, `yaml-bool-words`): octal with a leading 0,
//! underscores in numbers, dates.

use super::tree::Value;

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
        return plain.parse().ok().map(Value::Float);
    }
    date(text).map(Value::Text)
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

/// Returns the text that Compose makes of an unquoted date or time, `2024-01-02 00:00:00 +0000 UTC`.
fn date(text: &str) -> Option<String> {
    let (day, clock) = match text.find(['T', 't', ' ']) {
        Some(at) => (&text[..at], Some((&text[at + 1..], &text[at..at + 1] == " "))),
        None => (text, None),
    };
    let [year, month, day] = day.split('-').collect::<Vec<_>>()[..] else { return None };
    if year.len() != 4 {
        return None;
    }
    let date = jiff::civil::Date::new(short(year, 4)?, short(month, 2)?, short(day, 2)?).ok()?;
    let Some((clock, blank)) = clock else { return Some(format!("{date} 00:00:00 +0000 UTC")) };
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
        "" | "Z" | "+00:00" | "-00:00" => "+0000 UTC".to_owned(),
        _ => {
            let (hours, minutes) = zone[1..].split_once(':')?;
            if hours.len() != 2 || minutes.len() != 2 {
                return None;
            }
            let (_, _): (i8, i8) = (short(hours, 2).filter(|h| *h <= 24)?, short(minutes, 2).filter(|m| *m < 60)?);
            let offset = format!("{}{hours}{minutes}", &zone[..1]);
            format!("{offset} {offset}")
        }
    };
    Some(format!("{date} {hour:02}:{minute:02}:{second:02}{fraction} {zone}"))
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
        check("2024-01-02", text("2024-01-02 00:00:00 +0000 UTC"));
        check("2024-13-02", text("2024-13-02"));
        check("2021-1-1", text("2021-01-01 00:00:00 +0000 UTC"));
        check("2021-01-01T00:00:00Z", text("2021-01-01 00:00:00 +0000 UTC"));
        check("2021-1-1t1:2:3Z", text("2021-01-01 01:02:03 +0000 UTC"));
        check("2021-01-01T00:00:00.50Z", text("2021-01-01 00:00:00.5 +0000 UTC"));
        check("2021-01-01T00:00:00+02:00", text("2021-01-01 00:00:00 +0200 +0200"));
        check("2021-01-01 00:00:00.25", text("2021-01-01 00:00:00.25 +0000 UTC"));
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
