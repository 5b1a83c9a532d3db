//! `config --resolve-image-digests` and `--lock-image-digests`: which image exactly a name means
//! today. The engine asks the registries; it has the credentials.

use std::collections::{BTreeSet, HashMap};

use crate::api::ResolveRequest;
use crate::cli::context::{Context, block_on};
use crate::cli::error::Result;
use crate::cli::operation::{self, Notes};
use crate::compose::tree::{Map, Node, Value};

/// Puts the digests of their registries behind the images of a tree.
pub(super) fn resolve(context: &Context, tree: &mut Node) -> Result<()> {
    let mut references = BTreeSet::new();
    each_image(tree, &mut |image| {
        references.insert(image.clone());
    });
    if references.is_empty() {
        return Ok(());
    }
    let request = ResolveRequest { references: references.into_iter().collect() };
    let answers = block_on(async {
        let client = context.connect().await?;
        operation::run(context, &client, "resolve", "/v1/images/resolve", &request, Notes::Return).await
    })?;
    let resolved: HashMap<&str, &str> = answers.iter().filter_map(|line| line.split_once(' ')).collect();
    each_image(tree, &mut |image| {
        if let Some(exact) = resolved.get(image.as_str()) {
            *image = (*exact).to_owned();
        }
    });
    Ok(())
}

/// Leaves of a tree what an override file needs to pin its images: those of services and of
/// mounts. Returns the services of which hooks have images, too: lists are appended when files
/// are merged, so they cannot be pinned that way.
pub(super) fn lock(tree: &mut Node) -> Vec<String> {
    let mut beyond = Vec::new();
    let Some(top) = tree.as_map_mut() else { return beyond };
    top.retain(|key, _| key == "services");
    for (name, service) in top.get_mut("services").and_then(Node::as_map_mut).into_iter().flatten() {
        let hooks = service.get("pre_start").and_then(Node::as_list).unwrap_or_default();
        if hooks.iter().any(|hook| hook.get("image").is_some()) {
            beyond.push(name.clone());
        }
        let Some(attributes) = service.as_map_mut() else { continue };
        attributes.retain(|key, _| matches!(key.as_str(), "image" | "volumes"));
        if let Some(Value::List(mounts)) = attributes.get_mut("volumes").map(|node| &mut node.value) {
            mounts.retain(|mount| mount.get("type").and_then(Node::as_text) == Some("image"));
            if mounts.is_empty() {
                attributes.shift_remove("volumes");
            }
        }
    }
    beyond
}

/// Visits the images of all services: their own, those of hooks and those that are mounted.
fn each_image(tree: &mut Node, visit: &mut dyn FnMut(&mut String)) {
    let Some(services) = tree.get_mut("services").and_then(Node::as_map_mut) else { return };
    let names: Vec<String> = services.keys().cloned().collect();
    for service in services.values_mut() {
        text(service, "image", visit);
        for hook in items(service, "pre_start") {
            text(hook, "image", visit);
        }
        for mount in items(service, "volumes") {
            let source = mount.get("source").and_then(Node::as_text).unwrap_or_default();
            // A service's name stands for its image.
            let image =
                mount.get("type").and_then(Node::as_text) == Some("image") && !names.iter().any(|n| n == source);
            if image {
                text(mount, "source", visit);
            }
        }
    }
}

fn text(node: &mut Node, key: &str, visit: &mut dyn FnMut(&mut String)) {
    if let Some(Value::Text(text)) = node.get_mut(key).map(|node| &mut node.value)
        && !text.is_empty()
    {
        visit(text);
    }
}

fn items<'a>(node: &'a mut Node, key: &str) -> impl Iterator<Item = &'a mut Node> {
    let list = match node.as_map_mut().and_then(|map: &mut Map| map.get_mut(key)).map(|node| &mut node.value) {
        Some(Value::List(items)) => items.as_mut_slice(),
        _ => &mut [],
    };
    list.iter_mut()
}
