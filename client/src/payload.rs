//! Data of objects as it travels.

use std::borrow::Cow;

use bytes::Bytes;
use net::{Checksum, Data};

use crate::error::Error;
use crate::zlib;

/// Bytes that data may decompress to: what an object may have.
const PLAIN_LENGTH_MAX: usize = 1 << 30;
/// Data shorter than this is not compressed, as there is nothing to gain.
const COMPRESSED_LENGTH_MIN: usize = 64;

/// Data of one revision, plain or compressed, as storages keep it.
#[derive(Clone, PartialEq, Debug)]
pub struct Payload {
    /// 0: plain, 1: zlib.
    pub compression: u8,
    /// The data.
    pub data: Data,
}

impl Payload {
    /// Data that is not compressed.
    pub fn plain(bytes: impl Into<Bytes>) -> Self {
        Self { compression: 0, data: Data::new(bytes.into()) }
    }

    /// Data compressed with zlib, where that makes it shorter; plain otherwise.
    pub fn compressed(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        if bytes.len() >= COMPRESSED_LENGTH_MIN
            && let Some(compressed) = zlib::compress(&bytes)
        {
            return Self { compression: 1, data: Data::new(Bytes::from(compressed)) };
        }
        Self::plain(bytes)
    }

    /// The data itself.
    ///
    /// # Errors
    /// [`Error::Damaged`] if it does not decompress.
    pub fn bytes(&self) -> Result<Bytes, Error> {
        match self.compression {
            0 => Ok(self.data.bytes.clone()),
            _ => self.decompressed(|plain| Bytes::from(plain.into_owned())),
        }
    }

    /// What a function makes of the data itself, which is not kept.
    ///
    /// # Errors
    /// [`Error::Damaged`] if it does not decompress.
    pub fn with_bytes<T>(&self, make: impl FnOnce(&[u8]) -> T) -> Result<T, Error> {
        match self.compression {
            0 => Ok(make(&self.data.bytes)),
            _ => self.decompressed(|plain| make(&plain)),
        }
    }

    fn decompressed<T>(&self, make: impl FnOnce(Cow<'_, [u8]>) -> T) -> Result<T, Error> {
        let made = match self.compression {
            1 => zlib::decompress(&self.data.bytes, PLAIN_LENGTH_MAX, make),
            _ => None,
        };
        made.ok_or(Error::Damaged { compression: self.compression })
    }

    /// How many bytes travel.
    pub fn length(&self) -> usize {
        self.data.bytes.len()
    }

    /// From a message; `None` for a revision without data.
    pub(crate) fn from_message(compression: u8, checksum: Checksum, data: Data) -> Option<Self> {
        let is_none = checksum == Checksum::ZERO && data.bytes.is_empty();
        (!is_none).then_some(Self { compression, data })
    }
}
