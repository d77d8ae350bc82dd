//! What all entries of the log come to.

use std::collections::BTreeMap;

use model::{ClusterState, Nid, Oid, PartitionTable, Tid};
use net::Address;

use super::command::Command;

/// What is remembered: entries applied one after the other, from nothing.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Remembered {
    pub(crate) cluster: Option<(String, [u8; 16])>,
    pub(crate) table: Option<PartitionTable>,
    pub(crate) storages: BTreeMap<Nid, Option<Address>>,
    /// The greatest id that a storage keeps, or kept.
    pub(crate) kept_nid: Option<Nid>,
    /// A storage told of a database of which this log did not know, and no id was given out since.
    pub(crate) is_foreign: bool,
    pub(crate) reserved_oid: Oid,
    pub(crate) reserved_tid: Tid,
    /// Pack orders that are signed and not completed.
    pub(crate) packs: BTreeMap<Tid, bool>,
    pub(crate) completed_pack: Option<Tid>,
    pub(crate) truncate: Option<Tid>,
    /// Storages that were not there when the others truncated, and up to where they have to.
    pub(crate) late_truncations: BTreeMap<Nid, Tid>,
    pub(crate) state: ClusterState,
}

impl Default for Remembered {
    fn default() -> Self {
        Self {
            cluster: None,
            table: None,
            storages: BTreeMap::new(),
            kept_nid: None,
            is_foreign: false,
            reserved_oid: Oid::ZERO,
            reserved_tid: Tid::ZERO,
            packs: BTreeMap::new(),
            completed_pack: None,
            truncate: None,
            late_truncations: BTreeMap::new(),
            state: ClusterState::Recovering,
        }
    }
}

impl Remembered {
    /// Changes that make this out of nothing.
    pub(crate) fn commands(&self) -> Vec<Command> {
        let mut commands = Vec::new();
        if let Some((name, id)) = &self.cluster {
            commands.push(Command::Cluster { name: name.clone(), id: *id });
        }
        commands.extend(self.table.clone().map(Command::Table));
        let storages = self.storages.iter();
        commands.extend(
            storages.map(|(nid, address)| Command::Storage { nid: *nid, address: address.clone() }),
        );
        commands.extend(self.kept_nid.map(Command::KeptNid));
        commands.push(Command::Oids(self.reserved_oid));
        commands.push(Command::Tids(self.reserved_tid));
        commands.extend(self.is_foreign.then_some(Command::Foreign));
        commands.extend(self.completed_pack.map(|id| Command::PackCompleted { id }));
        let packs = self.packs.iter();
        commands.extend(
            packs.map(|(id, approved)| Command::PackSigned { id: *id, approved: *approved }),
        );
        commands.push(Command::Truncate(self.truncate));
        let late = self.late_truncations.iter();
        commands.extend(late.map(|(nid, tid)| {
            let (nid, tid) = (*nid, Some(*tid));
            Command::LateTruncation { nid, tid }
        }));
        commands.push(Command::State(self.state));
        commands
    }

    /// Applies one change.
    ///
    /// # Errors
    /// If it does not fit what is there: the log is not one that a master wrote.
    pub(crate) fn apply(&mut self, command: &Command) -> Result<(), &'static str> {
        match command {
            Command::Cluster { name, id } => self.cluster = Some((name.clone(), *id)),
            Command::Table(table) => self.table = Some(table.clone()),
            Command::TableChange { id, replicas, changes } => {
                let table = self.table.as_mut().ok_or("a change of a table that is not there")?;
                let applied = table.apply(*id, *replicas, changes);
                applied.map_err(|_| "a change that does not fit the table")?;
            }
            Command::Storage { nid, address } => {
                self.storages.insert(*nid, address.clone());
                self.kept_nid = self.kept_nid.max(Some(*nid));
            }
            Command::KeptNid(nid) => self.kept_nid = self.kept_nid.max(Some(*nid)),
            Command::Foreign => self.is_foreign = true,
            Command::Forget { nid } => {
                self.storages.remove(nid);
                self.late_truncations.remove(nid);
            }
            Command::Oids(oid) => self.reserved_oid = self.reserved_oid.max(*oid),
            Command::Tids(tid) => {
                self.reserved_tid = self.reserved_tid.max(*tid);
                self.is_foreign = false;
            }
            Command::Released { oid, tid } => {
                self.reserved_oid = *oid;
                self.reserved_tid = *tid;
            }
            Command::PackSigned { id, approved } => {
                self.packs.insert(*id, *approved);
            }
            Command::PackCompleted { id } => {
                self.packs.retain(|pack, _| pack > id);
                self.completed_pack = self.completed_pack.max(Some(*id));
            }
            Command::Truncate(tid) => {
                self.truncate = *tid;
                if let Some(tid) = tid {
                    self.packs.retain(|pack, _| pack <= tid);
                }
            }
            Command::LateTruncation { nid, tid } => {
                match tid {
                    Some(tid) => self.late_truncations.insert(*nid, *tid),
                    None => self.late_truncations.remove(nid),
                };
            }
            Command::State(state) => self.state = *state,
        }
        Ok(())
    }
}
