//! Where the values of a project come from. With [`LoadOptions::provenance`] every node that is
//! read carries a [`Trail`], and what it wins over is kept there instead of being dropped.
//! Without it there are no trails, and nothing is kept: the presence of a trail is the switch,
//! so that no phase has to be told.
//!
//! [`LoadOptions::provenance`]: super::LoadOptions::provenance

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::environment::Environment;
use super::tree::{Node, Value};
use super::uses::Uses;
use crate::diag::Span;

/// How a node came to be what it is.
#[derive(Debug, Clone, Default)]
pub struct Trail {
    /// The ways it came, the first one first.
    pub via: Vec<Arc<Via>>,
    /// What it took the place of, the nearest first; these have trails of their own.
    pub hidden: Vec<Node>,
    /// Attributes of a mapping that `!reset` took away.
    pub removed: Vec<(String, Node)>,
}

/// A way that a node came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Via {
    /// One of the project's files, or of the files of one `include`.
    File {
        /// From 0; later files win.
        order: usize,
        /// How many there are.
        total: usize,
    },
    /// `extends`.
    Extends {
        /// The service that is extended.
        service: String,
        /// Its file, where that is another one.
        file: Option<String>,
        /// Where it says so.
        at: Option<Span>,
    },
    /// `include`.
    Include {
        /// Where it says so.
        at: Option<Span>,
    },
    /// An alias, of a merge key or of a value.
    Alias {
        /// Where it stands.
        at: Span,
    },
    /// A line of a file that `env_file` or `label_file` names.
    Lines {
        /// The attribute.
        attribute: &'static str,
    },
    /// The value of a variable: the file names a key only.
    Variable(String),
    /// An option of the command line.
    Option(&'static str),
    /// The name of the project's folder.
    Folder,
}

/// What [`super::explain::explain`] looks at.
#[derive(Debug)]
pub struct Provenance {
    /// The merged and completed tree, with trails; services that no profile enables are in it.
    pub tree: Node,
    /// Services that no profile enables.
    pub disabled: BTreeSet<String>,
    /// Which variables are in which texts.
    pub uses: Uses,
    /// The variables.
    pub environment: Environment,
}

impl Node {
    /// Keeps a node that this one wins over, where somebody wants to know.
    pub(crate) fn hide(&mut self, loser: Self) {
        if self.trail.is_some() || loser.trail.is_some() {
            self.trail_mut().hidden.push(loser);
        }
    }

    /// Puts another node in the place of this one.
    pub(crate) fn replace(&mut self, by: Self) {
        let loser = std::mem::replace(self, by);
        self.hide(loser);
    }

    /// Takes over what a node hides that is merged into this one.
    pub(crate) fn take_trail(&mut self, over: Option<Arc<Trail>>) {
        if let Some(over) = over.filter(|over| !over.hidden.is_empty() || !over.removed.is_empty()) {
            let Trail { hidden, removed, .. } = Arc::unwrap_or_clone(over);
            let own = self.trail_mut();
            own.hidden.splice(0..0, hidden);
            own.removed.splice(0..0, removed);
        }
    }

    /// Adds a way that this node came, where somebody wants to know.
    pub(crate) fn came(&mut self, via: Via) {
        if let Some(trail) = &mut self.trail {
            Arc::make_mut(trail).via.push(Arc::new(via));
        }
    }

    /// Adds a way that this node and all below it came. Nodes that shared a trail still do.
    pub(crate) fn all_came(&mut self, via: Via) {
        if self.trail.is_some() {
            stamp(self, &Arc::new(via), &mut HashMap::new());
        }
    }

    /// Returns the trail for change; there is one afterwards.
    pub(crate) fn trail_mut(&mut self) -> &mut Trail {
        Arc::make_mut(self.trail.get_or_insert_default())
    }
}

/// Trails by address before the change. They are held, so no address comes twice.
type Changed = HashMap<usize, (Arc<Trail>, Arc<Trail>)>;

fn stamp(node: &mut Node, via: &Arc<Via>, changed: &mut Changed) {
    if let Some(trail) = &mut node.trail {
        let address = Arc::as_ptr(trail) as usize;
        if !changed.contains_key(&address) {
            let mut new = Trail::clone(trail);
            new.via.push(via.clone());
            let lost = new.removed.iter_mut().map(|(_, node)| node);
            new.hidden.iter_mut().chain(lost).for_each(|hidden| stamp(hidden, via, changed));
            changed.insert(address, (trail.clone(), Arc::new(new)));
        }
        if let Some((_, new)) = changed.get(&address) {
            trail.clone_from(new);
        }
    }
    match &mut node.value {
        Value::Map(map) => map.values_mut().for_each(|value| stamp(value, via, changed)),
        Value::List(items) => items.iter_mut().for_each(|item| stamp(item, via, changed)),
        _ => {}
    }
}
