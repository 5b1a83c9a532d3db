//! Why there is a value that no file says: a sentence for each default, by its path.

use super::Step;

/// What a pattern has at a step.
const ANY: &str = "*";

/// Patterns of paths, the first that fits counts; an index is `*` too.
const RULES: &[(&[&str], &str)] = &[
    (&["name"], "the name of the folder"),
    (&["services", ANY, "networks", "default"], "a service that names no network joins `default`"),
    (&["networks", "default"], "a service uses the network `default`"),
    (&["networks", ANY, "name"], NAMED),
    (&["volumes", ANY, "name"], NAMED),
    (&["configs", ANY, "name"], NAMED),
    (&["secrets", ANY, "name"], NAMED),
    (&["services", ANY, "ports", ANY, "protocol"], "a port is a TCP port unless it says otherwise"),
    (&["services", ANY, "ports", ANY, "mode"], "a port is published in `ingress` mode unless it says otherwise"),
    (&["services", ANY, "secrets", ANY, "target"], "a secret is mounted at /run/secrets/ and its name"),
    (&["services", ANY, "depends_on", ANY, "condition"], "a dependency that names no condition has only to be started"),
    (
        &["services", ANY, "depends_on", ANY, "restart"],
        "a service is restarted with what it links to or shares a namespace with",
    ),
    (&["services", ANY, "depends_on", ANY, "required"], "a dependency must be there unless it says otherwise"),
    (&["services", ANY, "build", "context"], "the build context is the folder of the file"),
    (&["services", ANY, "build", "dockerfile"], "the recipe of a build is called Dockerfile"),
    (&["services", ANY, "gpus", ANY, "count"], DEVICES),
    (&["services", ANY, "deploy", "resources", "reservations", "devices", ANY, "count"], DEVICES),
    (&["services"], "a project without services has an empty section"),
];

const NAMED: &str = "the project's name, `_` and the key; an external resource is called as its key";
const DEVICES: &str = "all devices, as neither `count` nor `device_ids` is given";
const FALLBACK: &str = "no file says it: the default of this attribute";

/// Returns why a path has a value that nobody wrote.
pub(super) fn rule(steps: &[Step]) -> &'static str {
    let fits = |pattern: &[&str]| {
        pattern.len() == steps.len()
            && pattern.iter().zip(steps).all(|(word, step)| match step {
                Step::Key(key) => *word == ANY || word == key,
                Step::Index(_) => *word == ANY,
            })
    };
    RULES.iter().find(|(pattern, _)| fits(pattern)).map_or(FALLBACK, |(_, rule)| rule)
}
