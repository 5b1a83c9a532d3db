//! The schemas in front of all cases: what is loaded is valid, and so is what is printed.

use boon::{Compiler, Schemas};
use serde_json::Value;

/// Returns what the schema of this name has against a value.
pub(crate) fn validate(name: &str, value: &Value) -> Result<(), String> {
    let schema = stack::schemas::find(name).ok_or_else(|| format!("no schema {name}"))?;
    let schema = serde_json::from_str(&schema.text()).map_err(|error| error.to_string())?;
    let (mut compiler, mut schemas) = (Compiler::new(), Schemas::new());
    compiler.add_resource("https://stack/schema", schema).map_err(|error| error.to_string())?;
    let index = compiler.compile("https://stack/schema", &mut schemas).map_err(|error| error.to_string())?;
    schemas.validate(value, index).map_err(|problem| format!("{name}.schema.json: {problem:#}\n{value:#}"))
}

/// Returns a file as an editor hands it to the schema; `None` where it is no single YAML document
/// of plain data: tags, keys that are no strings, `<<` of what is no mapping.
pub(crate) fn document(text: &str) -> Option<Value> {
    let mut document: serde_yaml::Value = serde_yaml::from_str(text).ok()?;
    document.apply_merge().ok()?;
    serde_json::to_value(document)
        .ok()
        .filter(Value::is_object)
        .filter(|_| !text.contains("!reset") && !text.contains("!override"))
}

/// Removes what has no value.
pub(crate) fn strip_nulls(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, value| !value.is_null());
            map.values_mut().for_each(strip_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(strip_nulls),
        _ => {}
    }
}
