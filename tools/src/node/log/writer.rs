//! The thread that writes the log.

#![expect(clippy::disallowed_methods, reason = "a log is no file of a database")]

use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::failure::Failure;

/// Lines that may wait. More are dropped, and counted: a node does not wait for its log.
const LINES_MAX: usize = 8192;
/// How long the end of the process waits until everything is written.
const END_TIME_MAX: Duration = Duration::from_secs(2);

enum Order {
    /// To standard error and the file.
    Line(String),
    /// To the file.
    FileLine(String),
    Reopen,
    End(SyncSender<()>),
}

/// Hands lines to the thread. Dropped, it waits some seconds until everything is written.
#[derive(Debug)]
pub(super) struct Writer {
    sender: LineSender,
    /// Ends after [`Order::End`].
    _thread: JoinHandle<()>,
}

/// Hands lines to the thread; for any thread.
#[derive(Clone, Debug)]
pub(super) struct LineSender {
    sender: SyncSender<Order>,
    dropped: Arc<AtomicU64>,
}

impl Writer {
    /// Opens the file, if there is to be one, and starts the thread.
    pub(super) fn start(path: Option<PathBuf>) -> Result<Self, Failure> {
        let file = path.map(LogFile::open).transpose()?;
        let (sender, receiver) = sync_channel(LINES_MAX);
        let dropped = Arc::<AtomicU64>::default();
        let target = Target { file, dropped: Arc::clone(&dropped) };
        let thread = std::thread::Builder::new()
            .name(String::from("log"))
            .spawn(move || target.run(&receiver))
            .map_err(|source| Failure::Io {
                action: "start",
                path: String::from("a thread"),
                source,
            })?;
        Ok(Self { sender: LineSender { sender, dropped }, _thread: thread })
    }

    pub(super) fn sender(&self) -> LineSender {
        self.sender.clone()
    }

    pub(super) fn reopen(&self) {
        self.sender.order(Order::Reopen);
    }

    pub(super) fn to_file(&self, line: &str) {
        self.sender.order(Order::FileLine(format!("{line}\n")));
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let (done, ended) = sync_channel(1);
        if self.sender.sender.try_send(Order::End(done)).is_ok() {
            // If nobody takes the lines, they are lost: the process ends all the same.
            let _ = ended.recv_timeout(END_TIME_MAX);
        }
    }
}

impl LineSender {
    /// Hands over a line with its end. Never waits.
    pub(super) fn line(&self, line: String) {
        self.order(Order::Line(line));
    }

    fn order(&self, order: Order) {
        if let Err(TrySendError::Full(_)) = self.sender.try_send(order) {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

struct Target {
    file: Option<LogFile>,
    dropped: Arc<AtomicU64>,
}

impl Target {
    fn run(mut self, orders: &Receiver<Order>) {
        while let Ok(order) = orders.recv() {
            match order {
                Order::Line(line) => {
                    self.write(&line);
                    let dropped = self.dropped.swap(0, Ordering::Relaxed);
                    if dropped > 0 {
                        self.write(&format!("... {dropped} lines of the log were dropped here\n"));
                    }
                }
                Order::FileLine(line) => {
                    if let Some(file) = &mut self.file {
                        file.write(&line);
                    }
                }
                Order::Reopen => {
                    if let Some(file) = &mut self.file {
                        file.reopen();
                    }
                }
                Order::End(done) => {
                    // Nobody waits any more if it took too long.
                    let _ = done.send(());
                    return;
                }
            }
        }
    }

    fn write(&mut self, line: &str) {
        // There is nobody to tell that standard error is closed.
        let _ = io::stderr().write_all(line.as_bytes());
        if let Some(file) = &mut self.file {
            file.write(line);
        }
    }
}

struct LogFile {
    path: PathBuf,
    file: File,
    /// Whether the last write failed: said once.
    is_failing: bool,
}

impl LogFile {
    fn open(path: PathBuf) -> Result<Self, Failure> {
        match Self::append_to(&path) {
            Ok(file) => Ok(Self { path, file, is_failing: false }),
            Err(source) => {
                let path = path.display().to_string();
                Err(Failure::Node(format!("{path}: cannot open the log: {source}")))
            }
        }
    }

    fn append_to(path: &PathBuf) -> io::Result<File> {
        File::options().append(true).create(true).open(path)
    }

    fn reopen(&mut self) {
        match Self::append_to(&self.path) {
            Ok(file) => self.file = file,
            Err(error) => self.complain(&error),
        }
    }

    fn write(&mut self, line: &str) {
        match self.file.write_all(line.as_bytes()) {
            Ok(()) => self.is_failing = false,
            Err(error) => self.complain(&error),
        }
    }

    fn complain(&mut self, error: &io::Error) {
        if !std::mem::replace(&mut self.is_failing, true) {
            let path = self.path.display();
            // If this is closed as well, there is nobody to tell.
            let _ = writeln!(io::stderr(), "neolith: {path}: cannot write the log: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_go_to_the_file_in_order_and_reopening_follows_the_name() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let moved = directory.path().join("log.1");
        let writer = Writer::start(Some(path.clone())).unwrap();
        for number in 0..100 {
            writer.to_file(&number.to_string());
        }
        drop(writer);
        let expected: String = (0..100).map(|number| format!("{number}\n")).collect();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), expected);
        let writer = Writer::start(Some(path.clone())).unwrap();
        std::fs::rename(&path, &moved).unwrap();
        writer.to_file("before");
        writer.reopen();
        writer.to_file("after");
        drop(writer);
        assert_eq!(std::fs::read_to_string(&moved).unwrap(), expected + "before\n");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "after\n");
    }

    #[test]
    fn what_is_too_much_is_dropped_and_counted() {
        let (sender, receiver) = sync_channel(2);
        let dropped = Arc::<AtomicU64>::default();
        let lines = LineSender { sender, dropped: Arc::clone(&dropped) };
        for _ in 0..5 {
            lines.line(String::from("x\n"));
        }
        assert_eq!(dropped.load(Ordering::Relaxed), 3);
        drop(lines);
        assert_eq!(receiver.iter().count(), 2);
    }
}
