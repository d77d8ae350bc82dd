//! What the program says when it cannot do what it is asked: one line that names the file, the
//! place and what was expected. Nothing is lost, and nothing half-made looks whole.

#![expect(
    clippy::disallowed_methods,
    reason = "tests read and write files that are not an engine's"
)]

use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use model::Random;
use serde_json::Value;
use tempfile::TempDir;
use tests::{Ended, Source, binary, command, neolith, succeed, write_storage};

/// A directory with the sample in it, damaged or not.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(TempDir::new().expect("there is a place for temporary files"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, bytes).expect("it can be written");
        path
    }

    /// An import of a file into a new directory.
    fn import(&self, source: &Path) -> (Ended, PathBuf) {
        let names = 0..;
        let mut directories = names.map(|number: u32| self.path(&format!("database-{number}")));
        let directory = directories.find(|path| !path.exists()).expect("there are many names");
        (neolith(&[&"import", &source, &directory]), directory)
    }
}

fn sample() -> Vec<u8> {
    fs::read(Source::sample().path).expect("the sample is there")
}

/// Asserts that a command has failed with one line that has all these parts.
#[track_caller]
fn assert_refused(ended: &Ended, code: i32, parts: &[&str]) {
    let errors = &ended.errors;
    assert_eq!(ended.code, Some(code), "{errors}");
    assert!(ended.output.is_empty(), "{}", ended.text());
    assert_eq!(errors.lines().count(), 1, "{errors}");
    for part in parts {
        assert!(errors.contains(part), "no {part:?} in: {errors}");
    }
}

#[test]
fn what_is_no_file_storage() {
    let place = Place::new();
    let cases: [(&str, &[u8], &[&str]); 4] = [
        ("empty.fs", b"", &["empty.fs", "offset 0", "expected FS21 or FS30", "empty"]),
        ("short.fs", b"FS3", &["short.fs", "offset 0", "expected FS21 or FS30", "FS3"]),
        ("old.fs", b"FS31____", &["old.fs", "expected FS21 or FS30", "FS31"]),
        ("text.fs", b"hello", &["text.fs", "expected FS21 or FS30", "hell"]),
    ];
    for (name, bytes, parts) in cases {
        let (ended, directory) = place.import(&place.write(name, bytes));
        assert_refused(&ended, 2, parts);
        assert!(!directory.exists(), "{name}: nothing is made");
    }
    let (ended, _) = place.import(&place.path("missing.fs"));
    assert_refused(&ended, 2, &["missing.fs: cannot open", "No such file"]);
    let (ended, _) = place.import(place.0.path());
    assert_refused(&ended, 2, &["expected a file"]);
}

#[test]
fn a_file_cut_anywhere_gives_its_whole_transactions() {
    let place = Place::new();
    let sample = sample();
    let mut random = Random::from_seed(1);
    let mut cuts: Vec<usize> = (0..60).map(|_| random.index(sample.len())).collect();
    cuts.extend([4, 5, 26, 27, sample.len() - 1, sample.len() - 8]);
    for cut in cuts.into_iter().filter(|cut| *cut >= 4) {
        let source = place.write("cut.fs", &sample[..cut]);
        let (ended, directory) = place.import(&source);
        assert_eq!(ended.code, Some(0), "{cut}: {}", ended.errors);
        let target = place.path("back.fs");
        succeed(&[&"export", &directory, &target]);
        let whole = fs::read(&target).expect("it was made");
        assert!(sample.starts_with(&whole), "{cut}");
        let ignored = cut - whole.len();
        let told = match ignored {
            0 => String::new(),
            _ => format!("at offset {}, the last {ignored} bytes\n", whole.len()),
        };
        assert!(ended.errors.ends_with(&told), "{cut}: {}", ended.errors);
        for made in [&target, &source] {
            fs::remove_file(made).expect("it was made");
        }
        fs::remove_dir_all(&directory).expect("it was made");
    }
}

#[test]
fn damage_in_a_file_is_told_and_what_comes_before_it_is_kept() {
    let place = Place::new();
    let sound = sample();
    // The length of the transaction at this offset, in the middle, lies.
    let middle = transaction_near(&sound, sound.len() / 2);
    let mut lies = sound.clone();
    lies[middle + 15] ^= 1;
    let source = place.write("lies.fs", &lies);
    let (ended, directory) = place.import(&source);
    assert_refused(&ended, 2, &["lies.fs: offset ", "expected ", "run the same command again"]);
    let ended = neolith(&[&"stat", &directory]);
    assert_refused(&ended, 2, &["the import of ", "lies.fs is not finished: run it again"]);
    for reading in ["dump", "tail", "load", "history", "export"] {
        let ended = neolith(&[&reading, &directory, &"0"]);
        assert_ne!(ended.code, Some(0), "{reading}");
    }
    fs::write(&source, &sound).expect("it can be written");
    let ended = succeed(&[&"import", &source, &directory]);
    assert!(ended.text().starts_with("went on after transaction "), "{}", ended.text());
    assert_hashes_of_sample(&directory);
}

/// Where the first transaction at or behind an offset begins.
fn transaction_near(bytes: &[u8], offset: usize) -> usize {
    let mut at = 4;
    while at < offset {
        let length = bytes[at + 8..at + 16].try_into().expect("8 bytes");
        at += usize::try_from(u64::from_be_bytes(length)).expect("it fits") + 8;
    }
    at
}

#[track_caller]
fn assert_hashes_of_sample(directory: &Path) {
    let found = succeed(&[&"dump", &"--sha256", &"--json", &directory]).json_lines().remove(0);
    assert_eq!(found["dump_sha256"], Value::from(Source::sample().text("dump_sha256")));
}

#[test]
fn directories_that_are_not_ours() {
    let place = Place::new();
    let sample = Source::sample().path;
    let import = |directory: &Path| neolith(&[&"import", &sample, &directory]);

    let foreign = place.path("foreign");
    fs::create_dir(&foreign).expect("it can be made");
    let readme = foreign.join("readme");
    fs::write(&readme, "mine").expect("it can be written");
    assert_refused(&import(&foreign), 2, &["foreign", "holds \"readme\"", "new directory"]);
    assert_eq!(fs::read(&readme).expect("it is still there"), b"mine");
    fs::write(foreign.join("manifest"), "mine too").expect("it can be written");
    assert_refused(&import(&foreign), 2, &["foreign", "holds \"readme\"", "new directory"]);
    fs::remove_file(readme).expect("it is there");
    assert_refused(&import(&foreign), 1, &["foreign/manifest", "offset 0", "expected"]);

    let complete = place.path("complete");
    assert_eq!(import(&complete).code, Some(0));
    assert_refused(&import(&complete), 2, &["complete", "holds a complete database"]);

    let nowhere = place.path("no/where");
    assert_refused(&import(&nowhere), 2, &["no/where", "No such file"]);
    assert_refused(&import(&sample), 2, &["sample.fs", "Not a directory"]);
    let empty = place.path("empty");
    fs::create_dir(&empty).expect("it can be made");
    for reading in ["stat", "dump", "tail"] {
        let ended = neolith(&[&reading, &empty]);
        assert_refused(&ended, 2, &["empty", "no Neolith database here"]);
        let ended = neolith(&[&reading, &nowhere]);
        assert_refused(&ended, 2, &["no/where", "No such file"]);
    }
    let target = place.write("target.fs", b"mine");
    let ended = neolith(&[&"export", &complete, &target]);
    assert_refused(&ended, 2, &["target.fs"]);
    assert_eq!(fs::read(&target).expect("it is still there"), b"mine");

    let lock = File::open(&complete).expect("it can be opened");
    lock.lock().expect("it can be locked");
    let ended = neolith(&[&"stat", &complete]);
    assert_refused(&ended, 2, &["complete is open in another process"]);
}

#[test]
fn a_newer_format_and_damaged_files() {
    let place = Place::new();
    let (ended, directory) = place.import(&Source::sample().path);
    assert_eq!(ended.code, Some(0), "{}", ended.errors);
    let manifest = directory.join("manifest");
    let sound = fs::read(&manifest).expect("it is there");
    let mut newer = sound.clone();
    newer[12] = 2;
    let checksum = crc32c::crc32c(&newer[..60]);
    newer[60..64].copy_from_slice(&checksum.to_le_bytes());
    fs::write(&manifest, &newer).expect("it can be written");
    let ended = neolith(&[&"stat", &directory]);
    assert_refused(&ended, 2, &["manifest: written in format 2 by a newer version"]);
    fs::write(&manifest, &sound).expect("it can be written");

    let log = directory.join("log-00000001");
    let mut bytes = fs::read(&log).expect("it is there");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&log, &bytes).expect("it can be written");
    let ended = neolith(&[&"dump", &"--sha256", &directory]);
    assert_refused(&ended, 1, &["log-00000001: damaged at offset ", "expected "]);
    let target = place.path("target.fs");
    let ended = neolith(&[&"export", &directory, &target]);
    assert_refused(&ended, 1, &["log-00000001: damaged at offset "]);
    assert!(!target.exists(), "nothing half-made has the name");
    assert!(!place.path("target.fs.part").exists(), "nothing half-made is left");
}

#[test]
fn an_import_into_another_import() {
    let place = Place::new();
    let sound = sample();
    let mut lies = sound.clone();
    lies[transaction_near(&sound, sound.len() / 2) + 15] ^= 1;
    let source = place.write("source.fs", &lies);
    let (ended, directory) = place.import(&source);
    assert_eq!(ended.code, Some(2));

    let other = place.path("other.fs");
    write_storage(&other, 10, 10);
    let ended = neolith(&[&"import", &other, &directory]);
    assert_refused(&ended, 2, &["import of another file is not finished", "source.fs"]);
    let ended = neolith(&[&"import", &"--partitions", &"7", &source, &directory]);
    assert_refused(&ended, 2, &["began with --partitions 12"]);
    let ended = neolith(&[&"import", &"--name", &"x", &source, &directory]);
    assert_refused(&ended, 2, &["began with --name \"neolith\""]);
    // The same first transaction, but what was imported last is not there.
    let cut = transaction_near(&sound, 1000);
    let shorter = place.write("shorter.fs", &sound[..cut]);
    let ended = neolith(&[&"import", &shorter, &directory]);
    assert_refused(&ended, 2, &["shorter.fs: expected transaction 03ee", "not in the file"]);
    let renamed = place.write("renamed.fs", &sound);
    succeed(&[&"import", &renamed, &directory]);
    assert_hashes_of_sample(&directory);
}

#[test]
fn a_directory_that_cannot_be_written_to() {
    let place = Place::new();
    let mode = |path: &Path, mode| {
        fs::set_permissions(path, Permissions::from_mode(mode)).expect("it is ours");
    };
    mode(place.0.path(), 0o755);
    let program = place.path("neolith");
    fs::copy(binary(), &program).expect("it can be copied");
    let source = place.write("source.fs", &sample());
    let directory = place.path("directory");
    fs::create_dir(&directory).expect("it can be made");
    mode(&directory, 0o555);
    let mut import = Command::new(&program);
    import.arg("import").arg(&source).arg(&directory);
    if fs::write(directory.join("probe"), "").is_ok() {
        // Whoever runs this may write anywhere; nobody may not.
        fs::remove_file(directory.join("probe")).expect("it was just made");
        import.uid(65_534).gid(65_534);
    }
    let ended = Ended::from(import.output().expect("it can be started"));
    assert_refused(&ended, 2, &["directory", "Permission denied"]);
    mode(&directory, 0o755);
}

#[test]
fn a_full_disk_stops_an_import_that_can_go_on() {
    let place = Place::new();
    let sample = Source::sample().path;
    let mut stopped = 0;
    for limit_kilobytes in [0, 1, 4, 64, 500, 1040, 1200, 1500, 1700, 1800, 2000] {
        let directory = place.path(&format!("at-{limit_kilobytes}"));
        let ended = with_file_limit(limit_kilobytes * 2, &[&"import", &sample, &directory]);
        if ended.code != Some(0) {
            stopped += 1;
            assert_refused(&ended, 2, &["no space left to write"]);
            let again = with_file_limit(limit_kilobytes * 2, &[&"stat", &directory]);
            assert_eq!(again.code, Some(2), "{limit_kilobytes}: {}", again.text());
            succeed(&[&"import", &sample, &directory]);
        }
        assert_hashes_of_sample(&directory);
    }
    assert!((6..11).contains(&stopped), "{stopped} imports were stopped");

    let directory = place.path("at-2000");
    let target = place.path("target.fs");
    let ended = with_file_limit(1000, &[&"export", &directory, &target]);
    assert_refused(&ended, 2, &["target.fs.part"]);
    assert!(!target.exists() && !place.path("target.fs.part").exists());
    let mut full = command(&[&"dump", &directory]);
    full.stdout(File::options().write(true).open("/dev/full").expect("Linux has it"));
    let ended = Ended::from(full.output().expect("it can be started"));
    assert_refused(&ended, 2, &["standard output", "No space left"]);
}

/// Runs a command that cannot write files beyond so many blocks of 512 bytes: it is told that they
/// are too large, which means to it what a full disk means.
fn with_file_limit(blocks: u32, arguments: &[&dyn AsRef<OsStr>]) -> Ended {
    let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\"");
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(script).arg(binary());
    shell.args(arguments.iter().map(|argument| argument.as_ref()));
    Ended::from(shell.output().expect("there is a shell"))
}

#[test]
fn ctrl_c_stops_an_import_that_can_go_on() {
    let place = Place::new();
    let source = place.path("source.fs");
    write_storage(&source, 4000, 16 << 10);
    for signal in [libc::SIGINT, libc::SIGTERM] {
        let directory = place.path(&format!("by-{signal}"));
        let slow: [&dyn AsRef<OsStr>; 6] = [
            &"import",
            &"--disk-backend=threads",
            &"--disk-delay-us=100000",
            &"--json",
            &source,
            &directory,
        ];
        let mut import = command(&slow);
        import.stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = import.spawn().expect("it can be started");
        wait_for_log(&directory);
        kill(&child, signal);
        let ended = Ended::from(child.wait_with_output().expect("it ends"));
        assert_eq!(ended.code, Some(130), "{}{}", ended.text(), ended.errors);
        let last = ended.errors.lines().last().expect("it says something");
        assert!(last.contains("interrupted; run the same command again"), "{last}");
        assert!(directory.join("closed").exists(), "it was closed cleanly");
        let again = succeed(&[&"import", &"--json", &source, &directory]).json_lines().remove(0);
        let left = again["transactions"].as_u64().expect("a number");
        assert!((1..4000).contains(&left) && again["resumed_after"].is_string(), "{again}");
        let stat = succeed(&[&"stat", &"--json", &directory]).json_lines().remove(0);
        assert_eq!(stat["transactions"], 4000);
        assert_eq!(stat["oids"], 4000);
    }
}

/// Waits until something was written to the log.
fn wait_for_log(directory: &Path) {
    let log = directory.join("log-00000001");
    while fs::metadata(&log).map_or(0, |metadata| metadata.len()) <= 2 << 20 {
        std::thread::yield_now();
    }
}

fn kill(child: &Child, signal: i32) {
    let status = std::process::Command::new("kill")
        .arg(format!("-{signal}"))
        .arg(child.id().to_string())
        .status();
    assert!(status.is_ok_and(|status| status.success()), "a child can be sent signals");
}

#[test]
fn arguments_that_make_no_sense() {
    let place = Place::new();
    let directory = place.path("directory");
    let cases: [(&[&dyn AsRef<OsStr>], &str); 9] = [
        (&[&"import", &"--partitions", &"0", &"a.fs", &directory], "from 1 to 65536"),
        (&[&"import", &"--partitions", &"65537", &"a.fs", &directory], "from 1 to 65536"),
        (&[&"load", &directory, &"zero"], "16 hexadecimal digits"),
        (&[&"load", &directory, &"0", &"--before", &"2026-13-01"], "no UTC time"),
        (&[&"load", &directory, &"0", &"--before", &"1", &"--serial", &"1"], "cannot be used"),
        (&[&"load", &directory, &"0", &"--batch"], "cannot be used"),
        (&[&"load", &directory], "OID"),
        (&[&"dump", &"--json", &directory], "--sha256"),
        (&[&"frobnicate"], "unrecognized"),
    ];
    for (arguments, part) in cases {
        let ended = neolith(arguments);
        assert_eq!(ended.code, Some(2), "{}", ended.errors);
        assert!(ended.errors.contains(part), "no {part:?} in: {}", ended.errors);
    }
    assert!(!directory.exists());
}
