//! Numbers and byte strings to and from bytes. Decoding is total: every length is checked.

/// Bytes that are not what the format says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Malformed {
    /// What was expected.
    pub(crate) expected: &'static str,
}

/// A result of decoding.
pub(crate) type Decoded<T> = Result<T, Malformed>;

/// Says what was expected.
pub(crate) const fn malformed<T>(expected: &'static str) -> Decoded<T> {
    Err(Malformed { expected })
}

/// Appends values to a buffer.
pub(crate) trait Put {
    fn put_u8(&mut self, value: u8);
    fn put_u16(&mut self, value: u16);
    fn put_u32(&mut self, value: u32);
    fn put_u64(&mut self, value: u64);
    /// A length of 32 bits, then the bytes.
    fn put_bytes(&mut self, value: &[u8]);
    /// LEB128.
    fn put_varint(&mut self, value: u64);
    /// The difference of two numbers modulo 2^64, small where they are close.
    fn put_difference(&mut self, value: u64, base: u64);
}

impl Put for Vec<u8> {
    fn put_u8(&mut self, value: u8) {
        self.push(value);
    }

    fn put_u16(&mut self, value: u16) {
        self.extend_from_slice(&value.to_le_bytes());
    }

    fn put_u32(&mut self, value: u32) {
        self.extend_from_slice(&value.to_le_bytes());
    }

    fn put_u64(&mut self, value: u64) {
        self.extend_from_slice(&value.to_le_bytes());
    }

    fn put_bytes(&mut self, value: &[u8]) {
        self.put_u32(length_u32(value.len()));
        self.extend_from_slice(value);
    }

    fn put_varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.push((value & 0x7f) as u8);
    }

    fn put_difference(&mut self, value: u64, base: u64) {
        let difference = value.wrapping_sub(base).cast_signed();
        let zigzag = (difference << 1) ^ (difference >> 63);
        self.put_varint(zigzag.cast_unsigned());
    }
}

/// A length that the caller has bounded before.
pub(crate) fn length_u32(length: usize) -> u32 {
    u32::try_from(length).expect("lengths are bounded where they enter the engine")
}

/// Takes values from the front of a slice.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Take<'a> {
    rest: &'a [u8],
}

impl<'a> Take<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) fn remaining(&self) -> usize {
        self.rest.len()
    }

    pub(crate) fn slice(&mut self, length: usize) -> Decoded<&'a [u8]> {
        match self.rest.split_at_checked(length) {
            Some((taken, rest)) => {
                self.rest = rest;
                Ok(taken)
            }
            None => malformed("more bytes"),
        }
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Decoded<[u8; N]> {
        match self.rest.split_first_chunk::<N>() {
            Some((taken, rest)) => {
                self.rest = rest;
                Ok(*taken)
            }
            None => malformed("more bytes"),
        }
    }

    pub(crate) fn u8(&mut self) -> Decoded<u8> {
        Ok(u8::from_le_bytes(self.array()?))
    }

    pub(crate) fn u16(&mut self) -> Decoded<u16> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    pub(crate) fn u32(&mut self) -> Decoded<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub(crate) fn u64(&mut self) -> Decoded<u64> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    pub(crate) fn bytes(&mut self) -> Decoded<&'a [u8]> {
        let length = self.u32()?;
        self.slice(length as usize)
    }

    /// A count of things of at least `bytes_min` bytes each, which must still fit.
    pub(crate) fn count(&mut self, bytes_min: usize) -> Decoded<usize> {
        let count = self.u32()? as usize;
        if count > self.remaining() / bytes_min {
            return malformed("a count that fits");
        }
        Ok(count)
    }

    #[inline]
    pub(crate) fn varint(&mut self) -> Decoded<u64> {
        match *self.rest {
            [first, ref rest @ ..] if first < 0x80 => {
                self.rest = rest;
                Ok(u64::from(first))
            }
            // Most of the longer ones have a few bytes: with eight at hand they need no loop.
            [a, b, c, d, e, f, g, h, ..] => {
                let word = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
                let ends = !word & 0x8080_8080_8080_8080;
                if ends == 0 {
                    return self.long_varint();
                }
                let bits = ends.trailing_zeros() + 1;
                self.rest = &self.rest[(bits / 8) as usize..];
                Ok(squeeze(word & (u64::MAX >> (64 - bits))))
            }
            _ => self.long_varint(),
        }
    }

    fn long_varint(&mut self) -> Decoded<u64> {
        let mut value = 0u64;
        let mut shift = 0;
        for (at, &byte) in self.rest.iter().enumerate().take(10) {
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                break;
            }
            value |= bits << shift;
            if byte < 0x80 {
                self.rest = &self.rest[at + 1..];
                return Ok(value);
            }
            shift += 7;
        }
        malformed("a varint of at most 64 bits")
    }

    #[inline]
    pub(crate) fn difference(&mut self, base: u64) -> Decoded<u64> {
        let zigzag = self.varint()?;
        let difference = (zigzag >> 1) ^ (zigzag & 1).wrapping_neg();
        Ok(base.wrapping_add(difference))
    }

    pub(crate) fn end(&self) -> Decoded<()> {
        if self.rest.is_empty() { Ok(()) } else { malformed("no more bytes") }
    }
}

/// Joins the lower 7 bits of each byte.
#[inline]
fn squeeze(word: u64) -> u64 {
    let word = word & 0x7f7f_7f7f_7f7f_7f7f;
    let word = (word & 0x007f_007f_007f_007f) | ((word & 0x7f00_7f00_7f00_7f00) >> 1);
    let word = (word & 0x0000_3fff_0000_3fff) | ((word & 0x3fff_0000_3fff_0000) >> 2);
    (word & 0x0fff_ffff) | ((word & 0x0fff_ffff_0000_0000) >> 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back() {
        let values = [0, 1, 127, 128, 300, 1 << 32, u64::MAX - 1, u64::MAX];
        let mut bytes = Vec::new();
        for value in values {
            bytes.put_varint(value);
            for base in values {
                bytes.put_difference(value, base);
            }
        }
        let mut take = Take::new(&bytes);
        for value in values {
            assert_eq!(take.varint(), Ok(value));
            for base in values {
                assert_eq!(take.difference(base), Ok(value));
            }
        }
        assert_eq!(take.end(), Ok(()));
    }

    #[test]
    fn lengths_are_checked() {
        let mut bytes = Vec::new();
        bytes.put_u32(u32::MAX);
        assert!(Take::new(&bytes).bytes().is_err());
        assert!(Take::new(&bytes).count(1).is_err());
        assert!(Take::new(&[0xff; 11]).varint().is_err());
        assert!(Take::new(&[0xff; 9]).varint().is_err());
    }
}
