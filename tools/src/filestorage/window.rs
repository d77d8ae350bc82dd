//! A file read through one bounded buffer.

use std::fs::File;
use std::io;
use std::mem;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use bytes::{Bytes, BytesMut};

use super::error::{Action, Error};
use super::format::{Length, Position};

/// How much is read at once: enough that the calls do not count, little enough to stay in the
/// caches of a processor.
const READ_LENGTH: usize = 512 * 1024;

/// A file of fixed length and the piece of it that was read last.
///
/// Going forward, [`Window::view`] and [`Window::take`] read the next piece when what is asked is
/// not all in the window. [`Window::peek`] and [`Window::copy`] look anywhere and leave the
/// window where it is. What is taken shares the window's memory without copying; the buffer is
/// used again when nobody holds a part of it any more, else another one is made. A single datum
/// longer than [`READ_LENGTH`] gets a buffer of its length.
///
/// All callers ask only for what is within the length of the file: they check lengths before
/// they read, so memory is never more than the file has.
#[derive(Debug)]
pub(super) struct Window {
    file: File,
    path: PathBuf,
    length: u64,
    start: u64,
    bytes: Bytes,
}

impl Window {
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        let failed = |source| Error::io(path, Action::Open, source);
        let file = File::open(path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        if !metadata.is_file() {
            return Err(Error::NotAFile { path: path.to_owned() });
        }
        let (path, length) = (path.to_owned(), metadata.len());
        Ok(Self { file, path, length, start: 0, bytes: Bytes::new() })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Length of the file when it was opened. What is appended later is not seen.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// The `N` bytes at an offset; the window goes there.
    pub(super) fn view<const N: usize>(&mut self, offset: u64) -> Result<&[u8; N], Error> {
        let at = self.reach(offset, N)?;
        let bytes = &self.bytes[at..at + N];
        Ok(bytes.try_into().expect("a slice of N bytes is an array of N bytes"))
    }

    /// So many bytes at an offset; the window goes there.
    pub(super) fn take(&mut self, offset: u64, length: usize) -> Result<Bytes, Error> {
        if length == 0 {
            return Ok(Bytes::new());
        }
        let at = self.reach(offset, length)?;
        Ok(self.bytes.slice(at..at + length))
    }

    /// The `N` bytes at an offset; the window stays.
    pub(super) fn peek<const N: usize>(&self, offset: u64) -> Result<[u8; N], Error> {
        let mut buffer = [0; N];
        match self.find(offset, N) {
            Some(at) => buffer.copy_from_slice(&self.bytes[at..at + N]),
            None => self.read(&mut buffer, offset)?,
        }
        Ok(buffer)
    }

    /// So many bytes at an offset; the window stays.
    pub(super) fn copy(&self, offset: u64, length: usize) -> Result<Bytes, Error> {
        if let Some(at) = self.find(offset, length) {
            return Ok(self.bytes.slice(at..at + length));
        }
        self.assert_inside(offset, length);
        let mut buffer = BytesMut::zeroed(length);
        self.read(&mut buffer, offset)?;
        Ok(buffer.freeze())
    }

    /// Moves the window unless it has the bytes already; where in it they are.
    fn reach(&mut self, offset: u64, length: usize) -> Result<usize, Error> {
        match self.find(offset, length) {
            Some(at) => Ok(at),
            None => {
                self.fill(offset, length)?;
                Ok(0)
            }
        }
    }

    fn find(&self, offset: u64, length: usize) -> Option<usize> {
        let at = usize::try_from(offset.checked_sub(self.start)?).ok()?;
        (at.checked_add(length)? <= self.bytes.len()).then_some(at)
    }

    fn fill(&mut self, offset: u64, length: usize) -> Result<(), Error> {
        self.assert_inside(offset, length);
        let rest = usize::try_from(self.length - offset).unwrap_or(usize::MAX);
        let wanted = length.max(READ_LENGTH).min(rest);
        let mut buffer = match mem::take(&mut self.bytes).try_into_mut() {
            Ok(buffer) if (wanted..=2 * READ_LENGTH).contains(&buffer.capacity()) => buffer,
            Ok(_) | Err(_) => BytesMut::zeroed(wanted),
        };
        buffer.resize(wanted, 0);
        self.read(&mut buffer, offset)?;
        self.start = offset;
        self.bytes = buffer.freeze();
        Ok(())
    }

    fn read(&self, buffer: &mut [u8], offset: u64) -> Result<(), Error> {
        self.assert_inside(offset, buffer.len());
        let mut done = 0;
        while done < buffer.len() {
            let position = offset + done as u64;
            match self.file.read_at(&mut buffer[done..], position) {
                Ok(0) => {
                    let path = self.path.clone();
                    let (expected, found) = (Length(self.length), Position(position));
                    return Err(Error::Shrunk { path, expected, found });
                }
                Ok(count) => done += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    let action = Action::Read(Position(position));
                    return Err(Error::io(&self.path, action, error));
                }
            }
        }
        Ok(())
    }

    fn assert_inside(&self, offset: u64, length: usize) {
        let end = offset.checked_add(length as u64);
        assert!(end.is_some_and(|end| end <= self.length), "lengths are checked before reading");
    }
}
