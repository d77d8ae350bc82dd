//! The database of a storage: made if there is none.

#![expect(
    clippy::disallowed_methods,
    reason = "names of the host and of the device are no files of a database"
)]

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use engine::disk::{self, Directory, Disk};
use engine::{Engine, MetadataEdit, MetadataKey, OpenMode, Options};

use crate::commands::import::Origin;
use crate::failure::Failure;
use crate::node::StorageArgs;

/// A database that is open, and the name of its cluster.
#[derive(Debug)]
pub(super) struct Database {
    /// Keeps the lock.
    pub(super) directory: Arc<Directory>,
    pub(super) engine: Engine,
    pub(super) cluster: String,
}

impl Database {
    /// Opens the database in a directory, or makes one.
    pub(super) fn open(args: &StorageArgs, path: &Path) -> Result<Self, Failure> {
        if path.is_file() {
            return Err(Failure::Refused(format!(
                "{}: it is a file; a database is a directory, see `neolith import --help`",
                path.display()
            )));
        }
        let directory = args.disk.directory(path, disk::OpenMode::Create)?;
        let disk = Arc::clone(&directory) as Arc<dyn Disk>;
        let names = disk.list().map_err(|source| Failure::Io {
            action: "list",
            path: path.display().to_string(),
            source,
        })?;
        let engine = match names.iter().any(|name| name == "manifest") {
            true => Engine::open(disk, Options::default(), OpenMode::ReadWrite)?,
            false => create(disk, args, path)?,
        };
        if let Some(bytes) = engine.metadata().get(MetadataKey::Import) {
            return Err(Origin::of_unfinished(bytes, path));
        }
        let stored = engine.metadata().get(MetadataKey::ClusterName);
        let stored = stored.map(|name| String::from_utf8_lossy(name).into_owned());
        let Some(cluster) = args.common.cluster.clone().or(stored) else {
            return Err(name_missing());
        };
        Ok(Self { directory, engine, cluster })
    }
}

fn create(disk: Arc<dyn Disk>, args: &StorageArgs, path: &Path) -> Result<Engine, Failure> {
    let Some(cluster) = &args.common.cluster else { return Err(name_missing()) };
    let mut database_id = [0; 16];
    getrandom::fill(&mut database_id).map_err(|error| Failure::Io {
        action: "get random bytes for",
        path: path.display().to_string(),
        source: error.into(),
    })?;
    let name = MetadataEdit::set(MetadataKey::ClusterName, cluster.as_bytes());
    let engine = Engine::create(disk, Options::default(), database_id, vec![name])?;
    tracing::info!(database = %path.display(), "made a new database");
    Ok(engine)
}

fn name_missing() -> Failure {
    Failure::Refused(String::from(
        "the name of the cluster is missing: give --cluster, as the database does not say it",
    ))
}

/// What a database is on, from the outside in: the host, and the device of its file system.
pub(super) fn device_path(path: &Path) -> Vec<String> {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let device = std::fs::metadata(path).map(|metadata| metadata.dev()).unwrap_or_default();
    vec![host.trim().to_owned(), device.to_string()]
}
