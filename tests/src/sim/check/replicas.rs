//! All readable cells of a partition have the same, and each partition has one.

use std::collections::BTreeMap;
use std::fmt::Debug;

use super::cell::Cell;
use super::databases::Databases;
use super::truth::Truth;
use crate::sim::Broken;

/// Reads all readable cells and compares those of each partition. Everything that they have.
pub(super) fn check(databases: &Databases) -> Result<Truth, Broken> {
    let table = databases.table()?;
    let mut truth = Truth::new(table.partitions());
    for partition in table.partitions().iter() {
        let mut cells = databases.readable_cells(&table, partition)?.into_iter();
        let Some((first, cell)) = cells.next() else {
            let text = format!("no database has a readable cell of partition {partition}");
            return Err(Broken::new("each partition is somewhere", text));
        };
        for (other, other_cell) in cells {
            same((first, other), &cell, &other_cell).map_err(|text| {
                Broken::new("replicas are equal", format!("partition {partition}: {text}"))
            })?;
        }
        truth.transactions.extend(cell.transactions);
        for ((tid, oid), stored) in cell.revisions {
            truth.objects.entry(oid).or_default().insert(tid, stored);
        }
    }
    Ok(truth)
}

/// Whether two cells have the same; if not, what only one has.
fn same(names: (&str, &str), first: &Cell, second: &Cell) -> Result<(), String> {
    difference(names, &first.transactions, &second.transactions)?;
    difference(names, &first.revisions, &second.revisions)
}

fn difference<K: Ord + Debug, V: PartialEq + Debug>(
    names: (&str, &str),
    first: &BTreeMap<K, V>,
    second: &BTreeMap<K, V>,
) -> Result<(), String> {
    for key in first.keys().chain(second.keys()) {
        let (one, other) = (first.get(key), second.get(key));
        if one != other {
            let (name, other_name) = names;
            return Err(format!("{key:?}: {name} has {one:?}, {other_name} has {other:?}"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use model::{Oid, Tid};

    use super::super::truth::Stored;
    use super::*;

    #[test]
    fn what_one_cell_lacks_or_has_otherwise_is_found() {
        let mut first = Cell::default();
        first.transactions.insert(Tid::new(5), Default::default());
        first.revisions.insert((Tid::new(5), Oid::new(1)), Stored::default());
        assert_eq!(same(("S1", "S2"), &first, &first.clone()), Ok(()));

        let mut lacking = first.clone();
        lacking.revisions.clear();
        assert!(same(("S1", "S2"), &first, &lacking).is_err());
        assert!(same(("S1", "S2"), &lacking, &first).is_err());

        let mut other = first.clone();
        other.transactions.entry(Tid::new(5)).or_default().oids.push(Oid::new(1));
        assert!(same(("S1", "S2"), &first, &other).is_err());

        let mut other = first.clone();
        let stored = other.revisions.entry((Tid::new(5), Oid::new(1))).or_default();
        stored.data_tid = Some(Tid::new(3));
        assert!(same(("S1", "S2"), &first, &other).is_err());
    }
}
