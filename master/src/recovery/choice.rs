//! Which storages the cluster starts with, or what it waits for.

use std::collections::BTreeSet;
use std::fmt;

use model::{Nid, NodeType, Oid, PartitionId, Tid};

use super::machine::Recovery;
use super::reports::Usage;
use crate::cluster::Cluster;

/// Names and partitions are listed up to this many: a text is for people.
const NAMES_MAX: usize = 10;

/// Who wants the cluster to start.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Impulse {
    /// Nobody: all storages with readable cells have to be there.
    None,
    /// This master operated before: one readable cell a partition is enough.
    Restart,
    /// An operator: likewise, and storages that are all empty are taken for a database that was
    /// never used, if nobody is missing.
    Operator,
}

/// Why the cluster does not start.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Obstacle {
    /// A storage is just being asked.
    Entering(Nid),
    /// Somebody is missing.
    Waiting(String),
    /// Somebody has to look.
    Trouble(String),
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Entering(nid) => write!(f, "node {nid} is entering cluster"),
            Self::Waiting(text) | Self::Trouble(text) => f.write_str(text),
        }
    }
}

impl Recovery {
    /// The storages to start with; or why it is too early.
    pub(super) fn choose(
        &self,
        cluster: &Cluster,
        impulse: Impulse,
    ) -> Result<BTreeSet<Nid>, Obstacle> {
        if let Some(conflict) = self.conflicts.values().next() {
            return Err(Obstacle::Trouble(conflict.clone()));
        }
        if let Some((nid, tid)) = self.reports.backup(self.found) {
            return Err(Obstacle::Trouble(format!(
                "{nid} has a database in backup mode, up to {tid}: backup clusters come with a \
                 later version, and this database must not be written to"
            )));
        }
        if let Some(trouble) = self.stale_truncation(cluster) {
            return Err(Obstacle::Trouble(trouble));
        }
        let mut storages = cluster.nodes.identified(NodeType::Storage).peekable();
        if storages.peek().is_none() && cluster.table.is_none() {
            return Err(Obstacle::Waiting("there is no storage node".to_owned()));
        }
        // One that is just being asked, whoever it is, may know of a newer table.
        if let Some((nid, _)) = storages.find(|(_, link)| cluster.wire.is_asked(*link)) {
            return Err(Obstacle::Entering(nid));
        }
        let chosen = match (&cluster.table, self.newest) {
            (Some(_), _) => self.of_table(cluster, impulse),
            (None, Some(newest)) => {
                Err(format!("no storage that is there has partition table {newest}"))
            }
            (None, None) => of_new_table(cluster, impulse),
        };
        chosen.map_err(Obstacle::Waiting)
    }

    /// That the table is the newest one, and can be read without a storage that is to be dropped.
    pub(crate) fn can_do_without(&self, cluster: &Cluster, nid: Nid) -> Result<(), String> {
        let impulse = Impulse::Operator;
        match self.choose(cluster, impulse) {
            Err(obstacle @ (Obstacle::Entering(_) | Obstacle::Trouble(_))) => {
                Err(obstacle.to_string())
            }
            // Perhaps for the one that is to be dropped.
            Err(Obstacle::Waiting(_)) | Ok(_) => {
                self.readable_ones(cluster, impulse, Some(nid)).map(drop)
            }
        }
    }

    /// Up to where the log says that the storages are to truncate, if none of them knows of that:
    /// the master ended just before they were told, or the log is an old copy.
    pub(super) fn doubtful_truncate(&self, cluster: &Cluster) -> Option<Tid> {
        let log = cluster.ledger.remembered().truncate;
        log.filter(|_| self.reported_truncate(cluster).is_none())
    }

    /// Says that the log is an old copy: nobody gets a tid before that is reserved in the log.
    fn stale_truncation(&self, cluster: &Cluster) -> Option<String> {
        let tid = self.doubtful_truncate(cluster)?;
        let reserved = cluster.ledger.remembered().reserved_tid;
        let (nid, last) = self.last_tids.iter().find(|(_, last)| **last > reserved)?;
        Some(format!(
            "the master's log says to truncate up to {tid}, but {nid} has transaction {last}, \
             which is later than all that it knows of: it is an old copy. Start the master with \
             the right one, or with an empty directory"
        ))
    }

    /// The storages whose usage decides whether empty ones may count: all with readable cells, if
    /// nothing else says already that something was given out.
    pub(super) fn unasked_of_usage(&self, cluster: &Cluster) -> Vec<Nid> {
        let Some(table) = &cluster.table else { return Vec::new() };
        // One that is to truncate would do it when it is asked.
        let is_truncating = self.reports.iter().any(|(_, report)| report.truncate.is_some());
        if was_used(cluster) || is_truncating {
            return Vec::new();
        }
        let readable = table.readable_nodes();
        let are_there = readable.iter().all(|nid| self.reports.get(*nid).is_some());
        let are_full = readable.iter().all(|nid| self.reports.has_table(*nid));
        if !are_there || are_full {
            return Vec::new();
        }
        // One that is empty has nothing to tell, and NEO/py's do not survive the question.
        let is_unasked = |nid: &Nid| {
            let report = self.reports.get(*nid).filter(|report| report.table_id.is_some());
            report.is_some_and(|report| report.usage == Usage::Unasked)
        };
        readable.into_iter().filter(is_unasked).collect()
    }

    /// Whether storages with empty databases hold their cells: there is nothing to hold.
    ///
    /// So it is if nothing was ever given out or committed, as the log says, and everybody who
    /// could know better. It cannot be told from a disk that was lost otherwise.
    pub(super) fn empty_ones_count(&self, cluster: &Cluster, impulse: Impulse) -> bool {
        let Some(table) = &cluster.table else { return false };
        let readable = table.readable_nodes();
        let is_never_used =
            !was_used(cluster) && readable.iter().all(|nid| self.reports.is_unused(*nid));
        let is_empty =
            |nid: &Nid| self.reports.get(*nid).is_some_and(|report| report.table_id.is_none());
        let are_all_empty = || {
            let is_foreign = cluster.ledger.remembered().is_foreign;
            !is_foreign && table.nodes().iter().all(is_empty)
        };
        is_never_used || impulse == Impulse::Operator && are_all_empty()
    }

    fn of_table(&self, cluster: &Cluster, impulse: Impulse) -> Result<BTreeSet<Nid>, String> {
        let table = cluster.table();
        if impulse == Impulse::None {
            return self.all_needed(cluster);
        }
        if cluster.truncate.is_some() && !cluster.ledger.is_kept() {
            // Who is not there would come back with what the others have truncated.
            let absent = table.nodes().into_iter();
            let absent = absent.filter(|nid| cluster.nodes.link(*nid).is_none()).collect();
            self.all_of(cluster, absent).map_err(|reason| {
                format!("a truncation is to be done by all, and there is no log for it: {reason}")
            })?;
        }
        self.readable_ones(cluster, impulse, None)
    }

    /// All storages with readable cells; all of the table, if a truncation is to be done.
    fn all_needed(&self, cluster: &Cluster) -> Result<BTreeSet<Nid>, String> {
        self.has_newest(cluster)?;
        let table = cluster.table();
        let empty_ones_count = self.empty_ones_count(cluster, Impulse::None);
        let needed = match cluster.truncate {
            Some(_) => table.nodes(),
            None => table.readable_nodes(),
        };
        let lacking = needed.iter().copied();
        let lacking = lacking.filter(|nid| !self.holds(cluster, *nid, empty_ones_count));
        self.all_of(cluster, lacking.collect()).map(|()| needed)
    }

    /// Storages that are there and have readable cells, if they have one of each partition. One may
    /// be left out.
    fn readable_ones(
        &self,
        cluster: &Cluster,
        impulse: Impulse,
        without: Option<Nid>,
    ) -> Result<BTreeSet<Nid>, String> {
        self.has_newest(cluster)?;
        let table = cluster.table();
        let empty_ones_count = self.empty_ones_count(cluster, impulse);
        let holds = |nid: Nid| Some(nid) != without && self.holds(cluster, nid, empty_ones_count);
        let unreadable: Vec<PartitionId> = table
            .partitions()
            .iter()
            .filter(|partition| !table.table().readable(*partition).any(holds))
            .collect();
        let lacking = unreadable.iter().flat_map(|partition| table.table().readable(*partition));
        let lacking = lacking.filter(|nid| Some(*nid) != without);
        if let Err(reason) = self.all_of(cluster, lacking.collect()) {
            return Err(format!("no readable cell of partition {}: {reason}", listed(&unreadable)));
        }
        match unreadable.is_empty() {
            true => Ok(table.readable_nodes().into_iter().filter(|nid| holds(*nid)).collect()),
            false => Err(format!("no cell of partition {} is readable", listed(&unreadable))),
        }
    }

    fn has_newest(&self, cluster: &Cluster) -> Result<(), String> {
        match self.newest.filter(|newest| *newest > cluster.table().table().id()) {
            Some(newest) => Err(format!("no storage that is there has partition table {newest}")),
            None => Ok(()),
        }
    }

    fn holds(&self, cluster: &Cluster, nid: Nid, empty_ones_count: bool) -> bool {
        cluster.nodes.link(nid).is_some() && (self.reports.has_table(nid) || empty_ones_count)
    }

    /// That nobody is lacking; else who is, and why.
    fn all_of(&self, cluster: &Cluster, lacking: BTreeSet<Nid>) -> Result<(), String> {
        let (empty, absent): (Vec<Nid>, Vec<Nid>) =
            lacking.into_iter().partition(|nid| cluster.nodes.link(*nid).is_some());
        let mut reasons = Vec::new();
        if !absent.is_empty() {
            reasons.push(format!("waiting for {}", listed(&absent)));
        }
        if !empty.is_empty() {
            reasons.push(format!(
                "the database of {} is empty, although something may have been written to it",
                listed(&empty)
            ));
        }
        if reasons.is_empty() { Ok(()) } else { Err(reasons.join("; ")) }
    }
}

/// Whether ids were given out, as far as the log knows, or are to be taken back; or there is, or
/// was, a storage with a database of which the log does not know.
fn was_used(cluster: &Cluster) -> bool {
    let remembered = cluster.ledger.remembered();
    remembered.is_foreign
        || remembered.reserved_tid > Tid::ZERO
        || remembered.reserved_oid > Oid::ZERO
        || cluster.truncate.is_some()
}

fn of_new_table(cluster: &Cluster, impulse: Impulse) -> Result<BTreeSet<Nid>, String> {
    if cluster.ledger.remembered().is_foreign {
        let text = "waiting for a storage that was here and had a database; without it, start the \
                    master with an empty directory";
        return Err(text.to_owned());
    }
    let storages: BTreeSet<Nid> =
        cluster.nodes.identified(NodeType::Storage).map(|(nid, _)| nid).collect();
    let is_enough = cluster.options.autostart.is_some_and(|count| {
        count > 0 && u32::try_from(storages.len()).is_ok_and(|present| present >= count)
    });
    match impulse != Impulse::None || is_enough {
        true => Ok(storages),
        false => Err("a new cluster is started by an operator, or by enough storages".to_owned()),
    }
}

/// Some names, for people.
fn listed(names: &[impl ToString]) -> String {
    let mut shown: Vec<String> = names.iter().take(NAMES_MAX).map(ToString::to_string).collect();
    if names.len() > NAMES_MAX {
        shown.push(format!("{} more", names.len() - NAMES_MAX));
    }
    shown.join(", ")
}
