//! `neolith bench cluster` against a cluster of processes.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tests::{command, neolith, succeed};

/// A cluster that is stopped when it is dropped.
struct Cluster {
    process: Child,
    masters: String,
    name: String,
}

impl Cluster {
    fn start(storages: &str, replicas: &str) -> Self {
        let words = ["simple", "--json", "--storages", storages, "--replicas", replicas];
        let words: Vec<&dyn AsRef<std::ffi::OsStr>> =
            words.iter().map(|word| word as &dyn AsRef<_>).collect();
        let mut process = command(&words).stdout(Stdio::piped()).spawn().unwrap();
        let output = process.stdout.take().unwrap();
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line).unwrap();
        let started: Value = serde_json::from_str(&line).expect("the cluster starts");
        let text = |pointer: &str| started.pointer(pointer).unwrap().as_str().unwrap().to_owned();
        Self { process, masters: text("/masters/0"), name: text("/cluster") }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let pid = self.process.id().to_string();
        Command::new("kill").args(["-INT", &pid]).status().unwrap();
        self.process.wait().unwrap();
    }
}

fn number(value: &Value, pointer: &str) -> f64 {
    let found = value.pointer(pointer).and_then(Value::as_f64);
    found.unwrap_or_else(|| panic!("{pointer} in {value}"))
}

#[test]
fn loads_and_commits_are_counted() {
    let cluster = Cluster::start("2", "1");
    let Cluster { masters, name, .. } = &cluster;
    let same = format!("{masters}/{name}");
    let ended = succeed(&[
        &"bench",
        &"cluster",
        &"--masters",
        masters,
        &"--cluster",
        name,
        &"--vs",
        &same,
        &"--objects",
        &"120",
        &"--sizes",
        &"100,70000",
        &"--connections",
        &"1,3",
        &"--clients",
        &"1,3",
        &"--rounds",
        &"2",
        &"--seconds",
        &"0.05",
        &"--json",
    ]);
    let figures = &ended.json_lines()[0];
    assert_eq!(figures["clusters"].as_array().unwrap().len(), 2);
    for cluster in figures["clusters"].as_array().unwrap() {
        assert_eq!(cluster["objects"].as_u64(), Some(120), "each storage has all: {cluster}");
        assert_eq!(cluster["data_bytes"].as_u64(), Some(60 * 70_100));
        for (index, count) in [1, 3].into_iter().enumerate() {
            let (loads, commits) = (&cluster["loads"][index], &cluster["commits"][index]);
            assert_eq!(loads["connections"].as_u64(), Some(count));
            assert_eq!(commits["clients"].as_u64(), Some(count));
            let shared = &cluster["session_loads"][index];
            for (done, has_cpu) in [(loads, true), (shared, false), (commits, true)] {
                // Each client brings to an end what it has begun, in each of the turns.
                assert!(number(done, "/latency/count") >= 2.0 * count as f64, "{done}");
                assert_eq!(done["server_us"].is_number(), has_cpu, "{done}");
            }
            assert!(number(loads, "/p50_to_raw") > 0.0 && number(loads, "/loads_per_s") > 0.0);
            assert_eq!(commits["p50_to_raw"].is_number(), count == 1, "{commits}");
        }
        assert!(cluster["storage_pid"].is_u64());
    }
    let ratios = &figures["ratios"][0];
    assert!(number(ratios, "/loads/1/loads_per_s") > 0.0, "{ratios}");
}

#[test]
fn what_is_there_is_loaded_and_nothing_committed() {
    let cluster = Cluster::start("1", "0");
    let Cluster { masters, name, .. } = &cluster;
    let words: [&dyn AsRef<std::ffi::OsStr>; 6] =
        [&"bench", &"cluster", &"--masters", masters, &"--cluster", name];
    let short: [&dyn AsRef<std::ffi::OsStr>; 8] =
        [&"--connections", &"1", &"--clients", &"0", &"--rounds", &"1", &"--seconds", &"0.05"];
    succeed(&[&words[..], &short, &[&"--objects", &"10", &"--sizes", &"100"]].concat());
    let text = succeed(&[&words[..], &short, &[&"--existing", &"--objects", &"10"]].concat());
    assert!(text.text().contains("10 objects") && !text.text().contains("commits/s"));
}

#[test]
fn another_cluster_is_refused_in_one_line() {
    let cluster = Cluster::start("1", "0");
    let ended =
        neolith(&[&"bench", &"cluster", &"--masters", &cluster.masters, &"--cluster", &"other"]);
    assert_eq!(ended.code, Some(2));
    assert_eq!(ended.errors.lines().count(), 1, "{}", ended.errors);
    assert!(ended.errors.contains(&cluster.masters), "{}", ended.errors);
}
