//! A client of a cluster: one connection to the primary master, one to each storage.

use std::thread;
use std::time::{Duration, Instant};

use model::{Nid, NodeState, NodeType, PartitionId, PartitionTable};
use net::{Address, ErrorCode, Extra, IdTimestamp, Message, NodeTable};

use super::target::Target;
use super::wire::Wire;
use crate::failure::Failure;
use crate::interrupt::Interrupt;

/// How long a cluster may take to become ready.
const READY_TIME_MAX: Duration = Duration::from_secs(20);
/// How long to wait before a node is asked again whether it is ready.
const RETRY_DELAY: Duration = Duration::from_millis(100);

/// A client. Clients of the same process are strangers to each other.
pub(super) struct Client {
    pub(super) master: Wire,
    /// In order of node id; empty until [`Client::connect_storages`].
    pub(super) storages: Vec<(Nid, Wire)>,
    pub(super) table: PartitionTable,
    nodes: NodeTable,
    nid: Nid,
    cluster: String,
}

/// How a node answers who introduces itself.
enum Welcome {
    Accepted(Option<Nid>),
    /// Ask that one.
    NotPrimary(Option<Address>),
    NotReady(String),
}

impl Client {
    /// Finds the primary master, and learns of the nodes and the table from it.
    pub(super) fn join(target: &Target, stop: &Interrupt) -> Result<Self, Failure> {
        let deadline = Instant::now() + READY_TIME_MAX;
        let mut turn = 0;
        let mut hint = None;
        loop {
            stop.check()?;
            let address =
                hint.take().unwrap_or(&target.masters[turn % target.masters.len()]).clone();
            turn += 1;
            let reason = match Self::try_master(&address, &target.cluster) {
                Ok(Ok(client)) => return Ok(client),
                Ok(Err(Welcome::NotPrimary(primary))) => {
                    let known =
                        |primary: &Address| target.masters.iter().find(|master| *master == primary);
                    hint = primary.as_ref().and_then(known);
                    Failure::Refused(format!("{address}: is not the primary master"))
                }
                Ok(Err(Welcome::NotReady(text))) => {
                    Failure::Refused(format!("{address}: the cluster is not ready: {text}"))
                }
                Ok(Err(Welcome::Accepted(_))) => {
                    return Err(Failure::Refused(format!("{address}: gave no node id")));
                }
                Err(failure @ Failure::Io { .. }) => failure,
                Err(failure) => return Err(failure),
            };
            if Instant::now() > deadline {
                return Err(reason);
            }
            thread::sleep(RETRY_DELAY);
        }
    }

    fn try_master(address: &Address, cluster: &str) -> Result<Result<Self, Welcome>, Failure> {
        let mut master = Wire::connect(address)?;
        let nid = match introduce(&mut master, cluster, None)? {
            Welcome::Accepted(Some(nid)) => nid,
            other => return Ok(Err(other)),
        };
        let mut nodes = NodeTable::default();
        let mut table = None;
        while table.is_none() || nodes.timestamp().is_none() {
            match master.wait()? {
                Message::NotifyNodeInformation { timestamp, nodes: told } => {
                    nodes.update(timestamp, &told);
                }
                Message::SendPartitionTable { table_id: Some(id), replicas, rows } => {
                    let told = PartitionTable::new(id, replicas, rows);
                    table = Some(told.map_err(|error| {
                        Failure::Refused(format!("{address}: sent an impossible table: {error}"))
                    })?);
                }
                message @ Message::Error { .. } => return Err(master.unexpected(&message)),
                _ => {}
            }
        }
        let Some(table) = table else { unreachable!("waited for it") };
        let (storages, cluster) = (Vec::new(), cluster.to_owned());
        Ok(Ok(Self { master, storages, table, nodes, nid, cluster }))
    }

    /// Connects to all storages that run.
    pub(super) fn connect_storages(&mut self, stop: &Interrupt) -> Result<(), Failure> {
        self.storages.clear();
        for (nid, address) in self.running_storages() {
            let wire = self.connect_storage(&address, stop)?;
            self.storages.push((nid, wire));
        }
        Ok(())
    }

    /// The storages that run, and where they listen, in order of node id.
    pub(super) fn running_storages(&self) -> Vec<(Nid, Address)> {
        let storages = self.nodes.iter().filter(|(_, node)| {
            node.node_type == NodeType::Storage && node.state == NodeState::Running
        });
        storages.filter_map(|(nid, node)| Some((nid, node.address.clone()?))).collect()
    }

    /// Connects to one storage.
    pub(super) fn connect_storage(
        &self,
        address: &Address,
        stop: &Interrupt,
    ) -> Result<Wire, Failure> {
        let deadline = Instant::now() + READY_TIME_MAX;
        let timestamp = self.nodes.get(self.nid).and_then(|node| node.id_timestamp);
        loop {
            stop.check()?;
            let mut wire = Wire::connect(address)?;
            let text = match introduce(&mut wire, &self.cluster, Some((self.nid, timestamp)))? {
                Welcome::Accepted(_) => return Ok(wire),
                Welcome::NotPrimary(_) => String::from("it says that it is a master"),
                Welcome::NotReady(text) => text,
            };
            if Instant::now() > deadline {
                return Err(Failure::Refused(format!("{address}: is not ready: {text}")));
            }
            thread::sleep(RETRY_DELAY);
        }
    }

    /// The places, in the list of storages, of those that a store into a partition goes to.
    pub(super) fn writable(&self, partition: PartitionId) -> Vec<usize> {
        let places = self
            .table
            .writable(partition)
            .filter_map(|nid| self.storages.binary_search_by_key(&nid, |(nid, _)| *nid).ok());
        places.collect()
    }
}

/// Says who this is, and waits for the answer.
fn introduce(
    wire: &mut Wire,
    cluster: &str,
    known_as: Option<(Nid, Option<IdTimestamp>)>,
) -> Result<Welcome, Failure> {
    let request = Message::RequestIdentification {
        node_type: NodeType::Client,
        nid: known_as.map(|(nid, _)| nid),
        address: None,
        cluster: cluster.to_owned(),
        id_timestamp: known_as.and_then(|(_, timestamp)| timestamp),
        extra: Extra::default(),
    };
    match wire.wait_for(&request)? {
        Message::AcceptIdentification { your_nid, .. } => Ok(Welcome::Accepted(your_nid)),
        Message::NotPrimaryMaster { primary, masters } => {
            let index = primary.and_then(|index| usize::try_from(index).ok());
            Ok(Welcome::NotPrimary(index.and_then(|index| masters.get(index).cloned())))
        }
        Message::Error { code: ErrorCode::NotReady, text } => {
            Ok(Welcome::NotReady(String::from_utf8_lossy(&text).into_owned()))
        }
        message => Err(wire.unexpected(&message)),
    }
}
