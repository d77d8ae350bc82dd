//! Which objects are whose. They are made by the first transaction of all.

use std::ops::RangeInclusive;

use model::Oid;

/// Accounts of the bank.
pub(crate) const ACCOUNTS: RangeInclusive<u64> = 1..=6;
/// What each account begins with.
pub(crate) const BALANCE: u64 = 1000;
/// Logs that entries are appended to.
pub(crate) const LOGS: RangeInclusive<u64> = 11..=13;
/// Entries that are kept in a log.
pub(crate) const ENTRIES_MAX: usize = 40;
/// Counters that are counted up, each time together with what another one is.
pub(crate) const COUNTERS: RangeInclusive<u64> = 21..=24;
/// Pairs of which the sum stays above 0, with what was read checked.
pub(crate) const GUARDED: [(u64, u64); 2] = [(31, 32), (33, 34)];
/// Pairs of which the sum may go below, since nothing is checked.
pub(crate) const UNGUARDED: [(u64, u64); 2] = [(41, 42), (43, 44)];
/// What each of a pair begins with, and what is taken from one of them.
pub(crate) const SKEW: i64 = 100;
/// Objects that are written and undone.
pub(crate) const UNDONE: RangeInclusive<u64> = 51..=56;
/// Objects of which there are no others: the last one, so that new ones come behind it.
pub(crate) const LAST: u64 = 100;

/// Oids of a range.
pub(crate) fn oids(range: RangeInclusive<u64>) -> impl Iterator<Item = Oid> {
    range.map(Oid::new)
}

/// All objects with what they begin with.
pub(crate) fn first_data() -> Vec<(Oid, Vec<u8>)> {
    let mut objects = Vec::new();
    objects.extend(oids(ACCOUNTS).map(|oid| (oid, BALANCE.to_be_bytes().to_vec())));
    objects.extend(oids(LOGS).map(|oid| (oid, Vec::new())));
    objects.extend(oids(COUNTERS).map(|oid| (oid, counter(0, oid, 0))));
    for (first, second) in GUARDED.into_iter().chain(UNGUARDED) {
        let data = SKEW.to_be_bytes().to_vec();
        objects.extend([(Oid::new(first), data.clone()), (Oid::new(second), data)]);
    }
    objects.extend(oids(UNDONE).map(|oid| (oid, format!("first of {oid}").into_bytes())));
    objects.push((Oid::new(LAST), Vec::new()));
    objects
}

/// Data of a counter: its value, and what another one was when it was counted.
pub(crate) fn counter(value: u64, other: Oid, other_value: u64) -> Vec<u8> {
    [value, other.get(), other_value].map(u64::to_be_bytes).concat()
}

/// What a counter has.
pub(crate) fn read_counter(data: &[u8]) -> Option<(u64, Oid, u64)> {
    let numbers: Vec<u64> = numbers(data)?;
    let [value, other, other_value] = numbers[..] else { return None };
    Some((value, Oid::new(other), other_value))
}

/// The numbers that data consists of.
pub(crate) fn numbers(data: &[u8]) -> Option<Vec<u64>> {
    let (chunks, rest) = data.as_chunks::<8>();
    rest.is_empty().then(|| chunks.iter().map(|chunk| u64::from_be_bytes(*chunk)).collect())
}

/// The number that data is.
pub(crate) fn number(data: &[u8]) -> Option<u64> {
    data.try_into().ok().map(u64::from_be_bytes)
}
