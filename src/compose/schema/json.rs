//! The tables as JSON Schemas (draft 2020-12): of the file that users write, and of what
//! `config --format json` prints. Editors complete, explain and check a file with the first one.

use serde_json::{Map, Value, json};

use super::{
    Bare, Field, Force, Object, PROJECT_X_STACK, SERVICE, SERVICE_X_STACK, Shape, Size, TOP, Twice, Values, Whole,
};
use crate::compose::short::Convert;

/// Returns the schema of a Compose file: all short and long forms, and a string with a variable
/// wherever the loader takes one. What the tag `!reset` stands before is of the attribute's kind, too.
pub fn file_schema() -> Value {
    let about = "A Compose file as `stack` reads it. The tags `!reset` and `!override` may stand before any value.";
    Generator { form: Form::Written, definitions: Map::default() }.root("stack", "Compose file", about)
}

/// Returns the schema of what `config --format json` prints: long forms only, variables replaced.
pub fn config_schema() -> Value {
    let about = "What `stack config --format json` prints: long forms only, in one file, with variables replaced.";
    Generator { form: Form::Printed, definitions: Map::default() }.root("config", "Printed Compose file", about)
}

/// The dialect that all schemas are written in.
const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// Which form of a value is described.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// As users write it.
    Written,
    /// As `config` prints it.
    Printed,
}

struct Generator {
    form: Form,
    /// `$defs`: a definition for each table, and one for each form of a scalar.
    definitions: Map<String, Value>,
}

impl Generator {
    fn root(mut self, name: &str, title: &str, about: &str) -> Value {
        let mut root = json!({ "$schema": DIALECT, "$id": format!("urn:stack:schema:{name}"), "title": title });
        root["description"] = about.into();
        if let (Some(root), Value::Object(table)) = (root.as_object_mut(), self.table(&TOP)) {
            root.extend(table.into_iter().filter(|(key, _)| key != "title"));
            self.definitions.sort_keys();
            root.insert("$defs".to_owned(), self.definitions.into());
        }
        root
    }

    fn table(&mut self, table: &'static Object) -> Value {
        let mut properties = Map::default();
        let form = self.form;
        for field in table.fields.iter().filter(|field| form == Form::Written || printed(table, field)) {
            let about = description(field);
            let mut schema = json!({ "description": about });
            if about.contains('`') {
                // Editors that know this keyword draw it; others show the line above as it is.
                schema["markdownDescription"] = about.into();
            }
            merge(&mut schema, self.field(field));
            properties.insert(self.key(table, field), schema);
        }
        if self.form == Form::Written
            && let Some(own) = x_stack(table)
        {
            let mut schema = json!({ "description": "What only `stack` reads; other programs ignore it." });
            merge(&mut schema, any_of([self.object(own), json!({ "type": "null" })]));
            properties.insert("x-stack".to_owned(), schema);
        }
        let mut schema = json!({ "title": title(table), "type": "object", "properties": properties });
        // The reference prints extension attributes at the top only.
        if self.form == Form::Written || std::ptr::eq(table, &TOP) {
            schema["patternProperties"] = json!({ "^x-": {} });
        }
        schema["additionalProperties"] = false.into();
        if !table.required.is_empty() {
            schema["required"] = table.required.into();
        }
        schema
    }

    /// Device entries of `blkio_config` are printed with capitals, as the reference does.
    fn key(&self, table: &Object, field: &Field) -> String {
        match self.form {
            Form::Written => field.name.to_owned(),
            Form::Printed => crate::compose::render::json_key(field.name, Some(table)),
        }
    }

    fn field(&mut self, field: &'static Field) -> Value {
        let mut schema = match &field.text {
            Some(text) if self.form == Form::Written => matching(text.pattern, text.help),
            _ => self.shape(&field.shape),
        };
        if field.null {
            schema = any_of([schema, json!({ "type": "null" })]);
        }
        if let Some((least, most)) = field.within {
            schema["minimum"] = least.into();
            if most < i64::MAX {
                schema["maximum"] = most.into();
            }
        }
        if self.form == Form::Written && !field.examples.is_empty() {
            schema["examples"] = field.examples.into();
        }
        if field.deprecated {
            schema["deprecated"] = true.into();
        }
        schema
    }

    fn shape(&mut self, shape: &'static Shape) -> Value {
        match self.form {
            Form::Written => self.written(shape),
            Form::Printed => self.printed(shape),
        }
    }

    fn written(&mut self, shape: &'static Shape) -> Value {
        match *shape {
            Shape::Any => json!({}),
            Shape::Text => json!({ "type": "string" }),
            Shape::Label => json!({ "type": ["string", "number"] }),
            Shape::OneOf(words) => any_of([json!({ "enum": words }), self.variable()]),
            Shape::Bool => self.scalar("boolean", "boolean", &any_case(BOOLEANS), "write true or false"),
            Shape::Int(Whole::Usual) => self.scalar("whole_number", "integer", WHOLE, "write a whole number"),
            Shape::Int(Whole::Cut) => self.scalar("truncated_number", "number", WHOLE, "write a whole number"),
            Shape::Int(Whole::Bare) => json!({ "type": "integer" }),
            Shape::Int(Whole::BareCut) => json!({ "type": "number" }),
            Shape::Number => self.scalar("number", "number", NUMBER, "write a number"),
            Shape::Bytes(Size::Number) => self.scalar("size", "number", SIZE, SIZE_HELP),
            Shape::Bytes(Size::Whole) => self.scalar("whole_size", "integer", SIZE, SIZE_HELP),
            Shape::Bytes(Size::Text) => self
                .define("size_text", |_| matching(&SIZE.replace("-1|", ""), "write a string, as 512k, 300m or 1.5g")),
            Shape::Mode => self.define("mode", |_| {
                let mut schema = scalar("integer", "^(0o)?[0-7]+$", "write permission bits as 0440");
                schema["minimum"] = 0.into();
                schema
            }),
            Shape::Duration => {
                self.define("duration", |_| matching(DURATION, "write a number with its unit: 500ms, 10s, 1m30s, 2h"))
            }
            Shape::Command => self.define("command", |_| text_or_texts()),
            Shape::HealthTest => self.define("health_test", |schema| {
                let first = any_of([json!({ "enum": ["CMD", "CMD-SHELL", "NONE"] }), schema.variable()]);
                let list = json!({ "type": "array", "prefixItems": [first], "items": { "type": "string" } });
                any_of([json!({ "type": "string" }), list])
            }),
            Shape::Texts(twice) => array(json!({ "type": "string" }), twice),
            Shape::Labels(twice) => array(json!({ "type": ["string", "number"] }), twice),
            Shape::TextOrTexts(_) => self.define("text_or_texts", |_| text_or_texts()),
            Shape::KeyValues(bare) => self.key_values(bare),
            Shape::Options { null: true } => self.define(
                "options",
                |_| json!({ "type": "object", "additionalProperties": { "type": ["string", "number", "null"] } }),
            ),
            Shape::Options { null: false } => self.define(
                "options_complete",
                |_| json!({ "type": "object", "additionalProperties": { "type": ["string", "number"] } }),
            ),
            Shape::Several => self.define("several", |_| {
                let value = json!({ "type": ["string", "number", "boolean"] });
                let values = any_of([value.clone(), array(value, Twice::Keep)]);
                json!({ "type": "object", "additionalProperties": values })
            }),
            Shape::Strings => {
                self.define("strings", |_| json!({ "type": "object", "additionalProperties": { "type": "string" } }))
            }
            Shape::Hosts => self.define("hosts", |_| {
                let text = json!({ "type": "string" });
                let address = any_of([text.clone(), array(text, Twice::Keep)]);
                let item = matching(HOST, "write HOST=ADDRESS");
                any_of([json!({ "type": "object", "additionalProperties": address }), array(item, Twice::Keep)])
            }),
            Shape::List(item, twice) => array(self.written(item), twice),
            Shape::Map(values) => self.map(values),
            Shape::Object(table) => self.object(table),
            Shape::Short(convert, long) => self.short(convert, long),
        }
    }

    fn printed(&mut self, shape: &'static Shape) -> Value {
        match *shape {
            Shape::Any => json!({}),
            Shape::Text | Shape::Label | Shape::Bytes(_) => json!({ "type": "string" }),
            Shape::OneOf(words) => json!({ "enum": words }),
            Shape::Bool => json!({ "type": "boolean" }),
            Shape::Int(_) | Shape::Mode => json!({ "type": "integer" }),
            Shape::Number => json!({ "type": "number" }),
            Shape::Duration => json!({ "type": "string", "pattern": DURATION }),
            Shape::Command
            | Shape::HealthTest
            | Shape::Texts(_)
            | Shape::Labels(_)
            | Shape::TextOrTexts(_)
            | Shape::KeyValues(Bare::Agent)
            | Shape::Hosts => array(json!({ "type": "string" }), Twice::Keep),
            Shape::KeyValues(Bare::Null) => {
                json!({ "type": "object", "additionalProperties": { "type": ["string", "null"] } })
            }
            Shape::KeyValues(_) | Shape::Options { .. } | Shape::Strings => {
                json!({ "type": "object", "additionalProperties": { "type": "string" } })
            }
            Shape::Several => {
                let values = array(json!({ "type": "string" }), Twice::Keep);
                json!({ "type": "object", "additionalProperties": values })
            }
            Shape::List(item, _) => array(self.printed(item), Twice::Keep),
            Shape::Map(values) => self.map(values),
            Shape::Object(table) => self.object(table),
            Shape::Short(Convert::Ulimit, long) => any_of([
                json!({ "type": "integer" }),
                self.printed(long),
                // A limit of 0, as the reference prints it.
                json!({ "type": "object", "maxProperties": 0 }),
            ]),
            Shape::Short(_, long) => self.printed(long),
        }
    }

    fn map(&mut self, values: &'static Values) -> Value {
        let mut value = self.shape(&values.shape);
        if values.null {
            value = any_of([value, json!({ "type": "null" })]);
        }
        let mut schema = json!({ "type": "object" });
        if values.names {
            schema["propertyNames"] = json!({ "pattern": NAME, "patternErrorMessage": NAME_HELP });
        }
        schema["additionalProperties"] = value;
        schema
    }

    fn object(&mut self, table: &'static Object) -> Value {
        self.define(&key(table), |schema| schema.table(table))
    }

    /// Returns what a short form and its long one may be.
    fn short(&mut self, convert: Convert, long: &'static Shape) -> Value {
        match convert {
            Convert::IncludePath | Convert::Build | Convert::Extends | Convert::Source => {
                any_of([json!({ "type": "string" }), self.written(long)])
            }
            // One letter may be a drive.
            Convert::Volume => {
                let help = "write [SOURCE:]TARGET[:OPTIONS], as in ./data:/data:ro";
                any_of([matching("^(.{1,2}|([a-zA-Z]:|[^:])[^:]*(:[^:]+)*)$", help), self.written(long)])
            }
            Convert::Device => {
                let help = "write HOST[:CONTAINER[:PERMISSIONS]], as in /dev/ttyUSB0";
                any_of([matching("^[^:]*(:[^:]*){0,2}$", help), self.written(long)])
            }
            Convert::EnvFiles => {
                let Shape::List(item, twice) = long else { return self.written(long) };
                let item = any_of([json!({ "type": "string" }), self.written(item)]);
                any_of([json!({ "type": "string" }), array(item, *twice)])
            }
            Convert::Ports => {
                let Shape::List(item, twice) = long else { return self.written(long) };
                let short = self.define("short_port", |_| {
                    let mut schema = scalar("integer", PORT, "write [[IP:]HOST:]CONTAINER[/PROTOCOL], as in 8080:80");
                    (schema["minimum"], schema["maximum"]) = (0.into(), 65535.into());
                    schema
                });
                array(any_of([short, self.written(item)]), *twice)
            }
            Convert::Names | Convert::DependsOn => {
                let name = matching(NAME, NAME_HELP);
                any_of([array(name, Twice::Refuse), self.written(long)])
            }
            Convert::Gpus => any_of([json!({ "enum": ["all"] }), self.variable(), self.written(long)]),
            Convert::Ulimit => any_of([
                self.written(&Shape::Int(Whole::Usual)),
                self.written(long),
                json!({ "type": "object", "maxProperties": 0 }),
            ]),
            Convert::Published => self.written(long),
            Convert::Restart => any_of([json!({ "enum": [false] }), self.written(long)]),
            Convert::DeviceCount => {
                any_of([matching(&any_case(&["all"]), "write a number, or all"), self.written(long)])
            }
            Convert::External => {
                let Shape::Object(table) = *long else { return self.written(long) };
                self.define(&key(table), |schema| {
                    let mut with_name = schema.table(table);
                    let name = json!({ "type": "string", "description": "Write `name` beside `external: true`." });
                    let old = json!({
                        "type": "object",
                        "deprecated": true,
                        "properties": { "name": name },
                        "patternProperties": { "^x-": {} },
                        "additionalProperties": false,
                    });
                    let external = &mut with_name["properties"]["external"];
                    let about = external["description"].take();
                    let switch = schema.written(&Shape::Bool);
                    *external = json!({ "description": about, "anyOf": [switch, old] });
                    with_name
                })
            }
        }
    }

    /// Returns a reference to a definition; makes it when it is asked for the first time.
    fn define(&mut self, name: &str, make: impl FnOnce(&mut Self) -> Value) -> Value {
        if !self.definitions.contains_key(name) {
            // Keeps the place, should the definition refer to itself.
            self.definitions.insert(name.to_owned(), Value::Null);
            let definition = make(self);
            self.definitions.insert(name.to_owned(), definition);
        }
        json!({ "$ref": format!("#/$defs/{name}") })
    }

    /// Returns a reference to a [`scalar`] of this name.
    fn scalar(&mut self, name: &str, kind: &str, pattern: &str, help: &str) -> Value {
        self.define(name, |_| scalar(kind, pattern, help))
    }

    /// A string with a variable in it: what it is shows only when the file is loaded.
    fn variable(&mut self) -> Value {
        self.define("variable", |_| json!({ "type": "string", "pattern": VARIABLE }))
    }

    fn key_values(&mut self, bare: Bare) -> Value {
        let (name, item) = match bare {
            Bare::Refused => ("key_values_complete", json!({ "type": "string", "pattern": "=" })),
            Bare::EmptyOnce => ("key_values_once", json!({ "type": "string" })),
            Bare::Null | Bare::Agent | Bare::Empty => ("key_values", json!({ "type": "string" })),
        };
        let twice = if bare == Bare::EmptyOnce { Twice::Refuse } else { Twice::Keep };
        self.define(name, |_| {
            let value = json!({ "type": ["string", "number", "boolean", "null"] });
            let map = json!({ "type": "object", "propertyNames": { "minLength": 1 }, "additionalProperties": value });
            any_of([map, array(item, twice)])
        })
    }
}

const BOOLEANS: &[&str] = &["true", "yes", "y", "on", "false", "no", "n", "off"];
const NUMBER: &str = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$";
const SIZE: &str = r"^(-1|([0-9]+\.?[0-9]*|\.[0-9]+) ?([kKmMgGtTpP]([iI]?[bB])?|[bB])?)$";
const DURATION: &str = r"^\+?(0|(([0-9]+\.?[0-9]*|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h|d|w))+)$";
const WHOLE: &str = "^[+-]?[0-9]+$";
const SIZE_HELP: &str = "write a number of bytes, or one with a unit: 512k, 300m, 1.5g";
const HOST: &str = "^[^=]+=|^[^=:]+:";
const PORT: &str = concat!(
    r"^((([0-9.]+|\[?[0-9a-fA-F:.]+\]?):)?([0-9]+(-[0-9]+)?)?:)?0*[1-9][0-9]*(-[0-9]+)?",
    "(/([tT][cC][pP]|[uU][dD][pP]|[sS][cC][tT][pP])?)?$"
);
const NAME: &str = "^[a-zA-Z0-9._-]+$";
const NAME_HELP: &str = "letters, digits, `.`, `_` and `-` are allowed";
const VARIABLE: &str = r"\$[a-zA-Z_{]";

fn any_of<const N: usize>(schemas: [Value; N]) -> Value {
    // What is already a choice is not nested.
    let flat = schemas.into_iter().flat_map(|schema| match schema {
        Value::Object(mut map) if map.len() == 1 && map.contains_key("anyOf") => match map.swap_remove("anyOf") {
            Some(Value::Array(schemas)) => schemas,
            _ => Vec::new(),
        },
        schema => vec![schema],
    });
    let mut choices: Vec<Value> = Vec::new();
    for schema in flat {
        if !choices.contains(&schema) {
            choices.push(schema);
        }
    }
    json!({ "anyOf": choices })
}

/// Returns a type that may also be written as a string that matches.
fn scalar(kind: &str, pattern: &str, help: &str) -> Value {
    let mut schema = matching(pattern, help);
    schema["type"] = json!([kind, "string"]);
    schema
}

/// Returns a string that matches, or one with a variable.
fn matching(pattern: &str, help: &str) -> Value {
    // Editors that know the last keyword say what to do; a choice of two schemas would hide it.
    json!({ "type": "string", "pattern": format!("{pattern}|{VARIABLE}"), "patternErrorMessage": help })
}

fn array(item: Value, twice: Twice) -> Value {
    let mut schema = Map::from_iter([("type".to_owned(), "array".into()), ("items".to_owned(), item)]);
    if let Twice::Refuse = twice {
        schema.insert("uniqueItems".to_owned(), true.into());
    }
    schema.into()
}

fn text_or_texts() -> Value {
    any_of([json!({ "type": "string" }), array(json!({ "type": "string" }), Twice::Keep)])
}

/// Returns a pattern for words in any mixture of cases; there is no flag for it in a schema.
fn any_case(words: &[&str]) -> String {
    let word = |word: &&str| -> String {
        word.chars().map(|c| format!("[{}{}]", c.to_ascii_lowercase(), c.to_ascii_uppercase())).collect()
    };
    let words: Vec<String> = words.iter().map(word).collect();
    format!("^({})$", words.join("|"))
}

fn merge(schema: &mut Value, more: Value) {
    if let (Value::Object(schema), Value::Object(more)) = (schema, more) {
        schema.extend(more);
    }
}

/// Returns the meaning of an attribute, and what becomes of it where the engine does not act on it.
fn description(field: &Field) -> String {
    match field.force {
        Force::Yes => field.meaning(),
        Force::No(why) | Force::Elsewhere(why) => format!("{} Ignored: {why}.", field.meaning()),
    }
}

/// Returns false for what is gone when the file is printed.
fn printed(table: &Object, field: &Field) -> bool {
    let gone: &[&str] = match table.name {
        "the file" => &["version", "include"],
        "a service" => &["extends"],
        _ => &[],
    };
    !gone.contains(&field.name)
}

/// Returns the name of a table's definition: "a service's network" is `service_network`.
fn key(table: &Object) -> String {
    let name = table.name;
    let name = name.strip_prefix("a ").or_else(|| name.strip_prefix("an ")).unwrap_or(name);
    name.replace("'s", "").replace(' ', "_")
}

/// Returns what the `x-stack` of a table's mapping takes, where there is one.
fn x_stack(table: &Object) -> Option<&'static Object> {
    let own = [(&TOP, &PROJECT_X_STACK), (&SERVICE, &SERVICE_X_STACK)];
    own.into_iter().find(|(outer, _)| std::ptr::eq(*outer, table)).map(|(_, own)| own)
}

fn title(table: &Object) -> String {
    let name = key(table).replace('_', " ");
    let mut letters = name.chars();
    letters.next().map_or_else(String::new, |first| first.to_ascii_uppercase().to_string() + letters.as_str())
}

#[cfg(test)]
#[path = "json_tests.rs"]
mod tests;
