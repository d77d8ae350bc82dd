//! A real directory, opened by one process at a time.

#![expect(
    clippy::disallowed_methods,
    reason = "this is where files of a database are opened, named and removed"
)]

use std::fmt;
use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::file::RealFile;
use super::system;
use super::threads::ThreadsQueue;
use super::uring::{self, RingQueue};
use crate::disk::{Access, Disk, File, Queue, check_name};

/// What a directory is opened for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OpenMode {
    /// Read and write; the directory is made if it does not exist (its parent has to).
    Create,
    /// Read and write a directory that exists.
    ReadWrite,
    /// Only read: whatever would change something is refused with EROFS.
    ReadOnly,
}

/// How queues do their work.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Backend {
    /// io_uring, or threads where the system refuses it, which is said in one log line.
    #[default]
    Auto,
    /// io_uring; opening fails where it is refused.
    Uring,
    /// A log-writer thread and a read pool for each queue.
    Threads,
}

/// Choices that do not change what is stored.
#[derive(Clone, Copy, Default, Debug)]
pub struct DirectoryOptions {
    /// How queues do their work.
    pub backend: Backend,
    /// What every sync takes longer than it would. For measuring only: zero otherwise.
    pub delay: Duration,
}

/// A directory on a real file system.
///
/// The directory itself is locked by `flock`, from opening until this is dropped, whatever the
/// mode: there is no lock file. File systems that refuse such a lock on a directory (NFS) are
/// refused with their error. Files and queues may outlive this, but not the lock.
///
/// Names are those of plain files; directories below, such as `lost+found`, and special files
/// are left alone.
pub struct Directory {
    /// As it was given, for messages.
    path: PathBuf,
    /// Where it is, also after the process changes its working directory.
    location: PathBuf,
    /// Carries the lock.
    handle: fs::File,
    /// The process that took the lock.
    process: u32,
    mode: OpenMode,
    /// Never [`Backend::Auto`].
    backend: Backend,
    delay: Duration,
}

impl Directory {
    /// Opens and locks a directory.
    ///
    /// Errors are [`OpenError`]s within `io::Error`s of the fitting kind: `WouldBlock` where
    /// somebody else has the directory open.
    pub fn open(
        path: impl AsRef<Path>,
        mode: OpenMode,
        options: DirectoryOptions,
    ) -> io::Result<Self> {
        let path = path.as_ref();
        let system = |source| OpenError::System { path: path.to_owned(), source };
        let location = std::path::absolute(path).map_err(system)?;
        if mode == OpenMode::Create {
            create(&location).map_err(system)?;
        }
        let handle = fs::OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_DIRECTORY)
            .open(&location)
            .map_err(system)?;
        match handle.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => {
                return Err(OpenError::Locked { path: path.to_owned() }.into());
            }
            Err(fs::TryLockError::Error(error)) => return Err(system(error).into()),
        }
        if mode != OpenMode::ReadOnly {
            system::check_writable(handle.as_fd()).map_err(system)?;
        }
        let backend = choose_backend(path, options.backend)?;
        let delay = options.delay;
        if !delay.is_zero() {
            tracing::warn!(
                "{}: every sync is delayed by {} us, which is for measuring only",
                path.display(),
                delay.as_micros(),
            );
        }
        let (path, process) = (path.to_owned(), std::process::id());
        Ok(Self { path, location, handle, process, mode, backend, delay })
    }

    /// What queues work with: never [`Backend::Auto`].
    pub fn backend(&self) -> Backend {
        self.backend
    }

    fn check_mode(&self) -> io::Result<()> {
        match self.mode {
            OpenMode::Create | OpenMode::ReadWrite => Ok(()),
            OpenMode::ReadOnly => Err(io::Error::from_raw_os_error(libc::EROFS)),
        }
    }
}

impl Disk for Directory {
    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.location)? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                names.push(entry.file_name().to_string_lossy().into_owned());
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    fn open(&self, name: &str, access: Access) -> io::Result<Arc<dyn File>> {
        check_name(name)?;
        let mut options = fs::OpenOptions::new();
        options.read(true);
        if access != Access::Read {
            self.check_mode()?;
            options.write(true).create_new(access == Access::CreateNew);
        }
        let file = options.open(self.location.join(name))?;
        Ok(Arc::new(RealFile::new(file, self.delay)))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        check_name(name)?;
        self.check_mode()?;
        fs::remove_file(self.location.join(name))
    }

    fn rename(&self, source: &str, target: &str) -> io::Result<()> {
        check_name(source)?;
        check_name(target)?;
        self.check_mode()?;
        fs::rename(self.location.join(source), self.location.join(target))
    }

    fn sync_directory(&self) -> io::Result<()> {
        self.handle.sync_all()?;
        thread::sleep(self.delay);
        Ok(())
    }

    fn free_bytes(&self) -> io::Result<u64> {
        system::free_bytes(self.handle.as_fd())
    }

    fn queue(&self) -> io::Result<Box<dyn Queue>> {
        match self.backend {
            Backend::Auto => unreachable!("the backend was chosen when the directory was opened"),
            Backend::Uring => Ok(Box::new(RingQueue::new(self.delay)?)),
            Backend::Threads => Ok(Box::new(ThreadsQueue::new()?)),
        }
    }

    fn path(&self, name: &str) -> String {
        self.path.join(name).display().to_string()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // Said explicitly, because a child that this process has forked may still have a copy of
        // the descriptor, which would keep the lock. And the child is not to unlock it for us.
        if self.process == std::process::id() {
            // Should it fail, the lock ends with the last descriptor.
            let _ = self.handle.unlock();
        }
    }
}

impl fmt::Debug for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Directory")
            .field("path", &self.path)
            .field("mode", &self.mode)
            .field("backend", &self.backend)
            .finish_non_exhaustive()
    }
}

/// Why a directory could not be opened. Says its path.
#[derive(Debug)]
pub enum OpenError {
    /// Somebody has it open.
    Locked {
        /// The directory.
        path: PathBuf,
    },
    /// [`Backend::Uring`] was asked for, and the system refuses it.
    RingRefused {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The directory cannot be made, opened, locked or written to.
    System {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OpenError::Locked { path } => {
                write!(f, "{} is open in another process", path.display())
            }
            OpenError::RingRefused { path, source } => {
                write!(f, "{}: io_uring is refused: {source}", path.display())
            }
            OpenError::System { path, source } => write!(f, "{}: {source}", path.display()),
        }
    }
}

impl std::error::Error for OpenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            OpenError::Locked { .. } => None,
            OpenError::RingRefused { source, .. } | OpenError::System { source, .. } => {
                Some(source)
            }
        }
    }
}

impl From<OpenError> for io::Error {
    fn from(error: OpenError) -> Self {
        let kind = match &error {
            OpenError::Locked { .. } => io::ErrorKind::WouldBlock,
            OpenError::RingRefused { .. } => io::ErrorKind::Unsupported,
            OpenError::System { source, .. } => source.kind(),
        };
        io::Error::new(kind, error)
    }
}

/// Makes a directory, durably, if it does not exist.
fn create(location: &Path) -> io::Result<()> {
    match fs::create_dir(location) {
        Ok(()) => match location.parent() {
            Some(parent) => fs::File::open(parent)?.sync_all(),
            None => Ok(()),
        },
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

fn choose_backend(path: &Path, wanted: Backend) -> Result<Backend, OpenError> {
    match wanted {
        Backend::Threads => Ok(Backend::Threads),
        Backend::Uring => match uring::probe() {
            Ok(()) => Ok(Backend::Uring),
            Err(source) => Err(OpenError::RingRefused { path: path.to_owned(), source }),
        },
        Backend::Auto => match uring::probe() {
            Ok(()) => Ok(Backend::Uring),
            Err(error) => {
                tracing::info!("io_uring is refused ({error}): threads are used for I/O");
                Ok(Backend::Threads)
            }
        },
    }
}
