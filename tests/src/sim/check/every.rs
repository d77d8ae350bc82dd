//! All rules.

use super::databases::Databases;
use crate::sim::{Broken, History};

/// Checks all rules.
///
/// # Errors
/// The first one that does not hold.
pub fn all(history: &History, databases: &Databases) -> Result<(), Broken> {
    if history.commits() > 0 && databases.count() == 0 {
        return Err(Broken::new("data is somewhere", "there is no storage"));
    }
    Ok(())
}
