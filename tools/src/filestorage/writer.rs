//! Writing a FileStorage file.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use model::{Oid, Tid};

use super::error::{Action, Error, Field};
use super::format::{
    Format, Length, Metadata, Position, RecordHeader, TRANSACTIONS_START, TransactionHeader,
};
use super::positions::Positions;

/// How much is collected before it is written.
const WRITE_LENGTH: usize = 1 << 20;

/// How much of a datum is compared at once.
const COMPARE_LENGTH: usize = 64 * 1024;

/// Makes a file of format `FS30`: for each transaction [`Writer::begin`], its records with
/// [`Writer::record`], and [`Writer::end`]; then [`Writer::finish`].
///
/// The file is written as `<target>.part`, synced, and gets its own name when it is finished, so
/// that nothing half-made ever has it. A Writer that is dropped before that removes its file; a
/// `.part` that a killed process left is written anew, one that another process is writing is
/// refused.
///
/// Transactions may be of any size: memory is a buffer and 9 to 100 bytes an oid for the position
/// of its last record, plus some for each record whose oid came before in the same transaction.
/// Records refer to the previous one of their oid as FileStorage's own do: when an oid
/// occurs twice in a transaction, both refer to the one of an earlier transaction.
#[derive(Debug)]
pub struct Writer {
    target: PathBuf,
    part: PathBuf,
    file: File,
    /// How much is in the file; the buffer comes behind it.
    written: u64,
    buffer: Vec<u8>,
    last_records: Positions,
    /// Records that a later one of the same oid and transaction hides from the chain of previous
    /// records.
    hidden_records: BTreeMap<(Oid, Tid), Vec<u64>>,
    last_tid: Tid,
    /// Where the transaction begins that is being written.
    current: Option<u64>,
    finished: bool,
}

impl Writer {
    /// Starts a file. Nothing must be there yet.
    pub fn create(target: impl AsRef<Path>) -> Result<Self, Error> {
        let target = target.as_ref().to_owned();
        require_absent(&target)?;
        let mut part = OsString::from(&target);
        part.push(".part");
        let part = PathBuf::from(part);
        let failed = |source| Error::io(&part, Action::Create, source);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&part)
            .map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Error::TargetBusy { path: part }),
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        file.set_len(0).map_err(failed)?;
        let mut buffer = Vec::with_capacity(WRITE_LENGTH);
        buffer.extend_from_slice(Format::Fs30.magic());
        Ok(Self {
            target,
            part,
            file,
            written: 0,
            buffer,
            last_records: Positions::default(),
            hidden_records: BTreeMap::new(),
            last_tid: Tid::ZERO,
            current: None,
            finished: false,
        })
    }

    /// Begins a transaction, which must be later than the one before.
    pub fn begin(&mut self, metadata: &Metadata<'_>) -> Result<(), Error> {
        assert!(self.current.is_none(), "the transaction before has to be ended");
        let tid = metadata.tid;
        if tid <= self.last_tid {
            let (path, last) = (self.target.clone(), self.last_tid);
            return Err(Error::WriteTidOrder { path, last, tid });
        }
        let length = |field, bytes: &[u8]| {
            u16::try_from(bytes.len()).map_err(|_| Error::MetadataLength {
                path: self.target.clone(),
                tid,
                field,
                found: Length(bytes.len() as u64),
            })
        };
        let header = TransactionHeader {
            tid,
            // Not known before the end.
            length: 0,
            status: metadata.status.byte(),
            user_length: length(Field::User, metadata.user)?,
            description_length: length(Field::Description, metadata.description)?,
            extension_length: length(Field::Extension, metadata.extension)?,
        };
        self.last_tid = tid;
        self.current = Some(self.position());
        self.append(&header.encode())?;
        self.append(metadata.user)?;
        self.append(metadata.description)?;
        self.append(metadata.extension)
    }

    /// Adds a record to the transaction that was begun: its data, not empty, or `None` where the
    /// object does not exist from here on.
    ///
    /// With a `data_tid` a back pointer is written instead of the data, if the file has a record
    /// of this oid and that earlier tid with the same data (or none either); else the data is
    /// written and the `data_tid` is lost.
    pub fn record(
        &mut self,
        oid: Oid,
        data: Option<&[u8]>,
        data_tid: Option<Tid>,
    ) -> Result<(), Error> {
        let start = self.current.expect("a transaction has to be begun");
        let tid = self.last_tid;
        if data.is_some_and(<[u8]>::is_empty) {
            return Err(Error::EmptyData { path: self.target.clone(), oid, tid });
        }
        let last = self.last_records.get(oid);
        let previous = match last {
            Some(last) if last >= start => {
                self.hidden_records.entry((oid, tid)).or_default().push(last);
                self.record_header(last)?.previous
            }
            Some(last) => last,
            None => 0,
        };
        let back_pointer = match data_tid {
            Some(data_tid) if data_tid < tid => self.find(oid, previous, data_tid, data)?,
            _ => None,
        };
        let data = if back_pointer.is_some() { None } else { data };
        let position = self.position();
        let header = RecordHeader {
            oid,
            tid,
            previous,
            transaction: start,
            version_length: 0,
            data_length: data.map_or(0, |data| data.len() as u64),
        };
        self.append(&header.encode())?;
        match data {
            Some(data) => self.append(data)?,
            None => self.append(&back_pointer.unwrap_or(0).to_be_bytes())?,
        }
        self.last_records.set(oid, position);
        Ok(())
    }

    /// Ends the transaction that was begun. It may have no records.
    pub fn end(&mut self) -> Result<(), Error> {
        let start = self.current.take().expect("a transaction has to be begun");
        let length = self.position() - start;
        let length_position = start + TransactionHeader::LENGTH_OFFSET;
        self.overwrite(length_position, &length.to_be_bytes())?;
        self.append(&length.to_be_bytes())
    }

    /// Makes the file durable and gives it its name. Returns its length.
    pub fn finish(mut self) -> Result<Length, Error> {
        assert!(self.current.is_none(), "the transaction before has to be ended");
        self.flush()?;
        self.file.sync_all().map_err(|error| Error::io(&self.part, Action::Sync, error))?;
        require_absent(&self.target)?;
        fs::rename(&self.part, &self.target)
            .map_err(|error| Error::io(&self.target, Action::Rename, error))?;
        self.finished = true;
        let directory = match self.target.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        };
        File::open(directory)
            .and_then(|directory| directory.sync_all())
            .map_err(|error| Error::io(directory, Action::Sync, error))?;
        Ok(Length(self.written))
    }

    /// Where the next byte goes.
    fn position(&self) -> u64 {
        self.written + self.buffer.len() as u64
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), Error> {
        if self.buffer.len() + bytes.len() > WRITE_LENGTH {
            self.flush()?;
        }
        if bytes.len() > WRITE_LENGTH {
            self.write(self.written, bytes)?;
            self.written += bytes.len() as u64;
        } else {
            self.buffer.extend_from_slice(bytes);
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Error> {
        self.write(self.written, &self.buffer)?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    /// Changes bytes that were appended before, all of them in one piece.
    fn overwrite(&mut self, position: u64, bytes: &[u8]) -> Result<(), Error> {
        assert!(position + bytes.len() as u64 <= self.position());
        match position.checked_sub(self.written).map(usize::try_from) {
            Some(Ok(at)) => {
                self.buffer[at..at + bytes.len()].copy_from_slice(bytes);
                Ok(())
            }
            // A piece is appended to the buffer or to the file, never to both.
            _ => self.write(position, bytes),
        }
    }

    fn write(&self, position: u64, bytes: &[u8]) -> Result<(), Error> {
        self.file
            .write_all_at(bytes, position)
            .map_err(|error| Error::io(&self.part, Action::Write(Position(position)), error))
    }

    /// Reads bytes that were appended before, all of them in one piece.
    fn read(&self, position: u64, bytes: &mut [u8]) -> Result<(), Error> {
        match position.checked_sub(self.written).map(usize::try_from) {
            Some(Ok(at)) => {
                bytes.copy_from_slice(&self.buffer[at..at + bytes.len()]);
                Ok(())
            }
            _ => self
                .file
                .read_exact_at(bytes, position)
                .map_err(|error| Error::io(&self.part, Action::Read(Position(position)), error)),
        }
    }

    fn record_header(&self, position: u64) -> Result<RecordHeader, Error> {
        let mut bytes = [0; 42];
        self.read(position, &mut bytes)?;
        Ok(RecordHeader::decode(&bytes))
    }

    /// The record of an oid and tid that has the data that is given, going back from the record at
    /// `position`; 0 is none.
    fn find(
        &self,
        oid: Oid,
        mut position: u64,
        tid: Tid,
        data: Option<&[u8]>,
    ) -> Result<Option<u64>, Error> {
        while position >= TRANSACTIONS_START {
            let header = self.record_header(position)?;
            if header.tid <= tid {
                break;
            }
            position = header.previous;
        }
        if position == 0 || self.record_header(position)?.tid != tid {
            return Ok(None);
        }
        let hidden = self.hidden_records.get(&(oid, tid)).map_or(&[][..], Vec::as_slice);
        for position in std::iter::once(&position).chain(hidden) {
            if self.has_data(*position, data)? {
                return Ok(Some(*position));
            }
        }
        Ok(None)
    }

    /// Whether the record at a position leads to the same data, or to none either.
    fn has_data(&self, mut position: u64, data: Option<&[u8]>) -> Result<bool, Error> {
        let mut header = self.record_header(position)?;
        while header.data_length == 0 {
            let mut target = [0; 8];
            self.read(position + RecordHeader::LENGTH, &mut target)?;
            position = u64::from_be_bytes(target);
            if position == 0 {
                return Ok(data.is_none());
            }
            header = self.record_header(position)?;
        }
        let Some(data) = data else {
            return Ok(false);
        };
        if header.data_length != data.len() as u64 {
            return Ok(false);
        }
        let mut buffer = vec![0; COMPARE_LENGTH.min(data.len())];
        let mut position = position + RecordHeader::LENGTH;
        for part in data.chunks(COMPARE_LENGTH) {
            let buffer = &mut buffer[..part.len()];
            self.read(position, buffer)?;
            if buffer != part {
                return Ok(false);
            }
            position += part.len() as u64;
        }
        Ok(true)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if !self.finished {
            // It would be written anew in any case; nobody is left to be told.
            let _ = fs::remove_file(&self.part);
        }
    }
}

fn require_absent(target: &Path) -> Result<(), Error> {
    match fs::symlink_metadata(target) {
        Ok(_) => Err(Error::TargetExists { path: target.to_owned() }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Error::io(target, Action::Create, error)),
    }
}
