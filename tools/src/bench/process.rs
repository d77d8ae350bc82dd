//! What the kernel counts of this process and its threads. Where it does not, there is no figure.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use serde::Serialize;

/// Anonymous memory of this process: what it has allocated itself, without mapped files.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(super) struct Memory {
    /// When it was looked at last, in bytes.
    pub(super) anonymous_bytes: u64,
    /// The most that was seen, in bytes.
    pub(super) anonymous_bytes_max: u64,
}

impl Memory {
    /// Looks again.
    pub(super) fn look(&mut self) {
        self.anonymous_bytes = anonymous_bytes().unwrap_or_default();
        self.anonymous_bytes_max = self.anonymous_bytes_max.max(self.anonymous_bytes);
    }
}

fn anonymous_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    Some(field(&text, "RssAnon:")? * 1024)
}

/// Bytes that this process has asked for by read calls, from cache or disk.
pub(super) fn bytes_read_by_calls() -> Option<u64> {
    field(&std::fs::read_to_string("/proc/self/io").ok()?, "rchar:")
}

/// Bytes that were fetched from the device for this process, readahead included.
pub(super) fn disk_bytes_read() -> Option<u64> {
    field(&std::fs::read_to_string("/proc/self/io").ok()?, "\nread_bytes:")
}

/// What a thread has waited for the disk.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct DiskReads {
    /// Bytes that were fetched from the device for it, readahead included.
    pub(super) bytes: u64,
    /// Page faults for which the device was read.
    pub(super) major_faults: u64,
}

/// Time of a thread, as the scheduler counts it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ThreadTime {
    /// On a CPU.
    pub(super) running: Duration,
    /// Ready to run, but others had the CPUs.
    pub(super) starving: Duration,
}

impl ThreadTime {
    /// Of this thread, since it began.
    pub(super) fn now() -> Option<Self> {
        let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
        let mut times = text.split_whitespace().map(|word| word.parse().map(Duration::from_nanos));
        let (running, starving) = (times.next()?.ok()?, times.next()?.ok()?);
        Some(Self { running, starving })
    }
}

/// The kernel's counters of the thread that opened them.
#[derive(Debug)]
pub(super) struct ThreadCounters {
    io: File,
    stat: File,
}

/// More than a file of /proc that is read here ever has.
const TEXT_LENGTH_MAX: usize = 2048;
/// Which word after the name of the program: see proc_pid_stat(5).
const MAJOR_FAULTS_WORD: usize = 9;

impl ThreadCounters {
    /// Those of this thread, if the kernel keeps them.
    pub(super) fn open() -> Option<Self> {
        let counters = Self {
            io: File::open("/proc/thread-self/io").ok()?,
            stat: File::open("/proc/thread-self/stat").ok()?,
        };
        counters.read()?;
        Some(counters)
    }

    /// As of now. Takes some microseconds.
    pub(super) fn read(&self) -> Option<DiskReads> {
        let mut buffer = [0; TEXT_LENGTH_MAX];
        let bytes = field(text(&self.io, &mut buffer)?, "\nread_bytes:")?;
        let stat = text(&self.stat, &mut buffer)?;
        let (_, words) = stat.rsplit_once(')')?;
        let major_faults = words.split_whitespace().nth(MAJOR_FAULTS_WORD)?.parse().ok()?;
        Some(DiskReads { bytes, major_faults })
    }
}

fn text<'a>(file: &File, buffer: &'a mut [u8; TEXT_LENGTH_MAX]) -> Option<&'a str> {
    let length = file.read_at(buffer, 0).ok()?;
    std::str::from_utf8(&buffer[..length]).ok()
}

/// The number that follows a name.
fn field(text: &str, name: &str) -> Option<u64> {
    let (_, rest) = text.split_once(name)?;
    rest.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_thread_reads_is_counted() {
        let Some(counters) = ThreadCounters::open() else {
            return;
        };
        let before = counters.read().expect("it was read before");
        let after = counters.read().expect("it was read before");
        assert!(after.bytes >= before.bytes && after.major_faults >= before.major_faults);
    }

    #[test]
    fn fields_are_found_by_name() {
        let text = "rchar: 12\nread_bytes: 4096\n";
        assert_eq!(field(text, "\nread_bytes:"), Some(4096));
        assert_eq!(field(text, "rchar:"), Some(12));
        assert_eq!(field(text, "wchar:"), None);
    }

    #[test]
    fn memory_is_seen() {
        let mut memory = Memory::default();
        memory.look();
        assert!(memory.anonymous_bytes > 0 && memory.anonymous_bytes_max >= memory.anonymous_bytes);
    }
}
