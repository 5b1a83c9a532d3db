//! nftables rulesets as data: built by pure functions, shown as `nft` would show them, sent to the
//! kernel in one transaction.
//!
//! The few statements that are needed are encoded here, for an `nft` program costs a process per
//! change (adding an element: 3 ms of processor time, against 11 µs) and need not be installed. A test compares
//! what `nft list ruleset` prints with [`Table`]'s own text.

mod encode;

use std::fmt;
use std::io;
use std::net::Ipv4Addr;

pub(super) use encode::{chains, rules, table_exists};

use super::netlink::{Refused, Socket};

/// Address family of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    /// IPv4 and IPv6.
    Inet,
    /// IPv4.
    Ip,
}

/// A table with everything in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Table {
    pub(super) family: Family,
    pub(super) name: String,
    pub(super) sets: Vec<Set>,
    pub(super) chains: Vec<Chain>,
}

/// A named set of interface names, or of pairs of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Set {
    pub(super) name: &'static str,
    /// Interface names in one element.
    pub(super) width: usize,
}

/// A base chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Chain {
    pub(super) name: &'static str,
    pub(super) hook: Hook,
    pub(super) drop: bool,
    pub(super) rules: Vec<Vec<Statement>>,
}

/// Where a base chain hangs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hook {
    /// Filter at prerouting, before routing decides (priority mangle).
    Prerouting,
    /// Filter at forward.
    Forward,
    /// Source translation at postrouting.
    Postrouting,
    /// Filter at output (priority mangle).
    Output,
}

/// A match or an action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Statement {
    /// The packet came in by this link.
    Iifname(String),
    /// The packet leaves by this link.
    Oifname(String),
    /// It leaves by any link but this.
    NotOifname(String),
    /// The incoming link is in the set.
    IifnameIn(&'static str),
    /// Incoming and outgoing link are a pair of the set.
    PairIn(&'static str),
    /// It belongs to a connection that was let through.
    Established,
    /// IPv4 source address.
    Source(Ipv4Addr),
    /// IPv4 destination address.
    Destination(Ipv4Addr),
    /// The port at this end of a UDP or TCP packet.
    Port(Transport, End, u16),
    /// Writes the port at this end. Follows a match of the same transport.
    SetPort(Transport, End, u16),
    /// It belongs to a transparent socket of this namespace.
    TransparentSocket,
    /// Sets the packet's mark.
    SetMark(u32),
    /// Counts.
    Counter,
    /// Lets it pass.
    Accept,
    /// Tells the sender that it is not allowed.
    Reject,
    /// Takes the outgoing link's address as source.
    Masquerade,
}

/// A transport protocol with ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transport {
    Udp,
    Tcp,
}

/// Which of a packet's two ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Source,
    Destination,
}

/// One change of a transaction.
pub(super) enum Change<'a> {
    /// Makes the table with all in it; it must not be there.
    Create(&'a Table),
    /// Takes the table away with all in it.
    Delete(Family, &'a str),
    /// Puts elements into a set; those that are there already stay.
    Insert(&'a Table, &'static str, Vec<Vec<String>>),
    /// Takes an element out of a set.
    Remove(&'a Table, &'static str, Vec<Vec<String>>),
    /// Puts a rule at the head of somebody else's chain, with a comment that finds it again.
    Prepend { family: Family, table: &'a str, chain: &'a str, rule: Vec<Statement>, comment: &'a str },
    /// Takes the rule with this handle out of a chain.
    DeleteRule { family: Family, table: &'a str, chain: &'a str, handle: u64 },
}

/// Applies all changes or none.
pub(super) fn apply(socket: &mut Socket, changes: &[Change<'_>]) -> io::Result<()> {
    match socket.send(&encode::batch(changes))?.into_iter().next() {
        None => Ok(()),
        Some(Refused { error, .. }) => Err(error),
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Family::Inet => "inet",
            Family::Ip => "ip",
        })
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "table {} {} {{", self.family, self.name)?;
        for set in &self.sets {
            let kind = vec!["ifname"; set.width].join(" . ");
            writeln!(f, "\tset {} {{\n\t\ttype {kind}\n\t}}\n", set.name)?;
        }
        for (index, chain) in self.chains.iter().enumerate() {
            let gap = if index > 0 { "\n" } else { "" };
            writeln!(f, "{gap}\tchain {} {{", chain.name)?;
            let policy = if chain.drop { "drop" } else { "accept" };
            let hook = match chain.hook {
                Hook::Prerouting => "filter hook prerouting priority mangle",
                Hook::Forward => "filter hook forward priority filter",
                Hook::Postrouting => "nat hook postrouting priority srcnat",
                Hook::Output => "filter hook output priority mangle",
            };
            writeln!(f, "\t\ttype {hook}; policy {policy};")?;
            for rule in &chain.rules {
                let words: Vec<String> = rule.iter().map(ToString::to_string).collect();
                writeln!(f, "\t\t{}", words.join(" "))?;
            }
            writeln!(f, "\t}}")?;
        }
        writeln!(f, "}}")
    }
}

impl fmt::Display for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Iifname(link) => write!(f, "iifname \"{link}\""),
            Self::Oifname(link) => write!(f, "oifname \"{link}\""),
            Self::NotOifname(link) => write!(f, "oifname != \"{link}\""),
            Self::IifnameIn(set) => write!(f, "iifname @{set}"),
            Self::PairIn(set) => write!(f, "iifname . oifname @{set}"),
            Self::Established => f.write_str("ct state established,related"),
            Self::Source(address) => write!(f, "ip saddr {address}"),
            Self::Destination(address) => write!(f, "ip daddr {address}"),
            Self::Port(transport, end, port) => write!(f, "{transport} {end} {port}"),
            Self::SetPort(transport, end, port) => write!(f, "{transport} {end} set {port}"),
            Self::TransparentSocket => f.write_str("socket transparent 1"),
            Self::SetMark(mark) => write!(f, "meta mark set 0x{mark:08x}"),
            Self::Counter => f.write_str("counter"),
            Self::Accept => f.write_str("accept"),
            Self::Reject => f.write_str("reject with icmpx admin-prohibited"),
            Self::Masquerade => f.write_str("masquerade"),
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
        })
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Source => "sport",
            Self::Destination => "dport",
        })
    }
}
