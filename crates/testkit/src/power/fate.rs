//! How one loss of power treats what was not synced.

use std::collections::VecDeque;

use runtime::Seed;

/// In percent. The ends are there because most mistakes show when nothing of one kind survives and all of another.
const ODDS: [u64; 5] = [0, 10, 50, 90, 100];
/// Of what does not survive as it is, so many of a hundred are torn.
const TORN: u64 = 40;

/// How one loss of power treats what was not synced.
#[derive(Debug)]
pub struct Fate<'a> {
    seed: &'a Seed,
    odds: u64,
}

impl<'a> Fate<'a> {
    /// Draws the odds.
    pub fn draw(seed: &'a Seed) -> Self {
        let drawn = usize::try_from(seed.below(ODDS.len() as u64)).unwrap_or_default();
        Self { seed, odds: ODDS.get(drawn).copied().unwrap_or_default() }
    }

    /// Whether one thing survives as it was last.
    pub fn survives(&self) -> bool {
        self.seed.below(100) < self.odds
    }

    /// Whether one thing is torn. Nothing is while all is kept or all is lost.
    pub fn tears(&self) -> bool {
        !matches!(self.odds, 0 | 100) && self.seed.below(100) < TORN
    }

    /// A number up to and with `most`; the last one if everything survives, none if nothing does.
    pub fn up_to(&self, most: u64) -> u64 {
        match self.odds {
            0 => 0,
            100 => most,
            _ => self.seed.below(most + 1),
        }
    }

    /// One of the states that a thing had: the last one, or one of the earlier ones, of which the first was synced.
    pub fn state<'t, T>(&self, earlier: &'t VecDeque<T>, now: &'t T) -> &'t T {
        if self.survives() {
            return now;
        }
        let chosen = if self.odds == 0 { 0 } else { self.seed.below(earlier.len() as u64) };
        usize::try_from(chosen).ok().and_then(|chosen| earlier.get(chosen)).unwrap_or(now)
    }
}
