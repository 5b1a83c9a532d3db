//! `develop` and hooks.

use std::path::PathBuf;

use super::Binder;
use super::read::{arguments, bare_texts, flag, items, text, texts};
use crate::compose::model::{Develop, Hook, PreStartHook, WatchAction, WatchRule};
use crate::compose::tree::Node;

impl Binder<'_> {
    pub(super) fn develop(&mut self, node: &Node) -> Develop {
        Develop { watch: items(node, "watch").iter().map(|rule| self.watch_rule(rule)).collect() }
    }

    fn watch_rule(&mut self, node: &Node) -> WatchRule {
        let actions = ["rebuild", "sync", "restart", "sync+restart", "sync+exec"];
        let action = self.word(node.get("action"), &actions).unwrap_or_default();
        let exec = node.get("exec").filter(|exec| exec.as_map().is_some_and(|map| !map.is_empty())).map(hook);
        if action == WatchAction::SyncExec && exec.as_ref().is_none_or(|exec| exec.command.is_empty()) {
            self.doubt(node.get("action").unwrap_or(node), "`sync+exec` runs nothing without `exec.command`");
        }
        WatchRule {
            path: text(node, "path").map(PathBuf::from).unwrap_or_default(),
            action,
            target: text(node, "target"),
            ignore: texts(node, "ignore"),
            include: texts(node, "include"),
            initial_sync: flag(node, "initial_sync"),
            exec,
        }
    }

    /// Reads hooks that run in the service's container.
    pub(super) fn hooks(&mut self, node: &Node, key: &str) -> Vec<Hook> {
        let hooks: Vec<Hook> = items(node, key).iter().map(hook).collect();
        for (hook, at) in hooks.iter().zip(items(node, key)) {
            if hook.command.is_empty() {
                self.error(at, format!("a `{key}` hook has no `command`"));
            }
        }
        hooks
    }
}

pub(super) fn pre_start(node: &Node) -> Vec<PreStartHook> {
    let hook = |node: &Node| PreStartHook {
        command: arguments(node, "command"),
        image: text(node, "image"),
        user: text(node, "user"),
        privileged: flag(node, "privileged"),
        working_dir: text(node, "working_dir"),
        environment: bare_texts(node, "environment"),
        per_replica: flag(node, "per_replica"),
    };
    items(node, "pre_start").iter().map(hook).collect()
}

fn hook(node: &Node) -> Hook {
    Hook {
        command: texts(node, "command"),
        user: text(node, "user"),
        privileged: flag(node, "privileged"),
        working_dir: text(node, "working_dir"),
        environment: bare_texts(node, "environment"),
    }
}
