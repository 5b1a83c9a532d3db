//! The variables of a project, each with what set it (spec row `env-precedence`).

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::diag::Span;

/// What set a variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Set {
    /// The process environment.
    Shell,
    /// A line of `.env` or of a file in its place; the place of the name.
    File(Span),
    /// The project's name itself (spec row `project-name-var`).
    Project,
}

/// A value that a variable was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The value.
    pub value: String,
    /// What gave it.
    pub set: Set,
    /// The variables that are in it, by name, where a file gave it.
    pub made_of: Vec<String>,
}

/// The variables that texts can use. Values that are not in force are kept, to be shown.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    /// By name; the one in force comes first.
    variables: BTreeMap<String, Arc<Vec<Setting>>>,
}

impl Environment {
    /// Returns the variables of a process.
    pub fn of_shell(values: &BTreeMap<String, String>) -> Self {
        let setting =
            |value: &String| Arc::new(vec![Setting { value: value.clone(), set: Set::Shell, made_of: Vec::new() }]);
        Self { variables: values.iter().map(|(name, value)| (name.clone(), setting(value))).collect() }
    }

    /// Returns the value in force.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.settings(name).map(|settings| settings[0].value.as_str())
    }

    /// Returns what a variable was given, the value in force first; never empty.
    pub fn settings(&self, name: &str) -> Option<&Arc<Vec<Setting>>> {
        self.variables.get(name)
    }

    /// Gives a variable a value that wins over those it has.
    pub fn set(&mut self, name: &str, setting: Setting) {
        Arc::make_mut(self.variables.entry(name.to_owned()).or_default()).insert(0, setting);
    }

    /// Adds variables that lose against those that are here.
    pub fn add_below(&mut self, others: Self) {
        for (name, settings) in others.variables {
            let own = Arc::make_mut(self.variables.entry(name).or_default());
            for setting in settings.iter() {
                // An included file beside its project has the same `.env`.
                if !own.contains(setting) {
                    own.push(setting.clone());
                }
            }
        }
    }

    /// Returns how many bytes the names and values in force have.
    pub(crate) fn size(&self) -> usize {
        self.variables.iter().map(|(name, settings)| name.len() + settings[0].value.len()).sum()
    }

    /// Returns the values in force by name.
    pub fn values(&self) -> BTreeMap<String, String> {
        self.variables.iter().map(|(name, settings)| (name.clone(), settings[0].value.clone())).collect()
    }
}
