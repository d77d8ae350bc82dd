//! What a seed does: sizes, faults, ids and values.

use bytes::Bytes;
use engine::disk::{Fault, Faults};
use engine::{Compression, ObjectData, Options, PackOrder, Superseded, Transaction};
use model::{Oid, Random, Tid, Ttid};

/// What can go wrong in one life of a database.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Trouble {
    /// Nothing: it is closed, killed, or the power goes.
    None,
    /// The power goes at some operation.
    Crash,
    /// The disk gets full at some operation, and has space again later, or not.
    Full,
    /// Some operation finds no space.
    NoSpace,
    /// Some write fails.
    WriteError,
    /// Some sync fails.
    SyncError,
}

/// Of one life.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LifePlan {
    pub(crate) steps: usize,
    pub(crate) trouble: Trouble,
    /// Operations of the disk before it.
    pub(crate) trouble_after: u64,
    pub(crate) faults: Faults,
    /// Some reads fail.
    pub(crate) reads_fail: bool,
}

impl LifePlan {
    pub(crate) fn new(random: &mut Random) -> Self {
        let trouble = match random.below(12) {
            0..3 => Trouble::None,
            3..7 => Trouble::Crash,
            7 | 8 => Trouble::Full,
            9 => Trouble::NoSpace,
            10 => Trouble::WriteError,
            _ => Trouble::SyncError,
        };
        let often = |random: &mut Random, permille: u32| {
            if random.chance(1, 3) { permille } else { 0 }
        };
        let span = *random.choose(&[8, 40, 120, 300]).expect("some");
        let steps = *random.choose(&[20, 80, 200]).expect("some");
        Self {
            steps: 10 + random.index(steps),
            trouble,
            trouble_after: random.below(span),
            faults: Faults {
                short_write_permille: often(random, 200),
                miss_permille: often(random, 400),
                slow_permille: often(random, 300),
                ..Faults::default()
            },
            reads_fail: random.chance(1, 10),
        }
    }

    /// What is scheduled on the disk.
    pub(crate) fn fault(&self) -> Option<Fault> {
        match self.trouble {
            Trouble::None => None,
            Trouble::Crash => Some(Fault::Crash),
            Trouble::Full => Some(Fault::Full),
            Trouble::NoSpace => Some(Fault::NoSpace),
            Trouble::WriteError => Some(Fault::WriteError),
            Trouble::SyncError => Some(Fault::SyncError),
        }
    }
}

/// Sizes that make everything happen all the time.
pub(crate) fn options(random: &mut Random) -> Options {
    let pick = |random: &mut Random, values: &[u64]| *random.choose(values).expect("some");
    Options {
        segment_length: pick(random, &[2 << 10, 4 << 10, 16 << 10]),
        reserve_length: pick(random, &[2 << 10, 4 << 10]),
        group_length: pick(random, &[200, 1 << 10, 4 << 10]),
        unwritten_max: 8 << 10,
        table_items_max: pick(random, &[6, 20, 80]),
        table_log_max: pick(random, &[2 << 10, 8 << 10]),
        cache_bytes_max: pick(random, &[0, 2 << 10, 64 << 10]),
        pinned_bytes_max: pick(random, &[0, 1 << 10, 64 << 10]),
        block_length: 256,
        fan_out: usize::try_from(pick(random, &[2, 3, 4])).expect("small"),
    }
}

/// Few different ones, the least and the greatest among them.
pub(crate) fn any_oid(random: &mut Random) -> u64 {
    match random.below(10) {
        0 => 0,
        1 => u64::MAX,
        2 => u64::MAX - random.below(3),
        _ => random.below(12),
    }
}

/// Few different ones, the least and the greatest among them.
pub(crate) fn any_tid(random: &mut Random) -> u64 {
    match random.below(24) {
        0 => 0,
        1 => u64::MAX,
        2 => u64::MAX - random.below(3),
        _ => random.below(40),
    }
}

pub(crate) fn any_object(random: &mut Random) -> ObjectData {
    let length = match random.below(12) {
        0 => 0,
        1 => random.index(1500),
        _ => random.index(60),
    };
    let data = random.chance(7, 8).then(|| Bytes::from(random.bytes(length)));
    let is_zlib = data.is_some() && random.chance(1, 4);
    ObjectData {
        compression: if is_zlib { Compression::Zlib } else { Compression::None },
        checksum: (data.is_some() && random.chance(1, 2)).then(|| {
            let mut checksum = [0; 20];
            random.fill(&mut checksum);
            checksum
        }),
        data,
        crc: None,
        data_tid: random.chance(1, 3).then(|| Tid::new(any_tid(random))),
    }
}

pub(crate) fn any_transaction(random: &mut Random, ttid: u64) -> Transaction {
    let text = |random: &mut Random| {
        let length = random.index(20);
        Bytes::from(random.bytes(length))
    };
    let oids = |random: &mut Random| {
        (0..random.below(5)).map(|_| Oid::new(any_oid(random))).collect::<Vec<_>>()
    };
    Transaction {
        ttid: Ttid::new(ttid),
        user: text(random),
        description: text(random),
        extension: text(random),
        oids: oids(random),
        packed: random.chance(1, 6),
        pack_order: random.chance(1, 6).then(|| PackOrder {
            approved: [None, Some(false), Some(true)][random.index(3)],
            partial: random.chance(1, 2),
            oids: random.chance(1, 2).then(|| oids(random)),
            tid: Tid::new(any_tid(random)),
        }),
        superseded: (0..random.below(6).saturating_sub(4))
            .map(|_| Superseded {
                position: 0,
                data_tid: None,
                compression: Compression::None,
                data: Some(text(random)),
            })
            .collect(),
    }
}
