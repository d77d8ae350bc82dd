//! Writing MessagePack, each value in its shortest form.

use bytes::Bytes;

use crate::send_queue::SendQueue;

/// Writes values into a queue.
pub(crate) struct Encoder<'a>(pub(crate) &'a mut SendQueue);

impl Encoder<'_> {
    pub(crate) fn nil(&mut self) {
        self.0.put(&[0xc0]);
    }

    pub(crate) fn bool(&mut self, value: bool) {
        self.0.put(&[if value { 0xc3 } else { 0xc2 }]);
    }

    pub(crate) fn unsigned(&mut self, value: u64) {
        if let Ok(byte) = u8::try_from(value) {
            match byte {
                0..=0x7f => self.0.put(&[byte]),
                _ => self.0.put(&[0xcc, byte]),
            }
        } else if let Ok(short) = u16::try_from(value) {
            self.with_head(0xcd, &short.to_be_bytes());
        } else if let Ok(word) = u32::try_from(value) {
            self.with_head(0xce, &word.to_be_bytes());
        } else {
            self.with_head(0xcf, &value.to_be_bytes());
        }
    }

    pub(crate) fn signed(&mut self, value: i64) {
        if let Ok(value) = u64::try_from(value) {
            self.unsigned(value);
        } else if let Ok(byte) = i8::try_from(value) {
            match byte {
                -32..=-1 => self.0.put(&byte.to_be_bytes()),
                _ => self.with_head(0xd0, &byte.to_be_bytes()),
            }
        } else if let Ok(short) = i16::try_from(value) {
            self.with_head(0xd1, &short.to_be_bytes());
        } else if let Ok(word) = i32::try_from(value) {
            self.with_head(0xd2, &word.to_be_bytes());
        } else {
            self.with_head(0xd3, &value.to_be_bytes());
        }
    }

    pub(crate) fn float(&mut self, value: f64) {
        self.with_head(0xcb, &value.to_be_bytes());
    }

    /// # Panics
    /// If there are 2^32 bytes or more: nobody makes such a message.
    pub(crate) fn bytes(&mut self, value: &[u8]) {
        self.bytes_header(value.len());
        self.0.put(value);
    }

    pub(crate) fn shared_bytes(&mut self, value: &Bytes) {
        self.bytes_header(value.len());
        self.0.put_shared(value);
    }

    /// Items of a list that are encoded already.
    pub(crate) fn items(&mut self, encoded: &Bytes) {
        self.0.put_shared(encoded);
    }

    pub(crate) fn text(&mut self, value: &str) {
        let length = value.len();
        match u8::try_from(length) {
            Ok(short @ ..0x20) => self.0.put(&[0xa0 | short]),
            Ok(short) => self.0.put(&[0xd9, short]),
            Err(_) => self.length_header(length, 0xda, 0xdb),
        }
        self.0.put(value.as_bytes());
    }

    pub(crate) fn array_header(&mut self, length: usize) {
        match u8::try_from(length) {
            Ok(short @ ..0x10) => self.0.put(&[0x90 | short]),
            _ => self.length_header(length, 0xdc, 0xdd),
        }
    }

    pub(crate) fn map_header(&mut self, length: usize) {
        match u8::try_from(length) {
            Ok(short @ ..0x10) => self.0.put(&[0x80 | short]),
            _ => self.length_header(length, 0xde, 0xdf),
        }
    }

    /// An item of an enum that has such a type.
    pub(crate) fn extension(&mut self, kind: i8, data: &[u8]) {
        let kind = kind.to_be_bytes()[0];
        match data.len() {
            1 => self.0.put(&[0xd4, kind]),
            2 => self.0.put(&[0xd5, kind]),
            4 => self.0.put(&[0xd6, kind]),
            8 => self.0.put(&[0xd7, kind]),
            16 => self.0.put(&[0xd8, kind]),
            length => {
                let length = u8::try_from(length).expect("extensions are numbers of items");
                self.0.put(&[0xc7, length, kind]);
            }
        }
        self.0.put(data);
    }

    fn bytes_header(&mut self, length: usize) {
        match u8::try_from(length) {
            Ok(short) => self.0.put(&[0xc4, short]),
            Err(_) => self.length_header(length, 0xc5, 0xc6),
        }
    }

    fn length_header(&mut self, length: usize, short_head: u8, long_head: u8) {
        if let Ok(short) = u16::try_from(length) {
            self.with_head(short_head, &short.to_be_bytes());
        } else {
            let long = u32::try_from(length).expect("messages are shorter than 4 GiB");
            self.with_head(long_head, &long.to_be_bytes());
        }
    }

    fn with_head<const N: usize>(&mut self, head: u8, bytes: &[u8; N]) {
        let mut buffer = [0; 9];
        buffer[0] = head;
        buffer[1..=N].copy_from_slice(bytes);
        self.0.put(&buffer[..=N]);
    }
}
