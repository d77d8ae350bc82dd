//! How each kind of field is written and read.

use bytes::Bytes;
use model::{
    Cell, CellChange, CellState, ClusterState, Nid, NodeState, NodeType, Oid, PartitionId,
    PartitionTableId, Tid, Ttid,
};

use super::decode::{Decoder, LIST_LENGTH_MAX, Malformed};
use super::encode::Encoder;
use crate::address::Address;
use crate::message::{
    CheckSource, Checksum, Data, ErrorCode, IdTimestamp, NodeInformation, Oids, OrderedMap,
    PackOrder, PackRequest, PackState, RelockConflict, RelockData, UndoSerials, Value,
};

/// Something that messages are made of.
pub(crate) trait Field: Sized {
    fn encode(&self, out: &mut Encoder<'_>);
    fn decode(input: &mut Decoder<'_>) -> Result<Self, Malformed>;
}

/// Lists in lists, where a message leaves open what is sent.
const VALUE_DEPTH_MAX: usize = 8;
/// Bytes of an extension: those of NEO are numbers of items.
const EXTENSION_LENGTH_MAX: usize = 16;
/// Capacity that is given to a list before its items are seen.
const CAPACITY_MAX: usize = 4096;

macro_rules! ids {
    ($($name:ident)*) => {$(
        impl Field for $name {
            fn encode(&self, out: &mut Encoder<'_>) {
                out.bytes(&self.to_be_bytes());
            }

            fn decode(input: &mut Decoder<'_>) -> Result<Self, Malformed> {
                Ok(Self::from_be_bytes(input.fixed_bytes("an id of 8 bytes")?))
            }
        }
    )*};
}

ids!(Oid Tid Ttid);

macro_rules! enums {
    ($($name:ident = $kind:literal)*) => {$(
        impl Field for $name {
            fn encode(&self, out: &mut Encoder<'_>) {
                out.extension($kind, &[self.number()]);
            }

            fn decode(input: &mut Decoder<'_>) -> Result<Self, Malformed> {
                let item = match input.extension()? {
                    ($kind, data) if data.len() == 1 => Self::from_number(data[0]),
                    _ => None,
                };
                item.ok_or(Malformed::Expected(concat!("an item of ", stringify!($name))))
            }
        }
    )*};
}

enums!(CellState = 0 ClusterState = 1 NodeState = 3 NodeType = 4);

macro_rules! numbers {
    ($($name:ty: $what:literal)*) => {$(
        impl Field for $name {
            fn encode(&self, out: &mut Encoder<'_>) {
                out.unsigned(u64::from(*self));
            }

            fn decode(input: &mut Decoder<'_>) -> Result<Self, Malformed> {
                input.unsigned()?.try_into().map_err(|_| Malformed::Expected($what))
            }
        }
    )*};
}

numbers!(u8: "a number below 2^8" u16: "a number below 2^16" u32: "a number below 2^32"
    u64: "a number below 2^64");

/// Structures that are sent as lists of their fields, in this order.
macro_rules! structures {
    ($($name:ident { $($field:ident),* } = $length:literal)*) => {$(
        impl Field for $name {
            fn encode(&self, out: &mut Encoder<'_>) {
                out.array_header($length);
                $(self.$field.encode(out);)*
            }

            fn decode(input: &mut Decoder<'_>) -> Result<Self, Malformed> {
                input.array_header_of($length)?;
                Ok(Self { $($field: Field::decode(input)?,)* })
            }
        }
    )*};
}

structures! {
    Address { host, port } = 2
    Cell { nid, state } = 2
    CellChange { partition, nid, state } = 3
    NodeInformation { node_type, address, nid, state, id_timestamp } = 5
    PackRequest { oids, tid } = 2
    PackState { approved, partial, oids, tid } = 4
    RelockConflict { serial, conflict_serial, data } = 3
    RelockData { compression, checksum, data } = 3
    UndoSerials { current_serial, undo_serial, is_current } = 3
    CheckSource { cluster, address } = 2
}

impl Field for PackOrder {
    fn encode(&self, out: &mut Encoder<'_>) {
        out.array_header(5);
        self.id.encode(out);
        self.state.approved.encode(out);
        self.state.partial.encode(out);
        self.state.oids.encode(out);
        self.state.tid.encode(out);
    }

    fn decode(input: &mut Decoder<'_>) -> Result<Self, Malformed> {
        input.array_header_of(5)?;
        let id = Field::decode(input)?;
        let state = PackState {
            approved: Field::decode(input)?,
            partial: Field::decode(input)?,
            oids: decode_kept_oids(input)?,
            tid: Field::decode(input)?,
        };
        Ok(Self { id, state })
    }
}

/// The oids of a partial order. NEO/py's storages answer with them as they keep them, one behind
/// the other in one string.
fn decode_kept_oids(input: &mut Decoder<'_>) -> Result<Option<Oids>, Malformed> {
    if !matches!(input.peek()?, 0xc4..=0xc6) {
        return Field::decode(input);
    }
    let string = input.bytes()?;
    let (oids, rest) = string.as_chunks::<8>();
    match rest.is_empty() && oids.len() < LIST_LENGTH_MAX {
        true => Ok(Some(oids.iter().copied().map(Oid::from_be_bytes).collect())),
        false => Err(Malformed::Expected("oids of 8 bytes each")),
    }
}

impl Field for bool {
    fn encode(&self, out: &mut Encoder<'_>) {
        out.bool(*self);
    }

    fn decode(input: &mut Decoder<'_>) -> Result<Self, Malformed> {
        input.bool()
    }
}

impl Field for Nid {
    fn encode(&self, out: &mut Encoder<'_>) {
        out.signed(i64::from(self.get()));
    }

    fn decode(input: &mut Decoder<'_>) -> Result<Self, Malformed> {
        let number = i32::try_from(input.integer()?);
        number.map(Self::new).map_err(|_| Malformed::Expected("a node id of 32 bits"))
    }
}

impl Field for PartitionId {
    fn encode(&self, out: &mut Encoder<'_>) {
        self.get().encode(out);
    }

    fn decode(input: &mut Decoder<'_>) -> Result<Self, Malformed> {
        u32::decode(input).map(Self::new)
    }
}

impl Field for PartitionTableId {
    fn encode(&self, out: &mut Encoder<'_>) {
        self.get().encode(out);
    }

    fn decode(input: &mut Decoder<'_>) -> Result<Self, Malformed> {
        u64::decode(input).map(Self::new)
    }
}

impl Field for IdTimestamp {
    fn encode(&self, out: &mut Encoder<'_>) {
        out.float(self.0);
    }

    fn decode(input: &mut Decoder<'_>) -> Result<Self, Malformed> {
        let value = input.float()?;
        match value.is_finite() {
            true => Ok(Self(value)),
            false => Err(Malformed::Expected("a finite number")),
        }
    }
}

impl Field for ErrorCode {
    fn encode(&self, out: &mut Encoder<'_>) {
        self.number().encode(out);
    }

    fn decode(input: &mut Decoder<'_>) -> Result<Self, Malformed> {
        Self::from_number(input.unsigned()?).ok_or(Malformed::Expected("a known error code"))
    }
}

impl Field for Checksum {
    fn encode(&self, out: &mut Encoder<'_>) {
        out.bytes(&self.0);
    }

    fn decode(input: &mut Decoder<'_>) -> Result<Self, Malformed> {
        input.fixed_bytes("a checksum of 20 bytes").map(Self)
    }
}

impl Field for Bytes {
    fn encode(&self, out: &mut Encoder<'_>) {
        out.shared_bytes(self);
    }

    fn decode(input: &mut Decoder<'_>) -> Result<Self, Malformed> {
        input.bytes()
    }
}

impl Field for Data {
    fn encode(&self, out: &mut Encoder<'_>) {
        out.shared_bytes(&self.bytes);
    }

    fn decode(input: &mut Decoder<'_>) -> Result<Self, Malformed> {
        let (bytes, sums) = input.data()?;
        Ok(Self::with_sums(bytes, sums))
    }
}

impl Field for Oids {
    fn encode(&self, out: &mut Encoder<'_>) {
        out.array_header(self.len());
        out.items(self.as_wire());
    }

    fn decode(input: &mut Decoder<'_>) -> Result<Self, Malformed> {
        input.oids()
    }
}

/// Names and hosts: UTF-8 in a string of bytes.
impl Field for String {
    fn encode(&self, out: &mut Encoder<'_>) {
        out.bytes(self.as_bytes());
    }

    fn decode(input: &mut Decoder<'_>) -> Result<Self, Malformed> {
        input.name()
    }
}

impl<T: Field> Field for Option<T> {
    fn encode(&self, out: &mut Encoder<'_>) {
        match self {
            Some(value) => value.encode(out),
            None => out.nil(),
        }
    }

    fn decode(input: &mut Decoder<'_>) -> Result<Self, Malformed> {
        match input.nil()? {
            true => Ok(None),
            false => T::decode(input).map(Some),
        }
    }
}

impl<T: Field> Field for Vec<T> {
    fn encode(&self, out: &mut Encoder<'_>) {
        out.array_header(self.len());
        self.iter().for_each(|item| item.encode(out));
    }

    fn decode(input: &mut Decoder<'_>) -> Result<Self, Malformed> {
        let length = input.array_header()?;
        let mut items = Vec::with_capacity(length.min(CAPACITY_MAX));
        for _ in 0..length {
            items.push(T::decode(input)?);
        }
        Ok(items)
    }
}

impl<A: Field, B: Field> Field for (A, B) {
    fn encode(&self, out: &mut Encoder<'_>) {
        out.array_header(2);
        self.0.encode(out);
        self.1.encode(out);
    }

    fn decode(input: &mut Decoder<'_>) -> Result<Self, Malformed> {
        input.array_header_of(2)?;
        Ok((A::decode(input)?, B::decode(input)?))
    }
}

impl<K: Field, V: Field> Field for OrderedMap<K, V> {
    fn encode(&self, out: &mut Encoder<'_>) {
        out.map_header(self.0.len());
        for (key, value) in &self.0 {
            key.encode(out);
            value.encode(out);
        }
    }

    fn decode(input: &mut Decoder<'_>) -> Result<Self, Malformed> {
        let length = input.map_header()?;
        let mut items = Vec::with_capacity(length.min(CAPACITY_MAX));
        for _ in 0..length {
            items.push((K::decode(input)?, V::decode(input)?));
        }
        Ok(Self(items))
    }
}

impl Field for Value {
    fn encode(&self, out: &mut Encoder<'_>) {
        match self {
            Self::Nil => out.nil(),
            Self::Bool(value) => out.bool(*value),
            Self::Unsigned(value) => out.unsigned(*value),
            Self::Negative(value) => out.signed(*value),
            Self::Float(value) => out.float(*value),
            Self::Bytes(value) => out.shared_bytes(value),
            Self::Text(value) => out.text(value),
            Self::List(items) => items.encode(out),
            Self::Map(items) => {
                out.map_header(items.len());
                for (key, value) in items {
                    key.encode(out);
                    value.encode(out);
                }
            }
            Self::Extension(kind, data) => out.extension(*kind, data),
        }
    }

    fn decode(input: &mut Decoder<'_>) -> Result<Self, Malformed> {
        decode_value(input, VALUE_DEPTH_MAX)
    }
}

fn decode_value(input: &mut Decoder<'_>, depth: usize) -> Result<Value, Malformed> {
    let Some(depth) = depth.checked_sub(1) else {
        return Err(Malformed::Expected("less depth"));
    };
    Ok(match input.peek()? {
        0xc0 => {
            input.nil()?;
            Value::Nil
        }
        0xc2 | 0xc3 => Value::Bool(input.bool()?),
        0xca | 0xcb => Value::Float(input.float()?),
        0xc4..=0xc6 => Value::Bytes(input.bytes()?),
        0xa0..=0xbf | 0xd9..=0xdb => Value::Text(input.text()?),
        0x90..=0x9f | 0xdc | 0xdd => {
            let length = input.array_header()?;
            Value::List((0..length).map(|_| decode_value(input, depth)).collect::<Result<_, _>>()?)
        }
        0x80..=0x8f | 0xde | 0xdf => {
            let length = input.map_header()?;
            let item = |_| Ok((decode_value(input, depth)?, decode_value(input, depth)?));
            Value::Map((0..length).map(item).collect::<Result<_, _>>()?)
        }
        0xd4..=0xd8 | 0xc7..=0xc9 => {
            let (kind, data) = input.extension()?;
            if data.len() > EXTENSION_LENGTH_MAX {
                return Err(Malformed::Expected("a number of an item"));
            }
            Value::Extension(kind, data)
        }
        _ => {
            let number = input.integer()?;
            match u64::try_from(number) {
                Ok(number) => Value::Unsigned(number),
                Err(_) => {
                    let number = i64::try_from(number);
                    Value::Negative(number.map_err(|_| Malformed::Expected("an integer"))?)
                }
            }
        }
    })
}
