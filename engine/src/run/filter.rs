//! Blocked Bloom filters: one cache line a key, 6 bits in it.

/// Bits for each key: about 1 % of absent keys pass.
const BITS_PER_KEY: u64 = 12;
/// Larger filters get fewer bits a key, so that memory stays bounded.
const LENGTH_MAX: u64 = 64 << 20;
const LINE_LENGTH: usize = 64;

/// The hash of an object's (partition, oid).
pub(crate) fn filter_hash(partition: u32, oid: u64) -> u64 {
    mix(oid ^ mix(u64::from(partition)))
}

fn mix(mut value: u64) -> u64 {
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

fn line_of(hash: u64, lines: usize) -> usize {
    let high = u128::from(hash >> 32);
    usize::try_from((high * lines as u128) >> 32).expect("below the number of lines")
}

fn bits_of(hash: u64) -> impl Iterator<Item = usize> {
    let spread = hash.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (0..6).map(move |n| ((spread >> (10 + 9 * n)) & 511) as usize)
}

/// Collects keys.
#[derive(Debug)]
pub(crate) struct FilterBuilder {
    lines: Vec<u8>,
}

impl FilterBuilder {
    /// For at most so many keys.
    pub(crate) fn new(keys: u64) -> Self {
        let bytes = (keys.saturating_mul(BITS_PER_KEY) / 8).clamp(1, LENGTH_MAX);
        let bytes = usize::try_from(bytes).expect("bounded");
        Self { lines: vec![0; bytes.next_multiple_of(LINE_LENGTH)] }
    }

    pub(crate) fn insert(&mut self, hash: u64) {
        let start = line_of(hash, self.lines.len() / LINE_LENGTH) * LINE_LENGTH;
        for bit in bits_of(hash) {
            self.lines[start + bit / 8] |= 1 << (bit % 8);
        }
    }

    pub(crate) fn into_lines(self) -> Vec<u8> {
        self.lines
    }
}

/// A filter in memory.
#[derive(Debug)]
pub(crate) struct Filter {
    lines: Vec<u8>,
}

impl Filter {
    /// Of whole lines; `None` if these are none.
    pub(crate) fn new(lines: Vec<u8>) -> Option<Self> {
        (!lines.is_empty() && lines.len().is_multiple_of(LINE_LENGTH)).then_some(Self { lines })
    }

    /// `false` only for a key that was not inserted.
    #[inline]
    pub(crate) fn may_contain(&self, hash: u64) -> bool {
        let start = line_of(hash, self.lines.len() / LINE_LENGTH) * LINE_LENGTH;
        let line = &self.lines[start..start + LINE_LENGTH];
        bits_of(hash).all(|bit| line[bit / 8] & (1 << (bit % 8)) != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_absent_keys_pass() {
        for keys in [1, 10, 1000, 100_000] {
            let mut builder = FilterBuilder::new(keys);
            for oid in 0..keys {
                builder.insert(filter_hash(3, oid));
            }
            let filter = Filter::new(builder.into_lines()).expect("whole lines");
            assert!((0..keys).all(|oid| filter.may_contain(filter_hash(3, oid))));
            let passed = (0..10_000).filter(|n| filter.may_contain(filter_hash(4, *n))).count();
            assert!(passed < 300, "{passed} of 10,000 with {keys} keys");
        }
    }
}
