use model::Random;

use super::*;
use crate::disk::MemoryDisk;

fn sound() -> (MemoryDisk, Vec<u8>) {
    let disk = MemoryDisk::new(1);
    let state = ManifestState::default();
    let mut manifest =
        Manifest::write(Arc::new(disk.clone()), [3; 16], 1, state, 1).expect("no faults");
    for number in 1..5 {
        manifest.commit(&[Change::SegmentOpened { number }]).expect("no faults");
        let length = 100 * u64::from(number);
        manifest.commit(&[Change::SegmentClosed { number, length }]).expect("no faults");
    }
    let bytes = disk.read_file(MANIFEST).expect("just written");
    (disk, bytes)
}

#[test]
fn what_was_committed_is_read() {
    let (disk, bytes) = sound();
    let contents = read_manifest(&disk).expect("sound");
    assert_eq!((contents.sequence, contents.tail), (9, None));
    assert_eq!(contents.file_length, padded(contents.edits_end));
    assert_eq!(contents.file_length, bytes.len() as u64);
    let lengths: Vec<_> = contents.state.segments.into_values().collect();
    assert_eq!(lengths, [Some(100), Some(200), Some(300), Some(400)]);
}

#[test]
fn any_flip_ends_the_edits_or_is_damage() {
    let (disk, bytes) = sound();
    let sound = read_manifest(&disk).expect("sound");
    for at in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[at] ^= 4;
        disk.write_file(MANIFEST, &flipped);
        if let Ok(contents) = read_manifest(&disk) {
            assert!(contents.tail.is_some(), "byte {at}");
            assert!(contents.edits_end <= sound.edits_end && contents.sequence <= sound.sequence);
        }
    }
}

#[test]
fn any_bytes_are_a_manifest_or_none() {
    let (disk, bytes) = sound();
    let end = usize::try_from(read_manifest(&disk).expect("sound").edits_end).expect("short");
    let header = FileHeader::decode(&bytes, FileKind::Manifest, MANIFEST).expect("sound");
    let mut random = Random::from_seed(2);
    let mut read = 0;
    for _ in 0..5000 {
        let mut mangled = bytes.clone();
        for _ in 0..=random.below(3) {
            let at = HEADER_LENGTH + random.index(end - HEADER_LENGTH);
            mangled[at] = random.bytes(1)[0];
        }
        // All checksums are right again, as far as lengths can be believed.
        let (mut at, mut chain) = (HEADER_LENGTH, header.seed());
        while let Some(length) = mangled.get(at + 4..at + 8) {
            let length = u32::from_le_bytes(length.try_into().expect("four bytes")) as usize;
            let edit_end = at.saturating_add(EDIT_HEADER_LENGTH).saturating_add(length);
            if length == 0 || edit_end > mangled.len() {
                break;
            }
            chain = crc32c::crc32c_append(chain, &mangled[at + 4..edit_end]);
            mangled[at..at + 4].copy_from_slice(&chain.to_le_bytes());
            at = edit_end;
        }
        disk.write_file(MANIFEST, &mangled);
        match read_manifest(&disk) {
            Ok(contents) => read += u32::from(contents.sequence > 0),
            Err(error) => assert!(error.is_damage(), "{error}"),
        }
    }
    assert!(read > 100, "some are read: {read}");
}
