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
