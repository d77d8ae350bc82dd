//! Metadata of a transaction.

use bytes::Bytes;
use model::{Oid, Tid, Ttid};

use super::codec::{Decoded, Put, Take, length_u32, malformed};
use super::oids::SealedOids;
use super::record::Compression;

const FLAG_PACKED: u8 = 1;
const FLAG_PACK_ORDER: u8 = 2;
const NO_OIDS: u32 = u32::MAX;

/// What is known of a transaction besides its objects.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Transaction {
    /// The id that it had before it was committed.
    pub ttid: Ttid,
    /// User name, as given.
    pub user: Bytes,
    /// Description, as given.
    pub description: Bytes,
    /// Extension, as given (a pickle).
    pub extension: Bytes,
    /// The oids it changed, in the client's order. An oid may occur more than once (see
    /// [`Superseded`]).
    pub oids: Vec<Oid>,
    /// Whether a pack went over it (status `p` of FileStorage).
    pub packed: bool,
    /// The pack order that rides on it.
    pub pack_order: Option<PackOrder>,
    /// Earlier records of oids that occur more than once.
    pub superseded: Vec<Superseded>,
}

/// A request to pack.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PackOrder {
    /// Whether it was approved, `None` while it is not signed.
    pub approved: Option<bool>,
    /// Whether only `oids` are to be packed.
    pub partial: bool,
    /// The oids of a partial pack.
    pub oids: Option<Vec<Oid>>,
    /// Pack up to this tid.
    pub tid: Tid,
}

/// A record of an oid that the same transaction wrote again later. It is no revision: it is only
/// kept because FileStorage keeps it too.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Superseded {
    /// Index in [`Transaction::oids`].
    pub position: u32,
    /// The label of an undo.
    pub data_tid: Option<Tid>,
    /// How `data` is coded.
    pub compression: Compression,
    /// Its data, none for a deletion.
    pub data: Option<Bytes>,
}

impl Transaction {
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        self.encode_around(out, None);
    }

    /// Encodes all but the bytes of the oids where those are given. Where they belong.
    pub(crate) fn encode_around(&self, out: &mut Vec<u8>, oids: Option<&SealedOids>) -> usize {
        out.put_u64(self.ttid.get());
        let mut flags = 0;
        if self.packed {
            flags |= FLAG_PACKED;
        }
        if self.pack_order.is_some() {
            flags |= FLAG_PACK_ORDER;
        }
        out.put_u8(flags);
        out.put_bytes(&self.user);
        out.put_bytes(&self.description);
        out.put_bytes(&self.extension);
        match oids {
            Some(oids) => out.put_u32(length_u32(oids.count())),
            None => put_oids(out, &self.oids),
        }
        let place = out.len();
        if let Some(order) = &self.pack_order {
            out.put_u8(match order.approved {
                Some(false) => 0,
                Some(true) => 1,
                None => 2,
            });
            out.put_u8(u8::from(order.partial));
            match &order.oids {
                Some(oids) => put_oids(out, oids),
                None => out.put_u32(NO_OIDS),
            }
            out.put_u64(order.tid.get());
        }
        out.put_u32(length_u32(self.superseded.len()));
        for superseded in &self.superseded {
            superseded.encode(out);
        }
        place
    }

    pub(crate) fn decode(take: &mut Take<'_>) -> Decoded<Self> {
        let ttid = Ttid::new(take.u64()?);
        let flags = take.u8()?;
        if flags & !(FLAG_PACKED | FLAG_PACK_ORDER) != 0 {
            return malformed("known flags of a transaction");
        }
        let user = Bytes::copy_from_slice(take.bytes()?);
        let description = Bytes::copy_from_slice(take.bytes()?);
        let extension = Bytes::copy_from_slice(take.bytes()?);
        let count = take.count(8)?;
        let oids = take_oids(take, count)?;
        let pack_order = match flags & FLAG_PACK_ORDER {
            0 => None,
            _ => Some(decode_pack_order(take)?),
        };
        let count = take.count(9)?;
        let mut superseded = Vec::with_capacity(count);
        for _ in 0..count {
            superseded.push(Superseded::decode(take)?);
        }
        let packed = flags & FLAG_PACKED != 0;
        Ok(Self { ttid, user, description, extension, oids, packed, pack_order, superseded })
    }
}

impl Superseded {
    const DATA_TID: u8 = 2;
    const NO_DATA: u8 = 4;
    const ZLIB: u8 = 16;

    fn encode(&self, out: &mut Vec<u8>) {
        out.put_u32(self.position);
        let mut flags = 0;
        if self.data_tid.is_some() {
            flags |= Self::DATA_TID;
        }
        if self.data.is_none() {
            flags |= Self::NO_DATA;
        }
        if self.compression == Compression::Zlib {
            flags |= Self::ZLIB;
        }
        out.put_u8(flags);
        if let Some(tid) = self.data_tid {
            out.put_u64(tid.get());
        }
        out.put_bytes(self.data.as_deref().unwrap_or_default());
    }

    fn decode(take: &mut Take<'_>) -> Decoded<Self> {
        let position = take.u32()?;
        let flags = take.u8()?;
        let data_tid = match flags & Self::DATA_TID {
            0 => None,
            _ => Some(Tid::new(take.u64()?)),
        };
        let data = Bytes::copy_from_slice(take.bytes()?);
        let data = (flags & Self::NO_DATA == 0).then_some(data);
        let compression =
            if flags & Self::ZLIB == 0 { Compression::None } else { Compression::Zlib };
        Ok(Self { position, data_tid, compression, data })
    }
}

fn decode_pack_order(take: &mut Take<'_>) -> Decoded<PackOrder> {
    let approved = match take.u8()? {
        0 => Some(false),
        1 => Some(true),
        2 => None,
        _ => return malformed("whether a pack order is approved"),
    };
    let partial = take.u8()? != 0;
    let mut peek = *take;
    let oids = if peek.u32()? == NO_OIDS {
        take.u32()?;
        None
    } else {
        let count = take.count(8)?;
        Some(take_oids(take, count)?)
    };
    Ok(PackOrder { approved, partial, oids, tid: Tid::new(take.u64()?) })
}

fn put_oids(out: &mut Vec<u8>, oids: &[Oid]) {
    out.put_u32(length_u32(oids.len()));
    out.reserve(oids.len() * 8);
    for oid in oids {
        out.put_u64(oid.get());
    }
}

fn take_oids(take: &mut Take<'_>, count: usize) -> Decoded<Vec<Oid>> {
    let (chunks, _) = take.slice(count * 8)?.as_chunks::<8>();
    Ok(chunks.iter().map(|bytes| Oid::new(u64::from_le_bytes(*bytes))).collect())
}
