//! Every decoder takes any bytes: it fails or gives a value, and a value costs no more memory than
//! the bytes that it was made of.
//!
//! Bytes are random, or those of a sound value with some changed. Where checksums stand in the way
//! they are made right again, so that what is behind them is reached.

use bytes::Bytes;
use model::{Oid, PartitionId, Random, Tid, Ttid};

use super::*;

const SEED: u32 = 77;
const ROUNDS: usize = 3000;

/// Some bytes: random ones, or these with a few changes.
fn mangled(random: &mut Random, sound: &[u8]) -> Vec<u8> {
    if sound.is_empty() || random.chance(1, 8) {
        let length = random.index(200);
        return random.bytes(length);
    }
    let mut bytes = sound.to_vec();
    for _ in 0..=random.below(3) {
        match random.below(6) {
            // A number that lies.
            0 | 1 => {
                let lie = random.choose(&[u32::MAX, 1 << 31, 1 << 16, 0]).copied();
                let lie = lie.unwrap_or_default().to_le_bytes();
                let at = random.index(bytes.len());
                for (byte, lie) in bytes[at..].iter_mut().zip(lie) {
                    *byte = lie;
                }
            }
            2 => {
                let length = random.index(bytes.len());
                bytes.truncate(length.max(1));
            }
            3 => {
                let more = random.index(40);
                bytes.extend(random.bytes(more));
            }
            _ => {
                let at = random.index(bytes.len());
                bytes[at] = random.bytes(1)[0];
            }
        }
    }
    bytes
}

fn transaction() -> Transaction {
    Transaction {
        ttid: Ttid::new(5),
        user: Bytes::from_static(b"user"),
        description: Bytes::from_static(b"description"),
        extension: Bytes::new(),
        oids: vec![Oid::new(1), Oid::new(u64::MAX), Oid::new(1)],
        packed: true,
        pack_order: Some(PackOrder {
            approved: None,
            partial: true,
            oids: Some(vec![Oid::new(7)]),
            tid: Tid::new(3),
        }),
        superseded: vec![Superseded {
            position: 0,
            data_tid: Some(Tid::new(2)),
            compression: Compression::Zlib,
            data: Some(Bytes::from_static(b"earlier")),
        }],
    }
}

fn edits() -> Vec<MetadataEdit> {
    vec![
        MetadataEdit::set(MetadataKey::ClusterName, "name"),
        MetadataEdit::remove(MetadataKey::PackProgress(PartitionId::new(3))),
    ]
}

fn records() -> Vec<Record> {
    let (ttid, tid, partition) = (Ttid::new(5), Tid::new(9), PartitionId::new(2));
    let vote = Vote {
        oids: None,
        ttid,
        partition,
        committed: Some((tid, 4)),
        transaction: Some(transaction()),
        extents: vec![Extent { segment: 1, start: 64, end: 300 }],
        objects: 3,
        cancelled: vec![(partition, Oid::new(8))],
    };
    vec![
        Record::Vote(Vote { committed: None, transaction: None, ..vote.clone() }),
        Record::Vote(vote),
        Record::Lock { ttid, tid },
        Record::Unlock { ttid, tid, seq: 4 },
        Record::Abort { ttid },
        Record::Transaction { partition, tid, seq: 4, transaction: transaction() },
        Record::Truncate { tid, seq: 4 },
        Record::Drop { partition, seq: 4 },
        Record::Delete {
            seq: 4,
            deleted: vec![
                Deleted::Revision { partition, oid: Oid::new(1), tid },
                Deleted::Transaction { partition, tid },
            ],
        },
        Record::Metadata(edits()),
    ]
}

fn objects() -> Vec<ObjectHead> {
    let pending = ObjectHead {
        partition: PartitionId::new(1),
        oid: Oid::new(3),
        id: ObjectId::Pending(Ttid::new(5)),
        data_tid: None,
        checksum: None,
        compression: Compression::None,
        no_data: true,
    };
    let committed = ObjectHead {
        id: ObjectId::Committed { tid: Tid::new(1), seq: 8 },
        data_tid: Some(Tid::new(4)),
        checksum: Some([9; 20]),
        compression: Compression::Zlib,
        no_data: false,
        ..pending.clone()
    };
    vec![pending, committed]
}

/// Records as they stand in the log.
fn encoded_records() -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for record in records() {
        let mut out = Vec::new();
        RecordEncoder { out: &mut out, seed: SEED }.record(&record);
        all.push(out);
    }
    for head in objects() {
        let mut out = Vec::new();
        RecordEncoder { out: &mut out, seed: SEED }.object_head(&head, b"data", None);
        out.extend_from_slice(b"data");
        all.push(out);
    }
    all
}

/// Makes the checksums of a record right, if it is long enough to have them.
fn seal_record(bytes: &mut [u8]) {
    let Some(header) = bytes.first_chunk::<RECORD_HEADER_LENGTH>() else { return };
    let head_end = RECORD_HEADER_LENGTH + usize::from(u16::from_le_bytes([header[6], header[7]]));
    let Ok(length) = RawRecord::length_of(header) else { return };
    let Some(body) = bytes.get(head_end..length) else { return };
    let body = crc32c::crc32c_append(SEED, body).to_le_bytes();
    bytes[12..16].copy_from_slice(&body);
    let head = crc32c::crc32c_append(SEED, &bytes[4..head_end]).to_le_bytes();
    bytes[..4].copy_from_slice(&head);
}

#[test]
fn records_come_back() {
    let encoded = encoded_records();
    for (record, bytes) in records().iter().zip(&encoded) {
        let raw = RawRecord::parse(bytes, SEED).expect("just encoded");
        assert_eq!(raw.length(), bytes.len());
        assert_eq!(raw.decode().as_ref(), Ok(record));
    }
    for (head, bytes) in objects().iter().zip(&encoded[records().len()..]) {
        let raw = RawRecord::parse(bytes, SEED).expect("just encoded");
        assert_eq!(raw.decode(), Ok(Record::Object(head.clone())));
        assert_eq!((raw.is_object(), raw.body_length()), (true, 4));
    }
}

#[test]
fn any_bytes_are_a_record_or_none() {
    let mut random = Random::from_seed(1);
    let (mut decoded, mut refused) = (0, 0);
    for sound in encoded_records() {
        for _ in 0..ROUNDS {
            let mut bytes = mangled(&mut random, &sound);
            let _ = RawRecord::parse(&bytes, SEED);
            seal_record(&mut bytes);
            let _ = RawRecord::parse_head(&bytes, SEED);
            let Ok(raw) = RawRecord::parse(&bytes, SEED) else { continue };
            match raw.decode() {
                Ok(record) => {
                    decoded += 1;
                    assert!(weight(&record) <= bytes.len(), "{record:?} of {bytes:02x?}");
                }
                Err(_) => refused += 1,
            }
        }
    }
    assert!(decoded > 1000 && refused > 1000, "both happen: {decoded}, {refused}");
}

/// The least number of bytes that such a record takes.
fn weight(record: &Record) -> usize {
    let of_transaction = |transaction: &Transaction| {
        let order = transaction.pack_order.as_ref().and_then(|order| order.oids.as_ref());
        let data: usize =
            transaction.superseded.iter().map(|s| 9 + s.data.as_ref().map_or(0, Bytes::len)).sum();
        transaction.user.len()
            + transaction.description.len()
            + transaction.extension.len()
            + 8 * (transaction.oids.len() + order.map_or(0, Vec::len))
            + data
    };
    match record {
        Record::Vote(vote) => {
            vote.transaction.as_ref().map_or(0, of_transaction)
                + 20 * vote.extents.len()
                + 12 * vote.cancelled.len()
        }
        Record::Transaction { transaction, .. } => of_transaction(transaction),
        Record::Delete { deleted, .. } => 13 * deleted.len(),
        Record::Metadata(edits) => {
            edits.iter().map(|edit| 11 + edit.value.as_ref().map_or(0, Vec::len)).sum()
        }
        _ => 0,
    }
}

#[test]
fn any_bytes_are_a_header_or_none() {
    let mut random = Random::from_seed(2);
    let header = FileHeader { kind: FileKind::Run, database: [7; 16], number: 3, epoch: 9 };
    let group = GroupHeader {
        sequence: 5,
        payload_length: 1000,
        records: 3,
        durable: Position { segment: 1, offset: 64 },
        previous: Position { segment: 1, offset: 128 },
        manifest_sequence: 9,
    };
    for _ in 0..ROUNDS {
        let mut bytes = mangled(&mut random, &header.encode());
        if bytes.len() >= HEADER_LENGTH {
            let crc = crc32c::crc32c(&bytes[..60]).to_le_bytes();
            bytes[60..64].copy_from_slice(&crc);
        }
        let _ = FileHeader::decode(&bytes, FileKind::Run, "run");
        let mut bytes = mangled(&mut random, &group.encode(SEED));
        if bytes.len() >= GROUP_HEADER_LENGTH {
            let crc = crc32c::crc32c_append(SEED, &bytes[8..64]).to_le_bytes();
            bytes[4..8].copy_from_slice(&crc);
        }
        let _ = GroupHeader::decode(&bytes, SEED);
    }
}

fn checkpoint() -> Checkpoint {
    Checkpoint {
        replay: Position { segment: 2, offset: 99 },
        group_sequence: 7,
        next_seq: 12,
        durable: Position { segment: 2, offset: 64 },
        garbage_bytes: 5,
        intents: vec![
            Intent::Truncate { tid: Tid::new(3), seq: 4 },
            Intent::Drop {
                partition: PartitionId::new(1),
                seq: 5,
                position: Position { segment: 1, offset: 80 },
            },
        ],
        metadata: edits(),
        in_doubt: vec![InDoubt {
            ttid: Ttid::new(3),
            vote: Location { file: 1, length: 90, offset: 70 },
            tid: Some(Tid::new(8)),
        }],
    }
}

fn changes() -> Vec<Change> {
    vec![
        Change::SegmentOpened { number: 1 },
        Change::SegmentClosed { number: 1, length: 4096 },
        Change::RunAdded(RunSummary {
            number: 4,
            order: Order::ByTid,
            level: 1,
            items: 10,
            tombstones: 1,
            length: 999,
            tid_min: 1,
            tid_max: 2,
            seq_min: 3,
            seq_max: 4,
        }),
        Change::Checkpoint(checkpoint()),
        Change::RunRemoved { number: 4 },
        Change::SegmentRemoved { number: 1 },
    ]
}

#[test]
fn any_bytes_are_an_edit_or_none() {
    let sound = encode_edit(&changes(), 8, SEED);
    assert_eq!(decode_edit(&sound, SEED), Ok((8, changes(), sound.len())));
    let mut random = Random::from_seed(3);
    let (mut decoded, mut refused) = (0, 0);
    for _ in 0..10 * ROUNDS {
        let mut bytes = mangled(&mut random, &sound);
        let _ = decode_edit(&bytes, SEED);
        // The length stays as it was read, unless it is that which lies.
        if bytes.len() > EDIT_HEADER_LENGTH {
            let length = u32::try_from(bytes.len() - EDIT_HEADER_LENGTH).expect("short");
            bytes[4..8].copy_from_slice(&length.to_le_bytes());
            let crc = crc32c::crc32c_append(SEED, &bytes[4..]).to_le_bytes();
            bytes[..4].copy_from_slice(&crc);
        }
        match decode_edit(&bytes, SEED) {
            Ok((_, changes, length)) => {
                decoded += 1;
                assert!(length <= bytes.len() && changes.len() <= length);
            }
            Err(_) => refused += 1,
        }
    }
    assert!(decoded > 1000 && refused > 1000, "both happen: {decoded}, {refused}");
}

#[test]
fn any_bytes_close_a_database_or_not() {
    let closed = Closed {
        manifest_sequence: 4,
        manifest_length: 500,
        log_end: Position { segment: 3, offset: 700 },
        group_sequence: 9,
    };
    let sound = closed.encode(SEED);
    assert_eq!(Closed::decode(&sound, SEED), Ok(closed));
    for at in 0..sound.len() {
        let mut flipped = sound.clone();
        flipped[at] ^= 0x20;
        assert!(Closed::decode(&flipped, SEED).is_err(), "byte {at}");
        assert!(Closed::decode(&sound[..at], SEED).is_err(), "{at} bytes");
    }
    let mut random = Random::from_seed(4);
    for _ in 0..ROUNDS {
        let _ = Closed::decode(&mangled(&mut random, &sound), SEED);
    }
}

#[test]
fn any_bytes_are_items_or_none() {
    let mut random = Random::from_seed(5);
    let item = Item {
        key: Key { a: 70_000, b: u64::MAX, c: 5, seq: 1 << 40 },
        extra: Some(3),
        flags: ItemFlags::NO_DATA,
        location: Some(Location { file: 9, length: 1 << 30, offset: 1 << 50 }),
    };
    let mut sound = Vec::new();
    item.encode(&Item::default(), &mut sound);
    for _ in 0..10 * ROUNDS {
        let bytes = mangled(&mut random, &sound);
        let mut take = Take::new(&bytes);
        let mut base = Item::default();
        // Each item takes at least two bytes, so that this ends.
        while let Ok(item) = Item::decode(&base, &mut take) {
            base = item;
        }
    }
}

#[test]
fn any_bytes_are_metadata_or_a_transaction_or_none() {
    let mut random = Random::from_seed(6);
    let mut list = Vec::new();
    MetadataEdit::encode_list(&edits(), &mut list);
    assert_eq!(MetadataEdit::decode_list(&list), Ok(edits()));
    let mut metadata = Vec::new();
    transaction().encode(&mut metadata);
    assert_eq!(Transaction::decode(&mut Take::new(&metadata)), Ok(transaction()));
    for _ in 0..10 * ROUNDS {
        let bytes = mangled(&mut random, &list);
        if let Ok(edits) = MetadataEdit::decode_list(&bytes) {
            assert!(weight(&Record::Metadata(edits)) <= bytes.len());
        }
        let bytes = mangled(&mut random, &metadata);
        let _ = Transaction::decode(&mut Take::new(&bytes));
    }
}
