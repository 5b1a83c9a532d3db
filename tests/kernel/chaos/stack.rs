//! The stack of twelve services, and what is expected of it after a fault. Pure.

use std::collections::BTreeMap;

use super::fault::Fault;

/// What the test knows of a service.
pub(super) struct Service {
    pub(super) name: &'static str,
    /// Networks of its own.
    pub(super) networks: &'static [&'static str],
    /// Where volumes and bind mounts are in its containers.
    pub(super) mounts: &'static [&'static str],
    /// It has a healthcheck.
    pub(super) check: bool,
    /// It is started again when it dies.
    pub(super) again: bool,
    /// It writes records.
    pub(super) writes: bool,
}

const fn service(
    name: &'static str,
    networks: &'static [&'static str],
    mounts: &'static [&'static str],
    check: bool,
    writes: bool,
) -> Service {
    Service { name, networks, mounts, check, again: true, writes }
}

/// The services of [`file`].
pub(super) const SERVICES: &[Service] = &[
    service("api", &["front", "back"], &["/scripts", "/acks", "/data"], true, true),
    Service { again: false, ..service("batch", &["back"], &["/scripts"], false, false) },
    service("cache", &["back"], &["/scripts", "/scratch"], true, false),
    service("db", &["back"], &["/scripts", "/acks", "/data"], true, true),
    service("logger", &["front"], &["/scripts"], false, false),
    Service { again: false, ..service("migrate", &["back"], &["/scripts", "/acks", "/data"], false, false) },
    service("monitor", &["front", "back"], &[], false, false),
    service("queue", &["back"], &["/scripts", "/acks", "/data"], false, true),
    service("side", &[], &["/scripts", "/acks", "/data"], false, true),
    service("tree", &[], &["/scripts"], false, false),
    service("web", &["front"], &["/scripts", "/pages"], false, false),
    service("worker", &["back"], &["/scripts", "/acks", "/data"], false, true),
];

/// Returns a service of [`SERVICES`].
pub(super) fn known(name: &str) -> &'static Service {
    SERVICES.iter().find(|service| service.name == name).unwrap_or_else(|| panic!("no service {name}"))
}

/// Appends records, each with its digest. One is acknowledged once it is on the disk; nothing else counts.
/// What cannot be written (a full disk) is tried again on a line of its own.
pub(super) const WRITER: &str = r#"
name=$1 most=${2:-0}
[ -e /acks/.here ] || { echo "the folder of acknowledgements is not there" >&2; exit 9; }
trap 'exit 0' TERM
rm -f /tmp/broken
exec 3>>/data/$name.$HOSTNAME 4>>/acks/$name.$HOSTNAME
read began rest </proc/uptime
n=0
while [ $most = 0 ] || [ $n -lt $most ]; do
  n=$((n + 1))
  text="$name $HOSTNAME $began $n"
  sum=$(echo "$text" | sha256sum)
  sum=${sum%% *}
  if [ ${#sum} = 64 ] && printf '\n%s %s\n' "$text" "$sum" >&3 && sync -d /proc/self/fd/3; then
    printf '%s %s\n' "$text" "$sum" >&4
  fi
  [ $most != 0 ] || sleep 0.2
done
"#;

/// A process with children: each one that ends is replaced.
pub(super) const TREE: &str = r"
trap 'exit 0' TERM
while :; do
  sleep 1000 &
  sleep 1000 &
  wait -n
done
";

/// Returns the project's file; `changes` counts the changes of each service's environment and limits.
pub(super) fn file(port: u16, changes: &BTreeMap<&'static str, (u32, u32)>) -> String {
    let own = |name: &str| {
        let (environment, limit) = changes.get(name).copied().unwrap_or_default();
        format!(
            "image: busybox, stop_grace_period: 0s, environment: {{CHANGE: '{environment}'}}, mem_limit: {}m",
            64 + limit % 2
        )
    };
    let check = "{test: test ! -e /tmp/broken, interval: 200ms, retries: 2}";
    let writes = |volume: &str| {
        format!(
            "volumes: ['./scripts:/scripts:ro', './acks:/acks', '{volume}:/data'], init: true, stop_grace_period: 1s"
        )
    };
    let scripts = "volumes: ['./scripts:/scripts:ro']";
    let sleep = "sh -c 'rm -f /tmp/broken; exec sleep 100000'";
    // Later keys of the same name win: the writers' grace.
    let lines = [
        format!(
            "db: {{{}, command: sh /scripts/writer db, {}, restart: always, networks: [back], healthcheck: {check}}}",
            own("db"),
            writes("db")
        ),
        format!(
            "queue: {{{}, command: sh /scripts/writer queue, {}, restart: unless-stopped, networks: [back], depends_on: [db]}}",
            own("queue"),
            writes("queue")
        ),
        format!(
            "migrate: {{{}, command: sh /scripts/writer migrate 3, {}, networks: [back], depends_on: {{db: {{condition: service_healthy}}}}}}",
            own("migrate"),
            writes("shared")
        ),
        format!(
            "api: {{{}, command: sh /scripts/writer api, {}, restart: always, networks: [front, back], healthcheck: {check}, scale: 2, \
             depends_on: {{db: {{condition: service_healthy, restart: true}}, migrate: {{condition: service_completed_successfully}}}}}}",
            own("api"),
            writes("shared")
        ),
        format!(
            "web: {{{}, command: httpd -f -p 80 -h /pages, volumes: ['./scripts:/scripts:ro', './pages:/pages:ro'], restart: unless-stopped, \
             networks: [front], depends_on: [api], ports: ['127.0.0.1:{port}:80']}}",
            own("web")
        ),
        format!(
            "side: {{{}, command: sh /scripts/writer side, {}, restart: always, network_mode: 'service:web'}}",
            own("side"),
            writes("shared")
        ),
        format!(
            "worker: {{{}, command: sh /scripts/writer worker, volumes: ['./scripts:/scripts:ro', './acks:/acks', './small:/data'], init: true, \
             restart: on-failure, networks: [back], depends_on: {{queue: {{condition: service_started, restart: true}}}}}}",
            own("worker")
        ),
        format!(
            "cache: {{{}, command: sh -c 'rm -f /tmp/broken; exec httpd -f -p 80 -h /scripts', {scripts}, restart: always, networks: [back], tmpfs: ['/scratch:size=256k'], \
             healthcheck: {{test: test ! -e /tmp/broken && ! df /scratch | grep -q 100%, interval: 200ms, retries: 2}}}}",
            own("cache")
        ),
        format!(
            "logger: {{{}, command: {sleep}, {scripts}, restart: always, networks: [front], logging: {{options: {{max-size: 64k, max-file: '2'}}}}}}",
            own("logger")
        ),
        format!(
            "tree: {{{}, command: sh /scripts/tree, {scripts}, init: true, restart: always, network_mode: none}}",
            own("tree")
        ),
        format!("batch: {{{}, command: sleep 100000, {scripts}, networks: [back]}}", own("batch")),
        format!(
            "monitor: {{{}, command: sleep 100000, restart: always, networks: [front, back], \
             depends_on: {{web: {{condition: service_started}}, cache: {{condition: service_healthy}}}}}}",
            own("monitor")
        ),
    ];
    let lines: Vec<String> = lines.iter().map(|line| single_grace(line)).collect();
    format!(
        "services:\n  {}\nnetworks: {{front: , back: }}\nvolumes: {{db: , queue: , shared: }}\n",
        lines.join("\n  ")
    )
}

/// A writer ends by itself when it is asked to: its grace wins over the one of all.
fn single_grace(line: &str) -> String {
    match line.matches("stop_grace_period").count() {
        2 => line.replacen("stop_grace_period: 0s, ", "", 1),
        _ => line.to_owned(),
    }
}

/// What a service must come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// It runs, healthy where it has a check; the job has ended well.
    Up,
    /// A user ended it.
    Stopped,
    /// It died, and nothing starts it again.
    Dead,
    /// It has no container.
    Gone,
    /// One of them: both are right.
    Either,
}

/// What the whole stack must come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Expected {
    services: BTreeMap<&'static str, Wanted>,
    /// Replicas of `api`.
    pub(super) scale: usize,
}

impl Expected {
    /// Returns what is expected after `up`.
    pub(super) fn all_up() -> Self {
        Self { services: SERVICES.iter().map(|service| (service.name, Wanted::Up)).collect(), scale: 2 }
    }

    /// Returns what a service must come to. One that shares the network of another has none while that is down.
    pub(super) fn of(&self, name: &str) -> Wanted {
        match self.services[name] {
            Wanted::Up if name == "side" && self.services["web"] != Wanted::Up => Wanted::Either,
            wanted => wanted,
        }
    }

    /// Returns how many containers a service must have.
    pub(super) fn count(&self, name: &str) -> usize {
        match (self.services[name], name) {
            (Wanted::Gone, _) => 0,
            (_, "api") => self.scale,
            _ => 1,
        }
    }

    /// Tells whether a fault can be made now: a command that is refused tests something else.
    pub(super) fn allows(&self, fault: &Fault) -> bool {
        let is = |name: &str, wanted: &[Wanted]| wanted.contains(&self.of(name));
        match fault {
            // A guest starts where its host is.
            Fault::Start("side") | Fault::Restart("side") if !is("web", &[Wanted::Up]) => false,
            Fault::Start(name) | Fault::Stop(name) | Fault::Kill(name) | Fault::Remove(name) | Fault::Restart(name) => {
                !is(name, &[Wanted::Gone, Wanted::Either])
            }
            Fault::DeleteFiles(name, _)
            | Fault::KillMain(name, _)
            | Fault::KillChild(name, _)
            | Fault::KillShim(name, _)
            | Fault::Freeze(name, _)
            | Fault::FreezeEngine(name, _)
            | Fault::FreezeShim(name, _)
            | Fault::RemoveInside(name, _)
            | Fault::Unmount(name, _)
            | Fault::Unhealthy(name, _) => is(name, &[Wanted::Up]),
            Fault::FillTmpfs => is("cache", &[Wanted::Up]),
            Fault::FillLog => is("logger", &[Wanted::Up]),
            // Each of them is asked for itself, at its turn.
            Fault::Both(..)
            | Fault::KillShimServer
            | Fault::KillEngine
            | Fault::EndEngine
            | Fault::RemoveLink(_)
            | Fault::LinkDown(_)
            | Fault::LinkOff(_)
            | Fault::RemoveBridge(_)
            | Fault::BridgeDown(_)
            | Fault::RemoveUplink
            | Fault::FillDisk
            | Fault::Up
            | Fault::UpTwice
            | Fault::UpChanged(_)
            | Fault::UpInPlace(_)
            | Fault::Scale(_)
            | Fault::UpKilled(_)
            | Fault::UpDies(..)
            | Fault::DownUp => true,
        }
    }

    /// Takes in two faults that were made at the same time.
    pub(super) fn after_both(&mut self, faults: [&Fault; 2]) {
        let ends_engine = |fault: &Fault| matches!(fault, Fault::KillEngine | Fault::EndEngine);
        match faults {
            // The engine knows what a container was from its files and by heart: whoever takes both leaves nothing
            // to make it from, until the next `up`.
            [Fault::DeleteFiles(name, _), other] | [other, Fault::DeleteFiles(name, _)] if ends_engine(other) => {
                self.services.insert(name, Wanted::Either);
            }
            // What ended while its shim and the engine did is as after a start of the machine.
            [Fault::KillShim("worker", _), other] | [other, Fault::KillShim("worker", _)] if ends_engine(other) => {
                self.services.insert("worker", Wanted::Either);
            }
            _ => {}
        }
    }

    /// Takes in a fault that was made.
    pub(super) fn after(&mut self, fault: &Fault) {
        match fault {
            Fault::KillMain(name, _)
            | Fault::KillShim(name, _)
            | Fault::FreezeEngine(name, _)
            | Fault::FreezeShim(name, _) => {
                if !known(name).again && self.services[name] == Wanted::Up && *name != "migrate" {
                    self.services.insert(name, Wanted::Dead);
                }
            }
            Fault::Stop(name) | Fault::Kill(name) => {
                // What had died is as it was.
                if *name != "migrate" {
                    self.services.insert(name, Wanted::Stopped);
                }
            }
            Fault::Start(name) | Fault::Restart(name) => drop(self.services.insert(name, Wanted::Up)),
            Fault::Remove(name) => drop(self.services.insert(name, Wanted::Gone)),
            Fault::DeleteFiles("migrate", _) => drop(self.services.insert("migrate", Wanted::Gone)),
            Fault::Scale(count) => *self = Self { scale: *count as usize, ..Self::all_up() },
            Fault::Up
            | Fault::UpTwice
            | Fault::UpChanged(_)
            | Fault::UpInPlace(_)
            | Fault::UpKilled(_)
            | Fault::UpDies(..)
            | Fault::DownUp => *self = Self::all_up(),
            Fault::Both(..) => unreachable!("each of them is made for itself"),
            Fault::KillChild(..)
            | Fault::KillShimServer
            | Fault::KillEngine
            | Fault::EndEngine
            | Fault::Freeze(..)
            | Fault::DeleteFiles(..)
            | Fault::RemoveLink(_)
            | Fault::LinkDown(_)
            | Fault::LinkOff(_)
            | Fault::RemoveInside(..)
            | Fault::RemoveBridge(_)
            | Fault::BridgeDown(_)
            | Fault::RemoveUplink
            | Fault::Unmount(..)
            | Fault::FillTmpfs
            | Fault::FillDisk
            | Fault::FillLog
            | Fault::Unhealthy(..) => {}
        }
    }
}

#[test]
fn a_fault_changes_what_is_expected_of_its_service_alone() {
    let check = |faults: &[Fault], service: &str, wanted: Wanted| {
        let mut expected = Expected::all_up();
        faults.iter().for_each(|fault| expected.after(fault));
        assert_eq!(expected.of(service), wanted, "{faults:?}");
    };
    check(&[Fault::KillMain("db", 0)], "db", Wanted::Up);
    check(&[Fault::KillMain("batch", 0)], "batch", Wanted::Dead);
    check(&[Fault::KillMain("batch", 0), Fault::Start("batch")], "batch", Wanted::Up);
    check(&[Fault::Stop("db")], "db", Wanted::Stopped);
    check(&[Fault::Stop("db"), Fault::KillEngine], "db", Wanted::Stopped);
    check(&[Fault::Stop("web")], "side", Wanted::Either);
    check(&[Fault::Remove("db"), Fault::Scale(3)], "db", Wanted::Up);
    let mut expected = Expected::all_up();
    expected.after_both([&Fault::KillEngine, &Fault::DeleteFiles("web", 0)]);
    assert_eq!((expected.of("web"), expected.of("side")), (Wanted::Either, Wanted::Either));
    expected.after(&Fault::Up);
    assert_eq!(expected, Expected::all_up());
}
