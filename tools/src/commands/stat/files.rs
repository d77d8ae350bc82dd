//! Sizes of files, by what they are.

use std::sync::Arc;

use engine::disk::{Access, Disk};
use serde::Serialize;

use crate::failure::Failure;

/// Files of one kind.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(super) struct Kind {
    pub(super) count: u64,
    pub(super) bytes: u64,
}

/// The files in a directory.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(super) struct FileSizes {
    log: Kind,
    runs: Kind,
    manifest: Kind,
    /// What is no file of the engine, or is being written.
    other: Kind,
}

impl FileSizes {
    pub(super) fn of(disk: &Arc<dyn Disk>) -> Result<Self, Failure> {
        let failed = |action, name: &str| {
            let path = disk.path(name);
            move |source| Failure::Io { action, path, source }
        };
        let mut sizes = Self::default();
        for name in disk.list().map_err(failed("list", ""))? {
            let file = disk.open(&name, Access::Read).map_err(failed("open", &name))?;
            let length = file.length().map_err(failed("measure", &name))?;
            let kind = match name.as_str() {
                "manifest" | "closed" => &mut sizes.manifest,
                _ if name.ends_with(".new") => &mut sizes.other,
                _ if name.starts_with("log-") => &mut sizes.log,
                _ if name.starts_with("run-") => &mut sizes.runs,
                _ => &mut sizes.other,
            };
            kind.count += 1;
            kind.bytes += length;
        }
        Ok(sizes)
    }

    pub(super) fn kinds(&self) -> [(&'static str, Kind); 4] {
        [
            ("log segments", self.log),
            ("index runs", self.runs),
            ("manifest", self.manifest),
            ("other", self.other),
        ]
    }

    pub(super) fn bytes(&self) -> u64 {
        self.kinds().iter().map(|(_, kind)| kind.bytes).sum()
    }
}
