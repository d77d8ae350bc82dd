//! All rules.

use super::databases::Databases;
use super::truth::Truth;
use super::{
    bank, commits, counters, errors, indexes, logs, order, reads, replicas, skew, told, undo,
};
use super::{walks, writes};
use crate::sim::{Broken, History};

/// Checks all rules. What is committed.
///
/// # Errors
/// The first one that does not hold.
pub(crate) fn all(history: &History, databases: &Databases) -> Result<Truth, Broken> {
    let truth = sound(databases)?;
    against(history, &truth)?;
    Ok(truth)
}

/// Checks that databases are sound, and replicas equal. What they have.
///
/// # Errors
/// The first rule that does not hold.
pub(crate) fn sound(databases: &Databases) -> Result<Truth, Broken> {
    indexes::check(databases)?;
    replicas::check(databases)
}

/// Whether pairs that nobody checks were skewed, as they may be.
pub(crate) fn is_skewed(truth: &Truth) -> bool {
    skew::is_possible(truth)
}

/// Checks what programs did and saw against what is committed.
pub(super) fn against(history: &History, truth: &Truth) -> Result<(), Broken> {
    commits::check(history, truth)?;
    errors::check(history)?;
    order::check(history, truth)?;
    writes::check(history, truth)?;
    reads::check(history, truth)?;
    walks::check(history, truth)?;
    told::check(history, truth)?;
    undo::check(history, truth)?;
    bank::check(truth)?;
    logs::check(truth)?;
    counters::check(truth)?;
    skew::check(truth)
}
