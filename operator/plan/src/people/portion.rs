//! Portions: what one pod loads. A Job that has a pod for each tells how far it is by those that have ended well.

use std::ops::Range;

use plinth_api::v1alpha1::people::{People, PeopleOf};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::household::GROUP;
use super::person;

/// People that a pod loads at least, and pods of a Job at most.
const LEAST: u32 = 100;
const PODS: u32 = 100;

/// People in portions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Portions {
    /// Whose identifiers and names they have.
    pub country: PeopleOf,
    /// What they follow from.
    pub seed: u32,
    /// How many they are.
    pub amount: u32,
    /// How many are in a portion; fewer in the last.
    pub size: u32,
}

impl Portions {
    /// Of the people that are asked for.
    pub fn of(people: &People) -> Self {
        let People { amount, seed, country } = *people;
        Self { country, seed, amount, size: amount.div_ceil(PODS).max(LEAST) }
    }

    /// How many portions there are.
    pub fn count(&self) -> u32 {
        self.amount.div_ceil(self.size.max(1))
    }

    /// The people of a portion, as calls see them; nobody where there is no such portion.
    pub fn people(&self, index: u32) -> Vec<Value> {
        let one = |number| serde_json::to_value(person(self.country, self.seed, number)).unwrap_or_default();
        self.numbers(index).map(one).collect()
    }

    /// A few of the people, some of them grown up and some children: what planning tries calls out on.
    pub fn sample(&self) -> Vec<Value> {
        Self { amount: GROUP.min(self.amount), ..*self }.people(0)
    }

    /// How many people are in the portions that a Job names as completed, `0-3,7`.
    pub fn loaded(&self, completed: &str) -> u32 {
        let bound = |text: &str| text.trim().parse::<u32>().ok();
        let ranges = completed.split(',').filter_map(|part| match part.split_once('-') {
            Some((first, last)) => Some(bound(first)?..=bound(last)?),
            None => Some(bound(part)?..=bound(part)?),
        });
        let portions = ranges.flatten().take_while(|index| *index < self.count());
        portions.map(|index| u32::try_from(self.numbers(index).len()).unwrap_or_default()).sum()
    }

    fn numbers(&self, index: u32) -> Range<u32> {
        let first = index.saturating_mul(self.size).min(self.amount);
        first..first.saturating_add(self.size).min(self.amount)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(amount: u32) -> Portions {
        Portions::of(&People { amount, seed: 7, country: PeopleOf::Ukraine })
    }

    #[test]
    fn portions_are_everybody_once_and_no_more_than_a_job_has_pods() {
        for amount in [1, 99, 100, 101, 250, 10_000, 10_001, 100_000] {
            let portions = of(amount);
            assert!(portions.count() <= PODS, "{portions:?}");
            let numbers: Vec<u32> = (0..portions.count()).flat_map(|index| portions.numbers(index)).collect();
            assert_eq!(numbers, (0..amount).collect::<Vec<_>>());
        }
        assert!(of(100).people(1).is_empty());
    }

    #[test]
    fn a_portion_counts_once_its_pod_has_ended_well() {
        let portions = of(250);
        for (completed, loaded) in
            [("", 0), ("0", 100), ("2", 50), ("0-1", 200), ("0,2", 150), ("0-2", 250), ("0-7", 250)]
        {
            assert_eq!(portions.loaded(completed), loaded, "{completed}");
        }
    }
}
