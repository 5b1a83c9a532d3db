//! Collects steps in any order and numbers them.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::{Cause, Op, Step, StepId};

/// A step before it has its number; an index into [`Builder`].
pub(super) type Draft = usize;

/// Steps being collected.
#[derive(Default)]
pub(super) struct Builder {
    drafts: Vec<(Op, Cause)>,
    after: Vec<Vec<Draft>>,
    follows: Vec<Vec<Draft>>,
}

impl Builder {
    /// Adds a step.
    pub(super) fn add(&mut self, op: Op, cause: Cause) -> Draft {
        self.drafts.push((op, cause));
        self.after.push(Vec::new());
        self.follows.push(Vec::new());
        self.drafts.len() - 1
    }

    /// Lets `step` begin only when `before` has succeeded.
    pub(super) fn after(&mut self, step: Draft, before: impl IntoIterator<Item = Draft>) {
        self.after[step].extend(before);
    }

    /// Lets `step` begin only when `before` has ended, well or not.
    pub(super) fn follows(&mut self, step: Draft, before: impl IntoIterator<Item = Draft>) {
        self.follows[step].extend(before);
    }

    /// Returns the steps numbered from 1, each after all that it waits for, otherwise in the
    /// order in which they were added; `None` when they wait for each other in a circle.
    pub(super) fn finish(mut self) -> Option<Vec<Step>> {
        let count = self.drafts.len();
        let mut dependents: Vec<Vec<Draft>> = vec![Vec::new(); count];
        let mut missing = vec![0usize; count];
        for (step, missing) in missing.iter_mut().enumerate() {
            for list in [&mut self.after[step], &mut self.follows[step]] {
                list.sort_unstable();
                list.dedup();
            }
            let after = &self.after[step];
            self.follows[step].retain(|before| after.binary_search(before).is_err());
            for &before in after.iter().chain(&self.follows[step]) {
                dependents[before].push(step);
                *missing += 1;
            }
        }
        let mut free: BinaryHeap<_> = (0..count).filter(|step| missing[*step] == 0).map(Reverse).collect();
        let mut number = vec![StepId(0); count];
        let mut order = Vec::with_capacity(count);
        while let Some(Reverse(step)) = free.pop() {
            order.push(step);
            number[step] = StepId(u32::try_from(order.len()).unwrap_or(u32::MAX));
            for &dependent in &dependents[step] {
                missing[dependent] -= 1;
                if missing[dependent] == 0 {
                    free.push(Reverse(dependent));
                }
            }
        }
        if order.len() < count {
            return None;
        }
        let mut drafts: Vec<_> = self.drafts.into_iter().map(Some).collect();
        let numbers = |list: &[Draft]| {
            let mut ids: Vec<_> = list.iter().map(|before| number[*before]).collect();
            ids.sort_unstable();
            ids
        };
        let steps = order
            .iter()
            .filter_map(|&step| {
                let (op, cause) = drafts[step].take()?;
                let (after, follows) = (numbers(&self.after[step]), numbers(&self.follows[step]));
                Some(Step { id: number[step], op, after, follows, cause })
            })
            .collect();
        Some(steps)
    }
}
