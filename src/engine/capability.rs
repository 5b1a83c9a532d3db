//! Capabilities of a container: Docker's default set and what a specification changes.

use caps::CapSet;
pub(crate) use caps::Capability;

use crate::spec;

/// A set of capabilities.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CapabilitySet(u64);

/// What Docker gives a container (moby `oci/caps`, `DefaultCapabilities`).
const DOCKER_DEFAULT: [Capability; 14] = [
    Capability::CAP_CHOWN,
    Capability::CAP_DAC_OVERRIDE,
    Capability::CAP_FSETID,
    Capability::CAP_FOWNER,
    Capability::CAP_MKNOD,
    Capability::CAP_NET_RAW,
    Capability::CAP_SETGID,
    Capability::CAP_SETUID,
    Capability::CAP_SETFCAP,
    Capability::CAP_SETPCAP,
    Capability::CAP_NET_BIND_SERVICE,
    Capability::CAP_SYS_CHROOT,
    Capability::CAP_KILL,
    Capability::CAP_AUDIT_WRITE,
];

impl CapabilitySet {
    /// Returns no capability.
    pub(crate) fn none() -> Self {
        Self(0)
    }

    /// Returns every capability that this program knows of.
    pub(crate) fn all() -> Self {
        let mut set = Self::none();
        caps::all().into_iter().for_each(|capability| set.insert(capability));
        set
    }

    /// Returns what this process itself may do, and so can hand on: all, but inside a container
    /// or a service manager that took some away.
    pub(crate) fn held() -> Self {
        let mut set = Self::none();
        let permitted = caps::read(None, CapSet::Permitted);
        permitted.into_iter().flatten().for_each(|capability| set.insert(capability));
        set
    }

    /// Returns Docker's default set.
    pub(crate) fn docker_default() -> Self {
        let mut set = Self::none();
        DOCKER_DEFAULT.into_iter().for_each(|capability| set.insert(capability));
        set
    }

    /// Returns the set that a container gets, and the names that are no capabilities.
    ///
    /// As Docker has it: `ALL` in `drop` starts from nothing, `ALL` in `add` from everything;
    /// what is named wins over `ALL`. Only what is asked for by name is there without fail: the
    /// rest is what this process holds of it, as Docker has it too.
    pub(crate) fn of(wanted: &spec::Capabilities, privileged: bool) -> (Self, Vec<String>) {
        if privileged {
            return (Self::held(), Vec::new());
        }
        let mut unknown = Vec::new();
        let mut named = |list: &[String]| {
            let mut set = Self::none();
            for name in list.iter().filter(|name| !is_all(name)) {
                match caps::to_canonical(name).parse() {
                    Ok(capability) => set.insert(capability),
                    Err(_) => unknown.push(name.clone()),
                }
            }
            set
        };
        let (add, drop) = (named(&wanted.add), named(&wanted.drop));
        let everything = wanted.add.iter().any(|name| is_all(name));
        let nothing = wanted.drop.iter().any(|name| is_all(name));
        let set = match (everything, nothing) {
            (true, _) => Self(Self::all().0 & !drop.0),
            (false, true) => add,
            (false, false) => Self((Self::docker_default().0 & !drop.0) | add.0),
        };
        (Self((set.0 & Self::held().0) | (add.0 & set.0)), unknown)
    }

    /// Returns the set of these names (`CAP_KILL` or `KILL`); unknown names are left out.
    pub(crate) fn from_names<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let mut set = Self::none();
        for capability in names.into_iter().filter_map(|name| caps::to_canonical(name).parse().ok()) {
            set.insert(capability);
        }
        set
    }

    /// Adds one.
    pub(crate) fn insert(&mut self, capability: Capability) {
        self.0 |= capability.bitmask();
    }

    /// Tells whether it is in the set.
    pub(crate) fn contains(self, capability: Capability) -> bool {
        self.0 & capability.bitmask() != 0
    }

    /// Returns the members by number.
    pub(crate) fn iter(self) -> impl Iterator<Item = Capability> {
        let mut all: Vec<Capability> = caps::all().into_iter().filter(|c| self.contains(*c)).collect();
        all.sort_by_key(Capability::index);
        all.into_iter()
    }

    /// Limits this process to the set for good: whatever it executes gets no more.
    pub(crate) fn bound(self) -> Result<(), caps::errors::CapsError> {
        for capability in caps::all() {
            if !self.contains(capability) && caps::has_cap(None, CapSet::Bounding, capability).unwrap_or(false) {
                caps::drop(None, CapSet::Bounding, capability)?;
            }
        }
        Ok(())
    }

    /// Makes the set this process's permitted and effective one, with nothing inheritable
    /// or ambient: so a program run by another user than root has none, as with Docker.
    pub(crate) fn apply(self) -> Result<(), caps::errors::CapsError> {
        let set = self.iter().collect();
        caps::clear(None, CapSet::Inheritable)?;
        caps::set(None, CapSet::Effective, &set)?;
        caps::set(None, CapSet::Permitted, &set)
    }
}

fn is_all(name: &str) -> bool {
    name.eq_ignore_ascii_case("ALL")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_to_the_default_set() {
        let check = |add: &[&str], drop: &[&str], expected: u64| {
            let list = |names: &[&str]| names.iter().map(ToString::to_string).collect();
            let wanted = spec::Capabilities { add: list(add), drop: list(drop) };
            assert_eq!(CapabilitySet::of(&wanted, false), (CapabilitySet(expected), vec![]), "{add:?} {drop:?}");
        };
        // The value that /proc/PID/status shows in a Docker container.
        check(&[], &[], 0xa804_25fb);
        check(&["NET_ADMIN"], &["MKNOD"], 0xa004_35fb);
        check(&["CHOWN"], &["ALL"], 1);
        check(&[], &["ALL"], 0);
        check(&["ALL"], &["SYS_ADMIN"], CapabilitySet::held().0 & !Capability::CAP_SYS_ADMIN.bitmask());
        let wanted = spec::Capabilities { add: vec!["NONSENSE".into()], drop: vec![] };
        assert_eq!(CapabilitySet::of(&wanted, false).1, ["NONSENSE"]);
    }
}
