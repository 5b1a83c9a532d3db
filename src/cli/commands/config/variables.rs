//! `config --variables`: what the files take from outside.

use std::collections::BTreeMap;

use serde_json::json;

use crate::cli::error::Result;
use crate::cli::render::table;
use crate::compose::template::{self, Mention};
use crate::compose::tree::{Node, Value};

/// Width of a column at least, as Compose draws this table.
const COLUMN: usize = 20;

/// Returns the variables of a tree that was not interpolated: `table`, `json` or `yaml`.
pub(super) fn variables(tree: &Node, format: &str) -> Result<String> {
    let mut found = BTreeMap::new();
    collect(tree, &mut found);
    let object = |mention: &Mention| {
        json!({
            "Name": mention.name, "DefaultValue": mention.default, "PresenceValue": mention.alternate,
            "Required": mention.required,
        })
    };
    Ok(match format {
        "json" => {
            let all: BTreeMap<&String, serde_json::Value> = found.iter().map(|(k, m)| (k, object(m))).collect();
            serde_json::to_string_pretty(&all)? + "\n"
        }
        "yaml" => {
            let entry = |m: &Mention| {
                let fields = [
                    ("defaultvalue", m.default.as_str().into()),
                    ("name", m.name.as_str().into()),
                    ("presencevalue", m.alternate.as_str().into()),
                    ("required", m.required.into()),
                ];
                Node::from(Value::Map(fields.map(|(key, node)| (key.to_owned(), node)).into_iter().collect()))
            };
            let all = found.iter().map(|(name, mention)| (name.clone(), entry(mention))).collect();
            crate::compose::plain_yaml(&Value::Map(all).into())
        }
        _ => {
            let row =
                |m: &Mention| vec![m.name.clone(), m.required.to_string(), m.default.clone(), m.alternate.clone()];
            let rows: Vec<Vec<String>> = found.values().map(row).collect();
            table::draw_wide(&["NAME", "REQUIRED", "DEFAULT VALUE", "ALTERNATE VALUE"], &rows, COLUMN)
        }
    })
}

/// Collects what all texts of a tree mention. Of several mentions of a variable the first default
/// counts, and it is required where one of them says so.
fn collect(node: &Node, found: &mut BTreeMap<String, Mention>) {
    match &node.value {
        Value::Text(text) => {
            for mention in template::mentions(text) {
                let known = found.entry(mention.name.clone()).or_insert_with(|| mention.clone());
                known.required |= mention.required;
                for (known, new) in [(&mut known.default, mention.default), (&mut known.alternate, mention.alternate)] {
                    if known.is_empty() {
                        *known = new;
                    }
                }
            }
        }
        Value::List(items) => items.iter().for_each(|item| collect(item, found)),
        Value::Map(map) => map.values().for_each(|value| collect(value, found)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_json_is_as_its_schema_says() {
        let tree = Node::from("$A ${B:-b} ${C:?must} ${D+d}");
        let value: serde_json::Value = serde_json::from_str(&variables(&tree, "json").unwrap()).unwrap();
        assert_eq!(value.as_object().unwrap().len(), 4);
        crate::schemas::check("variables", &value);
    }
}
