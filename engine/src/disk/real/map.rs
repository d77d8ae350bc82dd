//! Read-only mappings of sealed files.

use std::fs::File;
use std::io;

/// Mapped memory of a real file: its first bytes, as many as were asked for.
///
/// Made only by [`File::map`](crate::disk::File::map), for files that never change again. The
/// mapping outlives the file's handle and its name.
#[derive(Debug)]
pub struct Map(memmap2::Mmap);

impl Map {
    /// Maps the first `length` bytes; an error where the file is shorter, because touching what
    /// is behind the end of a file ends the process.
    pub(super) fn new(file: &File, length: usize) -> io::Result<Self> {
        let actual = file.metadata()?.len();
        if u64::try_from(length).is_ok_and(|length| length <= actual) {
            // SAFETY: the caller of `File::map` promises that the file is sealed: nobody writes
            // to it or cuts it as long as the mapping lives. The directory's lock keeps other
            // processes of ours away.
            let map = unsafe { memmap2::MmapOptions::new().len(length).map(file)? };
            return Ok(Self(map));
        }
        let error = format!("{length} bytes to map, but the file has {actual}");
        Err(io::Error::new(io::ErrorKind::UnexpectedEof, error))
    }
}

impl std::ops::Deref for Map {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl AsRef<[u8]> for Map {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}
