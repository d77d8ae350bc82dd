//! Data of objects as it travels.

use std::io::{Read, Write};

use bytes::Bytes;
use flate2::Compression as Level;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use net::{Checksum, Data};

use crate::error::Error;

/// Bytes that data may decompress to: what an object may have.
const PLAIN_LENGTH_MAX: u64 = 1 << 30;
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
        if bytes.len() >= COMPRESSED_LENGTH_MIN {
            let mut encoder = ZlibEncoder::new(Vec::with_capacity(bytes.len()), Level::fast());
            let written = encoder.write_all(&bytes).and_then(|()| encoder.finish());
            let compressed = written.expect("a vector takes everything");
            if compressed.len() < bytes.len() {
                return Self { compression: 1, data: Data::new(Bytes::from(compressed)) };
            }
        }
        Self::plain(bytes)
    }

    /// The data itself.
    ///
    /// # Errors
    /// [`Error::Damaged`] if it does not decompress.
    pub fn bytes(&self) -> Result<Bytes, Error> {
        let damaged = Error::Damaged { compression: self.compression };
        match self.compression {
            0 => Ok(self.data.bytes.clone()),
            1 => {
                let mut plain = Vec::new();
                let decoder = ZlibDecoder::new(self.data.bytes.as_ref());
                match decoder.take(PLAIN_LENGTH_MAX + 1).read_to_end(&mut plain) {
                    Ok(length) if length as u64 <= PLAIN_LENGTH_MAX => Ok(Bytes::from(plain)),
                    _ => Err(damaged),
                }
            }
            _ => Err(damaged),
        }
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
