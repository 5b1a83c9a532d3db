//! Values with a unit or a grammar of their own. Each is read from and shown as the text that a
//! Compose file has for it, also in JSON.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::compose::units;

/// A text is not a value of the unit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {what}")]
pub struct UnitError {
    /// What was written.
    pub text: String,
    /// What it should have been, with its article and an example.
    pub what: &'static str,
}

impl UnitError {
    pub(super) fn new(text: &str, what: &'static str) -> Self {
        Self { text: text.to_owned(), what }
    }
}

/// Gives a type that is read from and shown as text the same form in JSON.
macro_rules! as_text {
    ($($name:ty),*) => { $(
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )* };
}

as_text!(Bytes, SwapLimit, Cpus, Mode, MacAddress, Platform);
as_text!(super::PullPolicy, super::DeviceAccess, super::DeviceRule, super::DeviceCount);

/// A number of bytes (spec row `fmt-bytes`). Shown with the largest unit that leaves a whole
/// number, powers of 1024: `64m`, `1536k`, `1000b`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bytes(pub u64);

impl Bytes {
    /// Returns the number.
    pub fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [(50, "p"), (40, "t"), (30, "g"), (20, "m"), (10, "k"), (0, "b")];
        let fits = |shift: &u32| self.0 != 0 && self.0.trailing_zeros() >= *shift;
        let (shift, unit) = units.into_iter().find(|(shift, _)| fits(shift)).unwrap_or((0, "b"));
        write!(f, "{}{unit}", self.0 >> shift)
    }
}

impl FromStr for Bytes {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let number = units::bytes(text).and_then(|number| u64::try_from(number).ok());
        number.map(Self).ok_or_else(|| UnitError::new(text, "a size such as 512k, 300m or 1.5g"))
    }
}

/// How much memory and swap together may be used: `-1` or a size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SwapLimit {
    /// `-1`: all swap that there is.
    Unlimited,
    /// Memory and swap together.
    Total(Bytes),
}

impl fmt::Display for SwapLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unlimited => f.write_str("-1"),
            Self::Total(bytes) => bytes.fmt(f),
        }
    }
}

impl FromStr for SwapLimit {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        if text == "-1" { Ok(Self::Unlimited) } else { text.parse().map(Self::Total) }
    }
}

/// A number of CPUs, exact to a billionth: `1.5` is one and a half.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cpus {
    /// Billionths of a CPU.
    pub nano: u64,
}

impl Cpus {
    /// Returns so many CPUs, rounded to a billionth; nothing below 0 or beyond any machine.
    pub fn from_number(number: f64) -> Option<Self> {
        let nano = number * 1e9;
        (0.0..1e18).contains(&nano).then(|| Self { nano: nano.round() as u64 })
    }
}

impl fmt::Display for Cpus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.nano / 1_000_000_000, self.nano % 1_000_000_000);
        write!(f, "{whole}")?;
        if rest == 0 { Ok(()) } else { write!(f, ".{}", format!("{rest:09}").trim_end_matches('0')) }
    }
}

impl FromStr for Cpus {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let number = text.parse().ok().and_then(Self::from_number);
        number.ok_or_else(|| UnitError::new(text, "a number of CPUs such as 0.5"))
    }
}

/// Permission bits of a file, shown in base 8 with a leading 0: `0444`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Mode(pub u32);

impl Mode {
    /// Returns the bits.
    pub fn bits(self) -> u32 {
        self.0
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}

impl FromStr for Mode {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let digits = text.strip_prefix("0o").unwrap_or(text);
        let bits = u32::from_str_radix(digits, 8).ok().filter(|bits| *bits <= 0o7777 && !digits.starts_with('+'));
        bits.map(Self).ok_or_else(|| UnitError::new(text, "permission bits such as 0444"))
    }
}

/// A hardware address, shown as `02:42:ac:11:65:43`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MacAddress(pub [u8; 6]);

impl fmt::Display for MacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl FromStr for MacAddress {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let part = |part: &str| u8::from_str_radix(part, 16).ok().filter(|_| part.len() == 2 && !part.starts_with('+'));
        let bytes: Option<Vec<u8>> = text.split([':', '-']).map(part).collect();
        let bytes = bytes.and_then(|bytes| bytes.try_into().ok());
        bytes.map(Self).ok_or_else(|| UnitError::new(text, "a MAC address such as 02:42:ac:11:65:43"))
    }
}

/// What an image is made for: `os[/architecture[/variant]]`, as `linux/arm64/v8`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Platform {
    /// `linux`.
    pub os: String,
    /// `amd64`, `arm64`, ...; the host's when absent.
    pub architecture: Option<String>,
    /// `v8`, ...; any when absent.
    pub variant: Option<String>,
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.os)?;
        [&self.architecture, &self.variant].into_iter().flatten().try_for_each(|part| write!(f, "/{part}"))
    }
}

impl FromStr for Platform {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let plain =
            |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b));
        let parts: Vec<&str> = text.split('/').collect();
        if parts.len() > 3 || !parts.iter().all(|part| plain(part)) {
            return Err(UnitError::new(text, "a platform such as linux/arm64"));
        }
        let part = |at: usize| parts.get(at).map(|part| (*part).to_owned());
        Ok(Self { os: parts[0].to_owned(), architecture: part(1), variant: part(2) })
    }
}

/// Durations in the text that Compose has for them, `1m30s`: for `#[serde(with)]`.
pub(super) mod duration {
    use std::time::Duration;

    use serde::{Deserialize as _, Deserializer, Serializer};

    use crate::compose::units;

    pub(in super::super) fn serialize<S: Serializer>(
        duration: &Option<Duration>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match duration {
            Some(duration) => serializer.serialize_str(&units::duration_text(*duration)),
            None => serializer.serialize_none(),
        }
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Duration>, D::Error> {
        let read = |text: String| {
            units::duration(&text).ok_or_else(|| serde::de::Error::custom(format!("{text:?} is not a duration")))
        };
        Option::<String>::deserialize(deserializer)?.map(read).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<T: FromStr<Err = UnitError> + fmt::Display>(text: &str, expected: &str) {
        let shown = text.parse::<T>().map_or_else(|error| error.to_string(), |value| value.to_string());
        assert_eq!(shown, expected, "{text}");
        if let Ok(value) = text.parse::<T>() {
            assert_eq!(value.to_string().parse::<T>().map(|again| again.to_string()).as_deref(), Ok(expected));
        }
    }

    #[test]
    fn sizes() {
        check::<Bytes>("67108864", "64m");
        check::<Bytes>("1.5g", "1536m");
        check::<Bytes>("1000", "1000b");
        check::<Bytes>("0", "0b");
        check::<Bytes>("-1", "\"-1\" is not a size such as 512k, 300m or 1.5g");
        check::<SwapLimit>("-1", "-1");
        check::<SwapLimit>("2g", "2g");
    }

    #[test]
    fn cpus() {
        check::<Cpus>("1.50", "1.5");
        check::<Cpus>("2", "2");
        check::<Cpus>("0.000000001", "0.000000001");
        check::<Cpus>("-1", "\"-1\" is not a number of CPUs such as 0.5");
        check::<Cpus>("NaN", "\"NaN\" is not a number of CPUs such as 0.5");
    }

    #[test]
    fn modes_and_addresses() {
        check::<Mode>("444", "0444");
        check::<Mode>("0o1777", "1777");
        check::<Mode>("9", "\"9\" is not permission bits such as 0444");
        check::<Mode>("10000", "\"10000\" is not permission bits such as 0444");
        check::<MacAddress>("02-42-AC-11-65-43", "02:42:ac:11:65:43");
        check::<MacAddress>("02:42", "\"02:42\" is not a MAC address such as 02:42:ac:11:65:43");
    }

    #[test]
    fn platforms() {
        check::<Platform>("linux", "linux");
        check::<Platform>("linux/arm64/v8", "linux/arm64/v8");
        check::<Platform>("linux//v8", "\"linux//v8\" is not a platform such as linux/arm64");
        check::<Platform>("a/b/c/d", "\"a/b/c/d\" is not a platform such as linux/arm64");
    }

    #[test]
    fn in_json_they_are_text() {
        let json = serde_json::to_string(&(Bytes(1 << 20), Cpus { nano: 1 }, Mode(0o600))).unwrap();
        assert_eq!(json, r#"["1m","0.000000001","0600"]"#);
        let again: (Bytes, Cpus, Mode) = serde_json::from_str(&json).unwrap();
        assert_eq!(again, (Bytes(1 << 20), Cpus { nano: 1 }, Mode(0o600)));
    }
}
