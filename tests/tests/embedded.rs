//! A database in this process, and the same directory served by processes: what one commits the
//! other has, in both directions.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use bytes::Bytes;
use client::{
    ClientOptions, Embedded, EmbeddedOptions, Error, InDoubt, Metadata, Object, Opening, Payload,
    Session, Unfit,
};
use model::{Oid, Tid};
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tests::{Daemon, Source, command, succeed};

const NAME: &str = "embedded";

/// A master that keeps a log, and one storage.
struct Cluster {
    storage: Daemon,
    master: Daemon,
    address: String,
}

impl Cluster {
    fn start(directory: &Path) -> Self {
        let master = directory.join("master");
        let (master, database) = (text(&master).to_owned(), database(directory));
        let mut master = start_node(&["master", "--bind", "127.0.0.1:0", "--data", &master]);
        let address = master.listening();
        let bind = ["--bind", "127.0.0.1:0", "--masters", &address];
        let arguments = [&["storaged"], &bind[..], &["--database", text(&database)]].concat();
        let mut storage = start_node(&arguments);
        storage.listening();
        Self { storage, master, address }
    }

    fn session(&self) -> Session {
        let masters = vec![self.address.parse().expect("an address")];
        let reconnect_delay = Duration::from_millis(10);
        let options = ClientOptions { reconnect_delay, ..ClientOptions::new(NAME, masters) };
        Session::open_with(options).expect("the cluster is found")
    }

    fn stop(self) {
        assert_eq!(self.master.terminate().code, Some(0));
        let ended = self.storage.terminate();
        assert_eq!(ended.code, Some(0), "{}", ended.errors);
    }
}

fn start_node(arguments: &[&str]) -> Daemon {
    let mut command = command(&[]);
    command.args(arguments).args(["--cluster", NAME, "--reconnect-delay", "0.01"]);
    // Nodes end with this process, whatever ends it.
    command.arg("--exit-with-parent").stdin(Stdio::piped());
    Daemon::spawn(command)
}

fn text(path: &Path) -> &str {
    path.to_str().expect("it is text")
}

fn database(directory: &Path) -> PathBuf {
    directory.join("database")
}

fn options() -> EmbeddedOptions {
    EmbeddedOptions { name: Some(NAME.to_owned()), ..EmbeddedOptions::default() }
}

fn open(directory: &Path) -> Embedded {
    Embedded::open(database(directory), options()).expect("it is whole")
}

/// An object of a transaction: oid, data and the revision that it repeats.
type Stored = (Oid, Option<Bytes>, Option<Tid>);

fn stored(object: Result<Object, Error>) -> Stored {
    let object = object.expect("it is sound");
    let data = object.data.map(|data| data.bytes().expect("it is sound"));
    (object.oid, data, object.data_serial)
}

/// Everything that a session or an embedded database has: both have the same face.
macro_rules! contents {
    ($database:expr) => {{
        let all = $database.transactions(Tid::ZERO, None);
        let all = all.map(|transaction| {
            let transaction = transaction.expect("it is sound");
            let objects: Vec<_> = $database.objects_of(&transaction).map(stored).collect();
            (transaction, objects)
        });
        all.collect::<Vec<_>>()
    }};
}

/// Some transactions, the last of which is undone.
macro_rules! commit_some {
    ($database:expr, $who:expr) => {{
        let database = &$database;
        let oids = database.new_oids(20).expect("there are some");
        let before = database.last_tid();
        let mut tids = Vec::new();
        for (round, pair) in oids.chunks(2).enumerate() {
            let mut transaction = database.begin().expect("it serves");
            for oid in pair {
                let data = Payload::compressed(format!("{} {round} {oid} ", $who).repeat(9));
                transaction.store(*oid, Tid::ZERO, data).expect("it serves");
            }
            if let Some(tid) = tids.last() {
                let oid = oids[2 * round - 2];
                match round % 2 {
                    0 => transaction.delete(oid, *tid).expect("it serves"),
                    _ => transaction.check_current(oid, *tid).expect("it serves"),
                }
            }
            let description = Bytes::from(format!("{} {round}", $who));
            let metadata = Metadata { description, ..Metadata::default() };
            tids.push(transaction.commit(metadata).expect("it serves"));
        }
        let mut transaction = database.begin().expect("it serves");
        let last = *tids.last().expect("there are some");
        assert_eq!(transaction.undo(last).expect("nobody changed it").len(), 2);
        tids.push(transaction.commit(Metadata::default()).expect("it serves"));
        assert!(tids.is_sorted() && tids[0] > before && database.last_tid() == tids[10]);
        oids
    }};
}

#[test]
fn one_directory_is_used_without_a_cluster_and_with_one_in_turn() {
    let directory = TempDir::new().expect("there is room");
    let mut all_oids = Vec::new();
    let mut before = Vec::new();
    for round in 0..2 {
        let embedded = open(directory.path());
        assert!(contents!(embedded) == before, "what the cluster had");
        all_oids.extend(commit_some!(embedded, format!("embedded {round}")));
        let with_its_own = contents!(embedded);
        assert_eq!(with_its_own.len(), before.len() + 11);
        embedded.close();

        let cluster = Cluster::start(directory.path());
        let session = cluster.session();
        assert_eq!(session.last_tid(), embedded.last_tid());
        assert!(contents!(session) == with_its_own, "what was there without a cluster");
        let in_use = Embedded::open(database(directory.path()), options()).map(drop);
        assert!(matches!(in_use, Err(Error::Unfit { reason: Unfit::InUse, .. })), "{in_use:?}");
        all_oids.extend(commit_some!(session, format!("cluster {round}")));
        before = contents!(session);
        session.close();
        cluster.stop();
    }
    assert!(all_oids.is_sorted_by(|one, next| one < next), "no oid is given twice");
    let reading = EmbeddedOptions { opening: Opening::ReadOnly, ..options() };
    let embedded = Embedded::open(database(directory.path()), reading).expect("it is whole");
    assert!(contents!(embedded) == before);
    assert_eq!(before.len(), 44);
    drop(embedded);
    succeed(&[&"fsck", &database(directory.path())]);
}

/// A storage that was killed between the vote and the end leaves what only its cluster, or who is
/// told to, decides on. Without such a transaction its directory is as good as after a clean stop.
#[test]
fn a_killed_storage_leaves_what_it_acknowledged() {
    let directory = TempDir::new().expect("there is room");
    open(directory.path()).close();
    let cluster = Cluster::start(directory.path());
    let session = cluster.session();
    commit_some!(session, "cluster");
    let before = contents!(session);
    cluster.storage.signal("KILL");
    let Cluster { storage, master, .. } = cluster;
    storage.wait();
    drop((session, master));
    // The last unlock is not synced, but the process alone was killed.
    let settling = EmbeddedOptions { in_doubt: InDoubt::Settle, ..options() };
    let embedded = Embedded::open(database(directory.path()), settling).expect("it is whole");
    assert!(contents!(embedded) == before);
    commit_some!(embedded, "embedded");
    embedded.close();
    succeed(&[&"fsck", &database(directory.path())]);
}

#[test]
fn an_import_is_opened_as_it_is() {
    let source = Source::sample();
    let directory = TempDir::new().expect("there is room");
    let database = database(directory.path());
    succeed(&[&"import", &source.path, &database, &"--name", &NAME]);
    let embedded = open(directory.path());
    let number = |text: &str| u64::from_str_radix(text, 16).expect("16 digits");
    let truth = |key: &str| source.truth[key].as_u64().expect("a number");
    assert_eq!(embedded.last_tid(), Tid::new(number(source.text("last_tid"))));
    let samples = source.truth["loadBefore"].as_array().expect("a list");
    for sample in samples {
        let text = |index: usize| sample[index].as_str().expect("a text");
        let (oid, tid) = (Oid::new(number(text(0))), Tid::new(number(text(1))));
        match embedded.load_before(oid, tid) {
            Ok(Object { serial, next_serial, data: Some(data), .. }) => {
                let data = data.bytes().expect("it is sound");
                let hash = Sha256::digest(&data);
                let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
                let next = next_serial.map(|tid| tid.to_string());
                let found = serde_json::json!([hash, data.len(), serial.to_string(), next]);
                assert_eq!(found, sample[2], "{sample}");
            }
            Ok(_) | Err(Error::NoSuchObject { .. }) => assert_eq!(text(2), "POSKeyError"),
            Err(Error::NoSuchRevision { .. }) => assert_eq!(text(2), "none", "{sample}"),
            Err(error) => panic!("{sample}: {error}"),
        }
    }
    let all = contents!(embedded);
    assert_eq!(all.len() as u64, truth("transactions"));
    let records: usize = all.iter().map(|(_, objects)| objects.len()).sum();
    assert_eq!(records as u64, truth("records"));
    let data = all.iter().flat_map(|(_, objects)| objects).filter(|(_, data, _)| data.is_some());
    assert_eq!(data.count() as u64, truth("records") - truth("records_none"));
    let packed = all.iter().filter(|(transaction, _)| transaction.packed).count();
    assert_eq!(packed as u64, source.truth["status"]["p"].as_u64().expect("a number"));
    commit_some!(embedded, "embedded");
    embedded.close();
    succeed(&[&"fsck", &database]);
}
