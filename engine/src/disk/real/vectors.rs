//! The buffers of one vectored write, as the kernel wants them.

use bytes::Bytes;

/// Buffers that one system call takes. Linux refuses more.
const VECTORS_MAX: usize = libc::UIO_MAXIOV as usize;

/// Bytes that one system call writes or reads: Linux cuts what is longer.
pub(super) const CALL_LENGTH_MAX: usize = 0x7fff_f000;

/// Buffers and the array that points into them, kept together as the pointers need it. What is
/// more than one call takes is left out: the write is a short one.
///
/// Invariants: no buffer in the array is empty, and the array is within [`VECTORS_MAX`] and
/// [`CALL_LENGTH_MAX`].
pub(super) struct Vectors {
    array: Vec<libc::iovec>,
    /// Bytes that the array covers.
    length: usize,
    /// Bytes that were given.
    total: usize,
    /// What the array points to. A `Bytes` does not move its bytes when it is moved itself.
    _data: Vec<Bytes>,
}

// SAFETY: the pointers lead to the bytes of `_data`, which are immutable and may be read by any
// thread.
unsafe impl Send for Vectors {}

impl Vectors {
    pub(super) fn new(data: Vec<Bytes>) -> Self {
        let mut array = Vec::with_capacity(data.len().min(VECTORS_MAX));
        let mut length = 0;
        for buffer in data.iter().filter(|buffer| !buffer.is_empty()) {
            let taken = buffer.len().min(CALL_LENGTH_MAX - length);
            if taken == 0 || array.len() == VECTORS_MAX {
                break;
            }
            array.push(libc::iovec { iov_base: buffer.as_ptr().cast_mut().cast(), iov_len: taken });
            length += taken;
        }
        let total = data.iter().map(Bytes::len).sum();
        Self { array, length, total, _data: data }
    }

    /// The array. Its pointers are only to be read from, as long as `self` lives.
    pub(super) fn array(&self) -> &[libc::iovec] {
        &self.array
    }

    /// Bytes that the array covers.
    pub(super) fn length(&self) -> usize {
        self.length
    }

    /// Whether the array covers all that was given.
    pub(super) fn is_whole(&self) -> bool {
        self.length == self.total
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_call_takes_a_limited_number_of_buffers_and_no_empty_one() {
        let whole = Vectors::new(vec![Bytes::new(), Bytes::from_static(b"ab"), Bytes::new()]);
        assert_eq!((whole.array().len(), whole.length(), whole.is_whole()), (1, 2, true));

        let many = Vectors::new(vec![Bytes::from_static(b"xyz"); VECTORS_MAX + 1]);
        assert_eq!(many.array().len(), VECTORS_MAX);
        assert_eq!((many.length(), many.is_whole()), (VECTORS_MAX * 3, false));
    }

    #[test]
    fn one_call_takes_less_than_two_gigabytes() {
        // The same memory, named many times over.
        let large = Bytes::from(vec![7; 4 << 20]);
        let most = Vectors::new(vec![large.clone(); 511]);
        assert_eq!((most.length(), most.is_whole()), (511 * large.len(), true));
        let more = Vectors::new(vec![large; 512]);
        assert_eq!((more.length(), more.is_whole()), (CALL_LENGTH_MAX, false));
    }
}
