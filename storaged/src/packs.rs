//! Pack orders that are known, and how they were signed.
//!
//! What an order says is kept with its transaction; that may be voted, or committed long ago. How
//! it is signed comes later, so it has a place of its own in the node's metadata.

use std::collections::BTreeMap;

use engine::{MetadataEdit, MetadataKey};
use model::Tid;

/// Bytes of an entry: id and signature.
const ENTRY_LENGTH: usize = 9;

/// Pack orders by id: the tid of their transaction, or its ttid while it has none.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct PackOrders {
    orders: BTreeMap<Tid, Option<bool>>,
}

impl PackOrders {
    /// As kept in metadata; `None` if that makes no sense.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (entries, rest) = bytes.as_chunks::<ENTRY_LENGTH>();
        if !rest.is_empty() {
            return None;
        }
        let mut orders = BTreeMap::new();
        for [id @ .., signed] in entries {
            let approved = match signed {
                0 => Some(false),
                1 => Some(true),
                2 => None,
                _ => return None,
            };
            orders.insert(Tid::new(u64::from_le_bytes(*id)), approved);
        }
        Some(Self { orders })
    }

    /// The edit that keeps them.
    pub(crate) fn edit(&self) -> MetadataEdit {
        let mut bytes = Vec::with_capacity(self.orders.len() * ENTRY_LENGTH);
        for (id, approved) in &self.orders {
            bytes.extend_from_slice(&id.get().to_le_bytes());
            bytes.push(approved.map_or(2, u8::from));
        }
        MetadataEdit::set(MetadataKey::PackOrders, bytes)
    }

    /// Takes note of an order that nobody signed. Whether it is new.
    pub(crate) fn add(&mut self, id: Tid) -> bool {
        match self.orders.contains_key(&id) {
            true => false,
            false => self.orders.insert(id, None).is_none(),
        }
    }

    /// The transaction of an order got its tid. Whether there is such an order.
    pub(crate) fn commit(&mut self, ttid: Tid, tid: Tid, approved: bool) -> bool {
        let Some(signed) = self.orders.remove(&ttid) else { return false };
        self.orders.insert(tid, if approved { Some(true) } else { signed });
        true
    }

    /// Signs orders. Whether any was there.
    pub(crate) fn sign(&mut self, ids: &[Tid], approved: bool) -> bool {
        let mut changed = false;
        for id in ids {
            if let Some(signed) = self.orders.get_mut(id) {
                changed |= *signed != Some(approved);
                *signed = Some(approved);
            }
        }
        changed
    }

    /// Forgets orders. Whether there were any.
    pub(crate) fn retain(&mut self, keep: impl Fn(Tid) -> bool) -> bool {
        let before = self.orders.len();
        self.orders.retain(|id, _| keep(*id));
        self.orders.len() < before
    }

    /// How an order is signed.
    pub(crate) fn approved(&self, id: Tid) -> Option<bool> {
        self.orders.get(&id).copied().flatten()
    }

    /// Ids from one on.
    pub(crate) fn from(&self, first: Tid) -> impl Iterator<Item = Tid> {
        self.orders.range(first..).map(|(id, _)| *id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_come_back_from_their_bytes() {
        let mut orders = PackOrders::default();
        for id in [10, 20, 30] {
            assert!(orders.add(Tid::new(id)));
        }
        assert!(!orders.add(Tid::new(20)));
        assert!(orders.sign(&[Tid::new(10), Tid::new(11)], true));
        assert!(!orders.sign(&[Tid::new(10)], true), "it is so already");
        assert!(orders.sign(&[Tid::new(20)], false));
        assert!(orders.commit(Tid::new(30), Tid::new(33), false));
        let bytes = orders.edit().value.unwrap();
        assert_eq!(bytes.len(), 27);
        assert_eq!(PackOrders::from_bytes(&bytes), Some(orders.clone()));
        let signed = [10, 20, 33].map(|id| orders.approved(Tid::new(id)));
        assert_eq!(signed, [Some(true), Some(false), None]);
        assert_eq!(orders.from(Tid::new(11)).collect::<Vec<_>>(), [Tid::new(20), Tid::new(33)]);
        assert_eq!(PackOrders::from_bytes(&bytes[1..]), None);
    }
}
