//! Who lives together. People come in groups of [`GROUP`] that are divided into households in one of a few ways, so that whose
//! household somebody is in needs no look at anybody before.

use std::ops::Range;

use serde::Serialize;

use super::Sex;
use super::draw::{About, Draw};

/// Year in which ages are as [`Role::years`] has them.
pub const AS_OF: i16 = 2026;

/// People of a group; children are in every one.
pub const GROUP: u32 = 8;

/// What somebody is in a household. Ages of the roles do not overlap: birth and number alone tell people apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Role {
    /// Grown up, without children.
    Grown,
    /// Has children here.
    Parent,
    /// Lives with a parent.
    Child,
    /// Old.
    Elder,
}

impl Role {
    /// Years of birth. Parents are from 20 to 44 when a child is born.
    pub fn years(self) -> Range<i16> {
        match self {
            Role::Child => AS_OF - 17..AS_OF - 3,
            Role::Grown => AS_OF - 36..AS_OF - 21,
            Role::Parent => AS_OF - 48..AS_OF - 37,
            Role::Elder => AS_OF - 90..AS_OF - 65,
        }
    }
}

use Role::{Child as C, Elder as E, Grown as G, Parent as P};

/// How groups may be divided.
const DIVISIONS: [&[&[Role]]; 5] = [
    &[&[P, P, C, C], &[E, E], &[G], &[G]],
    &[&[P, P, C], &[P, C, C], &[G, G]],
    &[&[P, P, C, C, C], &[E], &[G, G]],
    &[&[P, C], &[P, P, C, C], &[E, E]],
    &[&[G, G], &[P, P, C], &[E], &[G], &[E]],
];

/// People who live together.
#[derive(Clone, Copy)]
pub struct Household {
    /// Number of the first of them.
    pub first: u32,
    roles: &'static [Role],
}

impl Household {
    /// That of a person.
    pub fn of(seed: u32, number: u32) -> Self {
        let group = number / GROUP;
        let division = Draw::of(seed, About::Households, group).one(&DIVISIONS).iter();
        let mut first = group * GROUP;
        for roles in division {
            let home = Self { first, roles };
            if home.members().contains(&number) {
                return home;
            }
            first = home.members().end;
        }
        Self { first: number, roles: &[G] }
    }

    /// Their numbers.
    pub fn members(&self) -> Range<u32> {
        self.first..self.first + u32::try_from(self.roles.len()).unwrap_or_default()
    }

    /// What a member is.
    pub fn role(&self, number: u32) -> Role {
        let place = usize::try_from(number - self.first).unwrap_or_default();
        self.roles.get(place).copied().unwrap_or(G)
    }

    /// The second of a couple is of the other sex; everybody else is by chance.
    pub fn sex(&self, seed: u32, number: u32) -> Sex {
        let is_second = number > self.first && self.role(number) == self.role(number - 1);
        if is_second && self.role(number) != Role::Child {
            return match self.sex(seed, number - 1) {
                Sex::Female => Sex::Male,
                Sex::Male => Sex::Female,
            };
        }
        *Draw::of(seed, About::Sex, number).one(&[Sex::Female, Sex::Male])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_division_is_of_a_whole_group_and_no_child_is_alone() {
        for division in DIVISIONS {
            let all: usize = division.iter().map(|roles| roles.len()).sum();
            assert_eq!(all, GROUP as usize, "{division:?}");
            for roles in division {
                assert!(!roles.contains(&C) || roles[0] == P, "{roles:?}");
            }
        }
    }
}
