//! `build`.

use super::Binder;
use super::read::{bare_texts, bytes, flag, items, text, texts, texts_by_key, texts_in_order};
use crate::compose::model::Build;
use crate::compose::tree::Node;

impl Binder<'_> {
    pub(super) fn build(&mut self, node: &Node) -> Build {
        let statement = |key: &str| node.get(key).and_then(Node::scalar_text);
        Build {
            context: text(node, "context").unwrap_or_else(|| ".".to_owned()),
            dockerfile: text(node, "dockerfile"),
            dockerfile_inline: text(node, "dockerfile_inline"),
            entitlements: texts(node, "entitlements"),
            args: texts_in_order(node, "args"),
            ssh: bare_texts(node, "ssh"),
            labels: texts_by_key(node, "labels"),
            cache_from: texts(node, "cache_from"),
            cache_to: texts(node, "cache_to"),
            no_cache: flag(node, "no_cache"),
            no_cache_filter: texts(node, "no_cache_filter"),
            additional_contexts: texts_in_order(node, "additional_contexts"),
            network: text(node, "network"),
            pull: flag(node, "pull"),
            target: text(node, "target"),
            shm_size: bytes(node, "shm_size"),
            extra_hosts: self.extra_hosts(node),
            isolation: text(node, "isolation"),
            privileged: flag(node, "privileged"),
            secrets: self.grants(node, "secrets"),
            tags: texts(node, "tags"),
            ulimits: self.ulimits(node),
            platforms: items(node, "platforms").iter().filter_map(|item| self.unit(item)).collect(),
            provenance: statement("provenance"),
            sbom: statement("sbom"),
        }
    }
}
