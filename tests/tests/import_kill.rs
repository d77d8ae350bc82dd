//! Imports that are killed at random moments, again and again, and then run to their end.

#![expect(
    clippy::disallowed_methods,
    reason = "tests look at files that are not theirs, and measure time to choose when to kill"
)]

use std::env;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use model::Random;
use tempfile::TempDir;
use tests::{Source, command, neolith, succeed};

/// Kills that are tried, unless the environment variable says another number.
const KILLS: u64 = 12;

/// Each kill is of an import into a directory in which others may have been killed before.
#[test]
fn a_killed_import_goes_on_to_the_same_database() {
    let setting = env::var("NEOLITH_KILLS").ok();
    let kills = setting.map_or(KILLS, |text| text.parse().expect("a number of kills"));
    let seed = env::var("NEOLITH_SEED").ok();
    let seed = seed.map_or(1, |text| text.parse().expect("a seed"));
    let source = Source::greatest();
    let mut random = Random::from_seed(seed);
    let (mut killed, mut went_on) = (0, 0);
    while killed < kills {
        let place = TempDir::new().expect("there is a place for temporary files");
        let options = Options::choose(&mut random);
        let duration = options.time_whole_import(&source, &place.path().join("whole"));
        let directory = place.path().join("database");
        for _ in 0..1 + random.below(4) {
            let moment = duration.mul_f64(random_share(&mut random) * 1.1);
            if !options.kill_import(&source, &directory, moment) {
                break;
            }
            killed += 1;
            assert_unfinished(&directory);
        }
        went_on += u64::from(options.complete(&source, &directory));
        succeed(&[&"fsck", &directory]);
        let hashes = succeed(&[&"dump", &"--sha256", &"--json", &directory]);
        let hashes = hashes.json_lines().remove(0);
        for key in ["dump_sha256", "dump_without_data_txn_sha256"] {
            assert_eq!(hashes[key], source.truth[key], "seed {seed}, after {killed} kills: {key}");
        }
    }
    println!("{killed} kills of imports of {}; {went_on} imports went on", source.name);
    assert!(went_on > 0, "the moments are within the import");
}

/// Nobody takes what is there for a whole database, nor for a damaged one.
fn assert_unfinished(directory: &Path) {
    let ended = neolith(&[&"stat", &directory]);
    let early = ["No such file", "no Neolith database here", "is not finished: run it again"];
    let is_early = ended.code == Some(2) && early.iter().any(|text| ended.errors.contains(text));
    // Or it was killed after the last write that matters.
    assert!(is_early || ended.code == Some(0), "{:?}: {}", ended.code, ended.errors);
}

fn random_share(random: &mut Random) -> f64 {
    f64::from(u32::try_from(random.below(1 << 20)).expect("below 2^20")) / f64::from(1 << 20)
}

/// How an import is run.
struct Options {
    partitions: String,
    backend: &'static str,
    delay_us: String,
}

impl Options {
    fn choose(random: &mut Random) -> Self {
        let choose = |random: &mut Random, items: &[&'static str]| {
            *random.choose(items).expect("there are items")
        };
        Self {
            partitions: choose(random, &["1", "12", "100"]).to_owned(),
            backend: choose(random, &["auto", "threads"]),
            delay_us: choose(random, &["0", "1000", "20000"]).to_owned(),
        }
    }

    fn start(&self, source: &Source, directory: &Path) -> Child {
        let mut import = command(&[
            &"import",
            &"--partitions",
            &self.partitions,
            &"--disk-backend",
            &self.backend,
            &"--disk-delay-us",
            &self.delay_us,
            &source.path,
            &directory,
        ]);
        import.stdout(Stdio::piped()).stderr(Stdio::null());
        import.spawn().expect("the program can be started")
    }

    fn time_whole_import(&self, source: &Source, directory: &Path) -> Duration {
        let start = Instant::now();
        let ended = self.start(source, directory).wait_with_output().expect("it ends");
        assert!(ended.status.success());
        start.elapsed()
    }

    /// Kills an import when it has run so long. `false` if it came to its end before.
    fn kill_import(&self, source: &Source, directory: &Path, moment: Duration) -> bool {
        let mut child = self.start(source, directory);
        let mut output = child.stdout.take().expect("its output is a pipe");
        let (ended, end) = mpsc::channel();
        let reader = thread::spawn(move || {
            // The pipe ends with the process.
            let read = io::copy(&mut output, &mut io::sink());
            let _ = ended.send(read);
        });
        // Either may come first; of a process that has ended nothing is left to kill.
        let _ = end.recv_timeout(moment);
        child.kill().expect("it was not waited for");
        let status = child.wait().expect("it ends");
        reader.join().expect("the reader ends");
        status.signal() == Some(libc::SIGKILL)
    }

    /// Runs the import to its end. Whether anything was left to do.
    fn complete(&self, source: &Source, directory: &Path) -> bool {
        let ended = neolith(&[
            &"import",
            &"--json",
            &"--partitions",
            &self.partitions,
            &source.path,
            &directory,
        ]);
        if ended.errors.contains("holds a complete database") {
            return false;
        }
        assert_eq!(ended.code, Some(0), "{}", ended.errors);
        ended.json_lines()[0]["resumed_after"].is_string()
    }
}
