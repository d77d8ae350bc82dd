use std::sync::Arc;

use model::{Oid, PartitionId, Random, Tid, Ttid};

use super::group::Group;
use super::{Class, LogEvent, LogWriter, SegmentBytes, open_segment, prepare_segment};
use crate::disk::{Access, Disk, MemoryDisk, Sync, Wait};
use crate::format::{
    Compression, EncodedOids, GROUP_HEADER_LENGTH, GROUP_MAGIC, HEADER_LENGTH, ObjectHead,
    ObjectId, PackOrder, Position, Record, Transaction, Vote,
};

const DATABASE: [u8; 16] = [4; 16];
const NAME: &str = "log-00000001";

/// A segment with a few groups, and where they begin.
fn sound() -> (MemoryDisk, Vec<u8>, Vec<u64>) {
    let disk = MemoryDisk::new(1);
    prepare_segment(&disk, DATABASE, (1, None), 1, 200).expect("no faults");
    let (segment, _) = open_segment(&disk, DATABASE, 1, Access::Read).expect("just made");
    let mut bytes = disk.read_file(NAME).expect("just made");
    bytes.truncate(HEADER_LENGTH);
    let mut starts = Vec::new();
    for sequence in 1..6 {
        let start = Position { segment: 1, offset: bytes.len() as u64 };
        starts.push(start.offset);
        let mut group: Group<()> = Group::new(start, sequence, start, segment.seed, Vec::new());
        for oid in 0..sequence {
            let head = ObjectHead {
                partition: PartitionId::new(0),
                oid: Oid::new(oid),
                id: ObjectId::Pending(Ttid::new(sequence)),
                data_tid: None,
                checksum: None,
                compression: Compression::None,
                no_data: false,
            };
            group.push_object(&head, &bytes::Bytes::from_static(b"some data"), None);
        }
        group.push(&Record::Lock { ttid: Ttid::new(sequence), tid: Tid::new(9) });
        for chunk in group.seal(start, 1) {
            bytes.extend_from_slice(&chunk);
        }
    }
    bytes.resize(bytes.len() + 300, 0);
    disk.write_file(NAME, &bytes);
    (disk, bytes, starts)
}

fn read(disk: &MemoryDisk) -> SegmentBytes {
    let (segment, _) = open_segment(disk, DATABASE, 1, Access::Read).expect("its header is sound");
    SegmentBytes::new(Arc::new(segment)).expect("no faults")
}

#[test]
fn oids_encoded_before_are_written_as_any() {
    for count in [0, 1, 5000, 20_000] {
        check_encoded_oids((0..count).map(|n| Oid::new(n * 7919)).collect());
    }
}

fn check_encoded_oids(oids: Vec<Oid>) {
    let mut encoded = EncodedOids::default();
    for piece in oids.chunks(999) {
        encoded.extend(piece.iter().copied());
    }
    let transaction = Transaction {
        ttid: Ttid::new(7),
        description: bytes::Bytes::from_static(b"much"),
        pack_order: Some(PackOrder {
            approved: None,
            partial: true,
            oids: Some(vec![Oid::new(5)]),
            tid: Tid::new(2),
        }),
        ..Transaction::default()
    };
    let vote = |transaction, oids| Vote {
        ttid: Ttid::new(7),
        partition: PartitionId::new(3),
        committed: None,
        transaction: Some(transaction),
        oids,
        extents: Vec::new(),
        objects: 3,
        cancelled: vec![(PartitionId::new(1), Oid::new(2))],
    };
    let votes = [
        vote(Transaction { oids, ..transaction.clone() }, None),
        vote(transaction, Some(encoded.seal())),
    ];
    let written = votes.map(|vote| {
        let start = Position { segment: 1, offset: 64 };
        let mut group: Group<()> = Group::new(start, 1, start, 5, Vec::new());
        let locations = [
            group.push(&Record::Lock { ttid: Ttid::new(1), tid: Tid::new(9) }),
            group.push(&Record::Vote(vote)),
            group.push(&Record::Lock { ttid: Ttid::new(2), tid: Tid::new(10) }),
        ];
        (locations, group.end(), group.seal(start, 1).concat())
    });
    assert_eq!(written[0], written[1]);
}

#[test]
fn groups_follow_each_other_up_to_the_zeros() {
    let (disk, _, starts) = sound();
    let mut bytes = read(&disk);
    let mut at = HEADER_LENGTH as u64;
    for start in &starts {
        assert_eq!(
            (at, bytes.find_header(at).expect("no faults").map(|f| f.0)),
            (*start, Some(at))
        );
        at = bytes.group(at).expect("no faults").expect("sound").end;
    }
    assert!(bytes.group(at).expect("no faults").is_err());
    assert!(bytes.find_header(at).expect("no faults").is_none());
    assert_eq!(bytes.find_nonzero(at).expect("no faults"), None);
}

#[test]
fn any_flip_in_a_group_is_found() {
    let (disk, sound, starts) = sound();
    let end = read(&disk).group(starts[4]).expect("no faults").expect("sound").end;
    for at in starts[0]..end {
        disk.flip(NAME, at, 5);
        let mut bytes = read(&disk);
        let of = starts.iter().rposition(|start| *start <= at).expect("within the groups");
        for (number, start) in starts.iter().enumerate() {
            let group = bytes.group(*start).expect("no faults");
            assert_eq!(group.is_err(), number == of, "byte {at}, group {number}");
        }
        disk.flip(NAME, at, 5);
    }
    assert_eq!(disk.read_file(NAME).expect("it is"), sound);
}

#[test]
fn any_bytes_are_groups_or_none() {
    let (disk, sound, starts) = sound();
    let (segment, _) = open_segment(&disk, DATABASE, 1, Access::Read).expect("sound");
    let mut random = Random::from_seed(3);
    for _ in 0..3000 {
        let mut mangled = sound.clone();
        for _ in 0..=random.below(5) {
            let at = HEADER_LENGTH + random.index(mangled.len() - HEADER_LENGTH);
            match random.below(3) {
                0 => {
                    let end = (at + 4).min(mangled.len());
                    mangled[at..end].copy_from_slice(&GROUP_MAGIC[..end - at]);
                }
                1 => {
                    let end = (at + 4).min(mangled.len());
                    mangled[at..end].fill(0xff);
                }
                _ => mangled[at] = random.bytes(1)[0],
            }
        }
        // What the headers say is believed.
        for start in &starts {
            let at = usize::try_from(*start).expect("short");
            let header = &mangled[at + 8..at + GROUP_HEADER_LENGTH];
            let crc = crc32c::crc32c_append(segment.seed, header).to_le_bytes();
            mangled[at + 4..at + 8].copy_from_slice(&crc);
        }
        if random.chance(1, 4) {
            mangled.truncate(HEADER_LENGTH + random.index(mangled.len() - HEADER_LENGTH));
        }
        disk.write_file(NAME, &mangled);
        let mut bytes = read(&disk);
        let mut from = 0;
        while let Some((at, _)) = bytes.find_header(from).expect("no faults") {
            let _ = bytes.group(at).expect("no faults");
            assert!(at >= from, "it goes forward");
            from = at + 1;
        }
        for at in 0..bytes.length {
            let _ = bytes.group(at).expect("no faults");
        }
        let _ = bytes.find_nonzero(u64::from(u32::MAX)).expect("no faults");
        let _ = disk.list().expect("no faults");
    }
}

/// A log of three segments of 1 MiB, each with a page written ahead.
fn writer(disk: &MemoryDisk) -> LogWriter<u64> {
    let queue = disk.queue().expect("no faults");
    let mut log = LogWriter::new(queue, Position::default(), 1, 1 << 20, 128 << 10);
    for number in 1..=3 {
        let prepared = prepare_segment(disk, DATABASE, (number, None), 1, 4096);
        log.add_prepared(prepared.expect("no faults"));
    }
    log
}

/// Writes a lock, synced, and gives back what the log tells.
fn write(log: &mut LogWriter<u64>, number: u64) -> Vec<LogEvent<u64>> {
    let record = Record::Lock { ttid: Ttid::new(number), tid: Tid::new(9) };
    log.append(&record, Class::Phase2, Sync::Data, Some(number)).expect("there is place");
    log.pump();
    let mut events = Vec::new();
    while events.is_empty() {
        events = log.poll(Wait::Yes).expect("no faults");
    }
    events
}

#[test]
fn small_groups_rarely_grow_a_segment() {
    let disk = MemoryDisk::new(1);
    let mut log = writer(&disk);
    let mut lengths = Vec::new();
    for number in 0..3000 {
        let events = write(&mut log, number);
        assert!(matches!(&events[..], [LogEvent::Done(ops)] if ops == &[number]), "{events:?}");
        lengths.push(disk.read_file(NAME).expect("it is written to").len());
    }
    lengths.dedup();
    assert_eq!(lengths.len(), 3, "{lengths:?}");
    assert!(lengths.iter().all(|length| length % 4096 == 0), "{lengths:?}");
    let end = usize::try_from(log.end().offset).expect("short");
    assert!(lengths[1] < end && end < lengths[2]);
    let mut bytes = read(&disk);
    let (mut from, mut count) = (0, 0);
    while let Some((at, _)) = bytes.find_header(from).expect("no faults") {
        from = at + 1;
        count += 1;
    }
    assert_eq!(count, 3000);
    assert_eq!(bytes.find_nonzero(end as u64).expect("no faults"), None);
    assert!(disk.lose_all_unsynced().read_file(NAME) == disk.read_file(NAME), "all is synced");
}

#[test]
fn a_group_is_written_where_zeros_behind_it_have_no_place() {
    let disk = MemoryDisk::new(1);
    let mut log = writer(&disk);
    // A page more, which the zeros behind the group that needs it do not fit in.
    disk.set_capacity(Some(disk.allocated_bytes() + 4096));
    let mut written = 0;
    let full = loop {
        match &write(&mut log, written)[..] {
            [LogEvent::Done(ops)] if ops == &[written] => written += 1,
            [LogEvent::Full { ops, .. }] => break ops.clone(),
            other => panic!("{other:?}"),
        }
        assert!(written < 1000, "there are two pages");
    };
    assert_eq!(full, [written]);
    assert!(log.end().offset > 8192 - 200, "both pages are used");
    let end = usize::try_from(log.end().offset).expect("short");
    let durable = disk.lose_all_unsynced().read_file(NAME).expect("it was made");
    let written = disk.read_file(NAME).expect("it was made");
    assert!(durable[..end] == written[..end], "all of them are synced");
}
