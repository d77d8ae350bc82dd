//! What ends a run: what it holds, and where the parts of the file are.

use crate::format::{Decoded, Location, Order, RunSummary, Take, malformed};

/// Length of the end of a run.
pub(crate) const FOOTER_LENGTH: usize = 128;

/// The decoded end of a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Footer {
    /// What the manifest says too.
    pub(crate) summary: RunSummary,
    /// The blocks of the root.
    pub(crate) root: Location,
    /// The filter with its checksum; of length 0 if there is none.
    pub(crate) filter: Location,
    /// Different (partition, oid), where there is a filter.
    pub(crate) keys: u64,
    /// xxh3 of all bytes before the footer.
    pub(crate) hash: u64,
}

impl Footer {
    /// Of the run with this number and this length of the whole file.
    pub(crate) fn decode(bytes: &[u8], seed: u32, number: u32, length: u64) -> Decoded<Self> {
        let Some(bytes) = bytes.first_chunk::<FOOTER_LENGTH>() else {
            return malformed("the footer of a run");
        };
        let (covered, crc) = bytes.split_at(FOOTER_LENGTH - 4);
        if crc32c::crc32c_append(seed, covered).to_le_bytes() != crc {
            return malformed("the checksum of a run's footer");
        }
        let mut take = Take::new(covered);
        let order = Order::from_code(take.u32()?)?;
        let root_length = take.u32()?;
        let root = Location { file: 0, length: root_length, offset: take.u64()? };
        let offset = take.u64()?;
        let filter = Location { file: 0, length: take.u32()?, offset };
        let level = take.u32()?;
        let mut numbers = [0; 8];
        for number in &mut numbers {
            *number = take.u64()?;
        }
        let [items, tombstones, tid_min, tid_max, seq_min, seq_max, keys, hash] = numbers;
        for part in [root, filter] {
            let end = part.offset.checked_add(u64::from(part.length));
            if end.is_none_or(|end| end > length) {
                return malformed("parts within the run");
            }
        }
        let level = u8::try_from(level).or(malformed("the level of a run"))?;
        let summary = RunSummary {
            number,
            length,
            order,
            level,
            items,
            tombstones,
            tid_min,
            tid_max,
            seq_min,
            seq_max,
        };
        Ok(Self { summary, root, filter, keys, hash })
    }
}
