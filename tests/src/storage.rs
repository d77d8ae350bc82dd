//! A FileStorage of any size, written by hand.

#![expect(clippy::disallowed_methods, reason = "a FileStorage is no file of an engine")]

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use model::Random;

/// Writes a FileStorage with so many transactions, each with one record of so many random bytes,
/// of one object after the other. Tids count from 1,000.
///
/// # Panics
/// If it cannot be written.
pub fn write_storage(path: &Path, transactions: u64, data_length: usize) {
    let mut random = Random::from_seed(transactions);
    let mut file = BufWriter::new(File::create(path).expect("the file can be made"));
    let mut write = |bytes: &[u8]| file.write_all(bytes).expect("the file can be written");
    write(b"FS30");
    let mut position = 4;
    for number in 0..transactions {
        let tid = (1000 + number).to_be_bytes();
        let length = 23 + 42 + data_length as u64;
        write(&tid);
        write(&length.to_be_bytes());
        write(b" \0\0\0\0\0\0");
        write(&number.to_be_bytes());
        write(&tid);
        write(&[0; 8]);
        write(&u64::to_be_bytes(position));
        write(&[0; 2]);
        write(&(data_length as u64).to_be_bytes());
        write(&random.bytes(data_length));
        write(&length.to_be_bytes());
        position += length + 8;
    }
    file.flush().expect("the file can be written");
}
