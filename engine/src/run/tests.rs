use std::sync::Arc;

use bytes::Bytes;
use model::Random;

use super::{Block, FOOTER_LENGTH, Footer, PinBudget, RunFile, RunSettings, RunWriter, read_exact};
use crate::disk::MemoryDisk;
use crate::format::{FileHeader, FileKind, Item, Key, Location, Order, RunSummary};

const DATABASE: [u8; 16] = [4; 16];
const NAME: &str = "run-00000001";

/// A run with several index blocks and a filter.
fn sound() -> (MemoryDisk, RunSummary, Vec<u8>) {
    let disk = MemoryDisk::new(1);
    let settings = RunSettings {
        database: DATABASE,
        number: 1,
        epoch: 1,
        order: Order::Objects,
        level: 0,
        keys_max: 60,
        block_length: 100,
    };
    let mut writer = RunWriter::create(&disk, settings).expect("no faults");
    for n in 0..60 {
        let location = Location { file: 1, offset: 64 + 50 * n, length: 50 };
        let key = Key { a: u32::from(n > 30), b: n * n, c: !n, seq: n };
        let item = Item { key, location: Some(location), ..Item::default() };
        writer.push(&item).expect("no faults");
    }
    let summary = writer.finish(&disk).expect("no faults").expect("items");
    let bytes = disk.read_file(NAME).expect("just written");
    (disk, summary, bytes)
}

#[test]
fn any_bytes_are_a_block_or_none() {
    let mut random = Random::from_seed(1);
    let mut blocks = 0;
    for _ in 0..100_000 {
        let length = random.index(200);
        let mut bytes = random.bytes(length);
        if let Some(count) = bytes.first_chunk_mut::<4>() {
            // Small counts, and both layouts.
            *count = [random.bytes(1)[0] % 20, 0, random.bytes(1)[0] % 3, 0];
        }
        let Ok(block) = Block::trusted(Bytes::from(bytes)) else { continue };
        blocks += 1;
        let mut at = block.start();
        while let Ok(Some(_)) = block.next(&mut at) {}
        let key = Key { a: 0, b: random.next_u64(), c: 0, seq: 0 };
        let _ = block.neighbours(&key);
        let _ = block.position_of(&key);
    }
    assert!(blocks > 1000, "some are blocks: {blocks}");
}

#[test]
fn any_footer_opens_or_is_damage() {
    let (disk, summary, bytes) = sound();
    let header = FileHeader::decode(&bytes, FileKind::Run, NAME).expect("sound");
    let footer_at = bytes.len() - FOOTER_LENGTH;
    let mut random = Random::from_seed(2);
    let mut opened = 0;
    for _ in 0..5000 {
        let mut mangled = bytes.clone();
        for _ in 0..=random.below(2) {
            let at = footer_at + random.index(FOOTER_LENGTH - 4);
            let end = (at + 4).min(bytes.len() - 4);
            match random.chance(1, 4) {
                true => mangled[at..end].fill(0xff),
                false => mangled[at] = random.bytes(1)[0],
            }
        }
        let crc = crc32c::crc32c_append(header.seed(), &mangled[footer_at..bytes.len() - 4]);
        mangled[bytes.len() - 4..].copy_from_slice(&crc.to_le_bytes());
        disk.write_file(NAME, &mangled);
        // What the footer says is believed, in place of the manifest.
        let length = bytes.len() as u64;
        let footer = Footer::decode(&mangled[footer_at..], header.seed(), 1, length);
        let summary = footer.map_or(summary, |footer| footer.summary);
        let budget = Arc::new(PinBudget::new(1 << 20));
        match RunFile::open(&disk, DATABASE, summary, &budget) {
            Ok(run) => opened += u32::from(!run.root().is_empty()),
            Err(error) => assert!(error.is_damage(), "{error}"),
        }
    }
    assert!(opened > 100, "some open: {opened}");
}

#[test]
fn any_flip_is_damage_or_in_a_block() {
    let (disk, summary, bytes) = sound();
    for at in 0..bytes.len() {
        disk.flip(NAME, at as u64, 2);
        let budget = Arc::new(PinBudget::new(1 << 20));
        if let Ok(run) = RunFile::open(&disk, DATABASE, summary, &budget) {
            // What is not read when it is opened is verified when it is read.
            let blocks = run.root().iter().filter_map(|entry| {
                let length = entry.length as usize;
                let block = read_exact(&**run.file(), NAME, entry.offset, length).ok()?;
                run.verify(block.into(), entry.offset).ok()
            });
            let leaves: Vec<_> =
                blocks.flat_map(|block| run.entries(&block).expect("it is sound")).collect();
            let hit = leaves.iter().find(|leaf| {
                (leaf.offset..leaf.offset + u64::from(leaf.length)).contains(&(at as u64))
            });
            let hit = hit.unwrap_or_else(|| panic!("byte {at} is in no block"));
            let length = hit.length as usize;
            let block = read_exact(&**run.file(), NAME, hit.offset, length).expect("no faults");
            assert!(run.verify(block.into(), hit.offset).is_err(), "byte {at}");
        }
        disk.flip(NAME, at as u64, 2);
    }
}
