//! Bytes of entries and snapshots. Decoding is total: whatever is no command is refused.

use model::{
    Cell, CellChange, CellState, ClusterState, Nid, Oid, PartitionId, PartitionTable,
    PartitionTableId, Tid,
};
use net::Address;

use super::command::Command;

/// Appends fields, integers in little-endian.
#[derive(Default)]
pub(super) struct Writer(pub(super) Vec<u8>);

impl Writer {
    pub(super) fn u8(&mut self, value: u8) {
        self.0.push(value);
    }

    pub(super) fn u16(&mut self, value: u16) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub(super) fn u32(&mut self, value: u32) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub(super) fn u64(&mut self, value: u64) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub(super) fn count(&mut self, count: usize) {
        self.u32(u32::try_from(count).expect("lists of the log are far below 2^32"));
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.count(bytes.len());
        self.0.extend_from_slice(bytes);
    }

    fn tid(&mut self, tid: Option<Tid>) {
        self.u8(u8::from(tid.is_some()));
        if let Some(tid) = tid {
            self.u64(tid.get());
        }
    }

    fn nid(&mut self, nid: Nid) {
        self.0.extend_from_slice(&nid.get().to_le_bytes());
    }
}

/// Takes fields off the front; `None` if there are too few bytes, or wrong ones.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[value]| value)
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    pub(super) fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.u32()?).ok()?;
        self.take(length)
    }

    fn text(&mut self) -> Option<String> {
        String::from_utf8(self.bytes()?.to_vec()).ok()
    }

    fn nid(&mut self) -> Option<Nid> {
        self.array().map(|bytes| Nid::new(i32::from_le_bytes(bytes)))
    }

    pub(super) fn list<T>(&mut self, item: impl Fn(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let count = self.u32()?;
        (0..count).map(|_| item(self)).collect()
    }

    /// An optional tid; the outer `None` is for wrong bytes.
    fn tid(&mut self) -> Option<Option<Tid>> {
        match self.bool()? {
            true => Some(Some(Tid::new(self.u64()?))),
            false => Some(None),
        }
    }

    fn bool(&mut self) -> Option<bool> {
        match self.u8()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }
}

/// The bytes of a command.
pub(super) fn encode(command: &Command) -> Vec<u8> {
    let mut out = Writer::default();
    match command {
        Command::Cluster { name, id } => {
            out.u8(1);
            out.bytes(name.as_bytes());
            out.0.extend_from_slice(id);
        }
        Command::Table(table) => {
            out.u8(2);
            encode_table(&mut out, table);
        }
        Command::TableChange { id, replicas, changes } => {
            out.u8(3);
            encode_changes(&mut out, *id, *replicas, changes);
        }
        Command::Storage { nid, address } => {
            out.u8(4);
            out.nid(*nid);
            encode_address(&mut out, address.as_ref());
        }
        Command::Foreign => out.u8(14),
        Command::KeptNid(nid) => {
            out.u8(15);
            out.nid(*nid);
        }
        Command::Forget { nid } => {
            out.u8(5);
            out.nid(*nid);
        }
        Command::Oids(oid) => {
            out.u8(6);
            out.u64(oid.get());
        }
        Command::Tids(tid) => {
            out.u8(7);
            out.u64(tid.get());
        }
        Command::PackSigned { id, approved } => {
            out.u8(8);
            out.u64(id.get());
            out.u8(u8::from(*approved));
        }
        Command::PackCompleted { id } => {
            out.u8(9);
            out.u64(id.get());
        }
        Command::Truncate(tid) => {
            out.u8(10);
            out.tid(*tid);
        }
        Command::State(state) => {
            out.u8(11);
            out.u8(state.number());
        }
        Command::LateTruncation { nid, tid } => {
            out.u8(12);
            out.nid(*nid);
            out.tid(*tid);
        }
        Command::Released { oid, tid } => {
            out.u8(13);
            out.u64(oid.get());
            out.u64(tid.get());
        }
    }
    out.0
}

/// The inverse of [`encode`].
pub(super) fn decode(bytes: &[u8]) -> Option<Command> {
    let mut input = Reader(bytes);
    let command = match input.u8()? {
        1 => Command::Cluster { name: input.text()?, id: input.array()? },
        2 => Command::Table(decode_table(&mut input)?),
        3 => Command::TableChange {
            id: PartitionTableId::new(input.u64()?),
            replicas: input.u32()?,
            changes: input.list(|input| {
                Some(CellChange {
                    partition: PartitionId::new(input.u32()?),
                    nid: input.nid()?,
                    state: CellState::from_number(input.u8()?)?,
                })
            })?,
        },
        4 => {
            let nid = input.nid()?;
            let address = match input.bool()? {
                true => Some(Address { host: input.text()?, port: input.u16()? }),
                false => None,
            };
            Command::Storage { nid, address }
        }
        5 => Command::Forget { nid: input.nid()? },
        6 => Command::Oids(Oid::new(input.u64()?)),
        7 => Command::Tids(Tid::new(input.u64()?)),
        8 => Command::PackSigned { id: Tid::new(input.u64()?), approved: input.bool()? },
        9 => Command::PackCompleted { id: Tid::new(input.u64()?) },
        10 => Command::Truncate(input.tid()?),
        11 => Command::State(ClusterState::from_number(input.u8()?)?),
        12 => Command::LateTruncation { nid: input.nid()?, tid: input.tid()? },
        13 => Command::Released { oid: Oid::new(input.u64()?), tid: Tid::new(input.u64()?) },
        14 => Command::Foreign,
        15 => Command::KeptNid(input.nid()?),
        _ => return None,
    };
    input.0.is_empty().then_some(command)
}

fn encode_address(out: &mut Writer, address: Option<&Address>) {
    out.u8(u8::from(address.is_some()));
    if let Some(Address { host, port }) = address {
        out.bytes(host.as_bytes());
        out.u16(*port);
    }
}

fn encode_changes(out: &mut Writer, id: PartitionTableId, replicas: u32, changes: &[CellChange]) {
    out.u64(id.get());
    out.u32(replicas);
    out.count(changes.len());
    for CellChange { partition, nid, state } in changes {
        out.u32(partition.get());
        out.nid(*nid);
        out.u8(state.number());
    }
}

fn encode_table(out: &mut Writer, table: &PartitionTable) {
    out.u64(table.id().get());
    out.u32(table.replicas());
    out.u32(table.partitions().get());
    for partition in table.partitions().iter() {
        let cells = table.cells(partition);
        out.count(cells.len());
        for Cell { nid, state } in cells {
            out.nid(*nid);
            out.u8(state.number());
        }
    }
}

fn decode_table(input: &mut Reader<'_>) -> Option<PartitionTable> {
    let id = PartitionTableId::new(input.u64()?);
    let replicas = input.u32()?;
    let cell = |input: &mut Reader<'_>| {
        Some(Cell { nid: input.nid()?, state: CellState::from_number(input.u8()?)? })
    };
    let rows = input.list(|input| input.list(cell))?;
    PartitionTable::new(id, replicas, rows).ok()
}
