//! The objects that are loaded: written by the bench itself, with ordinary commits.

use bytes::Bytes;
use indicatif::ProgressBar;
use model::{Nid, Oid, Random, Tid, Ttid};
use net::{Checksum, Data, Message};

use super::client::Client;
use crate::failure::Failure;
use crate::interrupt::Interrupt;

/// Objects of one transaction.
const BATCH_LENGTH_MAX: usize = 100;
/// Bytes of data of one transaction.
const BATCH_BYTES_MAX: usize = 4 << 20;
/// New oids asked for at once.
const NEW_OIDS_MAX: usize = 10_000;
/// Oids asked for at once, of objects that are there already.
const OIDS_LENGTH: u32 = 1000;

/// What pickles of ZODB begin like: the class of the object.
const PREFIX: &[u8] =
    b"\x80\x03cneolith.bench\nObject\nq\x00.\x80\x03}q\x01X\x04\x00\x00\x00dataq\x02B";

/// An object, and how long its data is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Key {
    pub(super) oid: Oid,
    /// Not known of objects that others wrote.
    pub(super) length: Option<usize>,
}

/// So many bytes that look like a pickle and cannot be compressed.
pub(super) fn pickle(length: usize, random: &mut Random) -> Bytes {
    let mut data = PREFIX[..PREFIX.len().min(length)].to_vec();
    data.extend(random.bytes(length - data.len()));
    Bytes::from(data)
}

/// A request to store the first revision of an object, or the next.
pub(super) fn store(ttid: Ttid, oid: Oid, serial: Tid, data: Bytes) -> Message {
    Message::AskStoreObject {
        oid,
        serial,
        compression: 0,
        checksum: Checksum::of(&data),
        data: Data::new(data),
        data_serial: None,
        ttid,
    }
}

/// A request to store a transaction's metadata.
pub(super) fn store_transaction(ttid: Ttid, oids: &[Oid]) -> Message {
    Message::AskStoreTransaction {
        ttid,
        user: Bytes::new(),
        description: Bytes::from_static(b"neolith bench cluster"),
        extension: Bytes::new(),
        oids: oids.iter().copied().collect(),
        pack: None,
    }
}

/// Writes so many objects, of the given lengths in turn.
pub(super) fn write(
    client: &mut Client,
    count: usize,
    lengths: &[usize],
    seed: u64,
    stop: &Interrupt,
) -> Result<Vec<Key>, Failure> {
    let progress = ProgressBar::new(count as u64).with_message("writing objects");
    let mut random = Random::from_seed(seed);
    let mut keys = Vec::with_capacity(count);
    while keys.len() < count {
        stop.check()?;
        let mut batch = Vec::new();
        let mut bytes = 0;
        while keys.len() + batch.len() < count
            && batch.len() < BATCH_LENGTH_MAX
            && bytes < BATCH_BYTES_MAX
        {
            let length = lengths[(keys.len() + batch.len()) % lengths.len()];
            batch.push(pickle(length, &mut random));
            bytes += length;
        }
        keys.extend(write_batch(client, batch)?);
        progress.set_position(keys.len() as u64);
    }
    progress.finish_and_clear();
    Ok(keys)
}

/// Commits new objects in one transaction.
fn write_batch(client: &mut Client, batch: Vec<Bytes>) -> Result<Vec<Key>, Failure> {
    let oids = new_oids(client, batch.len())?;
    client.master.ask(&Message::AskBeginTransaction { tid: None }, 0);
    let ttid = loop {
        match client.master.wait()? {
            Message::AnswerBeginTransaction { ttid } => break ttid,
            message @ Message::Error { .. } => return Err(client.master.unexpected(&message)),
            _ => {}
        }
    };
    let mut keys = Vec::new();
    let mut expected = vec![0_usize; client.storages.len()];
    for (oid, data) in oids.iter().zip(batch) {
        keys.push(Key { oid: *oid, length: Some(data.len()) });
        let message = store(ttid, *oid, Tid::ZERO, data);
        for place in client.writable(client.table.partition_of_oid(*oid)) {
            client.storages[place].1.ask(&message, 0);
            expected[place] += 1;
        }
    }
    await_answers(client, &expected)?;
    let metadata = client.writable(client.table.partitions().of_ttid(ttid));
    for (place, (_, wire)) in client.storages.iter_mut().enumerate() {
        let is_metadata = metadata.contains(&place);
        match is_metadata {
            true => wire.ask(&store_transaction(ttid, &oids), 0),
            false if expected[place] > 0 => wire.ask(&Message::AskVoteTransaction { ttid }, 0),
            false => {}
        }
        expected[place] = usize::from(is_metadata || expected[place] > 0);
    }
    await_answers(client, &expected)?;
    client.master.ask(&finish(ttid, &oids), 0);
    loop {
        match client.master.wait()? {
            Message::AnswerTransactionFinished { .. } => return Ok(keys),
            message @ Message::Error { .. } => return Err(client.master.unexpected(&message)),
            _ => {}
        }
    }
}

/// A request to commit what was voted.
pub(super) fn finish(ttid: Ttid, oids: &[Oid]) -> Message {
    let oids = oids.iter().copied().collect();
    Message::AskFinishTransaction { ttid, oids, deleted: vec![], checked: vec![], pack: None }
}

/// Waits for so many answers to stores or votes of each storage.
fn await_answers(client: &mut Client, expected: &[usize]) -> Result<(), Failure> {
    for (_, wire) in &mut client.storages {
        wire.flush()?;
    }
    for ((_, wire), expected) in client.storages.iter_mut().zip(expected) {
        let mut missing = *expected;
        while missing > 0 {
            let message = wire.wait()?;
            match message {
                Message::AnswerStoreObject { conflict: None | Some(Tid::ZERO) }
                | Message::AnswerStoreTransaction {}
                | Message::AnswerVoteTransaction {} => missing -= 1,
                Message::NotifyDeadlock { .. } => {}
                _ => return Err(wire.unexpected(&message)),
            }
        }
    }
    Ok(())
}

/// Oids that nobody has.
pub(super) fn new_oids(client: &mut Client, count: usize) -> Result<Vec<Oid>, Failure> {
    let mut oids = Vec::with_capacity(count);
    while oids.len() < count {
        let wanted = (count - oids.len()).min(NEW_OIDS_MAX);
        let wanted_u32 = u32::try_from(wanted).expect("it was bounded");
        client.master.ask(&Message::AskNewOIDs { count: wanted_u32 }, 0);
        loop {
            match client.master.wait()? {
                Message::AnswerNewOIDs { oids: new } if new.len() == wanted => {
                    oids.extend(new.iter());
                    break;
                }
                message @ (Message::AnswerNewOIDs { .. } | Message::Error { .. }) => {
                    return Err(client.master.unexpected(&message));
                }
                _ => {}
            }
        }
    }
    Ok(oids)
}

/// Finds objects that are in the database already, all that one storage can be asked for.
pub(super) fn find(
    client: &mut Client,
    storage: Nid,
    count_max: usize,
    stop: &Interrupt,
) -> Result<Vec<Key>, Failure> {
    let tid = last_tid(client)?;
    let Client { storages, table, .. } = client;
    let found = storages.iter_mut().find(|(nid, _)| *nid == storage);
    let (_, wire) = found.expect("a storage that is chosen is connected to");
    let mut keys = Vec::new();
    // Each partition gives its share, so that few are of all of them.
    let share = count_max.div_ceil(usize::try_from(table.partitions().get()).unwrap_or(1)).max(1);
    for partition in table.partitions().iter() {
        if !table.readable(partition).any(|nid| nid == storage) {
            continue;
        }
        let mut from = Some(Oid::ZERO);
        let keys_max = (keys.len() + share).min(count_max);
        while let Some(oid_min) = from.take_if(|_| keys.len() < keys_max) {
            stop.check()?;
            let length = OIDS_LENGTH;
            let request = Message::AskOIDsFrom { partition, length, oid_min, tid };
            let message = wire.wait_for(&request)?;
            let Message::AnswerOIDsFrom { next, oids } = message else {
                return Err(wire.unexpected(&message));
            };
            keys.extend(oids.iter().map(|oid| Key { oid, length: None }));
            keys.truncate(keys_max);
            from = next;
        }
    }
    Ok(keys)
}

fn last_tid(client: &mut Client) -> Result<Tid, Failure> {
    client.master.ask(&Message::AskLastTransaction {}, 0);
    loop {
        match client.master.wait()? {
            Message::AnswerLastTransaction { tid } => return Ok(tid),
            message @ Message::Error { .. } => return Err(client.master.unexpected(&message)),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pickles_have_the_length_asked_for_and_differ() {
        let mut random = Random::from_seed(1);
        for length in [0, 1, PREFIX.len(), 1000] {
            assert_eq!(pickle(length, &mut random).len(), length);
        }
        let (first, second) = (pickle(100, &mut random), pickle(100, &mut random));
        assert_eq!(first[..PREFIX.len()], second[..PREFIX.len()]);
        assert_ne!(first, second);
    }
}
