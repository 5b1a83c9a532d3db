//! `volumes`, short form (spec row `vol-short`).

use super::Flow;
use crate::compose::canonical::Context;
use crate::compose::paths;
use crate::compose::tree::{Map, Node, Path, Value};

/// Turns `[SOURCE:]TARGET[:OPTIONS]` into a mapping.
pub(super) fn expand(node: &mut Node, path: &Path<'_>, cx: &mut Context<'_>) -> Flow {
    let text = node.as_text().unwrap_or_default();
    match parse(text, node) {
        Ok(map) => {
            node.value = Value::Map(map);
            Flow::Continue
        }
        Err(problem) => {
            cx.invalid(node, path, &problem, "write [SOURCE:]TARGET[:OPTIONS], as in ./data:/data:ro");
            Flow::Done
        }
    }
}

fn parse(text: &str, at: &Node) -> Result<Map, String> {
    // Too short for a source and a target, whatever it holds.
    let parts = if matches!(text.len(), 1 | 2) { vec![text] } else { split(text) };
    if parts.iter().any(|part| part.is_empty()) {
        return Err(format!("a part of {text:?} is empty"));
    }
    let (source, target, options) = match parts[..] {
        [target] => ("", target, ""),
        [source, target] => (source, target, ""),
        [source, target, options] => (source, target, options),
        _ => return Err(format!("too many colons in {text:?}")),
    };
    let node = |value: Value| Node::from(value).at(at);
    let text_node = |text: &str| node(Value::Text(text.to_owned()));
    let bind = is_path(source);
    let mut bind_options = Map::default();
    let mut volume_options = Map::default();
    let mut read_only = false;
    for option in options.split(',') {
        match option {
            "ro" => read_only = true,
            "rw" => read_only = false,
            "nocopy" => {
                volume_options.insert(option.to_owned(), node(Value::Bool(true)));
            }
            "z" | "Z" => {
                bind_options.insert("selinux".to_owned(), text_node(option));
            }
            "rprivate" | "private" | "rshared" | "shared" | "rslave" | "slave" => {
                bind_options.insert("propagation".to_owned(), text_node(option));
            }
            // `cached`, `delegated` and the like are hints for other systems.
            _ => {}
        }
    }
    let mut map = Map::default();
    map.insert("type".to_owned(), text_node(if bind { "bind" } else { "volume" }));
    if !source.is_empty() {
        map.insert("source".to_owned(), text_node(source));
    }
    map.insert("target".to_owned(), text_node(&paths::clean(target)));
    if read_only {
        map.insert("read_only".to_owned(), node(Value::Bool(true)));
    }
    if bind {
        bind_options.insert("create_host_path".to_owned(), node(Value::Bool(true)));
    }
    if !bind_options.is_empty() {
        map.insert("bind".to_owned(), node(Value::Map(bind_options)));
    }
    // The reference leaves the section out of the very shortest form.
    if !bind && text.len() > 2 || !volume_options.is_empty() {
        map.insert("volume".to_owned(), node(Value::Map(volume_options)));
    }
    Ok(map)
}

/// Splits at colons, but not behind the letter of a Windows drive.
fn split(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut start = 0;
    for (at, _) in text.match_indices(':') {
        let part = &text[start..at];
        let drive = part.len() == 1 && part.as_bytes()[0].is_ascii_alphabetic();
        if !drive {
            parts.push(part);
            start = at + 1;
        }
    }
    parts.push(&text[start..]);
    parts
}

fn is_path(source: &str) -> bool {
    source.starts_with(['.', '/', '~']) || source.starts_with("\\\\") || paths::is_windows_drive(source)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let got = match parse(text, &Node::map()) {
            Ok(map) => crate::compose::config_json(&Value::Map(map).into()).to_string(),
            Err(problem) => format!("error: {problem}"),
        };
        assert_eq!(got, expected, "{text}");
    }

    #[test]
    fn short_forms() {
        check("/anon", r#"{"target":"/anon","type":"volume","volume":{}}"#);
        check("/a", r#"{"target":"/a","type":"volume"}"#);
        check(":", r#"{"target":":","type":"volume"}"#);
        check("named:/d", r#"{"source":"named","target":"/d","type":"volume","volume":{}}"#);
        check(
            "named:/d:nocopy,ro",
            r#"{"read_only":true,"source":"named","target":"/d","type":"volume","volume":{"nocopy":true}}"#,
        );
        check("./x:/x", r#"{"bind":{"create_host_path":true},"source":"./x","target":"/x","type":"bind"}"#);
        check(
            "~/x:/x/../y/:ro,z",
            r#"{"bind":{"create_host_path":true,"selinux":"z"},"read_only":true,"source":"~/x","target":"/y","type":"bind"}"#,
        );
        check(
            ".:/code:cached,rslave",
            r#"{"bind":{"create_host_path":true,"propagation":"rslave"},"source":".","target":"/code","type":"bind"}"#,
        );
        check("C:\\x:/x", r#"{"bind":{"create_host_path":true},"source":"C:\\x","target":"/x","type":"bind"}"#);
        check("vol:/b:/c:ro", "error: too many colons in \"vol:/b:/c:ro\"");
        check(":/b", "error: a part of \":/b\" is empty");
        check("", "error: a part of \"\" is empty");
    }
}
