//! What the storages said of themselves.

use std::collections::BTreeMap;

use model::{Nid, Oid, PartitionTableId, Tid, Ttid};

use crate::table::LiveTable;

/// What a storage said of itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Report {
    /// Of its table; None: its database is empty.
    pub(super) table_id: Option<PartitionTableId>,
    /// Up to where it followed another cluster; None: it is no backup.
    pub(super) backup: Option<Tid>,
    /// Up to where it was told to truncate.
    pub(super) truncate: Option<Tid>,
    /// Whether it has anything of a transaction, as far as it was asked.
    pub(super) usage: Usage,
}

/// Whether anything was ever written to a storage.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Usage {
    /// It was not asked.
    Unasked,
    /// So many answers say that nothing was, so far.
    Nothing(u32),
    /// Something was.
    Something,
}

/// How many answers say that nothing was written: of its last ids, and of its transactions.
const ANSWERS: u32 = 2;

/// All that storages which are there have said.
#[derive(Debug, Default)]
pub(super) struct Reports(BTreeMap<Nid, Report>);

impl Reports {
    pub(super) fn insert(&mut self, nid: Nid, report: Report) {
        self.0.insert(nid, report);
    }

    pub(super) fn remove(&mut self, nid: Nid) {
        self.0.remove(&nid);
    }

    pub(super) fn get(&self, nid: Nid) -> Option<&Report> {
        self.0.get(&nid)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Nid, &Report)> {
        self.0.iter().map(|(nid, report)| (*nid, report))
    }

    /// Whether a storage knows of a cluster: its database is not empty.
    pub(super) fn has_table(&self, nid: Nid) -> bool {
        self.get(nid).is_some_and(|report| report.table_id.is_some())
    }

    /// Those of storages that have the newest table, as it was found.
    fn of_newest(&self, newest: Option<PartitionTableId>) -> impl Iterator<Item = (Nid, &Report)> {
        self.iter().filter(move |(_, report)| report.table_id >= newest)
    }

    /// A storage that follows another cluster, by the newest table. What one with an older table
    /// says is of the past.
    pub(super) fn backup(&self, newest: Option<PartitionTableId>) -> Option<(Nid, Tid)> {
        self.of_newest(newest).find_map(|(nid, report)| Some((nid, report.backup?)))
    }

    /// Up to where storages with readable cells of the newest table say that they are to truncate.
    /// What others were told once, and did not do, is of the past: the rest has gone on without
    /// them.
    pub(super) fn truncate(
        &self,
        newest: Option<PartitionTableId>,
        table: Option<&LiveTable>,
    ) -> Option<Tid> {
        let readable = table.map(LiveTable::readable_nodes).unwrap_or_default();
        let reports = self.of_newest(newest).filter(|(nid, _)| readable.contains(nid));
        reports.filter_map(|(_, report)| report.truncate).min()
    }

    /// Takes note that a storage is asked whether anything was written to it.
    pub(super) fn ask_usage(&mut self, nid: Nid) {
        if let Some(report) = self.0.get_mut(&nid) {
            report.usage = Usage::Nothing(0);
        }
    }

    pub(super) fn learn_last_ids(&mut self, nid: Nid, tid: Option<Tid>, oid: Option<Oid>) {
        // The first oid is 0, the first tid is not.
        let is_unused = tid.unwrap_or(Tid::ZERO) == Tid::ZERO && oid.is_none();
        self.learn_usage(nid, is_unused);
    }

    pub(super) fn learn_locked(&mut self, nid: Nid, transactions: &[(Ttid, Option<Tid>)]) {
        self.learn_usage(nid, transactions.is_empty());
    }

    fn learn_usage(&mut self, nid: Nid, is_unused: bool) {
        if let Some(report) = self.0.get_mut(&nid) {
            report.usage = match report.usage {
                Usage::Nothing(answers) if is_unused => Usage::Nothing(answers + 1),
                _ => Usage::Something,
            };
        }
    }

    /// Whether nothing was ever written to a storage, as it says.
    pub(super) fn is_unused(&self, nid: Nid) -> bool {
        let is_unused =
            |report: &Report| report.table_id.is_none() || report.usage == Usage::Nothing(ANSWERS);
        self.get(nid).is_some_and(is_unused)
    }
}
