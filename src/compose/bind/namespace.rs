//! Whose namespaces a container lives in.

use super::Binder;
use crate::compose::model::{CgroupMode, IpcMode, NetworkMode, PidMode, UtsMode};
use crate::compose::tree::Node;
use crate::diag::nearest;
use crate::ids::ServiceName;

impl Binder<'_> {
    pub(super) fn network_mode(&mut self, node: &Node) -> Option<NetworkMode> {
        let at = node.get("network_mode")?;
        match written(at)? {
            Mode::Service(name) => Some(NetworkMode::Service(name)),
            Mode::Container(name) => Some(NetworkMode::Container(name)),
            Mode::Word("none") => Some(NetworkMode::None),
            Mode::Word("host") => Some(NetworkMode::Host),
            // These two are the project's default network.
            Mode::Word("bridge" | "default") => None,
            Mode::Word(word) => {
                let message =
                    format!("{word:?} is not a network mode: none, host, bridge, service:NAME or container:NAME");
                self.error(at, message);
                // A name of the user's choice is rather a network than another word of four letters.
                match nearest(word, ["none", "host", "bridge"])
                    .filter(|near| near.chars().next() == word.chars().next())
                {
                    Some(near) => self.advise(format!("did you mean `{near}`?")),
                    None => self.advise(format!("to join a network of the project, write: networks: [{word}]")),
                }
                None
            }
        }
    }

    pub(super) fn ipc(&mut self, node: &Node) -> Option<IpcMode> {
        let at = node.get("ipc")?;
        match written(at)? {
            Mode::Service(name) => Some(IpcMode::Service(name)),
            Mode::Container(name) => Some(IpcMode::Container(name)),
            Mode::Word("none") => Some(IpcMode::None),
            Mode::Word("private") => Some(IpcMode::Private),
            Mode::Word("host") => Some(IpcMode::Host),
            Mode::Word("shareable") => Some(IpcMode::Shareable),
            Mode::Word(word) => {
                let words = "none, private, host, shareable, service:NAME or container:NAME";
                self.error(at, format!("{word:?} is not an IPC mode: {words}"));
                self.meant(word, ["none", "private", "host", "shareable"]);
                None
            }
        }
    }

    pub(super) fn pid(&mut self, node: &Node) -> Option<PidMode> {
        let at = node.get("pid")?;
        match written(at)? {
            Mode::Service(name) => Some(PidMode::Service(name)),
            Mode::Container(name) => Some(PidMode::Container(name)),
            Mode::Word("private") => Some(PidMode::Private),
            Mode::Word("host") => Some(PidMode::Host),
            Mode::Word(word) => {
                self.error(at, format!("{word:?} is not a PID mode: host, service:NAME or container:NAME"));
                self.meant(word, ["host", "private"]);
                None
            }
        }
    }

    pub(super) fn uts(&mut self, node: &Node) -> Option<UtsMode> {
        let at = node.get("uts")?;
        match at.as_text()? {
            "host" => Some(UtsMode::Host),
            "" => None,
            word => {
                self.error(at, format!("{word:?} is not a UTS mode: only host is one"));
                self.meant(word, ["host"]);
                None
            }
        }
    }

    pub(super) fn cgroup_mode(&mut self, node: &Node) -> Option<CgroupMode> {
        self.word(node.get("cgroup"), &["host", "private"])
    }
}

enum Mode<'a> {
    Service(ServiceName),
    Container(String),
    Word(&'a str),
}

/// Returns `None` for the empty text, which is the default everywhere.
fn written(node: &Node) -> Option<Mode<'_>> {
    let text = node.as_text().filter(|text| !text.is_empty())?;
    Some(match text.split_once(':') {
        Some(("service", name)) if !name.is_empty() => Mode::Service(ServiceName::new(name)),
        Some(("container", name)) if !name.is_empty() => Mode::Container(name.to_owned()),
        _ => Mode::Word(text),
    })
}
