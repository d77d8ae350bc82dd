//! The hash of a file, as the end of a run names it.

use xxhash_rust::xxh3::Xxh3Default;

use super::watch::{Going, Watch};
use crate::disk::File;
use crate::error::{Error, Result};

/// Bytes read at once.
const PIECE_LENGTH: usize = 1 << 20;

/// xxh3 of all bytes before `end`.
pub(super) fn hash_file(
    file: &dyn File,
    path: &str,
    end: u64,
    watch: &mut Watch<'_>,
) -> Going<Result<u64>> {
    let mut hash = Xxh3Default::new();
    let mut at = 0;
    while at < end {
        let rest = usize::try_from(end - at).unwrap_or(usize::MAX);
        let mut piece = vec![0; rest.min(PIECE_LENGTH)];
        match file.read_at(&mut piece, at) {
            Ok(count) if count == piece.len() => hash.update(&piece),
            Ok(count) => {
                let (file, offset) = (path.to_owned(), at + count as u64);
                let expected = "more bytes than the file has";
                return Ok(Err(Error::Damaged { file, offset, expected }));
            }
            Err(source) => return Ok(Err(Error::read(path.to_owned(), at, source))),
        }
        at += piece.len() as u64;
        watch.advance(piece.len() as u64)?;
    }
    Ok(Ok(hash.digest()))
}
