//! `x-stack` of a service, over that at the top of the file. A mistake in it keeps the project from
//! running, but not from being printed: for `config` it is an extension like any other.

use super::Binder;
use crate::compose::model::{WatchMode, XStack};
use crate::compose::schema::{Object, PROJECT_X_STACK, SERVICE_X_STACK};
use crate::compose::tree::{Map, Node};
use crate::diag::{Diagnostic, nearest};
use crate::spec::Ready;

const KEY: &str = "x-stack";

impl Binder<'_> {
    /// Reads the map of a service; what it does not say is taken from `defaults`.
    pub(super) fn x_stack(&mut self, service: &Node, defaults: &XStack) -> XStack {
        let Some(map) = self.own_map(service, &SERVICE_X_STACK) else { return defaults.clone() };
        let ready = map.get("ready").and_then(|node| self.ready(node));
        let watch = map.get("watch").and_then(|node| self.watch_mode(node));
        XStack { ready: ready.or_else(|| defaults.ready.clone()), watch: watch.or(defaults.watch) }
    }

    /// Reads the map at the top of the file.
    pub(super) fn project_x_stack(&mut self, whole: &Node) -> XStack {
        let Some(map) = self.own_map(whole, &PROJECT_X_STACK) else { return XStack::default() };
        let ready = map.get("ready").and_then(|node| {
            let ready = self.ready(node)?;
            if !matches!(ready, Ready::Auto | Ready::None) {
                let message = format!("for all services `ready` can be auto or none, not {:?}", ready.to_string());
                self.mistake(node, message, "other rules belong into a service: services.NAME.x-stack.ready");
            }
            Some(ready)
        });
        let watch = map.get("watch").and_then(|node| self.watch_mode(node));
        XStack { ready, watch }
    }

    fn own_map<'a>(&mut self, parent: &'a Node, table: &'static Object) -> Option<&'a Map> {
        let node = parent.get(KEY).filter(|node| !node.is_null())?;
        let names: Vec<&str> = table.fields.iter().map(|field| field.name).collect();
        let Some(map) = node.as_map() else {
            self.mistake(node, "`x-stack` is a mapping", "write it as x-stack: {ready: auto}");
            return None;
        };
        for (key, value) in map.iter().filter(|(key, _)| !key.starts_with("x-") && !names.contains(&key.as_str())) {
            let help = match nearest(key, names.iter().copied()) {
                Some(name) => format!("did you mean `{name}`?"),
                None => format!("{} takes `{}`", table.name, names.join("`, `")),
            };
            let diagnostic = Diagnostic::error(format!("`x-stack` has no attribute `{key}`"), value.key_or_span());
            self.diagnostics.push(diagnostic.label("unknown").help(help));
        }
        Some(map)
    }

    fn ready(&mut self, node: &Node) -> Option<Ready> {
        let text = node.scalar_text().unwrap_or_default();
        match text.parse::<Ready>() {
            Ok(ready) => Some(ready),
            Err(error) => {
                let help = if text.parse::<u16>().is_ok() {
                    format!("did you mean tcp:{text}?")
                } else if let Some(word) = match text.as_str() {
                    "true" => Some("auto"),
                    "false" => Some("none"),
                    word => nearest(word, ["auto", "none"]),
                } {
                    format!("did you mean `{word}`?")
                } else if let Some(Err(why)) = text.strip_prefix("log:").map(Ready::pattern) {
                    // The last line of what it says is the reason; the others draw the place.
                    why.to_string().lines().last().unwrap_or_default().trim().to_owned()
                } else {
                    format!("`ready` is {}", Ready::FORMS)
                };
                self.mistake(node, error.to_string(), &help);
                None
            }
        }
    }

    fn watch_mode(&mut self, node: &Node) -> Option<WatchMode> {
        if node.as_text() == Some("restart") {
            return Some(WatchMode::Restart);
        }
        let text = node.scalar_text().unwrap_or_default();
        let help = match nearest(&text, ["restart"]) {
            Some(word) => format!("did you mean `{word}`?"),
            None => String::from("write `restart`, or rules of your own in `develop.watch`"),
        };
        self.mistake(node, format!("{text:?} is not a value that `watch` can have"), &help);
        None
    }

    fn mistake(&mut self, node: &Node, message: impl Into<String>, help: &str) {
        let span = node.span.clone().or_else(|| node.key.clone());
        self.diagnostics.push(Diagnostic::error(message, span).help(help));
    }
}
