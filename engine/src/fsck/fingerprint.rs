//! Hashes of items, to compare many of them in little memory. Two different items of one database
//! have the same by chance only: once in 10,000 databases of 20 million revisions.

use crate::format::{Item, Key, Order};

/// Odd numbers without a pattern.
const KEY: u64 = 0x9e37_79b9_7f4a_7c15;
const OTHER: u64 = 0xd6e8_feb8_6659_fd93;

/// Of everything that an item says.
pub(super) fn of_item(order: Order, item: &Item) -> u64 {
    let place = item.location.map_or(0, |location| {
        let file = u64::from(location.file) << 32 | u64::from(location.length);
        fold(file ^ OTHER, location.offset ^ KEY)
    });
    let extra = item.extra.map_or(1, |extra| fold(extra ^ KEY, OTHER));
    let flags = u64::from(item.stored_flags());
    let said = fold(place ^ KEY, extra ^ flags ^ OTHER);
    fold(of_columns(order, &item.key) ^ item.key.seq, said ^ KEY)
}

/// Of what an item is about, whatever it says of it.
pub(super) fn of_columns(order: Order, key: &Key) -> u64 {
    let a = (order as u64) << 32 | u64::from(key.a);
    fold(fold(a ^ KEY, key.b ^ OTHER) ^ KEY, key.c ^ OTHER)
}

/// Multiplies, and joins both halves.
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    let low = u64::try_from(product & u128::from(u64::MAX)).expect("64 bits");
    let high = u64::try_from(product >> 64).expect("64 bits");
    // Nothing that is zero by chance takes the rest with it.
    low ^ high ^ a.rotate_left(29) ^ b.wrapping_mul(KEY)
}
