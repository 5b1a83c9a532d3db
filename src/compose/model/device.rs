//! Devices, accelerators and block I/O.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use super::units::{Bytes, UnitError};

attributes! {
    /// One `devices` entry (spec row `svc-devices`).
    pub struct Device {
        /// Path of the node on the host, or a CDI name `vendor.com/class=name`.
        pub source: String,
        /// Path of the node in the container; `source` when absent.
        pub target: Option<String>,
        /// What the container may do with it; everything when absent.
        pub permissions: Option<DeviceAccess>,
    }

    /// A wish for accelerators: an entry of `gpus` or of `deploy.resources.reservations.devices`.
    pub struct DeviceRequest {
        /// What each must be able to do, `gpu`; all of them. `gpus` implies `gpu`.
        pub capabilities: Vec<String>,
        /// How many; all when neither this nor `device_ids` is given.
        pub count: Option<DeviceCount>,
        /// Exactly these: index, UUID or CDI name; not together with `count`.
        pub device_ids: Vec<String>,
        /// Who finds them, `nvidia`; whoever can when absent.
        pub driver: Option<String>,
        /// Settings of the driver.
        pub options: BTreeMap<String, String>,
    }

    /// `blkio_config`: shares and limits of block I/O (spec row `svc-blkio`).
    pub struct BlkioConfig {
        /// Share among all containers, 10 to 1000; 500 when absent.
        pub weight: Option<u16>,
        /// Shares of single devices.
        pub weight_device: Vec<BlkioWeight>,
        /// Bytes read a second, at most.
        pub device_read_bps: Vec<BlkioRate>,
        /// Reads a second, at most.
        pub device_read_iops: Vec<BlkioOperations>,
        /// Bytes written a second, at most.
        pub device_write_bps: Vec<BlkioRate>,
        /// Writes a second, at most.
        pub device_write_iops: Vec<BlkioOperations>,
    }

    /// A share of one device.
    pub struct BlkioWeight {
        /// Its node on the host.
        pub path: PathBuf,
        /// 10 to 1000.
        pub weight: u16,
    }

    /// A limit of bytes for one device.
    pub struct BlkioRate {
        /// Its node on the host.
        pub path: PathBuf,
        /// Bytes a second.
        pub rate: Bytes,
    }

    /// A limit of operations for one device.
    pub struct BlkioOperations {
        /// Its node on the host.
        pub path: PathBuf,
        /// Operations a second.
        pub rate: u64,
    }
}

/// How many accelerators: a number, or `all`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceCount {
    /// `all`, or -1.
    All,
    /// So many.
    Number(u32),
}

impl fmt::Display for DeviceCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::Number(number) => number.fmt(f),
        }
    }
}

impl FromStr for DeviceCount {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        match text {
            "all" | "-1" => Ok(Self::All),
            _ => text.parse().map(Self::Number).map_err(|_| UnitError::new(text, "a number of devices, or all")),
        }
    }
}

/// What may be done with a device: a subset of `rwm`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceAccess {
    /// `r`.
    pub read: bool,
    /// `w`.
    pub write: bool,
    /// `m`: make its node.
    pub mknod: bool,
}

impl fmt::Display for DeviceAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letters = [(self.read, "r"), (self.write, "w"), (self.mknod, "m")];
        letters.into_iter().filter(|(may, _)| *may).try_for_each(|(_, letter)| f.write_str(letter))
    }
}

impl FromStr for DeviceAccess {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        if text.is_empty() || !text.bytes().all(|b| b"rwm".contains(&b)) {
            return Err(UnitError::new(text, "an access to a device: some of the letters r, w and m"));
        }
        Ok(Self { read: text.contains('r'), write: text.contains('w'), mknod: text.contains('m') })
    }
}

/// One `device_cgroup_rules` entry, as the kernel's devices controller has them: `c 1:3 mr`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceRule {
    /// `a`, `b` or `c`.
    pub kind: DeviceKind,
    /// Major number; all when absent (`*`).
    pub major: Option<u32>,
    /// Minor number; all when absent (`*`).
    pub minor: Option<u32>,
    /// What is allowed.
    pub access: DeviceAccess,
}

/// Kinds of device nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceKind {
    /// `a`: both.
    All,
    /// `b`.
    Block,
    /// `c`.
    Character,
}

impl fmt::Display for DeviceRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            DeviceKind::All => 'a',
            DeviceKind::Block => 'b',
            DeviceKind::Character => 'c',
        };
        let number = |number: Option<u32>| number.map_or_else(|| "*".to_owned(), |number| number.to_string());
        write!(f, "{kind} {}:{} {}", number(self.major), number(self.minor), self.access)
    }
}

impl FromStr for DeviceRule {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let rule = || {
            let mut words = text.split(' ');
            let kind = match words.next()? {
                "a" => DeviceKind::All,
                "b" => DeviceKind::Block,
                "c" => DeviceKind::Character,
                _ => return None,
            };
            let (major, minor) = words.next()?.split_once(':')?;
            let number = |text: &str| if text == "*" { Some(None) } else { text.parse().ok().map(Some) };
            let access = words.next()?.parse().ok()?;
            words.next().is_none().then_some(Self { kind, major: number(major)?, minor: number(minor)?, access })
        };
        rule().ok_or_else(|| UnitError::new(text, "a rule for devices such as \"c 1:3 mr\" or \"b 8:* rw\""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_and_counts() {
        let check = |text: &str, expected: &str| {
            let shown = text.parse::<DeviceRule>().map_or_else(|error| error.to_string(), |rule| rule.to_string());
            assert_eq!(shown, expected);
        };
        check("c 1:3 mr", "c 1:3 rm");
        check("a *:* rwm", "a *:* rwm");
        check("b 8:* w", "b 8:* w");
        for bad in ["", "c", "c 1 r", "d 1:3 r", "c 1:3 x", "c 1:3 ", "c 1:3 r w", "c -1:3 r"] {
            check(bad, &format!("{bad:?} is not a rule for devices such as \"c 1:3 mr\" or \"b 8:* rw\""));
        }
        assert_eq!("-1".parse::<DeviceCount>().unwrap().to_string(), "all");
        assert_eq!("2".parse(), Ok(DeviceCount::Number(2)));
    }
}
