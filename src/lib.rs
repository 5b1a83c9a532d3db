//! `stack` runs Compose files without Docker. This page is the map of the code.
//!
//! ```text
//! files, env --compose--> Project --plan--> Plan (DAG of steps, each with its cause) --apply--> kernel
//!                                    ^                                                   |
//!                                Observed <------------- events, pidfds, netlink --------+
//! ```
//!
//! One binary plays three roles (`main.rs` picks): the client draws, the daemon owns all
//! state, and `__shim` is the small server whose copies are the shims: one per container, each
//! outlives the daemon and clones the container's first process.
//!
//! | module | owns | may use |
//! | --- | --- | --- |
//! | [`cli`] | arguments, a file per command, rendering, exit codes | `api`, `compose`, `graph`, `event`, `crash` (cards), `timing`, `engine` (sessions, roles), `plan` (a service's hash), `schemas`, `spec` (values), `diag`, `ids`, `paths`, `remote`, `secrecy` |
//! | [`api`] | what crosses the daemon's socket, versioned | `event`, `crash` (cards), `timing`, `ids`, `compose::model`, `spec` (values), `plan::review` (data), `paths` |
//! | [`daemon`] | one task owns all containers; operations, adoption, leaving; `daemon::machine` is the real [`host::Host`] | all but `cli`, `compose` (phases), `sys` |
//! | [`remote`] | Compose files of git repositories and registries, in the user's cache | `compose::remote`, `image` (artifacts), `ids` |
//! | [`compose`] | Compose files to a typed model, phase by phase | `diag`, `ids`, `spec` (values), `secrecy` |
//! | [`graph`] | dependency graph, order, cycles as paths; pure | `compose::model`, `diag`, `ids` |
//! | [`plan`] | desired + observed -> steps, and what they mean to a person (`plan::review`); pure | `compose::model`, `graph`, `ids`, `spec`, `secrecy` |
//! | [`apply`] | the DAG executor; decides nothing | `plan`, `host` (trait), `event`, `compose::model`, `ids` |
//! | [`crash`] | facts of a run that ended -> the card that tells why; pure | `ids` (signal names) |
//! | [`timing`] | spans of an `up` -> what decided how long it took; pure | `ids` |
//! | [`lifecycle`] | one replica's states; pure, time as argument | `compose::model`, `spec`, `ids` |
//! | [`host`] | the narrow trait `apply` needs, and `fake` for tests | `plan` (types), `spec`, `ids` |
//! | [`engine`] | one container: bundle, init, shim, exec, cgroup, seccomp, logs | `sys`, `store`, `spec`, `ids`, `paths`, `net::publish` |
//! | [`net`] | router namespace, bridges, veths, rulesets, published ports, DNS | `sys`, `spec`, `ids`, `paths` |
//! | [`image`] | references, registries, the on-disk layout, unpacking | `store`, `spec` (an image's configuration), `ids` |
//! | [`volume`] | named volumes, seeding from the image | `store`, `spec`, `ids` |
//! | [`watch`] | what follows when files change: rules, batches, differences, loops (pure); watching folders, copying into containers | `compose::model`, `ids` |
//! | [`spec`] | container, network and volume specifications: the plain data `plan` makes and the engine executes | `ids` |
//! | [`store`], [`event`], [`diag`], [`ids`], [`secrecy`] | records on disk; event vocabulary; spans, diagnostics, nearest words; newtypes, image references, signal names; which values are shown as `***` | `ids`; `event` also `crash` (cards) |
//! | [`schemas`] | JSON Schemas of what is read and printed | `compose` |
//! | [`sys`] | the only `unsafe` code: namespaces, pidfds, mounts, descriptor passing | - |
//!
//! # Invariants
//!
//! - `plan`, `graph`, `lifecycle` and `compose` (but for reading files) do no I/O, read no
//!   clock and log nothing: same input, same output.
//! - `plan` names every id, name and address; `apply` decides nothing.
//! - `engine`, `net` and `image` have never heard of Compose.
//! - A threaded process runs no code between fork and exec: the daemon spawns `stack __shim`,
//!   which is single-threaded and clones the container's init.
//! - Nothing of ours exists on the host outside the router namespace but the uplink and its
//!   masquerade rule.
//!
//! # Where this differs from what was first drawn, and why
//!
//! - `spec` is a layer of its own: the planner must name everything and the engine must not know
//!   the planner, so what they share is plain data.
//! - Image references are `ids::reference`, not a part of `image`: a mistake in one is a mistake in the
//!   file, and `compose` names its place.
//! - `daemon::machine` is the real host: what it does to a container goes through the task that owns
//!   the state, which a layer below the daemon could not ask. `host` keeps the trait and the fake.
//! - `cli` uses `engine::exec`: a session's bytes go straight to the shim, so `exec` outlives the daemon.
//! - Shims are copies of one pre-started server: a fork costs 0.2 ms, executing a program of this
//!   size 2 ms, and the copies share its memory (0.3 MiB PSS each).
//! - Rulesets are data with a small netlink encoder of our own (`net::nft`): adding a set element
//!   takes 11 µs; running `nft`, which the `nftables` crate needs, took 3 ms of CPU each time. A test
//!   compares the result with what `nft list ruleset` prints.
//! - YAML is read with `saphyr-parser`, the reader half of `saphyr`: nodes keep their spans through
//!   all phases, so its tree would only have been copied.
//! - Progress is drawn without `indicatif`: Compose's block of lines has no bar, and its width
//!   follows small terminals.

#![recursion_limit = "256"]

pub mod api;
pub mod apply;
pub mod cli;
pub mod compose;
pub mod crash;
pub mod daemon;
pub mod diag;
pub mod engine;
pub mod event;
pub mod graph;
pub mod host;
pub mod ids;
pub mod image;
pub mod lifecycle;
pub mod net;
pub mod paths;
pub mod plan;
pub mod remote;
pub mod schemas;
pub mod secrecy;
pub mod spec;
pub mod store;
pub mod sys;
pub mod timing;
pub mod volume;
pub mod watch;
