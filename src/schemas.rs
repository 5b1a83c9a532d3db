//! JSON Schemas (draft 2020-12) of what the program reads and prints. Those of Compose files are
//! made from the tables of [`compose`](crate::compose), the others stand in `schemas/`; tests hold
//! both against the real thing.

use serde_json::Value;

use crate::compose;

/// A schema by its name.
pub struct Schema {
    /// What `stack schema` calls it; the file in `schemas/` is `NAME.schema.json`.
    pub name: &'static str,
    source: Source,
}

/// Where a schema comes from.
enum Source {
    /// Made from the tables.
    Tables(fn() -> Value),
    /// Written by hand.
    Text(&'static str),
}

/// All schemas; the first is that of the files that users write.
pub static ALL: &[Schema] = &[
    Schema { name: "stack", source: Source::Tables(compose::file_schema) },
    Schema { name: "config", source: Source::Tables(compose::config_schema) },
    written("explain", include_str!("../schemas/explain.schema.json")),
    written("variables", include_str!("../schemas/variables.schema.json")),
    written("diagnostics", include_str!("../schemas/diagnostics.schema.json")),
    written("progress", include_str!("../schemas/progress.schema.json")),
    written("plan", include_str!("../schemas/plan.schema.json")),
    written("ps", include_str!("../schemas/ps.schema.json")),
    written("ls", include_str!("../schemas/ls.schema.json")),
    written("images", include_str!("../schemas/images.schema.json")),
    written("image-ls", include_str!("../schemas/image-ls.schema.json")),
    written("image-inspect", include_str!("../schemas/image-inspect.schema.json")),
    written("inspect", include_str!("../schemas/inspect.schema.json")),
    written("version", include_str!("../schemas/version.schema.json")),
    written("event", include_str!("../schemas/event.schema.json")),
    written("why", include_str!("../schemas/why.schema.json")),
    written("timings", include_str!("../schemas/timings.schema.json")),
    written("events", include_str!("../schemas/events.schema.json")),
];

const fn written(name: &'static str, text: &'static str) -> Schema {
    Schema { name, source: Source::Text(text) }
}

/// Returns the schema with this name.
pub fn find(name: &str) -> Option<&'static Schema> {
    ALL.iter().find(|schema| schema.name == name)
}

impl Schema {
    /// Returns the schema as its file has it.
    pub fn text(&self) -> String {
        match self.source {
            Source::Tables(make) => format!("{:#}\n", make()),
            Source::Text(text) => text.to_owned(),
        }
    }

    /// Returns what it describes, in a sentence.
    pub fn about(&self) -> String {
        let schema: Value = serde_json::from_str(&self.text()).unwrap_or_default();
        schema["description"].as_str().unwrap_or_default().to_owned()
    }
}

/// Checks a value that the program made against a schema, which then also has to know every key.
#[cfg(test)]
#[track_caller]
pub(crate) fn check(name: &str, value: &Value) {
    let schema = find(name).unwrap_or_else(|| panic!("no schema {name}"));
    let mut schema = serde_json::from_str(&schema.text()).unwrap();
    tests::close(&mut schema);
    if let Err(problem) = tests::validate(schema, value) {
        panic!("{name}: {problem}\n{value:#}");
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use boon::{Compiler, Schemas};

    use super::*;

    pub(super) fn validate(schema: Value, value: &Value) -> Result<(), String> {
        let mut compiler = Compiler::new();
        let mut schemas = Schemas::new();
        compiler.add_resource("https://stack/schema", schema).map_err(|err| err.to_string())?;
        let index = compiler.compile("https://stack/schema", &mut schemas).map_err(|err| format!("{err:#}"))?;
        schemas.validate(value, index).map_err(|err| format!("{err:#}"))
    }

    /// Makes every object refuse keys that are not described. Readers should ignore them, so that
    /// later versions can have more; the program itself has to describe all.
    pub(super) fn close(schema: &mut Value) {
        match schema {
            Value::Object(map) => {
                map.values_mut().for_each(close);
                if map.get("type") == Some(&"object".into()) && map.contains_key("properties") {
                    map.entry("additionalProperties").or_insert(false.into());
                }
            }
            Value::Array(items) => items.iter_mut().for_each(close),
            _ => {}
        }
    }

    #[test]
    fn every_file_is_listed_and_every_schema_is_one() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas");
        let files: BTreeSet<String> =
            std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        let listed: BTreeSet<String> = ALL.iter().map(|schema| format!("{}.schema.json", schema.name)).collect();
        assert_eq!(files, listed);
        for schema in ALL {
            let value: Value = serde_json::from_str(&schema.text()).unwrap();
            assert_eq!(value["$id"], format!("urn:stack:schema:{}", schema.name));
            assert!(schema.about().ends_with('.'), "{}", schema.name);
            let dialect = "https://json-schema.org/draft/2020-12/schema";
            assert_eq!(value["$schema"], dialect);
            let mut compiler = Compiler::new();
            let mut schemas = Schemas::new();
            let index = compiler.compile(dialect, &mut schemas).unwrap();
            if let Err(problem) = schemas.validate(&value, index) {
                panic!("{}: {problem:#}", schema.name);
            }
        }
    }
}
