//! Real processes on databases with a damaged record: what is whole is served, whatever is not.

#![expect(clippy::disallowed_methods, reason = "tests damage files of their own")]

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use client::{ClientOptions, Error, Metadata, Payload, Session, Trouble};
use model::{Nid, NodeType, Oid, Tid};
use tempfile::TempDir;
use tests::{Daemon, command, neolith};

const NAME: &str = "damage";
const OBJECTS: u64 = 12;
/// The object whose record is damaged.
const HIT: Oid = Oid::new(5);

/// A master and storages.
struct Cluster {
    storages: Vec<Daemon>,
    master: Daemon,
    address: String,
}

impl Cluster {
    fn start(directory: &Path, storages: usize) -> Self {
        let (data, count) = (directory.join("master"), storages.to_string());
        let replicas = (storages - 1).to_string();
        let mut master = start_node(&[
            "master",
            "--bind",
            "127.0.0.1:0",
            "--data",
            text(&data),
            "--partitions",
            "2",
            "--replicas",
            &replicas,
            "--autostart",
            &count,
        ]);
        let address = master.listening();
        let start = |number| {
            let path = database(directory, number);
            let mut storage = start_node(&[
                "storaged",
                "--bind",
                "127.0.0.1:0",
                "--masters",
                &address,
                "--database",
                text(&path),
            ]);
            storage.listening();
            storage.wait_for(&["joined a cluster"]);
            storage
        };
        let storages = (0..storages).map(start).collect();
        Self { storages, master, address }
    }

    fn session(&self) -> Session {
        let masters = vec![self.address.parse().expect("an address")];
        let reconnect_delay = Duration::from_millis(10);
        let options = ClientOptions { reconnect_delay, ..ClientOptions::new(NAME, masters) };
        Session::open_with(options).expect("the cluster is found")
    }

    /// Ends all nodes, no storage before the others.
    fn stop(self) {
        assert_eq!(self.master.terminate().code, Some(0));
        for storage in self.storages {
            let ended = storage.terminate();
            assert_eq!(ended.code, Some(0), "{}", ended.errors);
        }
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

fn database(directory: &Path, number: usize) -> PathBuf {
    directory.join(format!("storage{number}"))
}

fn data(oid: Oid) -> String {
    format!("this is what object {oid} says")
}

/// Commits all objects in a new cluster, and stops it.
fn prepare(directory: &Path, storages: usize) {
    let cluster = Cluster::start(directory, storages);
    let session = cluster.session();
    let mut transaction = session.begin().expect("it serves");
    for oid in (1..=OBJECTS).map(Oid::new) {
        transaction.store(oid, Tid::ZERO, Payload::plain(data(oid))).expect("it serves");
    }
    transaction.commit(Metadata::default()).expect("it serves");
    session.close();
    cluster.stop();
}

/// Flips a bit of the record of one object.
fn damage(database: &Path) {
    let wanted = data(HIT);
    for entry in fs::read_dir(database).expect("a directory") {
        let path = entry.expect("an entry").path();
        let contents = fs::read(&path).expect("a file");
        let at = contents.windows(wanted.len()).position(|bytes| bytes == wanted.as_bytes());
        if let Some(at) = at {
            let file = fs::OpenOptions::new().write(true).open(&path).expect("the log");
            return file.write_all_at(&[contents[at] ^ 1], at as u64).expect("it can be written");
        }
    }
    panic!("no file has the object");
}

fn load(session: &Session, oid: Oid) -> Result<String, Error> {
    let object = session.load(oid)?;
    let bytes = object.data.expect("it has data").bytes()?;
    Ok(String::from_utf8(bytes.to_vec()).expect("it is text"))
}

#[test]
fn a_damaged_record_is_served_by_the_replica() {
    let directory = TempDir::new().expect("there is room");
    prepare(directory.path(), 2);
    damage(&database(directory.path(), 0));
    let mut cluster = Cluster::start(directory.path(), 2);
    let session = cluster.session();
    // Storages are chosen at random: the damaged one is asked for sure.
    for _ in 0..20 {
        for oid in (1..=OBJECTS).map(Oid::new) {
            assert_eq!(load(&session, oid), Ok(data(oid)));
        }
    }
    let line = cluster.storages[0].wait_for(&["ERROR", "cannot be read", "damaged at offset"]);
    assert!(line.contains(text(&database(directory.path(), 0))), "{line}");
    // It can be written again, and then all is well.
    let serial = session.load(HIT).expect("it is there").serial;
    let mut transaction = session.begin().expect("it serves");
    transaction.store(HIT, serial, Payload::plain("new")).expect("it serves");
    transaction.commit(Metadata::default()).expect("it serves");
    for _ in 0..20 {
        assert_eq!(load(&session, HIT).as_deref(), Ok("new"));
    }
    session.close();
    cluster.stop();
}

#[test]
fn a_damaged_record_without_replica_is_an_error_for_this_object_alone() {
    let directory = TempDir::new().expect("there is room");
    prepare(directory.path(), 1);
    let database = database(directory.path(), 0);
    damage(&database);
    let cluster = Cluster::start(directory.path(), 1);
    let session = cluster.session();
    for oid in (1..=OBJECTS).map(Oid::new).filter(|oid| *oid != HIT) {
        assert_eq!(load(&session, oid), Ok(data(oid)));
    }
    let serial = session.last_tid();
    for _ in 0..2 {
        let error = load(&session, HIT).expect_err("it is damaged");
        let nid = Nid::of(NodeType::Storage, 1);
        assert_eq!(error, Error::WrongChecksum { oid: HIT, serial, nid });
        assert_eq!(error.trouble(), Trouble::Damage);
    }
    // Its history tells what can be restored.
    assert_eq!(session.history(HIT, 9).map(|list| list.len()), Ok(1));
    session.close();
    cluster.stop();
    let report = neolith(&[&"fsck", &database]);
    let hit = HIT.to_string();
    assert!(report.code == Some(1) && report.text().contains(&hit), "{}", report.text());
}
