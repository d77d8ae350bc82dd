//! Randomness as a value: the same seed gives the same numbers on every platform.

/// A generator of pseudo-random numbers (xoshiro256**, seeded through SplitMix64).
///
/// Machines, simulators and tests get their randomness from one of these, which is made from a
/// seed that is printed when something fails, so that it can be run again. The sequence of a seed
/// never changes between versions. Not for secrets.
///
/// ```
/// use model::Random;
///
/// let mut random = Random::from_seed(42);
/// let die = 1 + random.below(6);
/// assert!((1..=6).contains(&die));
/// assert_eq!(Random::from_seed(42).below(6), die - 1);
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Random {
    state: [u64; 4],
}

impl Random {
    /// A generator for a seed; all seeds are equally good.
    pub fn from_seed(seed: u64) -> Self {
        let mut mix = seed;
        Self { state: std::array::from_fn(|_| split_mix(&mut mix)) }
    }

    /// A generator of its own for another part of the program: what that part draws does not
    /// change what this one gives.
    pub fn split(&mut self) -> Self {
        Self::from_seed(self.next_u64())
    }

    /// Any 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        let [a, b, c, d] = self.state;
        let result = b.wrapping_mul(5).rotate_left(7).wrapping_mul(9);
        let (c, d) = (c ^ a, d ^ b);
        self.state = [a ^ d, b ^ c, c ^ (b << 17), d.rotate_left(45)];
        result
    }

    /// A number from 0 to `bound - 1`, all equally likely.
    ///
    /// # Panics
    /// If `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        assert!(bound > 0, "no number is below 0");
        // The numbers below 2^64 mod bound are drawn again: what remains is a multiple of bound.
        let excess = bound.wrapping_neg() % bound;
        loop {
            let number = self.next_u64();
            if number >= excess {
                return number % bound;
            }
        }
    }

    /// An index of a list of `length` items, all equally likely.
    ///
    /// # Panics
    /// If `length` is 0.
    pub fn index(&mut self, length: usize) -> usize {
        let length = u64::try_from(length).expect("a length fits 64 bits");
        usize::try_from(self.below(length)).expect("less than a length")
    }

    /// True `numerator` times out of `denominator`, on average.
    ///
    /// # Panics
    /// If `denominator` is 0.
    pub fn chance(&mut self, numerator: u64, denominator: u64) -> bool {
        self.below(denominator) < numerator
    }

    /// One of the items; `None` if there is none.
    pub fn choose<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        if items.is_empty() { None } else { Some(&items[self.index(items.len())]) }
    }

    /// Fills a buffer with random bytes.
    pub fn fill(&mut self, buffer: &mut [u8]) {
        for chunk in buffer.chunks_mut(8) {
            chunk.copy_from_slice(&self.next_u64().to_le_bytes()[..chunk.len()]);
        }
    }

    /// So many random bytes.
    pub fn bytes(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.fill(&mut bytes);
        bytes
    }

    /// Puts the items in random order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.index(last + 1));
        }
    }
}

/// One step of SplitMix64: spreads seeds that differ in few bits, and gives no four zeros in a row.
fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// First numbers of the reference implementations, by D. Blackman and S. Vigna.
    #[test]
    fn sequences_are_those_of_the_reference() {
        let mut seed = 1_234_567;
        assert_eq!(split_mix(&mut seed), 6_457_827_717_110_365_317);
        assert_eq!(split_mix(&mut seed), 3_203_168_211_198_807_973);

        let mut random = Random { state: [1, 2, 3, 4] };
        let expected = [11_520, 0, 1_509_978_240, 1_215_971_899_390_074_240];
        assert_eq!(expected.map(|_| random.next_u64()), expected);
    }

    #[test]
    fn the_sequence_of_a_seed_never_changes() {
        let mut random = Random::from_seed(42);
        let first = [random.next_u64(), random.next_u64()];
        assert_eq!(first, [1_546_998_764_402_558_742, 6_990_951_692_964_543_102]);
        assert_eq!(random.bytes(3), random_bytes_of_42());
    }

    fn random_bytes_of_42() -> Vec<u8> {
        let mut random = Random::from_seed(42);
        random.next_u64();
        random.next_u64();
        random.next_u64().to_le_bytes()[..3].to_vec()
    }

    #[test]
    fn below_reaches_every_number_and_no_other() {
        let mut random = Random::from_seed(1);
        let mut counts = [0; 7];
        for _ in 0..7_000 {
            counts[random.index(7)] += 1;
        }
        assert!(counts.iter().all(|count| (800..1_200).contains(count)), "{counts:?}");
        assert_eq!(random.below(1), 0);
        for _ in 0..100 {
            assert!(random.below(u64::MAX) < u64::MAX);
        }
    }

    #[test]
    fn chance_is_about_what_was_asked() {
        let mut random = Random::from_seed(2);
        let hits = (0..10_000).filter(|_| random.chance(1, 4)).count();
        assert!((2_300..2_700).contains(&hits), "{hits}");
        assert!(!random.chance(0, 1));
        assert!(random.chance(1, 1));
    }

    #[test]
    fn shuffle_keeps_the_items() {
        let mut random = Random::from_seed(3);
        let mut items: Vec<u32> = (0..100).collect();
        random.shuffle(&mut items);
        assert_ne!(items, (0..100).collect::<Vec<_>>());
        items.sort_unstable();
        assert_eq!(items, (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn choose_takes_nothing_from_nothing() {
        let mut random = Random::from_seed(4);
        assert_eq!(random.choose::<u8>(&[]), None);
        assert_eq!(random.choose(&[7]), Some(&7));
    }

    #[test]
    fn what_a_part_draws_does_not_change_the_whole() {
        let mut idle = Random::from_seed(5);
        let mut busy = idle.clone();
        idle.split();
        busy.split().bytes(1_000);
        assert_eq!(idle, busy);
    }
}
