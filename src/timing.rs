//! What an `up` took and on what: spans, each with those it waited for, and the chain of them that decided
//! how long it was; pure.
//!
//! Times are microseconds since the operation began. A span never begins before the spans it waited for have
//! ended: what is between the two is time that it waited for a free place.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::ids::ProjectName;

/// What the last `up` of a project took.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timings {
    /// The project.
    pub project: ProjectName,
    /// When the operation began, nanoseconds since 1970.
    pub began_ns: i64,
    /// How long it was, microseconds.
    pub took_us: u64,
    /// Something failed.
    pub failed: bool,
    /// What it consisted of; those that a span waited for stand before it.
    pub spans: Vec<Span>,
}

/// One thing that took time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// Which part of the work it was.
    pub phase: Phase,
    /// What was worked on: a reference, the name of a network, volume, container or service; empty for the
    /// project.
    pub subject: String,
    /// Containers that it was done for, by name; none for what the project as a whole needs.
    pub containers: Vec<String>,
    /// When it began.
    pub begin_us: u64,
    /// When it ended.
    pub end_us: u64,
    /// Spans that it waited for, by their place in the list.
    pub after: Vec<u32>,
    /// It failed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub failed: bool,
}

impl Span {
    /// Returns how long it was.
    pub fn took_us(&self) -> u64 {
        self.end_us.saturating_sub(self.begin_us)
    }
}

/// A part of the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Fetching an image: until its last byte is here.
    Pull,
    /// Unpacking an image: what is left of it when the last byte is here, for it is unpacked as it comes.
    Unpack,
    /// Looking at what there is and planning.
    Plan,
    /// Asking a container to stop, and removing it.
    Stop,
    /// Making a volume.
    Volume,
    /// Making a container.
    Create,
    /// Making a network, or a container's namespace with its links, addresses and names.
    Network,
    /// From there until the container's process runs.
    Start,
    /// From there until the container is ready, healthy, or done.
    Ready,
    /// Changing a container in place, handing over to it, watching over it.
    Update,
}

impl Phase {
    /// All, in the order of a container's life.
    pub const ALL: [Self; 10] = [
        Self::Plan,
        Self::Pull,
        Self::Unpack,
        Self::Volume,
        Self::Stop,
        Self::Create,
        Self::Network,
        Self::Start,
        Self::Update,
        Self::Ready,
    ];

    /// Returns its name.
    pub fn word(self) -> &'static str {
        match self {
            Self::Pull => "pull",
            Self::Unpack => "unpack",
            Self::Plan => "plan",
            Self::Stop => "stop",
            Self::Volume => "volume",
            Self::Create => "create",
            Self::Network => "network",
            Self::Start => "start",
            Self::Ready => "ready",
            Self::Update => "update",
        }
    }
}

/// What one container took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row<'a> {
    /// Its name.
    pub container: &'a str,
    /// Its spans, by their place in the list.
    pub spans: Vec<usize>,
    /// Microseconds of each phase it had.
    pub phases: BTreeMap<Phase, u64>,
}

impl Timings {
    /// Returns the chain of spans that decided how long it was until the last of them ended: each waited for the
    /// one before it, and longest for that one. First to last, by place in the list.
    pub fn critical_path(&self) -> Vec<usize> {
        let ends = |index: &usize| (self.spans[*index].end_us, *index);
        let mut path: Vec<usize> = (0..self.spans.len()).max_by_key(ends).into_iter().collect();
        while let Some(&last) = path.last() {
            let span = &self.spans[last];
            let before = span.after.iter().map(|index| *index as usize);
            // What ended later than this began is not what it waited for.
            let held = before.filter(|before| *before < last && self.spans[*before].end_us <= span.begin_us);
            match held.max_by_key(ends) {
                Some(before) => path.push(before),
                None => break,
            }
        }
        path.reverse();
        path
    }

    /// Returns when the last span ended, or the operation, if that was later.
    pub fn end_us(&self) -> u64 {
        self.spans.iter().map(|span| span.end_us).fold(self.took_us, u64::max)
    }

    /// Returns what each container took, in the order in which they were ready or at least started.
    pub fn rows(&self) -> Vec<Row<'_>> {
        let mut rows: BTreeMap<&str, Row<'_>> = BTreeMap::new();
        for (index, span) in self.spans.iter().enumerate() {
            for container in &span.containers {
                let new = || Row { container, spans: Vec::new(), phases: BTreeMap::new() };
                let row = rows.entry(container).or_insert_with(new);
                row.spans.push(index);
            }
        }
        for row in rows.values_mut() {
            for phase in Phase::ALL {
                let spans = row.spans.iter().map(|index| &self.spans[*index]).filter(|span| span.phase == phase);
                let spans: Vec<_> = spans.map(|span| (span.begin_us, span.end_us)).collect();
                if !spans.is_empty() {
                    row.phases.insert(phase, covered(spans));
                }
            }
        }
        let mut rows: Vec<_> = rows.into_values().collect();
        let end = |row: &Row<'_>| row.spans.iter().map(|index| self.spans[*index].end_us).max();
        rows.sort_by_key(|row| (end(row), row.container));
        rows
    }

    /// Adds when containers became ready that nobody waited for: name, and nanoseconds since 1970.
    pub fn add_ready(&mut self, ready: &BTreeMap<String, i64>) {
        let waited: BTreeSet<&str> = self
            .spans
            .iter()
            .filter(|span| span.phase == Phase::Ready)
            .flat_map(|span| span.containers.iter().map(String::as_str))
            .collect();
        let late = self.spans.iter().enumerate().filter(|(_, span)| span.phase == Phase::Start && !span.failed);
        let late = late.filter_map(|(index, span)| {
            let container = span.containers.first().filter(|name| !waited.contains(name.as_str()))?;
            let ready_us = u64::try_from((ready.get(container)? - self.began_ns) / 1000).ok()?;
            Some(Span {
                phase: Phase::Ready,
                subject: container.clone(),
                containers: vec![container.clone()],
                begin_us: span.end_us,
                end_us: ready_us.max(span.end_us),
                after: vec![u32::try_from(index).ok()?],
                failed: false,
            })
        });
        let late: Vec<_> = late.collect();
        self.spans.extend(late);
    }
}

/// Returns how much time spans cover; what two of them share counts once.
fn covered(mut spans: Vec<(u64, u64)>) -> u64 {
    spans.sort_unstable();
    let (mut sum, mut until) = (0, 0);
    for (begin, end) in spans {
        sum += end.saturating_sub(begin.max(until));
        until = until.max(end);
    }
    sum
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Reads `phase subject begin end [after...]`, a span a line; the subject is the container.
    fn timings(text: &str) -> Timings {
        let span = |line: &str| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let phase = Phase::ALL.into_iter().find(|phase| phase.word() == words[0]).unwrap();
            Span {
                phase,
                subject: words[1].to_owned(),
                containers: vec![words[1].to_owned()],
                begin_us: words[2].parse().unwrap(),
                end_us: words[3].parse().unwrap(),
                after: words[4..].iter().map(|word| word.parse().unwrap()).collect(),
                failed: false,
            }
        };
        let spans: Vec<Span> = text.lines().map(str::trim).filter(|line| !line.is_empty()).map(span).collect();
        let took_us = spans.iter().map(|span| span.end_us).max().unwrap_or(0);
        Timings { project: ProjectName::new("app"), began_ns: 0, took_us, failed: false, spans }
    }

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let timings = timings(text);
        let word = |index: usize| format!("{} {}", timings.spans[index].phase.word(), timings.spans[index].subject);
        let path: Vec<String> = timings.critical_path().into_iter().map(word).collect();
        assert_eq!(path.join(", "), expected);
    }

    #[test]
    fn nothing_has_no_path() {
        check("", "");
    }

    #[test]
    fn the_path_ends_with_what_ended_last_and_goes_back_over_what_held_it_longest() {
        check(
            "create db 0 10
             create web 0 12
             start db 10 20 0
             ready db 20 90 2
             start web 90 95 1 3",
            "create db, start db, ready db, start web",
        );
    }

    #[test]
    fn what_is_independent_is_not_on_the_path() {
        check(
            "create a 0 10
             create b 0 50
             start a 10 12 0
             start b 50 53 1",
            "create b, start b",
        );
    }

    #[test]
    fn waiting_for_a_free_place_does_not_break_the_path() {
        check("create a 0 10\n start a 40 50 0", "create a, start a");
    }

    #[test]
    fn containers_that_nobody_waited_for_are_ready_when_they_say_so() {
        let mut timings = timings("start a 0 10\n start b 0 10\n ready b 10 20 1\n start c 5 10");
        timings.add_ready(&BTreeMap::from([("a".to_owned(), 30_000), ("b".to_owned(), 99_000)]));
        let ready = timings.rows().into_iter().map(|row| (row.container, row.phases.get(&Phase::Ready).copied()));
        assert_eq!(ready.collect::<Vec<_>>(), [("c", None), ("b", Some(10)), ("a", Some(20))]);
        assert_eq!((timings.took_us, timings.end_us()), (20, 30));
    }

    #[test]
    fn a_container_has_the_time_of_all_its_spans() {
        let timings = timings("stop a 0 10\n stop a 8 12\n start a 12 15 1");
        let rows = timings.rows();
        assert_eq!(rows[0].phases, BTreeMap::from([(Phase::Stop, 12), (Phase::Start, 3)]));
    }

    /// Spans of a random run: each waits for some before it, then for a place, then works.
    fn runs() -> impl Strategy<Value = Vec<Span>> {
        let span = (prop::collection::vec(any::<prop::sample::Index>(), 0..4), 0u64..50, 0u64..100);
        prop::collection::vec(span, 0..40).prop_map(|random| {
            let mut spans: Vec<Span> = Vec::new();
            for (before, pause, took) in random {
                let before: BTreeSet<usize> =
                    before.iter().filter(|_| !spans.is_empty()).map(|index| index.index(spans.len())).collect();
                let free = before.iter().map(|index| spans[*index].end_us).max().unwrap_or(0);
                spans.push(Span {
                    phase: Phase::Start,
                    subject: String::new(),
                    containers: Vec::new(),
                    begin_us: free + pause,
                    end_us: free + pause + took,
                    after: before.into_iter().map(|index| index as u32).collect(),
                    failed: false,
                });
            }
            spans
        })
    }

    proptest! {
        #[test]
        fn the_path_is_a_chain_of_what_was_waited_for_and_no_longer_than_the_whole(spans in runs()) {
            let timings = Timings { spans, ..timings("") };
            let path = timings.critical_path();
            prop_assert_eq!(path.is_empty(), timings.spans.is_empty());
            for pair in path.windows(2) {
                let (before, span) = (&timings.spans[pair[0]], &timings.spans[pair[1]]);
                prop_assert!(span.after.contains(&(pair[0] as u32)));
                prop_assert!(before.end_us <= span.begin_us);
                // Nothing else that it waited for ended later.
                prop_assert!(span.after.iter().all(|other| timings.spans[*other as usize].end_us <= before.end_us));
            }
            let sum: u64 = path.iter().map(|index| timings.spans[*index].took_us()).sum();
            prop_assert!(sum <= timings.end_us());
            prop_assert_eq!(path.last().map(|last| timings.spans[*last].end_us), timings.spans.iter().map(|s| s.end_us).max());
            // It begins with what waited for nothing.
            prop_assert!(path.first().is_none_or(|first| timings.spans[*first].after.is_empty()));
        }
    }
}
