//! Lists of oids, which may be long.

use std::fmt;

use bytes::{BufMut, Bytes, BytesMut};
use model::Oid;

/// How an oid is sent: a string of 8 bytes.
pub(crate) const OID_HEAD: [u8; 2] = [0xc4, 8];
/// Bytes that an oid takes as it is sent.
pub(crate) const OID_LENGTH: usize = OID_HEAD.len() + 8;

/// Oids in order, held as they are sent.
///
/// A transaction may change millions of objects. A list of so many is checked while it comes in,
/// and passed on as it is: nobody is held up by it. To copy it costs nothing.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Oids(Bytes);

impl Oids {
    /// Wraps oids as they are sent, which were checked.
    pub(crate) fn from_wire(bytes: Bytes) -> Self {
        Self(bytes)
    }

    /// The oids as they are sent.
    pub(crate) fn as_wire(&self) -> &Bytes {
        &self.0
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len() / OID_LENGTH
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The oids, in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = Oid> + ExactSizeIterator + Clone {
        let (items, _) = self.0.as_chunks::<OID_LENGTH>();
        items.iter().map(|[_, _, oid @ ..]| Oid::from_be_bytes(*oid))
    }

    /// The oid at a place, counted from 0.
    pub fn get(&self, index: usize) -> Option<Oid> {
        let (items, _) = self.0.as_chunks::<OID_LENGTH>();
        items.get(index).map(|[_, _, oid @ ..]| Oid::from_be_bytes(*oid))
    }
}

impl FromIterator<Oid> for Oids {
    fn from_iter<I: IntoIterator<Item = Oid>>(oids: I) -> Self {
        let oids = oids.into_iter();
        let mut bytes = BytesMut::with_capacity(oids.size_hint().0 * OID_LENGTH);
        for oid in oids {
            let mut item = [0; OID_LENGTH];
            item[..OID_HEAD.len()].copy_from_slice(&OID_HEAD);
            item[OID_HEAD.len()..].copy_from_slice(&oid.to_be_bytes());
            bytes.put_slice(&item);
        }
        Self(bytes.freeze())
    }
}

impl From<Vec<Oid>> for Oids {
    fn from(oids: Vec<Oid>) -> Self {
        oids.into_iter().collect()
    }
}

impl<const N: usize> From<[Oid; N]> for Oids {
    fn from(oids: [Oid; N]) -> Self {
        oids.into_iter().collect()
    }
}

impl fmt::Debug for Oids {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}
