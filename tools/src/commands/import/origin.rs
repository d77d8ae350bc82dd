//! What an unfinished import is importing, as the metadata of its database says.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use model::Tid;

use crate::failure::Failure;
use crate::filestorage::{Format, Identity};

/// The file that is being imported: where it was, and what it is recognized by.
///
/// As bytes, little-endian: magic of the FileStorage (4 bytes), tid of its first transaction
/// (u64, 0 without one), length of its first transaction (u64), path (the rest).
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Origin {
    pub(super) path: PathBuf,
    magic: [u8; 4],
    first_tid: Tid,
    first_length: u64,
}

impl Origin {
    pub(super) fn new(path: &Path, identity: Identity) -> Self {
        Self {
            path: path.to_owned(),
            magic: *Format::magic(identity.format),
            first_tid: identity.first_tid.unwrap_or(Tid::ZERO),
            first_length: identity.first_length.get(),
        }
    }

    /// Whether both are the same file, wherever it is now and however much longer it has become.
    /// A file without transactions may have become any other.
    pub(super) fn is_same_file(&self, other: &Self) -> bool {
        let parts = |origin: &Self| (origin.magic, origin.first_tid, origin.first_length);
        parts(self) == parts(other) || (self.first_length == 0 && self.magic == other.magic)
    }

    /// Why a database cannot be used while this is its value of `MetadataKey::Import`.
    pub(crate) fn of_unfinished(bytes: &[u8], directory: &Path) -> Failure {
        let directory = directory.display();
        match Self::from_bytes(bytes) {
            Some(origin) => {
                let source = origin.path.display();
                Failure::Refused(format!(
                    "{directory}: the import of {source} is not finished: run it again"
                ))
            }
            None => Failure::Damaged(format!(
                "{directory}: the metadata names an import that cannot be understood"
            )),
        }
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.magic.to_vec();
        bytes.extend_from_slice(&self.first_tid.get().to_le_bytes());
        bytes.extend_from_slice(&self.first_length.to_le_bytes());
        bytes.extend_from_slice(self.path.as_os_str().as_bytes());
        bytes
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (magic, rest) = bytes.split_first_chunk::<4>()?;
        let (first_tid, rest) = rest.split_first_chunk()?;
        let (first_length, path) = rest.split_first_chunk()?;
        Some(Self {
            path: PathBuf::from(OsStr::from_bytes(path)),
            magic: *magic,
            first_tid: Tid::new(u64::from_le_bytes(*first_tid)),
            first_length: u64::from_le_bytes(*first_length),
        })
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (path, length, tid) = (self.path.display(), self.first_length, self.first_tid);
        match length {
            0 => write!(f, "{path} (which had no transaction)"),
            _ => write!(f, "{path} (whose first transaction is {tid}, of {length} bytes)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use model::Random;

    use super::*;

    fn origin(path: &str, first_tid: u64, first_length: u64) -> Origin {
        Origin {
            path: PathBuf::from(path),
            magic: *b"FS30",
            first_tid: Tid::new(first_tid),
            first_length,
        }
    }

    #[test]
    fn bytes_come_back() {
        for example in [origin("a/Data.fs", 5, 100), origin("", 0, 0)] {
            assert_eq!(Origin::from_bytes(&example.to_bytes()), Some(example));
        }
        let mut random = Random::from_seed(1);
        for _ in 0..1000 {
            let length = random.index(40);
            let bytes = random.bytes(length);
            match Origin::from_bytes(&bytes) {
                Some(origin) => assert_eq!(origin.to_bytes(), bytes),
                None => assert!(bytes.len() < 20),
            }
        }
    }

    #[test]
    fn a_file_is_the_same_wherever_it_is() {
        let before = origin("Data.fs", 5, 100);
        assert!(before.is_same_file(&origin("elsewhere/Data.fs", 5, 100)));
        assert!(!before.is_same_file(&origin("Data.fs", 6, 100)));
        assert!(!before.is_same_file(&origin("Data.fs", 5, 101)));
        assert!(!before.is_same_file(&origin("Data.fs", 0, 0)));
        assert!(origin("Data.fs", 0, 0).is_same_file(&before));
    }
}
