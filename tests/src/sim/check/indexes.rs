//! Databases are sound: their indexes agree with their data and with each other, and nothing is
//! left of transactions that have come to an end.

use std::ops::ControlFlow;

use engine::{Fsck, Severity};

use super::databases::Databases;
use crate::sim::Broken;

pub(super) fn check(databases: &Databases) -> Result<(), Broken> {
    for (name, disk) in databases.disks() {
        let report = Fsck::new(disk).run(&mut |_| ControlFlow::Continue(()));
        let report = report.map_err(|error| damaged(name, &error.to_string()))?;
        let damage = |finding: &&engine::Finding| finding.severity == Severity::Damage;
        if let Some(finding) = report.findings.iter().find(damage) {
            let text = format!("{} at {:?}: {}", finding.file, finding.offset, finding.text);
            return Err(damaged(name, &text));
        }
    }
    for (name, engine) in databases.iter() {
        if let Some((ttid, state)) = engine.transactions().next() {
            let text = format!("{name} has {ttid} still {state:?}");
            return Err(Broken::new("all commits are decided", text));
        }
    }
    Ok(())
}

fn damaged(name: &str, text: &str) -> Broken {
    Broken::new("databases are sound", format!("{name}: {text}"))
}

#[cfg(test)]
mod tests {
    use engine::disk::{Disk, MemoryDisk};
    use engine::{Engine, MetadataEdit, MetadataKey, ObjectData};
    use model::{Oid, PartitionId, Tid, Ttid};

    use super::*;
    use crate::database::open_database;

    const PARTITION: PartitionId = PartitionId::new(0);

    /// A database with one object, and with what else is done to it.
    fn database(more: impl FnOnce(&mut Engine)) -> MemoryDisk {
        let disk = MemoryDisk::new(1);
        let mut engine = open_database(&disk).unwrap();
        let partitions = MetadataEdit::set(MetadataKey::Partitions, 1u32.to_le_bytes());
        engine.edit(1, vec![partitions]).unwrap();
        engine.wait_for(1).unwrap();
        store(&mut engine, Ttid::new(10));
        engine.commit(2, Ttid::new(10), Tid::new(11), PARTITION, None).unwrap();
        engine.wait_for(2).unwrap();
        more(&mut engine);
        engine.close().unwrap();
        disk
    }

    fn store(engine: &mut Engine, ttid: Ttid) {
        let object = ObjectData { data: Some(vec![7; 100].into()), ..ObjectData::default() };
        engine.store(ttid, PARTITION, Oid::new(1), &object).unwrap();
    }

    fn rule(disk: MemoryDisk) -> Option<String> {
        let databases = Databases::open(&[("S1".to_owned(), disk)]);
        databases.and_then(|databases| check(&databases)).err().map(|broken| broken.rule)
    }

    #[test]
    fn what_is_undecided_or_damaged_is_found() {
        assert_eq!(rule(database(|_| {})), None);
        let undecided = database(|engine| {
            store(engine, Ttid::new(20));
            engine.vote(3, Ttid::new(20), PARTITION, None).unwrap();
            engine.wait_for(3).unwrap();
        });
        assert_eq!(rule(undecided).as_deref(), Some("all commits are decided"));

        let damaged = database(|_| {});
        let names = damaged.list().unwrap();
        let has_object = |name: &String| {
            let file = damaged.read_file(name).unwrap();
            file.windows(100).position(|bytes| bytes == [7; 100]).map(|at| (name.clone(), at))
        };
        let (name, at) = names.iter().find_map(has_object).unwrap();
        damaged.flip(&name, u64::try_from(at + 50).unwrap(), 3);
        assert_eq!(rule(damaged).as_deref(), Some("databases are sound"));
    }
}
