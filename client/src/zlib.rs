//! zlib, whose tables of hundreds of kilobytes a thread makes once: making them anew for each
//! object takes many times what compressing it does.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};

use libdeflater::{CompressionLvl, Compressor, DecompressionError, Decompressor};

/// Pickles of a site get to 47 % at 8 us each; level 6, as zlib has by default, makes 45 % of them
/// in almost twice the time.
const LEVEL: i32 = 1;
/// What decompressed data is taken to be, in multiples of its length, until it is seen.
const EXPECTED_RATIO: usize = 4;
/// Room that a thread keeps for the next time, so that it need not be cleared nor given back.
const ROOM_KEPT: usize = 64 << 10;

thread_local! {
    static COMPRESSOR: RefCell<Compressor> =
        RefCell::new(Compressor::new(CompressionLvl::new(LEVEL).expect("0 to 12 are levels")));
    static DECOMPRESSOR: RefCell<Decompressor> = RefCell::new(Decompressor::new());
    static ROOM: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Compressed data that is shorter than it was; `None` if it would not be.
pub(crate) fn compress(plain: &[u8]) -> Option<Vec<u8>> {
    // What does not fit is not shorter.
    let mut compressed = vec![0; plain.len().saturating_sub(1)];
    let length = COMPRESSOR
        .with_borrow_mut(|compressor| compressor.zlib_compress(plain, &mut compressed))
        .ok()?;
    compressed.truncate(length);
    compressed.shrink_to_fit();
    Some(compressed)
}

/// What a function makes of what was compressed, of at most so many bytes; `None` if that is not
/// what it is. It owns it if it is long.
pub(crate) fn decompress<T>(
    compressed: &[u8],
    length_max: usize,
    give: impl FnOnce(Cow<'_, [u8]>) -> T,
) -> Option<T> {
    let mut room = compressed.len().saturating_mul(EXPECTED_RATIO);
    if room <= ROOM_KEPT {
        let mut kept = ROOM.take();
        kept.resize(ROOM_KEPT, 0);
        let end = length_max.min(ROOM_KEPT);
        let decompressed = decompress_to(compressed, &mut kept[..end]);
        if let Ok(length) = decompressed {
            let given = give(Cow::Borrowed(&kept[..length]));
            ROOM.set(kept);
            return Some(given);
        }
        ROOM.set(kept);
        if decompressed != Err(DecompressionError::InsufficientSpace) || end == length_max {
            return None;
        }
        room = ROOM_KEPT * EXPECTED_RATIO;
    }
    let plain = decompress_long(compressed, room, length_max)?;
    Some(give(Cow::Owned(plain)))
}

/// Makes room for so many bytes at first.
fn decompress_long(compressed: &[u8], mut room: usize, length_max: usize) -> Option<Vec<u8>> {
    loop {
        room = room.min(length_max);
        let mut plain = vec![0; room];
        match decompress_to(compressed, &mut plain) {
            Ok(length) => {
                plain.truncate(length);
                // It is kept for long, perhaps.
                plain.shrink_to_fit();
                return Some(plain);
            }
            Err(DecompressionError::InsufficientSpace) if room < length_max => {
                room = room.saturating_mul(EXPECTED_RATIO);
            }
            Err(_) => return None,
        }
    }
}

fn decompress_to(compressed: &[u8], plain: &mut [u8]) -> Result<usize, DecompressionError> {
    DECOMPRESSOR.with_borrow_mut(|decompressor| decompressor.zlib_decompress(compressed, plain))
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::Compression;
    use flate2::read::{ZlibDecoder, ZlibEncoder};

    use super::{ROOM_KEPT, compress};

    const MAX: usize = 1 << 20;

    fn decompress(compressed: &[u8], length_max: usize) -> Option<Vec<u8>> {
        super::decompress(compressed, length_max, |plain| plain.into_owned())
    }

    fn text(length: usize) -> Vec<u8> {
        (0..length).map(|at| b"abcd"[at * at / 7 % 4]).collect()
    }

    #[test]
    fn what_was_compressed_comes_back() {
        for length in [64, 1000, 1024, 70_000, MAX] {
            let plain = text(length);
            let compressed = compress(&plain).unwrap();
            assert!(compressed.len() < length);
            assert_eq!(decompress(&compressed, MAX).unwrap(), plain, "{length}");
        }
    }

    /// NEO/py's clients and the tools that export have other libraries.
    #[test]
    fn other_libraries_read_it_and_what_they_write_is_read() {
        for length in [0, 1, 64, 1000, 70_000] {
            let plain = text(length);
            if let Some(compressed) = compress(&plain) {
                let mut read = Vec::new();
                ZlibDecoder::new(&compressed[..]).read_to_end(&mut read).unwrap();
                assert_eq!(read, plain, "{length}");
            }
            for level in 0..10 {
                let mut written = Vec::new();
                let level = Compression::new(level);
                ZlibEncoder::new(&plain[..], level).read_to_end(&mut written).unwrap();
                assert_eq!(decompress(&written, MAX).unwrap(), plain, "{length}");
            }
        }
    }

    #[test]
    fn what_repeats_comes_back_however_small_it_got() {
        for length in [1 << 10, 1 << 14, ROOM_KEPT, ROOM_KEPT + 1, MAX - 1, MAX] {
            let compressed = compress(&vec![7; length]).unwrap();
            assert_eq!(decompress(&compressed, MAX).unwrap(), vec![7; length], "{length}");
        }
    }

    #[test]
    fn what_gets_no_shorter_is_left() {
        let mut state = 1_u64;
        let random: Vec<u8> = std::iter::repeat_with(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 56) as u8
        })
        .take(5000)
        .collect();
        assert_eq!(compress(&random), None);
        assert_eq!(compress(b""), None);
        // What was left half done is not seen by the next.
        assert_eq!(decompress(&compress(&text(500)).unwrap(), MAX).unwrap(), text(500));
    }

    #[test]
    fn what_is_no_zlib_is_told_and_so_is_what_is_too_long() {
        let compressed = compress(&text(5000)).unwrap();
        for end in 0..compressed.len() {
            assert_eq!(decompress(&compressed[..end], MAX), None, "{end}");
        }
        let mut damaged = compressed.clone();
        *damaged.last_mut().unwrap() ^= 1;
        assert_eq!(decompress(&damaged, MAX), None);
        assert_eq!(decompress(&text(100), MAX), None);
        assert_eq!(decompress(&compressed, 4999), None);
        assert_eq!(decompress(&compressed, 5000).unwrap(), text(5000));
    }

    #[test]
    fn what_follows_the_end_is_not_looked_at() {
        let mut compressed = compress(&text(5000)).unwrap();
        compressed.extend_from_slice(b"more");
        assert_eq!(decompress(&compressed, MAX).unwrap(), text(5000));
    }
}
