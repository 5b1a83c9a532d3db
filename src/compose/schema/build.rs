//! Attributes of `build`.

use super::Convert;
use super::resources::FILE_GRANT;
use super::{Bare, Object, PathRule, Shape, Twice, Values, field};

/// `ulimits`: a number or `{soft, hard}` a name.
pub(super) const ULIMITS: Shape =
    Shape::Map(&Values { shape: Shape::Short(Convert::Ulimit, &Shape::Object(&ULIMIT)), null: false, names: false });

static ULIMIT: Object = Object {
    name: "a limit",
    required: &["soft", "hard"],
    fields: &[field("soft", Shape::Int), field("hard", Shape::Int)],
};

/// `build`. The section as a whole is reported where it matters, so its rows are not.
pub(super) static BUILD: Object = Object {
    name: "build",
    required: &[],
    fields: &[
        field("context", Shape::Text).path(PathRule::Context),
        field("dockerfile", Shape::Text),
        field("dockerfile_inline", Shape::Text),
        field("entitlements", Shape::Texts(Twice::Keep)),
        field("args", Shape::KeyValues(Bare::Null)),
        field("ssh", Shape::KeyValues(Bare::Null)).path(PathRule::Path),
        field("labels", Shape::KeyValues(Bare::Empty)),
        field("cache_from", Shape::Texts(Twice::Keep)),
        field("cache_to", Shape::Texts(Twice::Keep)),
        field("no_cache", Shape::Bool),
        field("no_cache_filter", Shape::TextOrTexts(Twice::Keep)),
        field("additional_contexts", Shape::KeyValues(Bare::Refused)).path(PathRule::Context),
        field("network", Shape::Text),
        field("pull", Shape::Bool),
        field("target", Shape::Text),
        field("shm_size", Shape::Bytes),
        field("extra_hosts", Shape::Hosts),
        field("isolation", Shape::Text),
        field("privileged", Shape::Bool),
        field("secrets", Shape::List(&Shape::Short(Convert::Source, &Shape::Object(&FILE_GRANT)), Twice::Keep)),
        field("tags", Shape::Texts(Twice::Once)),
        field("ulimits", ULIMITS),
        field("platforms", Shape::Texts(Twice::Keep)),
        field("provenance", Shape::Any),
        field("sbom", Shape::Any),
    ],
};
