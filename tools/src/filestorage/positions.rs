//! Where the last record of each object is.

use std::collections::BTreeMap;

use model::Oid;

/// A map from oid to position, for many oids: oids are given out in sequence, so those that
/// differ in the last byte only share a page. A full page costs 9 bytes an oid, a page for a
/// single one about 100 bytes.
#[derive(Debug, Default)]
pub(super) struct Positions {
    pages: BTreeMap<u64, Page>,
}

/// Objects whose oids differ in the last byte only: these bytes in order, and the positions.
#[derive(Debug, Default)]
struct Page {
    bytes: Vec<u8>,
    positions: Vec<u64>,
}

impl Positions {
    pub(super) fn get(&self, oid: Oid) -> Option<u64> {
        let (page, byte) = split(oid);
        let page = self.pages.get(&page)?;
        let index = page.bytes.binary_search(&byte).ok()?;
        Some(page.positions[index])
    }

    pub(super) fn set(&mut self, oid: Oid, position: u64) {
        let (page, byte) = split(oid);
        let page = self.pages.entry(page).or_default();
        match page.bytes.binary_search(&byte) {
            Ok(index) => page.positions[index] = position,
            Err(index) => {
                page.bytes.insert(index, byte);
                page.positions.insert(index, position);
            }
        }
    }
}

fn split(oid: Oid) -> (u64, u8) {
    let [.., byte] = oid.to_be_bytes();
    (oid.get() >> 8, byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_the_last_position_of_every_oid() {
        let mut positions = Positions::default();
        let mut model = BTreeMap::new();
        let mut oid = 1_u64;
        for position in 0..5_000 {
            oid = oid.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(7);
            // A few pages with many oids, among them the first and the last of all.
            let oid = Oid::new((oid & 0x3ff) | if oid & 1 << 40 == 0 { 0 } else { !0x3ff });
            positions.set(oid, position);
            model.insert(oid, position);
        }
        assert!(model.len() > 1_500, "{}", model.len());
        for (oid, position) in &model {
            assert_eq!(positions.get(*oid), Some(*position));
        }
        assert_eq!(positions.get(Oid::new(0x1234_5678)), None);
    }
}
