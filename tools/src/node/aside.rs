//! Puts a database aside: it is never erased by a program.

#![expect(
    clippy::disallowed_methods,
    reason = "a whole database is renamed, which nobody has open any more"
)]

use std::fs::File;
use std::path::{Path, PathBuf};

use model::UtcTime;

use crate::failure::Failure;

/// Renames the directory of a database to its name, the reason and the time. Returns the new name.
pub(crate) fn put_aside(path: &Path, reason: &str) -> Result<PathBuf, Failure> {
    let failed = |source| {
        let path = path.display();
        Failure::Node(format!("{path}: cannot put the database aside: {source}"))
    };
    let path = std::path::absolute(path).map_err(failed)?;
    let time = UtcTime::from_unix(net::now().unix).map_or_else(String::new, digits);
    let mut name = path.clone().into_os_string();
    name.push(format!(".{reason}-{time}"));
    let aside = PathBuf::from(name);
    std::fs::rename(&path, &aside).map_err(failed)?;
    if let Some(parent) = aside.parent() {
        File::open(parent).and_then(|parent| parent.sync_all()).map_err(failed)?;
    }
    Ok(aside)
}

/// `20260105T123321.500000Z`
fn digits(time: UtcTime) -> String {
    let text = time.to_string().replace(['-', ':'], "").replacen(' ', "T", 1);
    text.split(' ').next().map(|text| format!("{text}Z")).unwrap_or_default()
}
