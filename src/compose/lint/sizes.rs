//! Numbers that are right in another unit: `mem_limit: 512`, `mode: 444`.

use super::written;
use crate::compose::tree::Node;
use crate::diag::Diagnostic;

/// No program runs with less memory; who writes more digits means bytes.
const LEAST_MEMORY: i64 = 64 << 10;
/// A file system in memory that is smaller holds nothing.
const LEAST_SHARED: i64 = 1024;

pub(super) fn lint(name: &str, service: &Node, warnings: &mut Vec<Diagnostic>) {
    let resources = service.get("deploy").and_then(|deploy| deploy.get("resources"));
    let memory = |kind: &str| resources?.get(kind)?.get("memory");
    let (limit, deployed) = (service.get("mem_limit"), memory("limits"));
    for (path, node, least) in [
        ("mem_limit", limit, LEAST_MEMORY),
        ("deploy.resources.limits.memory", deployed, LEAST_MEMORY),
        ("shm_size", service.get("shm_size"), LEAST_SHARED),
    ] {
        if let Some(node) = node {
            bytes(|| format!("services.{name}.{path}"), node, least, warnings);
        }
    }
    for (kept, most) in [
        (("mem_reservation", service.get("mem_reservation")), ("mem_limit", limit)),
        (
            ("deploy.resources.reservations.memory", memory("reservations")),
            ("deploy.resources.limits.memory", deployed),
        ),
    ] {
        if let ((reservation, Some(low)), (limit, Some(high))) = (kept, most)
            && let (Some(reserved), Some(most)) = (number(low), number(high))
            && reserved > most
            && most > 0
        {
            let message = format!("`{name}` reserves more memory (`{reservation}`) than it may use (`{limit}`)");
            warnings.push(Diagnostic::warning(message, low.span.clone()).help("lower the one or raise the other"));
        }
    }
    for kind in ["secrets", "configs"] {
        for (index, grant) in service.get(kind).and_then(Node::as_list).unwrap_or_default().iter().enumerate() {
            if let Some(node) = grant.get("mode") {
                mode(&format!("services.{name}.{kind}[{index}].mode"), node, warnings);
            }
        }
    }
    for (index, mount) in service.get("volumes").and_then(Node::as_list).unwrap_or_default().iter().enumerate() {
        let Some(tmpfs) = mount.get("tmpfs") else { continue };
        let path = format!("services.{name}.volumes[{index}].tmpfs");
        if let Some(node) = tmpfs.get("size") {
            bytes(|| format!("{path}.size"), node, LEAST_SHARED, warnings);
        }
        if let Some(node) = tmpfs.get("mode") {
            mode(&format!("{path}.mode"), node, warnings);
        }
    }
}

/// Warns about a number that lacks its unit.
fn bytes(path: impl Fn() -> String, node: &Node, least: i64, warnings: &mut Vec<Diagnostic>) {
    let raw = written(node.span.as_ref()).trim_matches(['"', '\'']);
    if let Some(count) = number(node)
        && (1..least).contains(&count)
        && !raw.is_empty()
        && raw.bytes().all(|b| b.is_ascii_digit())
    {
        let message = format!("`{}`: {raw} means {raw} bytes, which is too little to be of use", path());
        warnings.push(Diagnostic::warning(message, node.span.clone()).help(format!("write a unit: {raw}m")));
    }
}

/// Warns about permission bits that look octal and are read as decimal.
fn mode(path: &str, node: &Node, warnings: &mut Vec<Diagnostic>) {
    let raw = written(node.span.as_ref());
    if let (Some(value), b'1'..=b'7', 3..=4) = (node.as_int(), raw.bytes().next().unwrap_or(0), raw.len())
        && raw.bytes().all(|b| (b'0'..=b'7').contains(&b))
        && value.to_string() == raw
    {
        let message =
            format!("`{path}`: without a leading 0, {raw} is a decimal number: the permissions are {value:04o}");
        warnings.push(Diagnostic::warning(message, node.span.clone()).help(format!("write 0{raw}")));
    }
}

fn number(node: &Node) -> Option<i64> {
    node.scalar_text()?.parse().ok()
}
