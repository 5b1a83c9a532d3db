//! Attributes of `build`.

use super::Convert;
use super::resources::FILE_GRANT;
use super::{Bare, Index, Object, PathRule, Shape, Size, Twice, Values, Whole, field};

/// `ulimits`: a number or `{soft, hard}` a name.
pub(super) const ULIMITS: Shape =
    Shape::Map(&Values { shape: Shape::Short(Convert::Ulimit, &Shape::Object(&ULIMIT)), null: false, names: false });

static ULIMIT: Object = Object {
    index: Index::new(),
    name: "a limit",
    required: &["soft", "hard"],
    fields: rows![
        /// Limit that holds, which the process may raise up to the hard one. -1 is unlimited.
        field("soft", Shape::Int(Whole::Usual)).given(),
        /// Highest value that the process may set. -1 is unlimited.
        field("hard", Shape::Int(Whole::Usual)).given(),
    ],
};

/// `build`. The section as a whole is reported when the project runs, so its rows are not.
pub(super) static BUILD: Object = Object {
    index: Index::new(),
    name: "build",
    required: &[],
    fields: rows![
        /// Folder, or URL of a Git repository or archive, with what the build may read. Default: the project's folder.
        field("context", Shape::Text).path(PathRule::Context),
        /// Path of the Dockerfile, relative to the context. Default: `Dockerfile`.
        field("dockerfile", Shape::Text),
        /// Text of the Dockerfile, in place of `dockerfile`.
        field("dockerfile_inline", Shape::Text),
        /// What `RUN` may ask for besides the usual: `network.host`, `security.insecure`.
        field("entitlements", Shape::Texts(Twice::Keep)),
        /// Values of `ARG`, as mapping or list. A name without a value is taken from the environment.
        field("args", Shape::KeyValues(Bare::Null)),
        /// SSH agent or keys for `RUN --mount=type=ssh`: `default`, or `ID=PATH`.
        field("ssh", Shape::KeyValues(Bare::Agent)).path(PathRule::HostPath),
        /// Labels of the image.
        field("labels", Shape::KeyValues(Bare::Empty)),
        /// Images and caches from which layers are reused: `NAME` or `type=TYPE,KEY=VALUE`.
        field("cache_from", Shape::Texts(Twice::Keep)),
        /// Where the cache is written to: `NAME` or `type=TYPE,KEY=VALUE`.
        field("cache_to", Shape::Texts(Twice::Keep)),
        /// Runs every step, even if its result is known. Default: `false`.
        field("no_cache", Shape::Bool),
        /// Stages of which every step is run.
        field("no_cache_filter", Shape::TextOrTexts(Twice::Keep)),
        /// More contexts by name, for `FROM` and `COPY --from`: a path, a URL, `docker-image://IMAGE` or
        /// `service:NAME`.
        field("additional_contexts", Shape::KeyValues(Bare::Refused)).path(PathRule::Context),
        /// Network of `RUN`: `default`, `none`, `host` or a name. Default: `default`.
        field("network", Shape::Text).such_as(&["default", "none", "host"]),
        /// Asks the registry for newer base images. Default: `false`.
        field("pull", Shape::Bool),
        /// Stage that is built. Default: the last.
        field("target", Shape::Text),
        /// Size of `/dev/shm` for `RUN`, in bytes or as `128m`. Default: `64m`.
        field("shm_size", Shape::Bytes(Size::Whole)),
        /// Lines of `/etc/hosts` for `RUN`, `HOST=ADDRESS` or a mapping.
        field("extra_hosts", Shape::Hosts),
        /// How a Windows build is isolated.
        field("isolation", Shape::Text).elsewhere("it only has a meaning on Windows"),
        /// Gives `RUN` all capabilities. Default: `false`.
        field("privileged", Shape::Bool),
        /// Secrets for `RUN --mount=type=secret`; they are in no layer.
        field("secrets", Shape::List(&Shape::Short(Convert::Source, &Shape::Object(&FILE_GRANT)), Twice::Keep)),
        /// More names of the image.
        field("tags", Shape::Texts(Twice::Once)),
        /// Limits of each process of `RUN`, as in `ulimits` of the service.
        field("ulimits", ULIMITS),
        /// Platforms for which the image is built, as `linux/arm64`. Default: that of the service.
        field("platforms", Shape::Texts(Twice::Keep)),
        /// Whether, or with which options, an account of how the image was built is added to it.
        field("provenance", Shape::Any).elsewhere("images are not pushed from here, and carry no attestations"),
        /// Whether, or with which options, a list of what the image holds is added to it.
        field("sbom", Shape::Any).elsewhere("images are not pushed from here, and carry no attestations"),
    ],
};
