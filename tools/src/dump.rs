//! The canonical dump: a stream of bytes that is the same for the same transactions, wherever
//! they are kept, and its hashes.
//!
//! The dump is the concatenation, over all transactions in the order of their tids, of
//!
//! ```text
//! "T" tid[8] status[1]
//!     u32 length, user
//!     u32 length, description
//!     u32 length, extension
//! for each record, in the order of the transaction:
//!     "R" oid[8] tid[8]
//!         0 if there is no data, else 1 u64 length, data
//!         0 if there is no data_tid, else 1 data_tid[8]
//! "E"
//! ```
//!
//! with integers in big-endian; there is no header and no trailer. It can be written without the
//! `data_tid` of each record and the byte that tells whether there is one: then it is also the
//! same for a copy that does not know where data came from.
//!
//! Whoever has transactions tells of them by the calls of [`Events`]; [`Canonical`], [`Hashes`]
//! and [`filestorage::Writer`] are told. [`replay`] does so for a FileStorage.

use std::fmt;
use std::io::{self, Write};

use model::{Oid, Tid};
use sha2::{Digest as _, Sha256};

use crate::filestorage::{self, Metadata};

/// Is told of transactions: for each one [`Events::transaction`], [`Events::record`] for each of
/// its records, and [`Events::end`].
pub trait Events {
    /// Why it could not go on.
    type Error;

    /// A transaction begins.
    fn transaction(&mut self, metadata: &Metadata<'_>) -> Result<(), Self::Error>;

    /// A record of the transaction that began.
    fn record(&mut self, revision: &Revision<'_>) -> Result<(), Self::Error>;

    /// The transaction that began has no more records.
    fn end(&mut self) -> Result<(), Self::Error>;
}

/// A revision of an object. Its tid is that of its transaction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Revision<'a> {
    /// The object.
    pub oid: Oid,
    /// The data; `None` where the object does not exist from here on.
    pub data: Option<&'a [u8]>,
    /// The transaction that is said to have had this data before, if any.
    pub data_tid: Option<Tid>,
}

/// Whether a dump has the `data_tid` of its records.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DataTids {
    /// `dump_sha256` of a FileStorage is of this one.
    Included,
    /// Nor the bytes that tell whether there is one.
    LeftOut,
}

/// Writes the dump. Nothing is buffered: there are several small writes a record.
#[derive(Debug)]
pub struct Canonical<W> {
    target: W,
    data_tids: DataTids,
    tid: Tid,
}

impl<W: Write> Canonical<W> {
    /// Writes to `target`.
    pub fn new(target: W, data_tids: DataTids) -> Self {
        Self { target, data_tids, tid: Tid::ZERO }
    }

    /// What was written to.
    pub fn into_inner(self) -> W {
        self.target
    }
}

impl<W: Write> Events for Canonical<W> {
    type Error = io::Error;

    fn transaction(&mut self, metadata: &Metadata<'_>) -> io::Result<()> {
        self.tid = metadata.tid;
        let mut head = [0; 10];
        head[0] = b'T';
        head[1..9].copy_from_slice(&metadata.tid.to_be_bytes());
        head[9] = metadata.status.byte();
        self.target.write_all(&head)?;
        for text in [metadata.user, metadata.description, metadata.extension] {
            let length = u32::try_from(text.len()).expect("metadata is far below 4 GiB");
            self.target.write_all(&length.to_be_bytes())?;
            self.target.write_all(text)?;
        }
        Ok(())
    }

    fn record(&mut self, revision: &Revision<'_>) -> io::Result<()> {
        let mut head = [0; 26];
        head[0] = b'R';
        head[1..9].copy_from_slice(&revision.oid.to_be_bytes());
        head[9..17].copy_from_slice(&self.tid.to_be_bytes());
        match revision.data {
            None => self.target.write_all(&head[..18])?,
            Some(data) => {
                head[17] = 1;
                head[18..].copy_from_slice(&(data.len() as u64).to_be_bytes());
                self.target.write_all(&head)?;
                self.target.write_all(data)?;
            }
        }
        match (self.data_tids, revision.data_tid) {
            (DataTids::LeftOut, _) => Ok(()),
            (DataTids::Included, None) => self.target.write_all(&[0]),
            (DataTids::Included, Some(data_tid)) => {
                let mut tail = [1; 9];
                tail[1..].copy_from_slice(&data_tid.to_be_bytes());
                self.target.write_all(&tail)
            }
        }
    }

    fn end(&mut self) -> io::Result<()> {
        self.target.write_all(b"E")
    }
}

/// Hashes the dump with and without the `data_tid` of its records, and counts.
#[derive(Debug)]
pub struct Hashes {
    whole: Canonical<Hasher>,
    without_data_tids: Canonical<Hasher>,
    counts: Counts,
}

impl Hashes {
    /// Of nothing yet.
    pub fn new() -> Self {
        Self {
            whole: Canonical::new(Hasher::default(), DataTids::Included),
            without_data_tids: Canonical::new(Hasher::default(), DataTids::LeftOut),
            counts: Counts::default(),
        }
    }

    /// The hashes of all that was told.
    pub fn finish(self) -> Summary {
        Summary {
            sha256: self.whole.into_inner().finish(),
            sha256_without_data_tids: self.without_data_tids.into_inner().finish(),
            counts: self.counts,
        }
    }
}

impl Default for Hashes {
    fn default() -> Self {
        Self::new()
    }
}

impl Events for Hashes {
    type Error = io::Error;

    fn transaction(&mut self, metadata: &Metadata<'_>) -> io::Result<()> {
        self.counts.transactions += 1;
        self.whole.transaction(metadata)?;
        self.without_data_tids.transaction(metadata)
    }

    fn record(&mut self, revision: &Revision<'_>) -> io::Result<()> {
        self.counts.records += 1;
        self.counts.data_bytes += revision.data.map_or(0, |data| data.len() as u64);
        self.whole.record(revision)?;
        self.without_data_tids.record(revision)
    }

    fn end(&mut self) -> io::Result<()> {
        self.whole.end()?;
        self.without_data_tids.end()
    }
}

/// What [`Hashes`] found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Summary {
    /// Of the dump.
    pub sha256: Digest,
    /// Of the dump without the `data_tid` of its records.
    pub sha256_without_data_tids: Digest,
    /// How much there was.
    pub counts: Counts,
}

/// How much was dumped.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Counts {
    /// Transactions.
    pub transactions: u64,
    /// Records, those without data included.
    pub records: u64,
    /// Bytes of data, where it came from another transaction included.
    pub data_bytes: u64,
}

/// A SHA-256; shown as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Digest(pub [u8; 32]);

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

/// The SHA-256 of some bytes.
pub fn sha256(bytes: &[u8]) -> Digest {
    Digest(Sha256::digest(bytes).into())
}

/// Where the bytes of a dump go to be hashed.
#[derive(Clone, Default, Debug)]
pub struct Hasher(Sha256);

impl Hasher {
    /// The hash of all that was written.
    pub fn finish(self) -> Digest {
        Digest(self.0.finalize().into())
    }
}

impl Write for Hasher {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Events for filestorage::Writer {
    type Error = filestorage::Error;

    fn transaction(&mut self, metadata: &Metadata<'_>) -> Result<(), filestorage::Error> {
        self.begin(metadata)
    }

    fn record(&mut self, revision: &Revision<'_>) -> Result<(), filestorage::Error> {
        self.record(revision.oid, revision.data, revision.data_tid)
    }

    fn end(&mut self) -> Result<(), filestorage::Error> {
        self.end()
    }
}

/// Which side of a [`replay`] failed.
#[derive(Debug)]
pub enum ReplayError<E> {
    /// The FileStorage that was read.
    Source(filestorage::Error),
    /// Who was told.
    Target(E),
}

impl<E: fmt::Display> fmt::Display for ReplayError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReplayError::Source(error) => error.fmt(f),
            ReplayError::Target(error) => error.fmt(f),
        }
    }
}

impl<E: fmt::Display + fmt::Debug> std::error::Error for ReplayError<E> {}

/// Tells of all transactions that a reader still has to give.
pub fn replay<T: Events>(
    reader: &mut filestorage::Reader,
    target: &mut T,
) -> Result<(), ReplayError<T::Error>> {
    while let Some(transaction) = reader.next_transaction().map_err(ReplayError::Source)? {
        target.transaction(&transaction.metadata()).map_err(ReplayError::Target)?;
        while let Some(record) = reader.next_record().map_err(ReplayError::Source)? {
            let (oid, data_tid) = (record.oid, record.data_tid);
            let revision = Revision { oid, data: record.data.as_deref(), data_tid };
            target.record(&revision).map_err(ReplayError::Target)?;
        }
        target.end().map_err(ReplayError::Target)?;
    }
    Ok(())
}
