//! Opens engine directories for commands.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, ValueEnum};
use engine::disk::{self, Backend, Directory, DirectoryOptions};
use engine::{Engine, OpenMode, Options};

use crate::failure::Failure;

/// How the disk is used.
#[derive(Debug, Clone, Args)]
pub(crate) struct DiskArgs {
    /// How writes and cold reads are done: by io_uring, by threads, or by io_uring where the
    /// system allows it
    #[arg(long, value_enum, default_value_t = BackendArg::Auto, value_name = "HOW")]
    pub(crate) disk_backend: BackendArg,
    /// Make every flush take so much longer, to see what a slower disk would do. For measurements
    /// only
    #[arg(long, default_value_t = 0, value_name = "MICROSECONDS")]
    pub(crate) disk_delay_us: u64,
}

/// Values of `--disk-backend`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum BackendArg {
    Auto,
    Uring,
    Threads,
}

impl DiskArgs {
    /// Opens the directory itself, making it first if `mode` says so. It is locked until the
    /// result is dropped.
    pub(crate) fn directory(
        &self,
        path: &Path,
        mode: disk::OpenMode,
    ) -> Result<Arc<Directory>, Failure> {
        let options = DirectoryOptions {
            backend: match self.disk_backend {
                BackendArg::Auto => Backend::Auto,
                BackendArg::Uring => Backend::Uring,
                BackendArg::Threads => Backend::Threads,
            },
            delay: Duration::from_micros(self.disk_delay_us),
        };
        match Directory::open(path, mode, options) {
            Ok(directory) => Ok(Arc::new(directory)),
            Err(source) => {
                let path = path.display().to_string();
                Err(Failure::Io { action: "open", path, source })
            }
        }
    }

    /// Opens the database in a directory.
    pub(crate) fn open(&self, path: &PathBuf, mode: OpenMode) -> Result<Engine, Failure> {
        let directory_mode = match mode {
            OpenMode::ReadOnly => disk::OpenMode::ReadOnly,
            OpenMode::ReadWrite => disk::OpenMode::ReadWrite,
        };
        let directory = self.directory(path, directory_mode)?;
        Ok(Engine::open(directory, Options::default(), mode)?)
    }
}
