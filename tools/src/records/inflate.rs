//! Data that clients of the network store compressed, as it was before.

use std::io::Read;

use bytes::Bytes;
use engine::Compression;
use flate2::read::ZlibDecoder;
use model::{Oid, Tid};

use crate::failure::Failure;
use crate::filestorage::DATA_LENGTH_MAX;

/// The data of a revision without its compression. Longer data than a FileStorage can have is not
/// inflated, as it may be made to fill the memory.
pub(crate) fn inflated(
    compression: Compression,
    data: Bytes,
    oid: Oid,
    tid: Tid,
) -> Result<Bytes, Failure> {
    match compression {
        Compression::None => Ok(data),
        Compression::Zlib => inflate(&data).map(Bytes::from).ok_or_else(|| {
            Failure::Damaged(format!(
                "oid {oid} of transaction {tid}: expected zlib data of at most \
                 {DATA_LENGTH_MAX} bytes, and nothing behind it"
            ))
        }),
    }
}

fn inflate(data: &[u8]) -> Option<Vec<u8>> {
    let length_max = DATA_LENGTH_MAX as u64;
    let mut decoder = ZlibDecoder::new(data).take(length_max + 1);
    let mut inflated = Vec::new();
    decoder.read_to_end(&mut inflated).ok()?;
    let is_all = decoder.get_ref().total_in() == data.len() as u64;
    (is_all && inflated.len() <= DATA_LENGTH_MAX).then_some(inflated)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression as Level;
    use flate2::write::ZlibEncoder;

    use super::*;

    fn deflate(data: &[u8]) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Level::default());
        encoder.write_all(data).expect("written to memory");
        encoder.finish().expect("written to memory")
    }

    #[test]
    fn only_whole_streams_are_inflated() {
        let data = b"a pickle ".repeat(100);
        let deflated = deflate(&data);
        assert_eq!(inflate(&deflated), Some(data.clone()));
        assert_eq!(inflate(&deflate(b"")), Some(Vec::new()));
        assert_eq!(inflate(&deflated[..deflated.len() - 1]), None);
        assert_eq!(inflate(&[&deflated[..], b"x"].concat()), None);
        for at in 0..deflated.len() {
            let mut flipped = deflated.clone();
            flipped[at] ^= 0x40;
            // Bits that pad the stream to whole bytes say nothing.
            assert!(inflate(&flipped).is_none_or(|found| found == data), "byte {at}");
        }
    }

    #[test]
    fn an_error_names_the_revision() {
        let (oid, tid) = (Oid::new(1), Tid::new(2));
        let error = inflated(Compression::Zlib, Bytes::from_static(b"no"), oid, tid);
        let text = error.expect_err("no zlib data").to_string();
        assert_eq!(
            text,
            "oid 0000000000000001 of transaction 0000000000000002: expected zlib data of at most \
             1073741824 bytes, and nothing behind it"
        );
        let data = Bytes::from_static(b"plain");
        let found = inflated(Compression::None, data.clone(), oid, tid);
        assert_eq!(found.expect("left as it is"), data);
    }
}
