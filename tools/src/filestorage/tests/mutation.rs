//! Whatever bytes a file has, reading it ends, with transactions or with one line of error.

use std::fs;
use std::path::Path;

use super::super::{Error, Reader};
use super::{data_directory, sample};

/// How many files are made of each database.
const FILES: u64 = 3_000;

#[test]
fn changed_bytes_never_panic() {
    let mut originals = vec![fs::read(sample().path).unwrap()[..100_000].to_vec()];
    if let Some(directory) = data_directory() {
        originals.push(fs::read(directory.join("tiny.fs")).unwrap());
        originals.push(fs::read(directory.join("tiny-py2-packed.fs")).unwrap());
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("changed.fs");
    for original in originals {
        fs::write(&path, &original).unwrap();
        let fields = fields(&path);
        let mut failed = 0;
        for seed in 0..FILES {
            let mut bytes = original.clone();
            change(&mut bytes, &fields, &mut Random(seed));
            fs::write(&path, &bytes).unwrap();
            failed += u64::from(read(&path, seed));
        }
        assert!(failed > FILES / 4, "{failed} of {FILES} files were found to be damaged");
        assert!(failed < FILES, "some changes are to data that has no checksum");
    }
}

#[test]
fn random_bytes_never_panic() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("random.fs");
    for seed in 0..1_000 {
        let mut random = Random(seed);
        let length = random.below(3_000);
        let mut bytes = b"FS30".to_vec();
        // Many zeros make small lengths.
        let byte = |random: &mut Random| {
            if random.below(3) == 0 { random.byte() } else { 0 }
        };
        bytes.extend((0..length).map(|_| byte(&mut random)));
        fs::write(&path, &bytes).unwrap();
        read(&path, seed);
    }
}

/// Reads all that can be read; whether there was an error.
fn read(path: &Path, seed: u64) -> bool {
    let mut reader = match Reader::open(path) {
        Ok(reader) => reader,
        Err(error) => {
            assert_one_line(&error.to_string(), path, seed);
            return true;
        }
    };
    // Seeking and skipping take other ways through the same bytes.
    let _ = reader.seek_after(model::Tid::MAX);
    let _ = reader.seek_after(model::Tid::ZERO);
    while let Ok(Some(_)) = reader.next_transaction() {}
    match count_records(path) {
        Ok(records) => {
            // A record has at least 43 bytes.
            assert!(records <= reader.file_length().get() / 43, "seed {seed}");
            false
        }
        Err(error) => {
            assert_one_line(&error.to_string(), path, seed);
            true
        }
    }
}

fn count_records(path: &Path) -> Result<u64, Error> {
    let mut reader = Reader::open(path)?;
    let mut count = 0;
    while reader.next_transaction()?.is_some() {
        while let Some(record) = reader.next_record()? {
            assert!(record.data.is_none_or(|data| !data.is_empty()));
            count += 1;
        }
    }
    Ok(count)
}

fn assert_one_line(error: &str, path: &Path, seed: u64) {
    assert!(error.starts_with(path.to_str().unwrap()), "seed {seed}: {error}");
    assert!(!error.contains('\n'), "seed {seed}: {error}");
    assert!(error.contains("offset "), "seed {seed}: {error}");
    assert!(error.contains("expected "), "seed {seed}: {error}");
    assert!(error.contains("found "), "seed {seed}: {error}");
}

/// Where headers are, the fields of which are worth changing.
fn fields(path: &Path) -> Vec<u64> {
    let mut reader = Reader::open(path).unwrap();
    let mut fields = Vec::new();
    while let Some(transaction) = reader.next_transaction().unwrap() {
        let start = transaction.position.get();
        fields.extend([0, 8, 16, 17, 19, 21].map(|offset| start + offset));
        fields.push(start + transaction.length.get() - 8);
        while let Some(record) = reader.next_record().unwrap() {
            let start = record.position.get();
            fields.extend([0, 8, 16, 24, 32, 34, 42].map(|offset| start + offset));
        }
    }
    fields
}

/// Changes one to three places.
fn change(bytes: &mut Vec<u8>, fields: &[u64], random: &mut Random) {
    for _ in 0..=random.below(3) {
        let length = bytes.len() as u64;
        let field = fields[random.index(fields.len())].min(length - 9);
        let field = usize::try_from(field).unwrap();
        let anywhere = random.index(bytes.len() - 8);
        match random.below(7) {
            0 => bytes[anywhere] ^= 1 << random.below(8),
            1 => bytes[field + random.index(8)] ^= 1 << random.below(8),
            2 => bytes[field..field + 8].copy_from_slice(&random.next().to_be_bytes()),
            3 => {
                let value = [0, 1, 22, 23, 50, 1 << 40, u64::MAX, length, length - 8, u64::MAX - 8]
                    [random.index(10)];
                bytes[field..field + 8].copy_from_slice(&value.to_be_bytes());
            }
            4 => {
                let position = fields[random.index(fields.len())];
                bytes[field..field + 8].copy_from_slice(&position.to_be_bytes());
            }
            5 => {
                let value = [0, b'c', b'u', b'p', b' ', 255][random.index(6)];
                bytes[field] = value;
            }
            _ => {
                let end = (anywhere + random.index(200)).min(bytes.len());
                bytes.drain(anywhere..end);
                if bytes.len() < 100 {
                    return;
                }
            }
        }
    }
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut value = self.0;
        value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        value ^ (value >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).unwrap()
    }

    fn byte(&mut self) -> u8 {
        self.next().to_be_bytes()[0]
    }
}
