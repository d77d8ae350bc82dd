//! FileStorages of which it is known what ZODB says about them.

#![expect(clippy::disallowed_methods, reason = "test data is no file of an engine")]

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;

/// A FileStorage and the truth about it.
#[derive(Debug)]
pub struct Source {
    /// Of the file, without extension.
    pub name: String,
    /// The file.
    pub path: PathBuf,
    /// What `tests/sample/make_sample.py` tells about the keys.
    pub truth: Value,
    /// Where it was unpacked, if it was.
    _directory: Option<TempDir>,
}

impl Source {
    /// The sample that the project carries.
    ///
    /// # Panics
    /// If it is not there.
    pub fn sample() -> Self {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("sample");
        let truth = fs::read(directory.join("sample.truth.json")).expect("the sample is there");
        Self {
            name: String::from("sample"),
            path: directory.join("sample.fs"),
            truth: parse(&truth),
            _directory: None,
        }
    }

    /// The sample, and all databases of `../shared/data/zodb` if that is there.
    ///
    /// # Panics
    /// If one of them cannot be read.
    pub fn all() -> Vec<Self> {
        let mut sources = vec![Self::sample()];
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/zodb");
        let Ok(entries) = fs::read_dir(&directory) else {
            eprintln!("no ../shared/data/zodb: only tests/sample is tested");
            return sources;
        };
        let names = entries.map(|entry| entry.expect("the directory can be read").file_name());
        let mut names: Vec<_> = names.map(|name| name.to_string_lossy().into_owned()).collect();
        names.sort();
        let named = names.iter().filter_map(|name| name.strip_suffix(".truth.json.gz"));
        sources.extend(named.map(|name| Self::unpack(&directory, name)));
        sources
    }

    /// The greatest one there is.
    ///
    /// # Panics
    /// If one cannot be read.
    pub fn greatest() -> Self {
        let length = |source: &Self| fs::metadata(&source.path).expect("it is there").len();
        let greatest = Self::all().into_iter().max_by_key(length);
        greatest.expect("the sample is always there")
    }

    /// A text of the truth.
    ///
    /// # Panics
    /// If it has no such text.
    pub fn text(&self, key: &str) -> &str {
        self.truth[key].as_str().expect("the truth has this text")
    }

    fn unpack(directory: &Path, name: &str) -> Self {
        let open = |name: String| File::open(directory.join(name)).expect("it can be opened");
        let mut truth = Vec::new();
        flate2::read::GzDecoder::new(open(format!("{name}.truth.json.gz")))
            .read_to_end(&mut truth)
            .expect("the truth can be unpacked");
        let (name, truth) = (name.to_owned(), parse(&truth));
        let path = directory.join(format!("{name}.fs"));
        if path.exists() {
            return Self { name, path, truth, _directory: None };
        }
        let unpacked = TempDir::new().expect("there is a place for temporary files");
        let path = unpacked.path().join("unpacked.fs");
        let mut file = File::create(&path).expect("it can be written to");
        let packed = open(format!("{name}.fs.zst"));
        zstd::stream::copy_decode(packed, &mut file).expect("the file can be unpacked");
        Self { name, path, truth, _directory: Some(unpacked) }
    }
}

fn parse(truth: &[u8]) -> Value {
    serde_json::from_slice(truth).expect("the truth is JSON")
}
