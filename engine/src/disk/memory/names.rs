//! The directory: what is where, what of it is durable, and what has changed since.

use std::collections::{BTreeMap, BTreeSet};

use model::Random;

/// Which file, whatever it is called.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct FileId(pub(super) u64);

/// Files by name.
pub(super) type Table = BTreeMap<String, FileId>;

/// Names as they are, as they were when the directory was synced, and what happened in between.
///
/// Invariant: `changes`, applied to `durable` one after the other, give `current`.
#[derive(Clone, Default, Debug)]
pub(super) struct Names {
    current: Table,
    durable: Table,
    changes: Vec<Change>,
}

#[derive(Clone, Debug)]
enum Change {
    Create(String, FileId),
    Remove(String),
    Rename(String, String),
}

impl Names {
    /// Names that are all durable.
    pub(super) fn from_table(table: Table) -> Self {
        Self { current: table.clone(), durable: table, changes: Vec::new() }
    }

    pub(super) fn current(&self) -> &Table {
        &self.current
    }

    pub(super) fn durable(&self) -> &Table {
        &self.durable
    }

    pub(super) fn create(&mut self, name: &str, file: FileId) {
        self.change(Change::Create(name.to_owned(), file));
    }

    pub(super) fn remove(&mut self, name: &str) {
        self.change(Change::Remove(name.to_owned()));
    }

    pub(super) fn rename(&mut self, source: &str, target: &str) {
        self.change(Change::Rename(source.to_owned(), target.to_owned()));
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.current);
        self.changes.push(change);
    }

    /// Makes all changes durable.
    pub(super) fn sync(&mut self) {
        for change in self.changes.drain(..) {
            change.apply(&mut self.durable);
        }
    }

    /// Whether a file has a name, or may have one after a crash.
    pub(super) fn refers_to(&self, file: FileId) -> bool {
        let created = |change: &Change| matches!(change, Change::Create(_, id) if *id == file);
        self.current.values().any(|id| *id == file)
            || self.durable.values().any(|id| *id == file)
            || self.changes.iter().any(created)
    }

    /// What a power cut leaves.
    pub(super) fn crash(&self, random: &mut Random) -> Table {
        let mut table = self.durable.clone();
        if random.chance(1, 2) {
            let kept = random.index(self.changes.len() + 1);
            for change in &self.changes[..kept] {
                change.apply(&mut table);
            }
            return table;
        }
        let mut stale = BTreeSet::new();
        for change in &self.changes {
            let names = change.names();
            if random.chance(1, 2) || names.clone().any(|name| stale.contains(name)) {
                stale.extend(names);
            } else {
                change.apply(&mut table);
            }
        }
        table
    }
}

impl Change {
    fn apply(&self, table: &mut Table) {
        match self {
            Change::Create(name, file) => {
                table.insert(name.clone(), *file);
            }
            Change::Remove(name) => {
                table.remove(name);
            }
            Change::Rename(source, target) => {
                if let Some(file) = table.remove(source) {
                    table.insert(target.clone(), file);
                }
            }
        }
    }

    fn names(&self) -> impl Iterator<Item = &str> + Clone {
        let (first, second) = match self {
            Change::Create(name, _) | Change::Remove(name) => (name, None),
            Change::Rename(source, target) => (source, Some(target)),
        };
        std::iter::once(first).chain(second).map(String::as_str)
    }
}
