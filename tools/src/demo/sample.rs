//! The sample that the program carries, and what ZODB says is in it.

use std::path::Path;

use serde::Deserialize;

use crate::database::DatabaseArgs;
use crate::dump::{self, Hashes, ReplayError};
use crate::failure::Failure;
use crate::filestorage::Reader;
use crate::records;

/// What ZODB found when it read the sample.
#[derive(Debug, Deserialize)]
pub(super) struct Sample {
    pub(super) transactions: u64,
    pub(super) records: u64,
    dump_sha256: String,
    dump_without_data_txn_sha256: String,
}

impl Sample {
    /// The FileStorage itself.
    pub(super) const BYTES: &[u8] = include_bytes!("../../../tests/sample/sample.fs");
    const TRUTH: &[u8] = include_bytes!("../../../tests/sample/sample.truth.json");

    pub(super) fn embedded() -> Result<Self, Failure> {
        serde_json::from_slice(Self::TRUTH)
            .map_err(|error| Failure::Damaged(format!("the program's own sample: {error}")))
    }

    fn compare(&self, hashes: Hashes, path: &Path) -> Result<(), Failure> {
        let found = hashes.finish();
        let expected = (&self.dump_sha256, &self.dump_without_data_txn_sha256);
        let found = (&found.sha256.to_string(), &found.sha256_without_data_tids.to_string());
        match found == expected {
            true => Ok(()),
            false => Err(Failure::Damaged(format!(
                "{}: its hashes are {found:?}, those of the sample {expected:?}",
                path.display()
            ))),
        }
    }
}

/// Whether a database has exactly what the sample has.
pub(super) fn check_database(sample: &Sample, directory: &Path) -> Result<(), Failure> {
    let database = DatabaseArgs { directory: directory.to_owned() }.open()?;
    let mut hashes = Hashes::new();
    records::replay(&database, &mut hashes, |_| Ok(()), Failure::output)?;
    sample.compare(hashes, directory)
}

/// Whether a FileStorage has exactly what the sample has.
pub(super) fn check_file(sample: &Sample, path: &Path) -> Result<(), Failure> {
    let mut reader = Reader::open(path)?;
    let mut hashes = Hashes::new();
    dump::replay(&mut reader, &mut hashes).map_err(|error| match error {
        ReplayError::Source(error) => Failure::FileStorage(error),
        ReplayError::Target(error) => Failure::output(error),
    })?;
    sample.compare(hashes, path)
}
