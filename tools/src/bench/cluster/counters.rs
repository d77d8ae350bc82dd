//! What the kernel counts of nodes and of the disk. Where it does not, there is no figure.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The process that listens on this port of this machine, if it can be seen.
pub(super) fn listening_process(port: u16) -> Option<u32> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"];
    let inode = tables.iter().find_map(|table| {
        fs::read_to_string(table).ok()?.lines().find_map(|line| listening_inode(line, port))
    })?;
    let name = format!("socket:[{inode}]");
    fs::read_dir("/proc").ok()?.flatten().find_map(|process| {
        let pid = process.file_name().to_str()?.parse().ok()?;
        let mut files = fs::read_dir(process.path().join("fd")).ok()?.flatten();
        files
            .any(|file| fs::read_link(file.path()).is_ok_and(|target| *target == *name))
            .then_some(pid)
    })
}

/// The inode of a line of /proc/net/tcp, if that is of a socket that listens on this port.
fn listening_inode(line: &str, port: u16) -> Option<u64> {
    const LISTENING: &str = "0A";
    let words: Vec<&str> = line.split_whitespace().collect();
    let (_, found) = words.get(1)?.rsplit_once(':')?;
    let is_it = u16::from_str_radix(found, 16) == Ok(port) && *words.get(3)? == LISTENING;
    is_it.then(|| words.get(9)?.parse().ok())?
}

/// CPU time of all threads that a process has, as the scheduler counts it.
pub(super) fn cpu_time(pid: u32) -> Option<Duration> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).ok()?;
    let times = tasks.flatten().filter_map(|task| {
        let text = fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse().ok().map(Duration::from_nanos)
    });
    Some(times.sum())
}

/// What a disk was asked for since the system was started.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct DiskCounts {
    /// Times that it had to make durable what it has cached.
    pub(super) flushes: u64,
    pub(super) bytes_written: u64,
}

/// The disk that a directory is on.
#[derive(Clone, Debug)]
pub(super) struct BlockDevice(PathBuf);

impl BlockDevice {
    pub(super) fn of(directory: &Path) -> Option<Self> {
        let device = fs::metadata(directory).ok()?.dev();
        let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
        let path = fs::canonicalize(format!("/sys/dev/block/{major}:{minor}")).ok()?;
        // Flushes are counted of whole disks only.
        let whole = if path.join("partition").exists() { path.parent()?.to_owned() } else { path };
        let device = Self(whole.join("stat"));
        device.counts()?;
        Some(device)
    }

    pub(super) fn counts(&self) -> Option<DiskCounts> {
        parse_counts(&fs::read_to_string(&self.0).ok()?)
    }
}

/// The words of a file `stat` of a block device: see the kernel's documentation of it.
fn parse_counts(text: &str) -> Option<DiskCounts> {
    const SECTORS_WRITTEN_WORD: usize = 6;
    const FLUSHES_WORD: usize = 15;
    const SECTOR_LENGTH: u64 = 512;
    let words: Vec<&str> = text.split_whitespace().collect();
    let number = |word: usize| words.get(word)?.parse::<u64>().ok();
    Some(DiskCounts {
        flushes: number(FLUSHES_WORD)?,
        bytes_written: number(SECTORS_WRITTEN_WORD)? * SECTOR_LENGTH,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listening_sockets_are_told_from_others() {
        let line = "   1: 0100007F:5DC1 00000000:0000 0A 00000000:00000000 00:00000000 00000000  \
                    0        0 20733 1 0000000000000000 100 0 0 10 0";
        assert_eq!(listening_inode(line, 0x5dc1), Some(20_733));
        assert_eq!(listening_inode(line, 0x5dc2), None);
        assert_eq!(listening_inode(&line.replace(" 0A ", " 01 "), 0x5dc1), None);
        assert_eq!(listening_inode("  sl  local_address rem_address   st", 80), None);
    }

    #[test]
    fn this_process_is_found_by_its_port() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        assert_eq!(listening_process(port), Some(std::process::id()));
    }

    #[test]
    fn time_of_a_process_grows() {
        let pid = std::process::id();
        let before = cpu_time(pid).unwrap();
        let mut sum = 0_u64;
        while cpu_time(pid).unwrap() == before {
            sum = std::hint::black_box(sum + 1);
        }
        assert!(cpu_time(pid).unwrap() > before);
    }

    #[test]
    fn counts_of_a_disk_are_found_by_their_places() {
        let text = "   96231  9555 6775490   140884    89863    33343  9575840   104208 0 \
                    30276   257660    13307      100  1663456     4931    22732     7635\n";
        let expected = DiskCounts { flushes: 22_732, bytes_written: 9_575_840 * 512 };
        assert_eq!(parse_counts(text), Some(expected));
        assert_eq!(parse_counts("1 2 3 4 5 6 7 8 9 10 11"), None, "an old kernel");
    }
}
