//! `ports`, short form (spec row `ports-short`).

use std::net::IpAddr;

use super::Flow;
use crate::compose::canonical::Context;
use crate::compose::tree::{Map, Mark, Node, Path, Value};

/// One port that a short form stands for.
#[derive(Debug, PartialEq, Eq)]
struct Short {
    host_ip: String,
    published: String,
    target: u16,
    protocol: String,
}

/// Expands the short entries of a list; long ones stay.
pub(super) fn expand(node: &mut Node, path: &Path<'_>, cx: &mut Context<'_>) -> Flow {
    let Value::List(items) = &mut node.value else { return Flow::Done };
    let template = |item: &Node| item.as_text().is_some_and(|text| parse(text).is_err());
    if cx.raw && (!cx.merged || items.iter().any(template)) {
        // With a template among them, be it in another file, they all stay as they are.
        return Flow::Done;
    }
    let mut expanded = Vec::with_capacity(items.len());
    for (index, item) in std::mem::take(items).into_iter().enumerate() {
        if item.mark == Mark::Reset {
            continue;
        }
        let text = match &item.value {
            Value::Text(text) => text.clone(),
            Value::Int(number) => number.to_string(),
            Value::Map(_) => {
                expanded.push(item);
                continue;
            }
            _ => {
                cx.wrong(&item, &path.index(index), "a number, a string or a mapping");
                continue;
            }
        };
        match parse(&text) {
            Ok(ports) => {
                // A range of all ports is a short text that stands for very much.
                if !cx.budget.values(ports.len() * 5, item.span.as_ref(), cx.diagnostics) {
                    break;
                }
                expanded.extend(ports.iter().map(|port| long(port, &item)));
            }
            Err(problem) => {
                let help = "write [[IP:]HOST:]CONTAINER[/PROTOCOL], as in \"8080:80\"";
                cx.invalid(&item, &path.index(index), &problem, help);
            }
        }
    }
    node.value = Value::List(expanded);
    Flow::Continue
}

fn long(port: &Short, at: &Node) -> Node {
    let mut map = Map::default();
    // What the text does not say has its place, but does not come from it.
    let implied = |value: &str| Node { span: at.span.clone(), ..Node::from(value) };
    map.insert("mode".to_owned(), implied("ingress"));
    let mut put = |key: &str, value: Value| {
        map.insert(key.to_owned(), Node::from(value).at(at));
    };
    if !port.host_ip.is_empty() {
        put("host_ip", Value::Text(port.host_ip.clone()));
    }
    put("target", Value::Int(port.target.into()));
    if !port.published.is_empty() {
        put("published", Value::Text(port.published.clone()));
    }
    if at.as_text().is_some_and(|text| text.contains('/')) {
        put("protocol", Value::Text(port.protocol.clone()));
    } else {
        map.insert("protocol".to_owned(), implied(&port.protocol));
    }
    Node::from(Value::Map(map)).at(at)
}

/// Returns the ports that one short form stands for.
fn parse(text: &str) -> Result<Vec<Short>, String> {
    let (ports, protocol) = text.rsplit_once('/').unwrap_or((text, "tcp"));
    let protocol = if protocol.is_empty() { "tcp".to_owned() } else { protocol.to_lowercase() };
    if !matches!(protocol.as_str(), "tcp" | "udp" | "sctp") {
        return Err(format!("{protocol:?} is not a protocol: tcp, udp or sctp"));
    }
    let mut parts = ports.rsplitn(3, ':');
    let container = parts.next().unwrap_or_default();
    let host = parts.next().unwrap_or_default();
    let ip = parts.next().unwrap_or_default();
    let host_ip = ip.strip_prefix('[').and_then(|ip| ip.strip_suffix(']')).unwrap_or(ip);
    if !host_ip.is_empty() && host_ip.parse::<IpAddr>().is_err() {
        return Err(format!("{host_ip:?} is not an IP address"));
    }
    if container.is_empty() {
        return Err(format!("{text:?} names no container port"));
    }
    let (first, last) = range(container)?;
    if first == 0 {
        return Err(format!("{text:?} names no container port: 0 is none"));
    }
    let published = if host.is_empty() { None } else { Some(range(host)?) };
    let count = last - first;
    if let Some((low, high)) = published
        && high - low != count
        && count != 0
    {
        return Err(format!("the ranges {container} and {host} differ in length"));
    }
    let mut expanded: Vec<Short> = (0..=count)
        .map(|offset| {
            let published = match published {
                None => String::new(),
                Some((low, high)) if count == 0 && low != high => format!("{low}-{high}"),
                Some((low, _)) => (low + offset).to_string(),
            };
            Short { host_ip: host_ip.to_owned(), published, target: first + offset, protocol: protocol.clone() }
        })
        .collect();
    // The reference orders a range by the text of its ports: 10 comes before 9.
    expanded.sort_by_key(|port| port.target.to_string());
    Ok(expanded)
}

fn range(text: &str) -> Result<(u16, u16), String> {
    let port = |text: &str| {
        let digits = text.bytes().all(|b| b.is_ascii_digit());
        text.parse::<u16>().ok().filter(|_| digits).ok_or_else(|| format!("{text:?} is not a port"))
    };
    match text.split_once('-') {
        None => port(text).map(|port| (port, port)),
        Some((low, high)) => {
            let (low, high) = (port(low)?, port(high)?);
            if low > high { Err(format!("the range {text} ends before it begins")) } else { Ok((low, high)) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let got = match parse(text) {
            Ok(ports) => {
                let line = |p: &Short| format!("{}|{}|{}|{}", p.host_ip, p.published, p.target, p.protocol);
                ports.iter().map(line).collect::<Vec<_>>().join(" ")
            }
            Err(problem) => format!("error: {problem}"),
        };
        assert_eq!(got, expected, "{text}");
    }

    #[test]
    fn short_forms() {
        check("3000", "||3000|tcp");
        check("3000-3002", "||3000|tcp ||3001|tcp ||3002|tcp");
        check("8000:80", "|8000|80|tcp");
        check("9-11:9-11", "|10|10|tcp |11|11|tcp |9|9|tcp");
        check("127.0.0.1:8001:8001", "127.0.0.1|8001|8001|tcp");
        check("127.0.0.1::5005", "127.0.0.1||5005|tcp");
        check("6060:6060/UDP", "|6060|6060|udp");
        check("[::1]:7000:7000", "::1|7000|7000|tcp");
        check("::1:7000:7000", "::1|7000|7000|tcp");
        check("80/", "||80|tcp");
        check("80:80/", "|80|80|tcp");
        check("0:80", "|0|80|tcp");
        check("12400-12500:1240", "|12400-12500|1240|tcp");
        check("80-81:8000-8002", "error: the ranges 8000-8002 and 80-81 differ in length");
        check("82-81:80", "error: the range 82-81 ends before it begins");
        check("x:80", "error: \"x\" is not a port");
        check("+80", "error: \"+80\" is not a port");
        check("80:", "error: \"80:\" names no container port");
        check("0", "error: \"0\" names no container port: 0 is none");
        check("1:0", "error: \"1:0\" names no container port: 0 is none");
        check("0-2", "error: \"0-2\" names no container port: 0 is none");
        check("70000", "error: \"70000\" is not a port");
        check("80/icmp", "error: \"icmp\" is not a protocol: tcp, udp or sctp");
        check("localhost:80:80", "error: \"localhost\" is not an IP address");
    }
}
