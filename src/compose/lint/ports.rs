//! Ports of the host that two containers cannot both have, and ports that nobody publishes.

use std::collections::HashMap;
use std::net::IpAddr;

use super::replicas;
use crate::compose::tree::{Map, Node};
use crate::diag::Diagnostic;

/// A published port of the host.
struct Published<'a> {
    service: &'a str,
    /// `None` for all addresses.
    address: Option<IpAddr>,
    node: &'a Node,
}

pub(super) fn lint(services: &Map, networks: &Map, warnings: &mut Vec<Diagnostic>) {
    let mut taken: HashMap<(u16, String), Vec<Published<'_>>> = HashMap::new();
    for (name, service) in services {
        let count = replicas(service);
        let ports = service.get("ports").and_then(Node::as_list).unwrap_or_default();
        if ports.is_empty() || count < 1 {
            continue;
        }
        if let Some(mode) = service.get("network_mode").and_then(Node::as_text)
            && let Some(diagnostic) = without_effect(name, service, mode)
        {
            warnings.push(diagnostic);
            continue;
        }
        let joined = service.get("networks").and_then(Node::as_map).filter(|joined| !joined.is_empty());
        let internal = |name: &String| networks.get(name)?.get("internal").map(Node::is_true);
        if joined.is_some_and(|joined| joined.keys().all(|name| internal(name) == Some(true))) {
            let message =
                format!("`ports` of `{name}` has no effect: its networks are internal, cut off from the outside");
            let help = "let it join another network as well, or remove `ports`";
            let span = service.get("ports").and_then(Node::key_or_span);
            warnings.push(Diagnostic::warning(message, span).help(help));
        }
        for node in ports {
            // Of a range one that is free is taken.
            let Some(port) = node.get("published").and_then(Node::scalar_text).and_then(|text| text.parse().ok())
            else {
                continue;
            };
            if port == 0 {
                continue;
            }
            let protocol = node.get("protocol").and_then(Node::as_text).unwrap_or("tcp").to_owned();
            if count > 1 {
                let message = format!(
                    "`{name}` has {count} replicas, but only one of them can publish port {}",
                    shown(port, &protocol)
                );
                let help =
                    "publish a range with room for all of them, such as \"8080-8089:80\", or no port of the host";
                warnings.push(Diagnostic::warning(message, node.span.clone()).help(help));
            }
            let address = node.get("host_ip").and_then(Node::as_text).and_then(|text| text.parse().ok());
            let published = Published { service: name, address, node };
            let same = taken.entry((port, protocol.clone())).or_default();
            if let Some(other) = same.iter().find(|other| clash(other.address, published.address)) {
                warnings.push(twice(other, &published, &shown(port, &protocol)));
            }
            same.push(published);
        }
    }
}

fn twice(first: &Published<'_>, second: &Published<'_>, port: &str) -> Diagnostic {
    let message = if first.service == second.service {
        format!("`{}` publishes port {port} of the host twice", second.service)
    } else {
        format!("`{}` and `{}` both publish port {port} of the host", first.service, second.service)
    };
    let diagnostic = Diagnostic::warning(message, second.node.span.clone())
        .help("only one container can have it: publish another port here");
    match &first.node.span {
        Some(span) => diagnostic.label(format!("also published at {}", span.location())),
        None => diagnostic,
    }
}

fn without_effect(name: &str, service: &Node, mode: &str) -> Option<Diagnostic> {
    let (why, help) = match mode {
        "host" => ("it uses the network of the host, where each port it opens can be reached", "remove `ports`".into()),
        "none" => ("it has no network", "remove `ports` or `network_mode`".into()),
        _ => {
            let owner = mode.strip_prefix("service:")?;
            ("it uses the network of another service", format!("move `ports` to the service `{owner}`"))
        }
    };
    let span = service.get("ports").and_then(Node::key_or_span);
    Some(Diagnostic::warning(format!("`ports` of `{name}` has no effect: {why}"), span).help(help))
}

fn clash(one: Option<IpAddr>, other: Option<IpAddr>) -> bool {
    let (Some(one), Some(other)) = (one, other) else { return true };
    one == other || (one.is_ipv4() == other.is_ipv4() && (one.is_unspecified() || other.is_unspecified()))
}

fn shown(port: u16, protocol: &str) -> String {
    if protocol == "tcp" { port.to_string() } else { format!("{port}/{protocol}") }
}
