//! Scripts of clients.

use std::time::Duration;

use bytes::Bytes;
use client::{
    Client, ClientOptions, Metadata, OidCursor, Payload, Request, Revision, TransactionCursor,
};
use engine::disk::MemoryDisk;
use model::{Now, Oid, Tid, Ttid};
use net::PackRequest;

use super::words::Words;
use crate::node::Node;
use crate::script::{Call, Setting, shorten_ids};

/// Transactions or oids that are asked for at once.
const COUNT_MAX: usize = 10;

/// A client that knows a master at 127.0.0.1:2000. Options: `cluster` (`test`).
///
/// What comes of requests is written as the client has it. They are, with `nil` for what is left
/// out:
///
/// - `Load(oid, at, before)`, `History(oid, first, last)`, `TransactionInformation(tid)`,
///   `UndoLog(first, last)`, `Transactions(tid_min, tid_max)`, `Oids(oid_min, tid)`;
/// - `LastTid()`, `Synchronize()`, `NewOids(count)`, `PackOrders(first)`, `WaitForPack(id)`;
/// - `Begin(tid)`, `Store(ttid, oid, serial, data)`, `Check(ttid, oid, serial)`,
///   `Resolve(ttid, oid, data)`, `Undo(ttid, tid)`, `Vote(ttid, description)`, `Pack(ttid, tid)` to
///   vote with a pack order, `Finish(ttid)`, `Abort(ttid)`.
pub struct ClientSetting;

impl Setting for ClientSetting {
    fn open(&mut self, options: &str, now: Now) -> Result<Box<dyn Node>, String> {
        let mut words = Words::parse(options)?;
        let cluster = words.take("cluster", String::from("test"))?;
        words.end()?;
        let masters = vec!["127.0.0.1:2000".parse().expect("an address")];
        let options = ClientOptions {
            reconnect_delay: Duration::from_secs(1),
            ..ClientOptions::new(cluster, masters)
        };
        Ok(Box::new(Client::new(options, now)))
    }

    fn disk(&mut self) -> Option<&mut MemoryDisk> {
        None
    }

    fn operate(&mut self, node: &mut dyn Node, now: Now, words: &str) -> Result<(), String> {
        let request = request(&mut Call::parse(words)?)?;
        let client = node.downcast_mut::<Client>().expect("it is a client");
        client.submit(now, request);
        Ok(())
    }

    fn reports(&mut self, node: &mut dyn Node) -> Vec<String> {
        let client = node.downcast_mut::<Client>().expect("it is a client");
        let completions = std::iter::from_fn(|| client.poll_completion());
        completions.map(|completion| shorten_ids(&format!("{completion:?}"))).collect()
    }
}

fn request(call: &mut Call) -> Result<Request, String> {
    let request = match call.name() {
        "Load" => Request::Load { oid: oid(call)?, revision: revision(call)? },
        "History" => {
            let (oid, before) = (oid(call)?, None);
            Request::History { oid, before, first: call.integer()?, last: call.integer()? }
        }
        "TransactionInformation" => Request::TransactionInformation { tid: tid(call)? },
        "UndoLog" => {
            Request::UndoLog { before: None, first: call.integer()?, last: call.integer()? }
        }
        "Transactions" => {
            let cursor = TransactionCursor::new(tid(call)?, optional_tid(call)?);
            Request::Transactions { cursor, count_max: COUNT_MAX }
        }
        "Oids" => {
            let cursor = OidCursor::new(oid(call)?, optional_tid(call)?);
            Request::Oids { cursor, count_max: COUNT_MAX }
        }
        "LastTid" => Request::LastTid,
        "Synchronize" => Request::Synchronize,
        "NewOids" => {
            let count = u32::try_from(call.integer()?).map_err(|error| error.to_string())?;
            Request::NewOids { count }
        }
        "PackOrders" => Request::PackOrders { first_id: tid(call)? },
        "WaitForPack" => Request::WaitForPack { pack_id: tid(call)? },
        _ => return commit_request(call),
    };
    call.end().map(|()| request)
}

fn commit_request(call: &mut Call) -> Result<Request, String> {
    let request = match call.name() {
        "Begin" => Request::Begin { tid: optional_tid(call)? },
        "Store" => {
            let (ttid, oid, serial) = (ttid(call)?, oid(call)?, tid(call)?);
            Request::Store { ttid, oid, serial, data: payload(call)? }
        }
        "Check" => Request::Check { ttid: ttid(call)?, oid: oid(call)?, serial: tid(call)? },
        "Resolve" => Request::Resolve { ttid: ttid(call)?, oid: oid(call)?, data: payload(call)? },
        "Undo" => Request::Undo { ttid: ttid(call)?, tid: tid(call)? },
        "Vote" => {
            let ttid = ttid(call)?;
            let description = Bytes::from(call.bytes()?.unwrap_or_default());
            let metadata = Metadata { description, ..Metadata::default() };
            Request::Vote { ttid, metadata, pack: None }
        }
        "Pack" => {
            let (ttid, tid) = (ttid(call)?, tid(call)?);
            let pack = Some(PackRequest { oids: None, tid });
            Request::Vote { ttid, metadata: Metadata::default(), pack }
        }
        "Finish" => Request::Finish { ttid: ttid(call)? },
        "Abort" => Request::Abort { ttid: ttid(call)? },
        name => return Err(format!("a client cannot be asked to {name}")),
    };
    call.end().map(|()| request)
}

fn oid(call: &mut Call) -> Result<Oid, String> {
    call.id()?.map(Oid::new).ok_or_else(|| String::from("an oid is missing"))
}

fn tid(call: &mut Call) -> Result<Tid, String> {
    optional_tid(call)?.ok_or_else(|| String::from("a tid is missing"))
}

fn optional_tid(call: &mut Call) -> Result<Option<Tid>, String> {
    Ok(call.id()?.map(Tid::new))
}

fn ttid(call: &mut Call) -> Result<Ttid, String> {
    call.id()?.map(Ttid::new).ok_or_else(|| String::from("a ttid is missing"))
}

fn payload(call: &mut Call) -> Result<Option<Payload>, String> {
    Ok(call.bytes()?.map(Payload::plain))
}

fn revision(call: &mut Call) -> Result<Revision, String> {
    match (optional_tid(call)?, optional_tid(call)?) {
        (None, None) => Ok(Revision::Newest),
        (Some(tid), None) => Ok(Revision::At(tid)),
        (None, Some(tid)) => Ok(Revision::Before(tid)),
        (Some(_), Some(_)) => Err(String::from("at or before, not both")),
    }
}
