//! What Compose knows, as tables: every attribute with its shape, how it merges, how it is
//! printed and whether this engine acts on it. The phases walk tree and tables side by side,
//! so a new attribute is a new row. A row cannot be without a description.
//!
//! Source of the rows: the Compose Specification's schema and prose, `attributes.tsv`.

/// Makes rows of a table: each has its description as doc comment, which users read in their
/// editors. It says what the attribute means, its unit and its default.
macro_rules! rows {
    ($($(#[doc = $about:literal])+ field $row:tt $(.$rule:ident $value:tt)*),+ $(,)?) => {
        &[$(field $row.about(concat!($($about, "\n"),+))$(.$rule $value)*),+]
    };
}

mod attachments;
mod build;
mod deploy;
mod json;
mod process;
mod resources;
mod service;
mod x_stack;

pub use json::{config_schema, file_schema};
use std::collections::HashMap;
use std::sync::OnceLock;

use resources::{CONFIG, INCLUDE, NETWORK, SECRET, VOLUME};
pub(crate) use service::SERVICE;
pub(crate) use x_stack::{PROJECT_X_STACK, SERVICE_X_STACK};

pub(crate) use super::short::Convert;

/// The form of a value: what may be written, and what it becomes.
#[derive(Clone, Copy)]
pub(crate) enum Shape {
    /// Anything, kept as it is.
    Any,
    /// A string.
    Text,
    /// A string or number, kept as string.
    Label,
    /// One of these strings.
    OneOf(&'static [&'static str]),
    /// `true` or `false`, also as string.
    Bool,
    /// A whole number.
    Int(Whole),
    /// A number, also as string.
    Number,
    /// A size; becomes the number of bytes as string.
    Bytes(Size),
    /// A duration `1m30s`.
    Duration,
    /// Permission bits; a string is read base 8.
    Mode,
    /// An argument list, or a string that is split as a shell would.
    Command,
    /// As a command, but a string is `CMD-SHELL`.
    HealthTest,
    /// A list of strings.
    Texts(Twice),
    /// A list of strings or numbers.
    Labels(Twice),
    /// A string or a list of strings.
    TextOrTexts(Twice),
    /// A mapping or a list of `KEY=VALUE`; values become strings.
    KeyValues(Bare),
    /// A mapping to strings or numbers; values become strings.
    Options {
        /// A value may be left out.
        null: bool,
    },
    /// A mapping to strings.
    Strings,
    /// A mapping to values or lists of them; each becomes a list of strings.
    Several,
    /// `extra_hosts`: mapping or list; becomes a list of `host=address`.
    Hosts,
    /// A list.
    List(&'static Shape, Twice),
    /// A mapping with keys of the user's choice.
    Map(&'static Values),
    /// A mapping with the keys of a table.
    Object(&'static Object),
    /// A short form, turned into a long one before that is looked at.
    Short(Convert, &'static Shape),
}

/// What may stand for a whole number. The reference differs from one attribute to the other.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whole {
    /// It, also as string.
    Usual,
    /// As usual, and what stands behind its point is cut off.
    Cut,
    /// It, but no string.
    Bare,
    /// Any number, cut off, but no string.
    BareCut,
}

/// What may stand for a size.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Size {
    /// `512m` or a number; one with a point says nothing.
    Number,
    /// `512m` or a whole number.
    Whole,
    /// `512m`; a number must be in quotes.
    Text,
}

/// What a key without a value is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bare {
    /// Taken from the environment, or unset.
    Null,
    /// Unset, and printed as a list: SSH agents and keys. Lists of it are not merged.
    Agent,
    /// The empty string.
    Empty,
    /// The empty string; the same item twice is a mistake.
    EmptyOnce,
    /// A mistake.
    Refused,
}

/// What happens to items that come twice in a list.
#[derive(Clone, Copy)]
pub(crate) enum Twice {
    /// They stay.
    Keep,
    /// They are a mistake.
    Refuse,
    /// The later one takes the place of the earlier; strings are compared up to the first `=`.
    Once,
    /// The later one takes the place of the earlier with the same identity.
    By(fn(&super::tree::Node) -> Option<String>),
}

/// The values of a mapping with keys of the user's choice.
pub(crate) struct Values {
    /// Of each value.
    pub(crate) shape: Shape,
    /// A value may be left out.
    pub(crate) null: bool,
    /// Keys must match `[a-zA-Z0-9._-]+`.
    pub(crate) names: bool,
}

/// A mapping with known keys.
pub(crate) struct Object {
    /// Finds one of the attributes.
    pub(crate) index: Index,
    /// What it is called in messages.
    pub(crate) name: &'static str,
    /// Its attributes.
    pub(crate) fields: &'static [Field],
    /// Attributes that must be there.
    pub(crate) required: &'static [&'static str],
}

impl Object {
    /// Returns the row of an attribute.
    pub(crate) fn field(&self, name: &str) -> Option<&'static Field> {
        let fields = self.fields;
        let index =
            self.index.0.get_or_init(|| fields.iter().enumerate().map(|(at, field)| (field.name, at)).collect());
        index.get(name).map(|&at| &fields[at])
    }
}

/// Where the attributes of a table are, by name; made when the first one is looked for. Every phase looks up every key of a
/// file, and a service has more than a hundred attributes.
pub(crate) struct Index(OnceLock<HashMap<&'static str, usize, foldhash::fast::RandomState>>);

impl Index {
    /// Returns the index of a table in which nothing was looked for.
    pub(crate) const fn new() -> Self {
        Self(OnceLock::new())
    }
}

/// One attribute.
pub(crate) struct Field {
    /// Its key.
    pub(crate) name: &'static str,
    /// What it means, in lines of Markdown.
    about: &'static str,
    /// Its form.
    pub(crate) shape: Shape,
    /// How a later file changes it.
    pub(crate) merge: Merge,
    /// What becomes of it when it says nothing (`false`, 0, empty).
    pub(crate) print: Print,
    /// It may be null.
    pub(crate) null: bool,
    /// It is a path, or holds some.
    pub(crate) path: PathRule,
    /// Whether the engine acts on it.
    pub(crate) force: Force,
    /// The least and the greatest number that it can be.
    pub(crate) within: Option<(i64, i64)>,
    /// The grammar of its text.
    pub(crate) text: Option<Grammar>,
    /// Tells whether a text follows it, where that is looked at in each file.
    pub(crate) fits: Option<fn(&str) -> bool>,
    /// A mistake in it is none once a later file has replaced it. So are those in sizes, durations and commands.
    pub(crate) late: bool,
    /// Texts that are worth proposing; for editors.
    pub(crate) examples: &'static [&'static str],
    /// There is a better way.
    deprecated: bool,
}

/// Which texts an attribute can be.
pub(crate) struct Grammar {
    /// A pattern of them, for editors.
    pattern: &'static str,
    /// What to write.
    pub(crate) help: &'static str,
}

/// How a later file changes an attribute.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Merge {
    /// As its shape says: scalars are replaced, mappings merged, lists appended.
    Shape,
    /// Replaced as a whole, also by null.
    Replace,
    /// `logging`: merged only where both name the same driver (spec row `merge-logging`).
    Logging,
    /// `ipam.config`: by subnet (spec row `merge-ipam`).
    Ipam,
}

/// What is printed of an attribute that says nothing.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Print {
    /// Nothing.
    Filled,
    /// The empty value, where it was given.
    Given,
    /// Nothing, ever; the reference forgets it.
    Never,
    /// Null or the empty mapping even where it was not given; JSON only.
    Always,
}

/// Which paths are in an attribute (spec row `paths-relative`).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum PathRule {
    /// None.
    No,
    /// It is one, or a list of them.
    Path,
    /// As `Path`, but paths of Windows stay and the empty path is the folder.
    HostPath,
    /// As `Path`, but URLs and `service:` stay.
    Context,
    /// `source` of a bind mount.
    Mount,
    /// `device` of a volume that is a bind mount.
    VolumeOptions,
}

/// Whether the engine acts on an attribute.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Force {
    /// It does, or there is nothing to do.
    Yes,
    /// Not yet: it runs without, and a warning says what that means.
    No(&'static str),
    /// It means nothing on one Linux machine: who checks the file is told as well.
    Elsewhere(&'static str),
}

/// Returns a row with the usual rules.
const fn field(name: &'static str, shape: Shape) -> Field {
    Field {
        name,
        about: "",
        shape,
        merge: Merge::Shape,
        print: match shape {
            Shape::Object(_) => Print::Given,
            Shape::Short(_, Shape::Object(_)) => Print::Given,
            _ => Print::Filled,
        },
        null: false,
        path: PathRule::No,
        force: Force::Yes,
        within: None,
        text: None,
        fits: None,
        late: false,
        examples: &[],
        deprecated: false,
    }
}

impl Field {
    /// Returns what the attribute means, as one line of Markdown.
    fn meaning(&self) -> String {
        let lines: Vec<&str> = self.about.lines().map(str::trim).collect();
        lines.join(" ")
    }

    /// Returns the value that it has where nobody gives one, in words, as its description has it.
    pub(crate) fn default_in_words(&self) -> Option<String> {
        let meaning = self.meaning();
        let (_, default) = meaning.split_once("Default: ")?;
        let default = default.split(". ").next().unwrap_or_default();
        Some(default.trim_end_matches('.').replace('`', ""))
    }

    const fn about(mut self, about: &'static str) -> Self {
        self.about = about;
        self
    }

    const fn replace(mut self) -> Self {
        self.merge = Merge::Replace;
        self
    }

    const fn merge(mut self, merge: Merge) -> Self {
        self.merge = merge;
        self
    }

    /// Printed when given, even if it says nothing.
    const fn given(mut self) -> Self {
        self.print = Print::Given;
        self
    }

    const fn always(mut self) -> Self {
        self.print = Print::Always;
        self
    }

    const fn never(mut self) -> Self {
        self.print = Print::Never;
        self
    }

    const fn null(mut self) -> Self {
        self.null = true;
        self
    }

    const fn path(mut self, rule: PathRule) -> Self {
        self.path = rule;
        self
    }

    const fn within(mut self, least: i64, most: i64) -> Self {
        self.within = Some((least, most));
        self
    }

    const fn matches(mut self, pattern: &'static str, help: &'static str) -> Self {
        self.text = Some(Grammar { pattern, help });
        self
    }

    const fn read_by(mut self, fits: fn(&str) -> bool) -> Self {
        self.fits = Some(fits);
        self
    }

    const fn late(mut self) -> Self {
        self.late = true;
        self
    }

    const fn such_as(mut self, words: &'static [&'static str]) -> Self {
        self.examples = words;
        self
    }

    const fn deprecated(mut self) -> Self {
        self.deprecated = true;
        self
    }

    const fn unused(mut self, why: &'static str) -> Self {
        self.force = Force::No(why);
        self
    }

    const fn elsewhere(mut self, why: &'static str) -> Self {
        self.force = Force::Elsewhere(why);
        self
    }
}

/// The whole file.
pub(crate) static TOP: Object = Object {
    index: Index::new(),
    name: "the file",
    required: &[],
    fields: rows![
        /// Was once the version of the format. It has no effect; remove it.
        field("version", Shape::Text).deprecated(),
        /// Name of the project: lower-case letters, digits, `_` and `-`, beginning with a letter or digit; others are
        /// left out. `-p` and `COMPOSE_PROJECT_NAME` win over it. Default: made of the folder's name.
        field("name", Shape::Text),
        /// Other projects whose services, networks, volumes, configs, secrets and models become part of this one. Each
        /// is loaded on its own, with its own folder and `.env`.
        field("include", Shape::List(&Shape::Short(Convert::IncludePath, &Shape::Object(&INCLUDE)), Twice::Keep)),
        /// The services by name. Each is run as any number of like containers.
        field("services", Shape::Map(&Values { shape: Shape::Object(&SERVICE), null: false, names: true })),
        /// Networks by name. An empty entry takes all defaults. A network `default` is there without being listed.
        field(
            "networks",
            Shape::Map(&Values {
                shape: Shape::Short(Convert::External, &Shape::Object(&NETWORK)),
                null: true,
                names: true,
            }),
        ),
        /// Named volumes, which outlive containers. An empty entry takes all defaults.
        field(
            "volumes",
            Shape::Map(&Values {
                shape: Shape::Short(Convert::External, &Shape::Object(&VOLUME)),
                null: true,
                names: true,
            }),
        )
        .path(PathRule::VolumeOptions),
        /// Files that services may mount, for what is no secret.
        field(
            "configs",
            Shape::Map(&Values {
                shape: Shape::Short(Convert::External, &Shape::Object(&CONFIG)),
                null: false,
                names: true,
            }),
        ),
        /// Files that services may mount, for what nobody else may read.
        field(
            "secrets",
            Shape::Map(&Values {
                shape: Shape::Short(Convert::External, &Shape::Object(&SECRET)),
                null: false,
                names: true,
            }),
        ),
        /// Models that an inference server offers to services.
        field("models", Shape::Map(&Values { shape: Shape::Object(&resources::MODEL), null: false, names: true }))
            .elsewhere("there is no model runner"),
    ],
};

#[cfg(test)]
mod tests {
    use super::*;

    /// Collects the tables that can be reached from a shape.
    pub(crate) fn tables(shape: &Shape, seen: &mut Vec<&'static Object>) {
        match *shape {
            Shape::Object(table) if !seen.iter().any(|other| std::ptr::eq(*other, table)) => {
                seen.push(table);
                table.fields.iter().for_each(|field| tables(&field.shape, seen));
            }
            Shape::List(item, _) => tables(item, seen),
            Shape::Map(values) => tables(&values.shape, seen),
            Shape::Short(_, long) => tables(long, seen),
            _ => {}
        }
    }

    #[test]
    fn every_attribute_has_a_description_in_sentences() {
        let mut all = Vec::new();
        tables(&Shape::Object(&TOP), &mut all);
        for table in all {
            for field in table.fields {
                let meaning = field.meaning();
                let place = format!("{}: {}: {meaning:?}", table.name, field.name);
                assert!(meaning.ends_with('.') && !meaning.contains("  "), "{place}");
                let sentence = meaning.starts_with(|c: char| c.is_ascii_uppercase() || c == '`' || c == '-');
                assert!(sentence && meaning.matches('`').count() % 2 == 0, "{place}");
                assert_eq!(table.fields.iter().filter(|other| other.name == field.name).count(), 1, "{place}");
            }
        }
    }
}
