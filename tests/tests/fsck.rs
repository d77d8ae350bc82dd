//! `neolith fsck` on real databases, sound and damaged: what it prints, and how it ends.

#![expect(clippy::disallowed_methods, reason = "tests damage files to see what is said of it")]

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;
use tests::{Source, neolith, succeed};

/// The sample of the project, imported.
struct Imported {
    place: TempDir,
    directory: PathBuf,
}

impl Imported {
    fn new(source: &Source) -> Self {
        let place = TempDir::new().expect("there is a place for temporary files");
        let directory = place.path().join("database");
        let ended = neolith(&[&"import", &source.path, &directory]);
        assert_eq!(ended.code, Some(0), "{}: {}", source.name, ended.errors);
        Self { place, directory }
    }

    fn sample() -> Self {
        Self::new(&Source::sample())
    }

    /// The first file whose name begins so.
    fn file(&self, prefix: &str) -> PathBuf {
        let entries = fs::read_dir(&self.directory).expect("it can be listed");
        let mut paths: Vec<PathBuf> =
            entries.map(|entry| entry.expect("it can be listed").path()).collect();
        paths.sort();
        let has_prefix = |path: &&PathBuf| {
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(prefix))
        };
        paths.iter().find(has_prefix).expect("there is one").clone()
    }
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).expect("it can be read");
    bytes[at] ^= 1;
    fs::write(path, bytes).expect("it can be written");
}

#[test]
fn every_database_is_clean_after_its_import() {
    for source in Source::all() {
        let imported = Imported::new(&source);
        let lines = succeed(&[&"fsck", &"--json", &imported.directory]).json_lines();
        let [totals] = &lines[..] else { panic!("{}: {lines:#?}", source.name) };
        assert_eq!(totals["damaged"], false);
        assert_eq!(totals["complete"], true);
        assert_eq!(totals["transactions"], source.truth["transactions"], "{}", source.name);
        assert_eq!(totals["listed_oids_elsewhere"], 0, "{}", source.name);
    }
}

#[test]
fn a_clean_database_is_one_line() {
    let imported = Imported::sample();
    let ended = succeed(&[&"fsck", &imported.directory]);
    let start = format!("{}: clean; ", imported.directory.display());
    assert!(ended.text().starts_with(&start), "{}", ended.text());
    assert_eq!(ended.text().lines().count(), 1);
}

#[test]
fn damaged_data_names_the_file_the_offset_and_who_is_hit() {
    let imported = Imported::sample();
    let log = imported.file("log-");
    let length = fs::metadata(&log).expect("it is there").len();
    let at = usize::try_from(length / 2).expect("the sample is small");
    flip(&log, at);
    let ended = neolith(&[&"fsck", &imported.directory]);
    assert_eq!((ended.code, ended.errors.as_str()), (Some(1), ""));
    let mut lines = ended.text().lines();
    let finding = lines.next().expect("a finding");
    let start = format!("{}: damaged at offset ", log.display());
    let rest = finding.strip_prefix(&start).unwrap_or_else(|| panic!("{finding}"));
    assert!(rest.contains(": expected "), "{finding}");
    assert!(rest.contains("; hit: "), "{finding}");
    assert!(ended.text().contains(": DAMAGED; "), "{}", ended.text());

    let json = neolith(&[&"fsck", &"--json", &imported.directory]);
    assert_eq!(json.code, Some(1));
    let lines = json.json_lines();
    let hit = lines.iter().find(|line| line["severity"] == "damage").expect("a finding");
    assert_eq!(hit["file"].as_str(), log.to_str());
    let offset = hit["offset"].as_u64().expect("an offset");
    assert!(offset <= at as u64);
    assert!(hit["hits_count"].as_u64().is_some_and(|count| count > 0), "{hit}");
    let tid = hit["hits"][0]["tid"].as_str().expect("a tid");
    assert_eq!(tid.len(), 16, "{tid}");
    let last = lines.last().map_or(&Value::Null, |line| &line["damaged"]);
    assert_eq!(*last, true);
}

#[test]
fn any_damaged_file_is_told() {
    for prefix in ["log-", "run-", "manifest", "closed"] {
        let imported = Imported::sample();
        let path = imported.file(prefix);
        let length = fs::read(&path).expect("it can be read").len();
        for at in [0, 30, length / 3, length - 1] {
            flip(&path, at);
            let ended = neolith(&[&"fsck", &imported.directory]);
            assert_eq!(ended.code, Some(1), "{prefix} at {at}: {}", ended.text());
            flip(&path, at);
        }
        fs::remove_file(&path).expect("it can be removed");
        let ended = neolith(&[&"fsck", &imported.directory]);
        let expected = if prefix == "closed" { 0 } else { 1 };
        assert_eq!(ended.code, Some(expected), "without {prefix}: {}", ended.text());
    }
}

#[test]
fn what_is_no_damage_is_a_note() {
    let imported = Imported::sample();
    fs::remove_file(imported.directory.join("closed")).expect("it is there");
    fs::write(imported.directory.join("notes.txt"), "mine").expect("it can be written");
    fs::write(imported.directory.join("run-00ffffff"), "left").expect("it can be written");
    let before = fs::read_dir(&imported.directory).expect("it can be listed").count();
    let ended = succeed(&[&"fsck", &imported.directory]);
    let notes: Vec<&str> = ended.text().lines().filter(|line| line.starts_with("note: ")).collect();
    assert_eq!(notes.len(), 3, "{}", ended.text());
    assert!(ended.text().contains("notes.txt: not a file of the database: left alone"));
    assert!(ended.text().contains("not closed cleanly"));
    let after = fs::read_dir(&imported.directory).expect("it can be listed").count();
    assert_eq!(before, after, "nothing is changed");
}

#[test]
fn what_cannot_be_checked_is_no_damage() {
    let imported = Imported::sample();
    let nowhere = imported.place.path().join("nowhere");
    let empty = imported.place.path().join("empty");
    fs::create_dir(&empty).expect("it can be made");
    for (directory, said) in [(&nowhere, "nowhere"), (&empty, "no Neolith database here")] {
        let ended = neolith(&[&"fsck", directory]);
        assert_eq!(ended.code, Some(2), "{}", ended.errors);
        assert_eq!(ended.text(), "");
        assert!(ended.errors.contains(said), "{}", ended.errors);
        assert_eq!(ended.errors.lines().count(), 1, "{}", ended.errors);
    }
    // A newer format.
    let manifest = imported.directory.join("manifest");
    let mut bytes = fs::read(&manifest).expect("it can be read");
    bytes[12] = 2;
    let crc = crc32c::crc32c(&bytes[..60]).to_le_bytes();
    bytes[60..64].copy_from_slice(&crc);
    fs::write(&manifest, bytes).expect("it can be written");
    let ended = neolith(&[&"fsck", &imported.directory]);
    assert_eq!(ended.code, Some(2), "{}", ended.text());
    assert!(ended.errors.contains("by a newer version"), "{}", ended.errors);
}
