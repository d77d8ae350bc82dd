//! Nodes as processes: how they start, what they refuse, and how they end.
#![expect(clippy::disallowed_methods, reason = "tests make their own files and directories")]

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tests::{Daemon, Source, command, neolith, succeed};

/// As long as who starts our nodes waits for their end.
const END_TIME_MAX: Duration = Duration::from_secs(10);

/// A master, a storage and an admin, each at any port of loopback.
struct Trio {
    // Dropped in this order.
    admin: Daemon,
    storage: Daemon,
    master: Daemon,
    master_address: String,
    storage_address: String,
    admin_address: String,
    directory: TempDir,
}

const ANY: &str = "127.0.0.1:0";

impl Trio {
    /// A new cluster that serves.
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut master = Daemon::start(&[
            &"master",
            &"-c",
            &"test",
            &"-b",
            &ANY,
            &"-p",
            &"6",
            &"--autostart",
            &"1",
        ]);
        let master_address = master.listening();
        let database = directory.path().join("db");
        let mut storage = Daemon::start(&[
            &"storaged",
            &"-c",
            &"test",
            &"-m",
            &master_address,
            &"-b",
            &ANY,
            &"-d",
            &database,
        ]);
        let storage_address = storage.listening();
        let mut admin =
            Daemon::start(&[&"admin", &"-c", &"test", &"-m", &master_address, &"-b", &ANY]);
        let admin_address = admin.listening();
        admin.wait_for(&["state=RUNNING"]);
        Self { admin, storage, master, master_address, storage_address, admin_address, directory }
    }

    fn ctl(&self, words: &[&str]) -> String {
        let mut all: Vec<&dyn AsRef<std::ffi::OsStr>> = vec![&"ctl", &"-a", &self.admin_address];
        all.extend(words.iter().map(|word| word as &dyn AsRef<std::ffi::OsStr>));
        succeed(&all).text().to_owned()
    }
}

#[test]
fn a_cluster_starts_answers_and_stops() {
    let trio = Trio::start();
    assert_eq!(trio.ctl(&["print", "cluster"]), "RUNNING\n");
    assert_eq!(trio.ctl(&["print", "primary"]), "M1\n");
    assert_eq!(trio.ctl(&["print", "pt"]), "# ptid: 1, replicas: 0\nS1 R UUUUUU\n");
    assert_eq!(
        trio.ctl(&["print", "ids"]),
        "last_oid = 0x0\nlast_tid = 0x0 (1900-01-01 00:00:00)\nlast_ptid = 1\n"
    );
    assert_eq!(
        trio.ctl(&["print", "summary"]),
        "# {}\nRUNNING; UP_TO_DATE=6; ltid=0000000000000000 (1900-01-01 00:00:00)\n"
    );
    assert_eq!(trio.ctl(&["tail", "-c", "test"]), "");
    let nodes = trio.ctl(&["print", "node", "storage"]);
    assert!(nodes.contains(&format!("S1 | STORAGE | {} | RUNNING | ", trio.storage_address)));
    assert_eq!(trio.ctl(&["set", "cluster", "stopping"]), "Cluster state changed\n");
    for node in [trio.admin, trio.storage, trio.master] {
        let ended = node.wait();
        assert_eq!(ended.code, Some(0), "{}", ended.errors);
    }
}

#[test]
fn orders_that_are_refused_say_why() {
    let trio = Trio::start();
    let cases: [(&[&str], &str, i32); 6] = [
        (&["drop", "S1"], "a running node must be stopped before removal", 1),
        (&["kill", "S9"], "unknown node", 1),
        (&["kill", "M1"], "can not kill primary master node", 1),
        (&["print", "pt", "99", "100"], "invalid partition table offset", 1),
        (&["check", "tid:1"], "nothing to check", 2),
        (&["truncate", "257684787499560686"], "is no tid", 2),
    ];
    for (words, reason, code) in cases {
        let mut all: Vec<&dyn AsRef<std::ffi::OsStr>> = vec![&"ctl", &"-a", &trio.admin_address];
        all.extend(words.iter().map(|word| word as &dyn AsRef<std::ffi::OsStr>));
        let ended = neolith(&all);
        assert!(ended.errors.contains(reason), "{words:?}: {}", ended.errors);
        assert_eq!(ended.code, Some(code), "{words:?}: {}", ended.errors);
    }
}

#[test]
fn nodes_end_in_good_order_when_they_are_told_to() {
    let trio = Trio::start();
    for node in [trio.admin, trio.storage, trio.master] {
        let begin = Instant::now();
        let ended = node.terminate();
        assert_eq!(ended.code, Some(0), "{}", ended.errors);
        assert!(begin.elapsed() < END_TIME_MAX);
    }
    // The storage closed its database.
    assert!(trio.directory.path().join("db/closed").exists());
}

#[test]
fn a_node_without_a_master_ends_when_it_is_told_to() {
    for words in [&["admin"][..], &["storaged", "-d"][..]] {
        let directory = tempfile::tempdir().unwrap();
        let database = directory.path().join("db");
        let mut all: Vec<&dyn AsRef<std::ffi::OsStr>> = Vec::new();
        all.extend(words.iter().map(|word| word as &dyn AsRef<std::ffi::OsStr>));
        if words.len() == 2 {
            all.push(&database);
        }
        all.extend([&"-c" as &dyn AsRef<_>, &"test", &"-m", &"127.0.0.1:1", &"-b", &ANY]);
        let mut node = Daemon::start(&all);
        node.listening();
        assert_eq!(node.terminate().code, Some(0), "{words:?}");
    }
}

/// What is sent to ports by mistake, or with bad intent.
const STRANGERS: [&[u8]; 6] = [
    b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    // The beginning of a TLS handshake.
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"\x92\xa3NEO\x04",
    b"\x92\xa3NEO\x05\xc1",
    // Identification with too few arguments, and one without id timestamp.
    b"\x92\xa3NEO\x05\x93\x00\x01\x92\x01\x02",
    b"\x92\xa3NEO\x05\x93\x00\x01\x96\xd4\x04\x01M\x92\xc4\x09127.0.0.1\x01\xc4\x04test\xc0\x80",
];

#[test]
fn strangers_do_no_harm() {
    let trio = Trio::start();
    for address in [&trio.master_address, &trio.storage_address, &trio.admin_address] {
        for bytes in STRANGERS {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
            stream.write_all(bytes).unwrap();
            stream.shutdown(std::net::Shutdown::Write).unwrap();
            // It is closed by the other side, whatever is said before.
            let mut answer = Vec::new();
            let _ = stream.read_to_end(&mut answer);
            assert!(answer.len() < 1024, "{address}: {answer:?}");
        }
    }
    assert_eq!(trio.ctl(&["print", "cluster"]), "RUNNING\n");
    assert!(trio.ctl(&["print", "summary"]).starts_with("# {}\n"));
}

#[test]
fn another_cluster_is_refused_and_both_go_on() {
    let trio = Trio::start();
    let mut stranger =
        Daemon::start(&[&"admin", &"-c", &"other", &"-m", &trio.master_address, &"-b", &ANY]);
    stranger.wait_for(&["a master refuses this node", "invalid cluster name"]);
    assert_eq!(trio.ctl(&["print", "cluster"]), "RUNNING\n");
    assert_eq!(stranger.terminate().code, Some(0));
}

#[test]
fn a_database_of_another_cluster_or_in_use_is_refused() {
    let trio = Trio::start();
    let database = trio.directory.path().join("db");
    let start = |name: &str, database: &Path| {
        neolith(&[
            &"storaged",
            &"-c",
            &name,
            &"-m",
            &trio.master_address,
            &"-b",
            &ANY,
            &"-d",
            &database,
        ])
    };
    let ended = start("test", &database);
    assert_eq!(ended.code, Some(1));
    let last = ended.errors.lines().last().unwrap();
    let expected = format!("neolith: {} is open in another process", database.display());
    assert_eq!(last, expected);

    let (storage, directory) = (trio.storage, trio.directory);
    assert_eq!(storage.terminate().code, Some(0));
    let ended = neolith(&[
        &"storaged",
        &"-c",
        &"other",
        &"-m",
        &"127.0.0.1:1",
        &"-b",
        &ANY,
        &"-d",
        &database,
    ]);
    assert_eq!(ended.code, Some(1));
    let last = ended.errors.lines().last().unwrap();
    assert!(last.contains("belongs to cluster \"test\", not to \"other\""), "{last}");

    // A database that cannot be one.
    let file = directory.path().join("file");
    fs::write(&file, "x").unwrap();
    let ended =
        neolith(&[&"storaged", &"-c", &"test", &"-m", &"127.0.0.1:1", &"-b", &ANY, &"-d", &file]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.errors.contains("it is a file"), "{}", ended.errors);
}

/// Two masters would give out the same ids: the directory is locked as long as the first one runs.
#[test]
fn a_directory_has_one_master() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("master");
    let mut first = Daemon::start(&[&"master", &"-c", &"test", &"-b", &ANY, &"--data", &data]);
    first.listening();
    let ended = neolith(&[&"master", &"-c", &"test", &"-b", &ANY, &"--data", &data]);
    assert_eq!(ended.code, Some(1));
    let expected = format!("neolith: {} is open in another process", data.display());
    assert_eq!(ended.errors.lines().last(), Some(expected.as_str()));
    assert_eq!(first.terminate().code, Some(0));
    let mut next = Daemon::start(&[&"master", &"-c", &"test", &"-b", &ANY, &"--data", &data]);
    next.listening();
}

#[test]
fn a_port_in_use_is_said_in_one_line() {
    let mut master = Daemon::start(&[&"master", &"-c", &"test", &"-b", &ANY]);
    let address = master.listening();
    for words in [&["master"][..], &["admin", "-m", "127.0.0.1:1"][..]] {
        let mut all: Vec<&dyn AsRef<std::ffi::OsStr>> = Vec::new();
        all.extend(words.iter().map(|word| word as &dyn AsRef<std::ffi::OsStr>));
        all.extend([&"-c" as &dyn AsRef<_>, &"test", &"-b", &address]);
        let ended = neolith(&all);
        assert_eq!(ended.code, Some(1));
        assert!(
            ended.errors.starts_with(&format!("neolith: cannot listen at {address}: Address ")),
            "{}",
            ended.errors
        );
        assert_eq!(ended.errors.lines().count(), 1);
    }
}

#[test]
fn a_name_is_made_up_for_a_cluster_without_one() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("master");
    let name = || {
        let mut master = Daemon::start(&[&"master", &"-b", &ANY, &"--data", &data]);
        let line = master.wait_for(&["cluster=", "nid=M1"]);
        assert_eq!(master.terminate().code, Some(0));
        let name = line.split("cluster=").nth(1).unwrap().split(' ').next().unwrap().to_owned();
        assert!(!name.is_empty());
        name
    };
    assert_eq!(name(), name(), "the name is remembered");
}

#[test]
fn a_configuration_file_and_its_mistakes() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("neo.conf");
    let write = |text: &str| fs::write(&path, text).unwrap();
    let log = directory.path().join("master.log");
    write(&format!(
        "[DEFAULT]\ncluster: test\npartitions: 6\nautostart = 1\n\n[master]\nbind: {ANY}\n\
         logfile = {}\nlog_format = json\n\n[storage]\nbind: {ANY}\ndatabase: x\n",
        log.display()
    ));
    let mut master = Daemon::start(&[&"master", &"-f", &path]);
    let line = master.wait_for(&["\"message\":\"started\""]);
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!((&line["cluster"], &line["kind"]), (&"test".into(), &"master".into()));
    assert_eq!(master.terminate().code, Some(0));
    assert!(fs::read_to_string(&log).unwrap().contains("\"message\":\"started\""));

    let cases = [
        ("[master]\nclustr = test\n", "section [master], key \"clustr\": unknown key"),
        ("cluster = test\n", "line 1: expected a section"),
        ("[storage]\n", "there is no section [master]"),
        ("[master]\npartitions = 0\n", "section [master], key \"partitions\": invalid value"),
    ];
    for (text, reason) in cases {
        write(text);
        let ended = neolith(&[&"master", &"-f", &path]);
        assert_eq!(ended.code, Some(2), "{text:?}");
        let expected = format!("neolith: {}: {reason}", path.display());
        assert!(ended.errors.starts_with(&expected), "{text:?}: {}", ended.errors);
        assert_eq!(ended.errors.lines().count(), 1);
    }
    let ended = neolith(&[&"master", &"-f", &directory.path().join("missing")]);
    assert_eq!(ended.code, Some(2));
    assert!(ended.errors.contains("missing: cannot read the configuration"), "{}", ended.errors);
}

#[test]
fn a_service_manager_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut node = command(&[&"admin", &"-c", &"test", &"-m", &"127.0.0.1:1", &"-b", &ANY]);
    node.env("NOTIFY_SOCKET", &path);
    let node = Daemon::spawn(node);
    let receive = || {
        let mut bytes = [0; 256];
        let length = socket.recv(&mut bytes).expect("something is told");
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    };
    assert!(receive().contains("READY=1"));
    node.signal("TERM");
    assert!(receive().contains("STOPPING=1"));
    assert_eq!(node.wait().code, Some(0));
}

#[test]
fn a_database_is_put_aside_and_never_erased() {
    let source = Source::sample();
    let directory = tempfile::tempdir().unwrap();
    let database = directory.path().join("db");
    succeed(&[&"import", &source.path, &database]);
    let ended = neolith(&[&"storaged", &"-d", &database, &"--reset"]);
    assert_eq!((ended.code, ended.errors.as_str()), (Some(0), ""));
    let aside = ended.text().trim().split(" as ").nth(1).unwrap().to_owned();
    assert!(!database.exists());
    succeed(&[&"stat", &aside]);
    let ended = neolith(&[&"storaged", &"-d", &database, &"--reset"]);
    assert_eq!((ended.code, ended.text().contains("nothing there")), (Some(0), true));
}

#[test]
fn an_imported_database_is_served() {
    let source = Source::sample();
    let directory = tempfile::tempdir().unwrap();
    let database = directory.path().join("db");
    succeed(&[&"import", &source.path, &database, &"--name", &"site"]);
    let mut master = Daemon::start(&[&"master", &"-c", &"site", &"-b", &ANY]);
    let address = master.listening();
    // It knows the name of its cluster.
    let _storage = Daemon::start(&[&"storaged", &"-m", &address, &"-b", &ANY, &"-d", &database]);
    let mut admin = Daemon::start(&[&"admin", &"-c", &"site", &"-m", &address, &"-b", &ANY]);
    let control = admin.listening();
    admin.wait_for(&["state=RUNNING"]);
    let tail = succeed(&[&"ctl", &"-a", &control, &"tail", &"-c", &"site", &"-n", &"1", &"--json"]);
    assert_eq!(tail.json_lines()[0]["tid"], source.text("last_tid"));
}

/// What `neolith simple --json` tells.
fn told(simple: &mut Daemon) -> serde_json::Value {
    serde_json::from_str(&simple.output_line()).expect("it is JSON")
}

#[test]
fn a_simple_cluster_starts_and_stops() {
    let source = Source::sample();
    let mut simple = Daemon::start(&[
        &"simple",
        &"--storages",
        &"3",
        &"--replicas",
        &"1",
        &"--partitions",
        &"6",
        &"--import",
        &source.path,
        &"--json",
    ]);
    let told = told(&mut simple);
    let text = |key: &str| told[key].as_str().expect("it is text").to_owned();
    let admin = text("admin");
    let table = succeed(&[&"ctl", &"-a", &admin, &"print", &"pt"]);
    assert_eq!(table.text(), "# ptid: 1, replicas: 1\nS1 R UU.UU.\nS2 R U.UU.U\nS3 R .UU.UU\n");
    let ids = succeed(&[&"ctl", &"-a", &admin, &"print", &"ids"]);
    let last = source.text("last_tid").trim_start_matches('0').to_owned();
    assert!(ids.text().contains(&format!("last_tid = 0x{last} (")), "{}", ids.text());
    assert!(Path::new(&text("directory")).exists());
    simple.signal("INT");
    let ended = simple.wait();
    assert_eq!(ended.code, Some(0), "{}", ended.errors);
    assert!(!Path::new(&text("directory")).exists());
    assert!(TcpStream::connect(&admin).is_err());
}

#[test]
fn a_simple_cluster_that_is_kept_can_be_started_again_and_dies_with_its_parent() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("cluster");
    let first = |words: &[&str]| {
        let mut all: Vec<&dyn AsRef<std::ffi::OsStr>> = vec![&"simple", &"--json", &"--dir", &path];
        all.extend(words.iter().map(|word| word as &dyn AsRef<std::ffi::OsStr>));
        Daemon::start(&all)
    };
    let mut simple = first(&[
        "--storages",
        "2",
        "-c",
        "kept",
        "--disk-backend",
        "threads",
        "--disk-delay-us",
        "7",
    ]);
    let told_first = told(&mut simple);
    let configuration = std::fs::read_to_string(path.join("neolith.conf")).unwrap();
    assert!(configuration.contains("\ndisk_backend = threads\ndisk_delay_us = 7\n"));
    simple.signal("KILL");
    assert_eq!(simple.wait().code, None);
    // Its nodes end by themselves: else the databases were still in use.
    let mut again = None;
    for _ in 0..20 {
        let mut simple = first(&[]);
        let line = simple.output_line();
        if !line.is_empty() {
            again = Some((simple, line));
            break;
        }
    }
    let (simple, line) = again.expect("the nodes of the first have ended");
    let told_again: serde_json::Value = serde_json::from_str(&line).unwrap();
    for key in ["cluster", "storages", "directory"] {
        assert_eq!(told_first[key], told_again[key], "{key}");
    }
    let ended = simple.terminate();
    assert_eq!(ended.code, Some(0), "{}", ended.errors);
    let ended = first(&["--storages", "3"]).wait();
    assert_eq!(ended.code, Some(2));
    assert!(ended.errors.contains("has the databases of 2"), "{}", ended.errors);
}
