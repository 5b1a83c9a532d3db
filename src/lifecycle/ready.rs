//! When a container without a healthcheck counts as ready. Pure: says what to look at and when, takes
//! in what was seen, and names the rule that decided.
//!
//! ```text
//! Looking --a socket listens--> Greeting --its protocol answers--> Settling --the socket stays--> ready
//!    |                             |  (no protocol is known, or none answers) ^
//!    |                             +------------------------------------------+
//!    +--nothing listens for as long as it can be expected----------------------------------> ready
//! ```
//!
//! Servers that are set up when they start for the first time often run a temporary server, stop it and
//! start the real one. The temporary one listens on a UNIX socket or on loopback only (MySQL, PostgreSQL,
//! MongoDB), which does not count here, and it is a child of the image's script: what another process
//! than the main one holds open has to last for a moment.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use super::Time;
use crate::spec::{ContainerSpec, Protocol as Transport, Ready};

/// Shortest pause between two looks.
const QUICK: Duration = Duration::from_millis(20);
/// Longest pause; a look costs a few hundredths of a millisecond.
const SLOW: Duration = Duration::from_millis(250);
/// Longest pause while nobody waits.
const IDLE_SLOW: Duration = Duration::from_secs(1);
/// When the first look comes while nobody waits: what starts at the same time goes first.
const IDLE: Duration = Duration::from_millis(300);
/// A process that opens no port is ready when it has run for so long.
const MOMENT: Duration = Duration::from_secs(1);
/// The same when its image names ports (which it may not open: workers share images with servers).
const IMAGE_PATIENCE: Duration = Duration::from_secs(10);
/// The same when the file publishes ports.
const FILE_PATIENCE: Duration = Duration::from_secs(60);
/// How long another port than one that was declared must have been open to count.
const UNDECLARED: Duration = Duration::from_secs(2);
/// How long a port that should speak a protocol may not do so before listening is enough.
const GREETING: Duration = Duration::from_secs(5);
/// How long a socket that another process than the main one holds must stay.
const SETTLE: Duration = Duration::from_millis(500);

/// A protocol whose server greets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// `PING` is answered.
    Redis,
    /// The server's handshake comes.
    Mysql,
    /// `hello` is answered.
    Mongodb,
    /// `SSLRequest` is answered, and a start-up message not with "starting up".
    Postgresql,
    /// `HEAD /` is answered.
    Http,
}

/// What decided that a container is ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rule {
    /// `x-stack: {ready: none}`: its process runs.
    Started,
    /// Its healthcheck succeeds.
    Healthcheck,
    /// A server on this port greeted in its protocol.
    Greeting(Protocol, u16),
    /// A process of it listens on this port.
    Listens(u16),
    /// It has run for a moment, and opens no port.
    Runs,
    /// The rule that the file gives.
    Given(Ready),
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Started => f.write_str("none"),
            Self::Healthcheck => f.write_str("healthcheck"),
            Self::Greeting(Protocol::Redis, port) => write!(f, "redis PING on {port}"),
            Self::Greeting(Protocol::Mysql, port) => write!(f, "MySQL handshake on {port}"),
            Self::Greeting(Protocol::Mongodb, port) => write!(f, "MongoDB hello on {port}"),
            Self::Greeting(Protocol::Postgresql, port) => write!(f, "PostgreSQL SSLRequest on {port}"),
            Self::Greeting(Protocol::Http, port) => write!(f, "HTTP on {port}"),
            Self::Listens(port) => write!(f, "port {port} listens"),
            Self::Runs => f.write_str("running"),
            Self::Given(rule) => rule.fmt(f),
        }
    }
}

/// What of a container decides how it is found out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    rule: Ready,
    /// TCP ports that the file publishes.
    published: Vec<u16>,
    /// TCP ports that the file or the image exposes.
    exposed: Vec<u16>,
    /// Last part of the image's name: `redis` of `docker.io/library/redis:7`.
    image: String,
}

impl Subject {
    /// Returns what matters of a container.
    pub fn of(spec: &ContainerSpec) -> Self {
        let reference = spec.image.reference.as_str();
        let name = reference.rsplit('/').next().unwrap_or_default();
        let name = name.split(['@', ':']).next().unwrap_or_default();
        let tcp = |text: &String| text.strip_suffix("/tcp").unwrap_or(text).parse().ok();
        Self {
            rule: spec.ready.clone().unwrap_or_default(),
            published: spec
                .ports
                .iter()
                .filter(|port| port.protocol == Transport::Tcp)
                .map(|port| port.container_port)
                .collect(),
            exposed: spec.exposed.iter().filter_map(tcp).collect(),
            image: name.to_lowercase(),
        }
    }

    fn declares(&self, port: u16) -> bool {
        self.published.contains(&port) || self.exposed.contains(&port)
    }

    fn patience(&self) -> Duration {
        match (self.published.is_empty(), self.exposed.is_empty()) {
            (false, _) => FILE_PATIENCE,
            (true, false) => IMAGE_PATIENCE,
            (true, true) => MOMENT,
        }
    }

    /// Returns the protocol that a port's server should speak: by the port's well-known use, else by
    /// the name of the image, for the ports that image declares.
    fn protocol(&self, port: u16) -> Option<Protocol> {
        let by_port = match port {
            6379 => Some(Protocol::Redis),
            3306 => Some(Protocol::Mysql),
            27017 => Some(Protocol::Mongodb),
            5432 => Some(Protocol::Postgresql),
            80 | 3000 | 4000 | 5000 | 8000 | 8008 | 8080 | 8081 | 8088 | 8888 | 9000 | 9090 | 9200 => {
                Some(Protocol::Http)
            }
            _ => None,
        };
        let named = |names: &[&str]| names.iter().any(|name| self.image.contains(name));
        let by_image = if named(&["redis", "valkey", "keydb", "dragonfly"]) {
            Some(Protocol::Redis)
        } else if named(&["mysql", "mariadb", "percona"]) {
            Some(Protocol::Mysql)
        } else if named(&["mongo"]) {
            Some(Protocol::Mongodb)
        } else if named(&["postgres", "postgis", "timescale"]) {
            Some(Protocol::Postgresql)
        } else if named(&["nginx", "httpd", "caddy", "traefik"]) {
            Some(Protocol::Http)
        } else {
            None
        };
        by_port
            .or(by_image
                .filter(|protocol| *protocol == Protocol::Http || self.declares(port) || self.exposed.is_empty()))
    }
}

/// What is to be looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// Which sockets do processes of the container listen on?
    Look,
    /// Does the server behind this socket speak the protocol?
    Greet(Listener, Protocol),
    /// Is a connection to this port accepted?
    Connect(u16),
    /// Which status has the answer to GET?
    Get(u16, String),
}

/// A TCP socket that listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listener {
    /// Its address; unspecified for all.
    pub address: IpAddr,
    /// Its port.
    pub port: u16,
    /// What tells it from a socket that takes its place.
    pub inode: u32,
    /// The container's main process holds it.
    pub main: bool,
}

/// What was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// These sockets listen.
    Listening(Vec<Listener>),
    /// It answered as its protocol has it, or accepted, or with such a status.
    Welcome,
    /// It speaks the protocol and says that it is not ready yet.
    Busy,
    /// It did not answer, or something else.
    No,
}

/// Finds out about one run of a container.
#[derive(Debug, Clone)]
pub struct Watch {
    subject: Subject,
    started: Time,
    next: Time,
    hurry: bool,
    state: State,
    /// Since when another port than a declared one is open.
    undeclared: Option<(u32, Time)>,
    /// Since when a socket was expected to speak a protocol.
    greeted: Option<(u32, Time)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    Looking,
    Greeting { listener: Listener, protocol: Protocol },
    Settling { listener: Listener, rule: Rule, until: Time },
}

impl Watch {
    /// Returns a watch of a container whose process just started; looks at once where somebody waits.
    pub fn new(subject: Subject, now: Time, hurry: bool) -> Self {
        let next = if hurry { now } else { now + IDLE };
        Self { subject, started: now, next, hurry, state: State::Looking, undeclared: None, greeted: None }
    }

    /// Tells it that somebody waits.
    pub fn hurry(&mut self, now: Time) {
        if !std::mem::replace(&mut self.hurry, true) {
            self.next = self.next.min(now);
        }
    }

    /// Returns when to ask.
    pub fn next(&self) -> Time {
        self.next
    }

    /// Returns what to look at now.
    pub fn ask(&self) -> Ask {
        match (&self.subject.rule, &self.state) {
            (Ready::Tcp(port), _) => Ask::Connect(*port),
            (Ready::Http { port, path }, _) => Ask::Get(*port, path.clone()),
            (_, State::Greeting { listener, protocol }) => Ask::Greet(*listener, *protocol),
            (_, State::Looking | State::Settling { .. }) => Ask::Look,
        }
    }

    /// Takes in what was seen; returns the rule by which the container is ready.
    pub fn seen(&mut self, seen: &Seen, now: Time) -> Option<Rule> {
        self.next = now + self.pause(now);
        match seen {
            Seen::Listening(sockets) => self.listening(sockets, now),
            Seen::Welcome if !matches!(self.subject.rule, Ready::Auto) => Some(Rule::Given(self.subject.rule.clone())),
            answer => self.answered(answer, now),
        }
    }

    fn listening(&mut self, sockets: &[Listener], now: Time) -> Option<Rule> {
        if let State::Settling { listener, rule, until } = &self.state {
            let stays = sockets.iter().any(|socket| socket.inode == listener.inode);
            if stays && *until <= now {
                return Some(rule.clone());
            }
            if stays {
                self.next = self.next.min(*until);
                return None;
            }
            self.state = State::Looking;
        }
        match self.choose(sockets, now) {
            Some(listener) => match self.subject.protocol(listener.port) {
                Some(protocol) if now.since(since(&mut self.greeted, listener.inode, now)) < GREETING => {
                    self.state = State::Greeting { listener, protocol };
                    self.next = now;
                    None
                }
                _ => self.settle(listener, Rule::Listens(listener.port), now),
            },
            None => {
                let patience = self.started + self.subject.patience();
                if patience <= now {
                    return Some(Rule::Runs);
                }
                self.next = self.next.min(patience);
                None
            }
        }
    }

    /// Returns the socket that tells most: declared by the file, then by the image, then of a known
    /// protocol, then the lowest port. Others cannot reach one on loopback.
    fn choose(&mut self, sockets: &[Listener], now: Time) -> Option<Listener> {
        let subject = &self.subject;
        let key = |socket: &&Listener| {
            let declared = (!subject.published.contains(&socket.port), !subject.exposed.contains(&socket.port));
            (declared, subject.protocol(socket.port).is_none(), socket.port)
        };
        let best = sockets.iter().filter(|socket| !socket.address.is_loopback()).min_by_key(key).copied();
        let declares = !(subject.published.is_empty() && subject.exposed.is_empty());
        match best {
            Some(socket) if declares && !subject.declares(socket.port) => {
                (now.since(since(&mut self.undeclared, socket.inode, now)) >= UNDECLARED).then_some(socket)
            }
            other => other,
        }
    }

    fn answered(&mut self, answer: &Seen, now: Time) -> Option<Rule> {
        let State::Greeting { listener, protocol } = self.state else { return None };
        match answer {
            Seen::Welcome => self.settle(listener, Rule::Greeting(protocol, listener.port), now),
            Seen::Busy => None,
            Seen::No | Seen::Listening(_) => {
                // Perhaps the socket has gone.
                self.state = State::Looking;
                None
            }
        }
    }

    fn settle(&mut self, listener: Listener, rule: Rule, now: Time) -> Option<Rule> {
        if listener.main {
            return Some(rule);
        }
        let until = now + SETTLE;
        self.state = State::Settling { listener, rule, until };
        self.next = until;
        None
    }

    /// A tenth of the age: whoever starts quickly is found quickly, and nobody is asked too often.
    fn pause(&self, now: Time) -> Duration {
        let (least, most) = if self.hurry { (QUICK, SLOW) } else { (IDLE, IDLE_SLOW) };
        (now.since(self.started) / 10).clamp(least, most)
    }
}

/// Returns since when it is this socket that is looked at.
fn since(kept: &mut Option<(u32, Time)>, inode: u32, now: Time) -> Time {
    let since = kept.filter(|(of, _)| *of == inode).map_or(now, |(_, since)| since);
    *kept = Some((inode, since));
    since
}

#[cfg(test)]
#[path = "ready_tests.rs"]
mod tests;
