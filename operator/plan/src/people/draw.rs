//! Chance that can be had again: each thing that is drawn has a stream of its own, of a generator whose output is specified.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore as _, SeedableRng as _};

/// What something is drawn for. The numbers are part of what a seed gives.
#[derive(Clone, Copy)]
#[repr(u8)]
pub enum About {
    Households = 1,
    Sex = 2,
    Birth = 3,
    GivenName = 4,
    MiddleName = 5,
    ChildrensMiddleName = 6,
    FamilyName = 7,
    Address = 8,
    Account = 9,
}

/// What is drawn for one thing: the same whenever and in whatever order it is asked for.
pub struct Draw(ChaCha8Rng);

impl Draw {
    /// For the thing of that number.
    pub fn of(seed: u32, about: About, number: u32) -> Self {
        let mut key = *b"plinth: people that are made up.";
        for (byte, of_seed) in key.iter_mut().zip(seed.to_le_bytes()) {
            *byte = of_seed;
        }
        let mut generator = ChaCha8Rng::from_seed(key);
        generator.set_stream((about as u64) << 32 | u64::from(number));
        Self(generator)
    }

    /// A number below `limit`.
    pub fn below(&mut self, limit: u64) -> u64 {
        let wide = u128::from(self.0.next_u64()) * u128::from(limit);
        u64::try_from(wide >> 64).unwrap_or_default()
    }

    /// One of several; there has to be one.
    pub fn one<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        let place = self.below(all.len().try_into().unwrap_or(u64::MAX));
        &all[usize::try_from(place).unwrap_or_default()]
    }

    /// Another number below `size` for each `number` below it, no two the same.
    pub fn shuffled(&mut self, number: u64, size: u64) -> u64 {
        // A step without a common divisor visits each once; about the golden section, neighbours come far apart.
        let mut step = size * 5 / 8 + self.below(size / 8);
        while gcd(step, size) != 1 {
            step += 1;
        }
        (step % size * (number % size) + self.below(size)) % size
    }
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}
