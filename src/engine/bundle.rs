//! Renders the OCI bundle of a container: `config.json` and the files below `/etc`; pure.
//!
//! The bundle is the contract: the built-in runtime executes it, and any OCI runtime could.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use oci_spec::OciSpecError;
use oci_spec::runtime as oci;
use oci_spec::runtime::{LinuxNamespaceType as Namespace, LinuxSeccompAction as SeccompAction};

use super::capability::CapabilitySet;
use super::seccomp::{self, Action, Condition};
use super::user::User;
use crate::spec::{ContainerSpec, Mount, MountKind, Seccomp};

/// Search path of a container whose image sets none (as Docker has it).
pub(crate) const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Unreadable in containers, as runc and Docker have it.
pub const MASKED_PATHS: &[&str] = &[
    "/proc/asound",
    "/proc/acpi",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
];
/// Unwritable in containers.
pub const READ_ONLY_PATHS: &[&str] = &["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// What the rendering needs beside the specification.
pub(crate) struct Host<'a> {
    /// Folder of the bundle.
    pub(crate) bundle: &'a Path,
    /// The user as the image's files say, as far as they can be read before the start.
    pub(crate) user: User,
    /// Devices of the host for a privileged container: path, `c` or `b`, major, minor.
    pub(crate) devices: Vec<(PathBuf, char, u32, u32)>,
}

/// Returns `config.json`.
pub(crate) fn config(spec: &ContainerSpec, host: &Host<'_>) -> Result<oci::Spec, OciSpecError> {
    let (capabilities, _) = CapabilitySet::of(&spec.capabilities, spec.privileged);
    let mut linux = oci::LinuxBuilder::default()
        .cgroups_path(Path::new("/").join(&spec.cgroup_parent).join(spec.id.as_str()))
        .namespaces(namespaces(spec)?)
        .sysctl(spec.sysctls.clone().into_iter().collect::<HashMap<_, _>>())
        .resources(resources(spec)?)
        .rootfs_propagation("rprivate");
    if spec.privileged {
        linux = linux.devices(devices(host)?).masked_paths(vec![]).readonly_paths(vec![]);
    } else {
        let owned = |paths: &[&str]| paths.iter().map(ToString::to_string).collect::<Vec<_>>();
        linux = linux.masked_paths(owned(MASKED_PATHS)).readonly_paths(owned(READ_ONLY_PATHS));
        if spec.seccomp == Seccomp::Default {
            linux = linux.seccomp(seccomp_profile(capabilities)?);
        }
    }
    let mut config = oci::SpecBuilder::default()
        .version("1.0.2")
        .root(oci::RootBuilder::default().path("rootfs").readonly(spec.read_only).build()?)
        .hostname(spec.hostname.clone())
        .process(process(spec, &host.user, capabilities)?)
        .mounts(mounts(spec, host.bundle)?)
        .linux(linux.build()?);
    if !spec.domainname.is_empty() {
        config = config.domainname(spec.domainname.clone());
    }
    config.build()
}

fn process(spec: &ContainerSpec, user: &User, capabilities: CapabilitySet) -> Result<oci::Process, OciSpecError> {
    let names: oci::Capabilities =
        capabilities.iter().filter_map(|c| c.to_string().trim_start_matches("CAP_").parse().ok()).collect();
    let capabilities = oci::LinuxCapabilitiesBuilder::default()
        .bounding(names.clone())
        .effective(names.clone())
        .permitted(names)
        .inheritable(oci::Capabilities::new())
        .ambient(oci::Capabilities::new())
        .build()?;
    let mut process = oci::ProcessBuilder::default()
        .terminal(spec.tty)
        .user(oci::UserBuilder::default().uid(user.uid).gid(user.gid).additional_gids(user.groups.clone()).build()?)
        .args(spec.argv.clone())
        .env(environment(spec, &user.home))
        .cwd(if spec.cwd.is_empty() { "/" } else { &spec.cwd })
        .capabilities(capabilities)
        .no_new_privileges(spec.no_new_privileges);
    let mut rlimits = Vec::new();
    for limit in &spec.rlimits {
        let name = format!("RLIMIT_{}", limit.name.to_uppercase());
        let kind = serde_json::from_value(serde_json::Value::String(name));
        let kind: oci::PosixRlimitType = kind.map_err(OciSpecError::SerDe)?;
        rlimits.push(oci::PosixRlimitBuilder::default().typ(kind).soft(limit.soft).hard(limit.hard).build()?);
    }
    process = process.rlimits(rlimits);
    if let Some(score) = spec.resources.oom_score_adj {
        process = process.oom_score_adj(score);
    }
    process.build()
}

/// Returns the environment: what Docker adds first, then the specification's.
fn environment(spec: &ContainerSpec, home: &str) -> Vec<String> {
    let set = |key: &str| spec.env.iter().any(|entry| entry.split('=').next() == Some(key));
    let mut env = Vec::new();
    let mut default = |key: &str, value: &str| {
        if !set(key) {
            env.push(format!("{key}={value}"));
        }
    };
    default("PATH", DEFAULT_PATH);
    default("HOSTNAME", &spec.hostname);
    if spec.tty {
        default("TERM", "xterm");
    }
    default("HOME", home);
    env.extend(spec.env.iter().cloned());
    env
}

fn namespaces(spec: &ContainerSpec) -> Result<Vec<oci::LinuxNamespace>, OciSpecError> {
    let mut kinds = vec![Namespace::Pid, Namespace::Mount, Namespace::Uts, Namespace::Ipc, Namespace::Cgroup];
    if !spec.host_network {
        kinds.push(Namespace::Network);
    }
    kinds.into_iter().map(|kind| oci::LinuxNamespaceBuilder::default().typ(kind).build()).collect()
}

fn mounts(spec: &ContainerSpec, bundle: &Path) -> Result<Vec<oci::Mount>, OciSpecError> {
    let shm = format!("size={}", spec.shm_size);
    let access = if spec.privileged { "rw" } else { "ro" };
    let standard: [(&str, &str, &[&str]); 7] = [
        ("/proc", "proc", &["nosuid", "noexec", "nodev"]),
        ("/dev", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
        ("/dev/pts", "devpts", &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]),
        ("/sys", "sysfs", &["nosuid", "noexec", "nodev", access]),
        ("/sys/fs/cgroup", "cgroup", &["nosuid", "noexec", "nodev", "relatime", access]),
        ("/dev/mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
        ("/dev/shm", "tmpfs", &["nosuid", "noexec", "nodev", "mode=1777", &shm]),
    ];
    let replaced = |target: &str| spec.mounts.iter().any(|m| m.target.trim_end_matches('/') == target);
    let mut list = Vec::new();
    for (target, kind, options) in standard {
        if !replaced(target) {
            let source = if kind == "tmpfs" && target == "/dev/shm" { "shm" } else { kind };
            list.push(mount(target, kind, source.into(), options.iter().map(ToString::to_string).collect())?);
        }
    }
    for name in ["resolv.conf", "hostname", "hosts"] {
        let target = format!("/etc/{name}");
        if !replaced(&target) {
            list.push(mount(&target, "bind", bundle.join(name), vec!["rbind".into(), "rprivate".into()])?);
        }
    }
    // Parents before what is mounted below them.
    let mut own: Vec<&Mount> = spec.mounts.iter().collect();
    own.sort_by_key(|m| m.target.trim_end_matches('/').matches('/').count());
    for m in own {
        let (kind, source, options) = own_mount(m);
        list.push(mount(&m.target, kind, source, options)?);
    }
    Ok(list)
}

fn own_mount(m: &Mount) -> (&'static str, PathBuf, Vec<String>) {
    let access = if m.read_only { "ro" } else { "rw" };
    match &m.kind {
        MountKind::Bind { source, propagation, .. } => {
            let propagation = if propagation.is_empty() { "rprivate" } else { propagation };
            ("bind", source.clone(), vec!["rbind".into(), access.into(), propagation.into()])
        }
        MountKind::Volume { source, subpath, .. } => {
            let source = subpath.as_ref().map_or_else(|| source.clone(), |below| source.join(below));
            ("bind", source, vec!["rbind".into(), access.into(), "rprivate".into()])
        }
        MountKind::Tmpfs { size, mode, options } => {
            let mut all: Vec<String> = ["nosuid", "nodev", "noexec", access].map(String::from).to_vec();
            all.extend(size.map(|bytes| format!("size={bytes}")));
            all.push(format!("mode={:o}", mode.unwrap_or(0o1777)));
            all.extend(options.iter().cloned());
            ("tmpfs", "tmpfs".into(), all)
        }
    }
}

fn mount(target: &str, kind: &str, source: PathBuf, options: Vec<String>) -> Result<oci::Mount, OciSpecError> {
    oci::MountBuilder::default().destination(target).typ(kind).source(source).options(options).build()
}

fn resources(spec: &ContainerSpec) -> Result<oci::LinuxResources, OciSpecError> {
    let signed = |value: u64| i64::try_from(value).unwrap_or(-1);
    let wanted = &spec.resources;
    let mut memory = oci::LinuxMemoryBuilder::default();
    if let Some(bytes) = wanted.memory {
        memory = memory.limit(signed(bytes));
    }
    if let Some(bytes) = wanted.memory_reservation {
        memory = memory.reservation(signed(bytes));
    }
    if let Some(bytes) = wanted.memory_swap {
        memory = memory.swap(bytes);
    }
    let mut cpu = oci::LinuxCpuBuilder::default();
    if let Some(nano) = wanted.nano_cpus {
        cpu = cpu.period(100_000_u64).quota(signed(nano / 10_000));
    }
    if let Some(shares) = wanted.cpu_shares {
        cpu = cpu.shares(shares);
    }
    if let Some(cpus) = &wanted.cpuset {
        cpu = cpu.cpus(cpus.clone());
    }
    let mut resources = oci::LinuxResourcesBuilder::default().memory(memory.build()?).cpu(cpu.build()?);
    if let Some(count) = wanted.pids {
        resources = resources.pids(oci::LinuxPidsBuilder::default().limit(signed(count)).build()?);
    }
    resources = resources.devices(device_rules(spec.privileged)?);
    resources.build()
}

/// Returns the device rules: any node may be made, few may be opened (as Docker has it).
fn device_rules(privileged: bool) -> Result<Vec<oci::LinuxDeviceCgroup>, OciSpecError> {
    let rule = |allow: bool, kind: oci::LinuxDeviceType, major: Option<i64>, minor: Option<i64>, access: &str| {
        let mut rule = oci::LinuxDeviceCgroupBuilder::default().allow(allow).typ(kind).access(access);
        if let Some(major) = major {
            rule = rule.major(major);
        }
        if let Some(minor) = minor {
            rule = rule.minor(minor);
        }
        rule.build()
    };
    let mut rules = vec![rule(privileged, oci::LinuxDeviceType::A, None, None, "rwm")?];
    if !privileged {
        rules.push(rule(true, oci::LinuxDeviceType::C, None, None, "m")?);
        rules.push(rule(true, oci::LinuxDeviceType::B, None, None, "m")?);
        for &(major, minor) in super::devices::OPENABLE {
            rules.push(rule(true, oci::LinuxDeviceType::C, Some(i64::from(major)), minor.map(i64::from), "rwm")?);
        }
    }
    Ok(rules)
}

fn devices(host: &Host<'_>) -> Result<Vec<oci::LinuxDevice>, OciSpecError> {
    let device = |(path, kind, major, minor): &(PathBuf, char, u32, u32)| {
        oci::LinuxDeviceBuilder::default()
            .path(path.clone())
            .typ(if *kind == 'b' { oci::LinuxDeviceType::B } else { oci::LinuxDeviceType::C })
            .major(i64::from(*major))
            .minor(i64::from(*minor))
            .file_mode(0o660_u32)
            .build()
    };
    host.devices.iter().map(device).collect()
}

fn seccomp_profile(capabilities: CapabilitySet) -> Result<oci::LinuxSeccomp, OciSpecError> {
    let rules = seccomp::default_rules(capabilities);
    let plain = rules.iter().filter(|rule| rule.action == Action::Allow).map(|rule| rule.name.to_owned());
    let call = |names: Vec<String>, action| oci::LinuxSyscallBuilder::default().names(names).action(action);
    let mut calls = vec![call(plain.collect(), SeccompAction::ScmpActAllow).build()?];
    for rule in &rules {
        let names = vec![rule.name.to_owned()];
        match rule.action {
            Action::Allow => {}
            Action::Errno(errno) => {
                calls.push(call(names, SeccompAction::ScmpActErrno).errno_ret(errno as u32).build()?);
            }
            Action::If(conditions) => {
                for condition in conditions {
                    let builder = oci::LinuxSeccompArgBuilder::default();
                    let argument = match *condition {
                        Condition::Equal(index, value) => builder
                            .index(usize::from(index))
                            .value(u64::from(value))
                            .op(oci::LinuxSeccompOperator::ScmpCmpEq),
                        Condition::Differs(index, value) => builder
                            .index(usize::from(index))
                            .value(u64::from(value))
                            .op(oci::LinuxSeccompOperator::ScmpCmpNe),
                        Condition::Without(index, bits) => builder
                            .index(usize::from(index))
                            .value(u64::from(bits))
                            .value_two(0_u64)
                            .op(oci::LinuxSeccompOperator::ScmpCmpMaskedEq),
                    };
                    let allowed = call(names.clone(), SeccompAction::ScmpActAllow).args(vec![argument.build()?]);
                    calls.push(allowed.build()?);
                }
            }
        }
    }
    oci::LinuxSeccompBuilder::default()
        .default_action(SeccompAction::ScmpActErrno)
        .default_errno_ret(1_u32)
        .syscalls(calls)
        .build()
}

/// Returns `/etc/hosts`.
pub(crate) fn hosts(spec: &ContainerSpec) -> String {
    let mut text = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n\
                    fe00::\tip6-localnet\nff00::\tip6-mcastprefix\nff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n"
        .to_owned();
    let mut line = |address: &dyn std::fmt::Display, names: &str| {
        writeln!(text, "{address}\t{names}").expect("writing to a string succeeds");
    };
    for (name, address) in &spec.extra_hosts {
        line(address, name);
    }
    let mut names = spec.hostname.clone();
    if !spec.domainname.is_empty() {
        names = format!("{}.{} {names}", spec.hostname, spec.domainname);
    }
    if spec.hostname != spec.id.short() {
        names = format!("{names} {}", spec.id.short());
    }
    for endpoint in &spec.endpoints {
        line(&endpoint.address, &names);
        if let Some(address) = endpoint.address6 {
            line(&address, &names);
        }
    }
    text
}

/// Returns `/etc/resolv.conf`: the engine's own resolver, or the host's file for a container
/// in the host's network. Settings of the specification win either way.
pub(crate) fn resolv_conf(spec: &ContainerSpec, host_file: &str) -> String {
    let own_resolver = !spec.host_network;
    let mut text = String::new();
    let mut line = |words: String| {
        text.push_str(&words);
        text.push('\n');
    };
    if own_resolver {
        line("nameserver 127.0.0.11".to_owned());
    } else {
        for address in &spec.dns {
            line(format!("nameserver {address}"));
        }
    }
    let overridden = |key: &str| match key {
        "nameserver" => own_resolver || !spec.dns.is_empty(),
        "search" | "domain" => !spec.dns_search.is_empty(),
        "options" => own_resolver || !spec.dns_options.is_empty(),
        _ => true,
    };
    for entry in host_file.lines() {
        let key = entry.split_whitespace().next().unwrap_or("");
        if !overridden(key) {
            line(entry.trim().to_owned());
        }
    }
    if !spec.dns_search.is_empty() && spec.dns_search != ["."] {
        line(format!("search {}", spec.dns_search.join(" ")));
    }
    let mut options = spec.dns_options.clone();
    if own_resolver && !options.iter().any(|option| option.starts_with("ndots:")) {
        options.push("ndots:0".to_owned());
    }
    if !options.is_empty() {
        line(format!("options {}", options.join(" ")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::fixture;

    fn rendered(spec: &ContainerSpec) -> serde_json::Value {
        let devices = vec![("/dev/kmsg".into(), 'c', 1, 11)];
        let user = User { uid: 0, gid: 0, groups: vec![], home: "/root".into() };
        let host = Host { bundle: Path::new("/b"), user, devices };
        serde_json::to_value(config(spec, &host).unwrap()).unwrap()
    }

    #[test]
    fn privileged_is_open() {
        let usual = rendered(&fixture::container());
        let open = rendered(&ContainerSpec { privileged: true, ..fixture::container() });
        let count = |config: &serde_json::Value, path: &str| {
            config.pointer(path).and_then(serde_json::Value::as_array).map_or(0, Vec::len)
        };
        assert_eq!(count(&usual, "/linux/maskedPaths"), MASKED_PATHS.len());
        assert!(!usual["linux"]["seccomp"].is_null());
        assert_eq!((count(&open, "/linux/maskedPaths"), count(&open, "/linux/readonlyPaths")), (0, 0));
        assert!(open["linux"]["seccomp"].is_null());
        assert_eq!(open["linux"]["resources"]["devices"][0]["allow"], true);
        assert_eq!((count(&usual, "/linux/devices"), count(&open, "/linux/devices")), (0, 1));
        let held = CapabilitySet::of(&crate::spec::Capabilities::default(), true).0;
        assert_eq!(count(&open, "/process/capabilities/effective"), held.iter().count());
        let sys = |config: &serde_json::Value| {
            let mounts = config["mounts"].as_array().unwrap();
            mounts.iter().find(|m| m["destination"] == "/sys").unwrap()["options"].to_string()
        };
        assert!(sys(&usual).contains("\"ro\"") && sys(&open).contains("\"rw\""));
    }

    #[test]
    fn mounts_have_the_options_of_the_file() {
        let shown = |kind: MountKind, read_only| {
            let (kind, source, options) = own_mount(&Mount { target: "/t".into(), read_only, kind });
            format!("{kind} {} {}", source.display(), options.join(","))
        };
        let bind = |propagation: &str| {
            let (source, propagation) = ("/h".into(), propagation.to_owned());
            shown(MountKind::Bind { source, create: true, propagation }, false)
        };
        assert_eq!(bind(""), "bind /h rbind,rw,rprivate");
        assert_eq!(bind("rshared"), "bind /h rbind,rw,rshared");
        let subpath = Some("deep/er".to_owned());
        let name = crate::ids::VolumeName::new("v");
        let volume = MountKind::Volume { name, source: "/v".into(), nocopy: false, subpath, anonymous: false };
        assert_eq!(shown(volume, true), "bind /v/deep/er rbind,ro,rprivate");
        let tmpfs = |size, mode, options: &[&str]| {
            shown(MountKind::Tmpfs { size, mode, options: options.iter().map(ToString::to_string).collect() }, false)
        };
        assert_eq!(tmpfs(None, None, &[]), "tmpfs tmpfs nosuid,nodev,noexec,rw,mode=1777");
        assert_eq!(
            tmpfs(Some(1024), Some(0o700), &["uid=7", "exec"]),
            "tmpfs tmpfs nosuid,nodev,noexec,rw,size=1024,mode=700,uid=7,exec"
        );
    }

    #[test]
    fn resolv_conf_says_what_the_file_says() {
        let host = "nameserver 10.0.0.1\nsearch office.example\noptions timeout:1\n";
        let spec = |search: &[&str], options: &[&str], host_network| {
            let texts = |list: &[&str]| list.iter().map(ToString::to_string).collect();
            let (dns_search, dns_options) = (texts(search), texts(options));
            let dns = vec![[9, 9, 9, 9].into()];
            resolv_conf(&ContainerSpec { dns, dns_search, dns_options, host_network, ..fixture::container() }, host)
        };
        assert_eq!(spec(&[], &[], false), "nameserver 127.0.0.11\nsearch office.example\noptions ndots:0\n");
        assert_eq!(
            spec(&["a.com", "b.com"], &["use-vc"], false),
            "nameserver 127.0.0.11\nsearch a.com b.com\noptions use-vc ndots:0\n"
        );
        assert_eq!(spec(&["."], &["ndots:2"], false), "nameserver 127.0.0.11\noptions ndots:2\n");
        assert_eq!(spec(&[], &[], true), "nameserver 9.9.9.9\nsearch office.example\noptions timeout:1\n");
    }
}
