//! Extensions that look as if `x-stack` was meant: nobody reads them.

use crate::compose::schema::{Object, PROJECT_X_STACK, SERVICE_X_STACK};
use crate::compose::tree::Node;
use crate::diag::{Diagnostic, nearest};

pub(super) fn lint(whole: &Node, warnings: &mut Vec<Diagnostic>) {
    misspelled(whole, &PROJECT_X_STACK, warnings);
    for service in whole.get("services").and_then(Node::as_map).into_iter().flat_map(|map| map.values()) {
        misspelled(service, &SERVICE_X_STACK, warnings);
    }
}

fn misspelled(parent: &Node, table: &Object, warnings: &mut Vec<Diagnostic>) {
    for (key, node) in parent.as_map().into_iter().flatten().filter(|(key, _)| key.starts_with("x-")) {
        let ours = || table.fields.iter().any(|field| node.get(field.name).is_some());
        if key != "x-stack" && nearest(key, ["x-stack"]).is_some() && ours() {
            let message = format!("nothing reads the extension `{key}`");
            warnings.push(Diagnostic::warning(message, node.key_or_span()).help("did you mean `x-stack`?"));
        }
    }
}
