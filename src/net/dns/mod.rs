//! Names: `127.0.0.11` inside every container.
//!
//! [`zone`] is what the engine knows and is pure; [`server`] holds the sockets; [`forward`] asks the
//! host's resolvers, from the host's namespace.

mod forward;
mod server;
mod zone;

pub(super) use self::forward::host_resolvers;
#[cfg(test)]
pub(super) use self::server::redirect;
pub(super) use self::server::{Dns, Sockets};
#[cfg(test)]
pub(super) use self::zone::{Answer, Zone};
