//! The directory that is imported into: made, or left by an import that was stopped.

use std::path::Path;
use std::sync::Arc;

use engine::disk::Disk;
use engine::{
    Engine, MetadataEdit, MetadataKey, ObjectsLookup, OpenMode, Options, ReadMode, Reader, Snapshot,
};
use model::{Oid, PartitionCount, Tid};

use super::{ImportArgs, Origin, Placement};
use crate::database;
use crate::failure::Failure;
use crate::filestorage::Identity;

/// Enough for a dozen storage nodes, and a few cursors to merge for everybody else.
pub(super) const PARTITIONS_DEFAULT: u32 = 12;
/// Objects that are looked at at a time.
const OBJECTS_MAX: usize = 10_000;
const NAME_DEFAULT: &str = "neolith";

/// A database that is being imported.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) engine: Engine,
    pub(super) partitions: PartitionCount,
    /// The only cells that are imported into it; all if there is none.
    pub(super) placement: Option<Placement>,
    /// The last transaction that is in it.
    pub(super) last_tid: Option<Tid>,
}

impl Target {
    /// Makes a database in a new or empty directory, or opens the one in which an import of the
    /// same file is not finished.
    pub(super) fn open(
        disk: Arc<dyn Disk>,
        args: &ImportArgs,
        placement: Option<&Placement>,
        identity: Identity,
    ) -> Result<Self, Failure> {
        let origin = Origin::new(&args.source, identity);
        let names = disk.list().map_err(|source| Failure::Io {
            action: "list",
            path: args.directory.display().to_string(),
            source,
        })?;
        match names.iter().any(|name| name == "manifest") {
            true => Self::resume(disk, args, placement, &names, &origin),
            false => Self::create(disk, args, placement, &origin),
        }
    }

    fn create(
        disk: Arc<dyn Disk>,
        args: &ImportArgs,
        placement: Option<&Placement>,
        origin: &Origin,
    ) -> Result<Self, Failure> {
        let default = PartitionCount::new(PARTITIONS_DEFAULT);
        let Some(partitions) = args.partitions.or(default) else {
            unreachable!("the default is legal")
        };
        let mut database_id = [0; 16];
        getrandom::fill(&mut database_id).map_err(|error| Failure::Io {
            action: "get random bytes for",
            path: args.directory.display().to_string(),
            source: error.into(),
        })?;
        let name = args.name.as_deref().unwrap_or(NAME_DEFAULT);
        let alone = Placement::alone(partitions);
        let metadata = first_metadata(placement.unwrap_or(&alone), name, origin);
        let engine = Engine::create(disk, Options::default(), database_id, metadata)?;
        Ok(Self { engine, partitions, placement: placement.cloned(), last_tid: None })
    }

    fn resume(
        disk: Arc<dyn Disk>,
        args: &ImportArgs,
        placement: Option<&Placement>,
        names: &[String],
        origin: &Origin,
    ) -> Result<Self, Failure> {
        let path = args.directory.display();
        if let Some(name) = names.iter().find(|name| !is_of_the_engine(name)) {
            return Err(Failure::Refused(format!(
                "{path}: it holds {name:?}, which is no file of a database; give a new directory"
            )));
        }
        let engine = Engine::open(disk, Options::default(), OpenMode::ReadWrite)?;
        let Some(bytes) = engine.metadata().get(MetadataKey::Import) else {
            return Err(Failure::Refused(format!(
                "{path}: it holds a complete database; give a new directory"
            )));
        };
        match Origin::from_bytes(bytes) {
            Some(before) if before.is_same_file(origin) => {}
            Some(before) => {
                return Err(Failure::Refused(format!(
                    "{path}: the import of another file is not finished there, of {before}"
                )));
            }
            None => return Err(Origin::of_unfinished(bytes, &args.directory)),
        }
        let partitions = database::partitions(engine.metadata(), &args.directory)?;
        require_same(args, placement, &engine, partitions)?;
        let reader = engine.reader(ReadMode::Calls);
        let snapshot = engine.snapshot();
        let bounds = database::bounds(&reader, &snapshot, partitions)?;
        let last_tid = match placement {
            None => bounds.tid_last,
            // Of transactions whose metadata is elsewhere there may be objects only.
            Some(_) => last_with_objects(&reader, &snapshot, partitions, bounds.tid_last)?,
        };
        Ok(Self { engine, partitions, placement: placement.cloned(), last_tid })
    }
}

/// The last tid of objects, if that is later than another one.
fn last_with_objects(
    reader: &Reader,
    snapshot: &Snapshot,
    partitions: PartitionCount,
    mut last: Option<Tid>,
) -> Result<Option<Tid>, Failure> {
    for partition in partitions.iter() {
        let first = last.map_or(Tid::ZERO, |tid| Tid::new(tid.get().saturating_add(1)));
        let mut next = Some((first, Oid::new(0)));
        while let Some(from) = next {
            let (snapshot, length) = (snapshot.clone(), OBJECTS_MAX);
            let lookup = ObjectsLookup::new(snapshot, partition, from, Tid::MAX, length);
            let page = reader.run(lookup)?;
            last = last.max(page.objects.last().map(|(tid, _)| *tid));
            next = page.next;
        }
    }
    Ok(last)
}

/// What a database is told of itself when it is made: a cluster can begin with it.
fn first_metadata(placement: &Placement, name: &str, origin: &Origin) -> Vec<MetadataEdit> {
    let Placement { nid, table } = placement;
    vec![
        MetadataEdit::set(MetadataKey::Nid, nid.get().to_le_bytes()),
        MetadataEdit::set(MetadataKey::ClusterName, name.as_bytes()),
        MetadataEdit::set(MetadataKey::Partitions, table.partitions().get().to_le_bytes()),
        MetadataEdit::set(MetadataKey::Replicas, table.replicas().to_le_bytes()),
        MetadataEdit::set(MetadataKey::PartitionTable, table.to_bytes()),
        MetadataEdit::set(MetadataKey::Import, origin.to_bytes()),
    ]
}

/// Options that were given differently when the import began would have no effect any more.
fn require_same(
    args: &ImportArgs,
    placement: Option<&Placement>,
    engine: &Engine,
    partitions: PartitionCount,
) -> Result<(), Failure> {
    let path = args.directory.display();
    let refuse = |what: String| {
        let reason = format!("{path}: the import that is not finished there began with {what}");
        Err(Failure::Refused(reason))
    };
    if args.partitions.is_some_and(|wanted| wanted != partitions) {
        return refuse(format!("--partitions {partitions}"));
    }
    let table = engine.metadata().get(MetadataKey::PartitionTable).unwrap_or_default();
    let alone = Placement::alone(partitions);
    if placement.unwrap_or(&alone).table.to_bytes() != table {
        return refuse(String::from("another number of --storages, --replicas or --partitions"));
    }
    let name = engine.metadata().get(MetadataKey::ClusterName).unwrap_or_default();
    if args.name.as_ref().is_some_and(|wanted| wanted.as_bytes() != name) {
        return refuse(format!("--name {:?}", String::from_utf8_lossy(name)));
    }
    Ok(())
}

/// Makes the directory that databases of several storages are in.
#[expect(clippy::disallowed_methods, reason = "the directory around databases is none of them")]
pub(super) fn make_directory(path: &Path) -> Result<(), Failure> {
    match std::fs::create_dir(path) {
        Err(source) if source.kind() != std::io::ErrorKind::AlreadyExists => {
            let path = path.display().to_string();
            Err(Failure::Io { action: "make the directory", path, source })
        }
        _ => Ok(()),
    }
}

fn is_of_the_engine(name: &str) -> bool {
    let name = name.strip_suffix(".new").unwrap_or(name);
    let is_number =
        |digits: &str| digits.len() == 8 && digits.chars().all(|digit| digit.is_ascii_hexdigit());
    matches!(name, "manifest" | "closed")
        || ["log-", "run-"].iter().any(|kind| name.strip_prefix(kind).is_some_and(is_number))
}

/// The last transaction in the directory is not in the file.
pub(super) fn other_file(args: &ImportArgs, tid: Tid) -> Failure {
    let (source, directory) = (args.source.display(), args.directory.display());
    Failure::Refused(format!(
        "{source}: expected transaction {tid}, the last one in {directory}, but it is not in the \
         file: since the import began it was packed, cut or replaced; import into a new directory"
    ))
}

/// What to do after an import was stopped.
pub(super) fn advice(source: &Path) -> String {
    format!("run the same command again to go on importing {}", source.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files() {
        let own = ["manifest", "closed", "log-0000000a", "run-ffffffff", "manifest.new"];
        let foreign = ["Data.fs", "log-1", "log-0000000g", "run-000000001", ".new", "readme"];
        for name in own {
            assert!(is_of_the_engine(name), "{name}");
        }
        for name in foreign {
            assert!(!is_of_the_engine(name), "{name}");
        }
    }
}
