//! The order in which keys are printed: that of the reference, so that both can be compared line by line. Attributes of
//! a table have their places; keys of the user's choice are sorted as a person would (`a2` before `a10`).

use std::cmp::Ordering;

use crate::compose::schema::Object;
use crate::compose::tree::{Map, Node};

/// Which form is printed: they differ in the order of keys of the user's choice.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// YAML.
    Yaml,
    /// JSON.
    Json,
}

/// Returns the entries in the order in which they are printed.
pub(super) fn ordered<'a>(map: &'a Map, table: Option<&Object>, form: Form) -> Vec<(&'a str, &'a Node)> {
    let mut entries: Vec<(&str, &Node)> = map.iter().map(|(key, node)| (key.as_str(), node)).collect();
    let attributes = table.and_then(|table| attributes(table.name, form)).unwrap_or_default();
    let rank = |key: &str| attributes.iter().position(|attribute| *attribute == key).unwrap_or(attributes.len());
    let by_name = |a: &str, b: &str| match form {
        Form::Yaml => natural(a, b),
        Form::Json => a.cmp(b),
    };
    if attributes.is_empty() {
        entries.sort_by(|(a, _), (b, _)| by_name(a, b));
    } else {
        let mut ranked: Vec<(usize, (&str, &Node))> = entries.into_iter().map(|entry| (rank(entry.0), entry)).collect();
        ranked.sort_by(|(a, (left, _)), (b, (right, _))| a.cmp(b).then_with(|| by_name(left, right)));
        entries = ranked.into_iter().map(|(_, entry)| entry).collect();
    }
    entries
}

/// Returns the attributes of a table in their order, where that is not the alphabet's.
fn attributes(table: &str, form: Form) -> Option<&'static [&'static str]> {
    Some(match table {
        "the file" if form == Form::Yaml => {
            &["name", "services", "networks", "volumes", "secrets", "configs", "models"]
        }
        "a service" => SERVICE,
        "build" => &[
            "context",
            "dockerfile",
            "dockerfile_inline",
            "entitlements",
            "args",
            "provenance",
            "sbom",
            "ssh",
            "labels",
            "cache_from",
            "cache_to",
            "no_cache",
            "no_cache_filter",
            "additional_contexts",
            "pull",
            "extra_hosts",
            "isolation",
            "network",
            "target",
            "secrets",
            "shm_size",
            "tags",
            "ulimits",
            "platforms",
            "privileged",
        ],
        "deploy" => &[
            "mode",
            "replicas",
            "labels",
            "update_config",
            "rollback_config",
            "resources",
            "restart_policy",
            "placement",
            "endpoint_mode",
        ],
        "update_config" => &["parallelism", "delay", "failure_action", "monitor", "max_failure_ratio", "order"],
        "limits" | "reservations" => &["cpus", "memory", "pids", "devices", "generic_resources"],
        "placement" => &["constraints", "preferences", "max_replicas_per_node"],
        "a device request" => &["capabilities", "driver", "count", "device_ids", "options"],
        "blkio_config" => {
            &["weight", "weight_device", "device_read_bps", "device_read_iops", "device_write_bps", "device_write_iops"]
        }
        "a device" => &["source", "target", "permissions"],
        "a healthcheck" => &["test", "timeout", "interval", "retries", "start_period", "start_interval", "disable"],
        "a port" => &["name", "mode", "host_ip", "target", "published", "protocol", "app_protocol"],
        "a mount" => &["type", "source", "target", "read_only", "consistency", "bind", "volume", "tmpfs", "image"],
        "bind options" => &["selinux", "propagation", "create_host_path", "recursive"],
        "tmpfs options" => &["size", "mode"],
        "a file grant" => &["source", "target", "uid", "gid", "mode"],
        "a limit" => &["single", "soft", "hard"],
        "a dependency" => &["condition", "restart", "required"],
        "an env file" => &["path", "required", "format"],
        "a hook" | "a pre_start hook" => {
            &["command", "image", "user", "privileged", "working_dir", "environment", "per_replica"]
        }
        "a watch rule" => &["path", "action", "target", "exec", "include", "ignore", "initial_sync"],
        "a provider" => &["type", "options"],
        "a network" => &[
            "name",
            "driver",
            "driver_opts",
            "ipam",
            "external",
            "internal",
            "attachable",
            "labels",
            "enable_ipv4",
            "enable_ipv6",
        ],
        "ipam" => &["driver", "config", "options"],
        "an address pool" => &["subnet", "gateway", "ip_range", "aux_addresses"],
        "a volume" => &["name", "driver", "driver_opts", "external", "labels"],
        "a config" | "a secret" => &[
            "name",
            "file",
            "environment",
            "content",
            "external",
            "labels",
            "driver",
            "driver_opts",
            "template_driver",
        ],
        "a model" => &["name", "model", "context_size", "runtime_flags"],
        _ => return None,
    })
}

/// Attributes of a service.
const SERVICE: &[&str] = &[
    "profiles",
    "annotations",
    "attach",
    "build",
    "develop",
    "blkio_config",
    "cap_add",
    "cap_drop",
    "cgroup_parent",
    "cgroup",
    "cpu_count",
    "cpu_percent",
    "cpu_period",
    "cpu_quota",
    "cpu_rt_period",
    "cpu_rt_runtime",
    "cpus",
    "cpuset",
    "cpu_shares",
    "command",
    "configs",
    "container_name",
    "credential_spec",
    "depends_on",
    "deploy",
    "device_cgroup_rules",
    "devices",
    "dns",
    "dns_opt",
    "dns_search",
    "domainname",
    "entrypoint",
    "provider",
    "environment",
    "env_file",
    "expose",
    "external_links",
    "extra_hosts",
    "group_add",
    "gpus",
    "hostname",
    "healthcheck",
    "image",
    "init",
    "ipc",
    "isolation",
    "labels",
    "label_file",
    "links",
    "logging",
    "mem_limit",
    "mem_reservation",
    "memswap_limit",
    "mem_swappiness",
    "mac_address",
    "models",
    "network_mode",
    "networks",
    "oom_kill_disable",
    "oom_score_adj",
    "pid",
    "pids_limit",
    "platform",
    "ports",
    "privileged",
    "pull_policy",
    "read_only",
    "restart",
    "runtime",
    "scale",
    "secrets",
    "security_opt",
    "shm_size",
    "stdin_open",
    "stop_grace_period",
    "stop_signal",
    "storage_opt",
    "sysctls",
    "tmpfs",
    "tty",
    "ulimits",
    "use_api_socket",
    "user",
    "userns_mode",
    "uts",
    "volumes",
    "volumes_from",
    "working_dir",
    "pre_start",
    "post_start",
    "pre_stop",
];

/// Compares two keys: numbers in them by their value, and letters after all else, but before it behind a digit.
fn natural(a: &str, b: &str) -> Ordering {
    let common = a.chars().zip(b.chars()).take_while(|(a, b)| a == b).map(|(a, _)| a.len_utf8()).sum();
    let (before, a, b) = (&a[..common], &a[common..], &b[common..]);
    let (Some(first), Some(second)) = (a.chars().next(), b.chars().next()) else { return a.len().cmp(&b.len()) };
    match (first.is_alphabetic(), second.is_alphabetic()) {
        (true, true) => return first.cmp(&second),
        (true, false) | (false, true) => {
            let letters_last = !before.ends_with(char::is_numeric);
            return if first.is_alphabetic() == letters_last { Ordering::Greater } else { Ordering::Less };
        }
        (false, false) => {}
    }
    // A zero behind other digits is a digit of their number, not one in front.
    let digits_before = before.trim_start_matches(|c: char| !c.is_ascii_digit());
    let inside = (first == '0' || second == '0')
        && before.bytes().rev().take_while(u8::is_ascii_digit).any(|digit| digit != b'0')
        && !digits_before.is_empty();
    let number = |text: &str| {
        let digits: Vec<u8> = text.bytes().take_while(u8::is_ascii_digit).collect();
        let start = u64::from(inside);
        let value = digits.iter().fold(start, |sum, d| sum.wrapping_mul(10).wrapping_add(u64::from(d - b'0')));
        (value, digits.len())
    };
    number(a).cmp(&number(b)).then(first.cmp(&second))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_the_users_choice() {
        let check = |expected: &[&str]| {
            let mut keys = expected.to_vec();
            keys.sort_by(|a, b| natural(a, b));
            assert_eq!(keys, expected);
            keys.reverse();
            keys.sort_by(|a, b| natural(a, b));
            assert_eq!(keys, expected);
        };
        check(&["a", "a1", "a2", "a10", "aa", "b"]);
        check(&["node01", "node02", "node10", "node100"]);
        check(&["A_B", "A1", "AB", "Ab", "a"]);
        check(&["db-data", "db_data", "dbdata"]);
        check(&["v1a", "v1.1", "v10"]);
        check(&["1", "9", "10", "100", "101", "110"]);
        check(&["", "-", "0", "x"]);
    }
}
