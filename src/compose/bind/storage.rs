//! Top-level volumes, configs, secrets and models. Which source each has is checked before.

use std::path::{Path, PathBuf};

use super::read::{flag, text, texts, texts_by_key};
use crate::compose::model::{Content, ContentSource, Model, Volume};
use crate::compose::tree::Node;

pub(super) fn volume(node: &Node, folder: &Path) -> Volume {
    let mut driver_opts = texts_by_key(node, "driver_opts");
    let bound = driver_opts.get("o").is_some_and(|o| o.split(',').any(|o| matches!(o, "bind" | "rbind")));
    if let Some(device) = driver_opts.get_mut("device")
        && bound
    {
        // Without a driver the reference prints it as it is written; it is one of the project all the same.
        *device = folder.join(&*device).components().collect::<PathBuf>().display().to_string();
    }
    Volume {
        name: text(node, "name").unwrap_or_default(),
        external: flag(node, "external"),
        driver: text(node, "driver"),
        driver_opts,
        labels: texts_by_key(node, "labels"),
    }
}

/// Returns a config or a secret.
pub(super) fn content(node: &Node) -> Content {
    let inline = || node.get("content").and_then(Node::as_text).map(str::to_owned);
    let source = if let Some(path) = text(node, "file") {
        ContentSource::File(PathBuf::from(path))
    } else if let Some(variable) = text(node, "environment") {
        ContentSource::Environment(variable)
    } else {
        inline().map_or(ContentSource::External, ContentSource::Content)
    };
    Content {
        name: text(node, "name").unwrap_or_default(),
        source,
        labels: texts_by_key(node, "labels"),
        driver: text(node, "driver"),
        driver_opts: texts_by_key(node, "driver_opts"),
        template_driver: text(node, "template_driver"),
    }
}

pub(super) fn model(node: &Node) -> Model {
    Model {
        name: text(node, "name"),
        model: text(node, "model").unwrap_or_default(),
        context_size: node.get("context_size").and_then(Node::as_int).and_then(|size| u64::try_from(size).ok()),
        runtime_flags: texts(node, "runtime_flags"),
    }
}
