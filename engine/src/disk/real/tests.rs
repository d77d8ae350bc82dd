//! What only real disks do: locks, event descriptors, delays, and the choice of a backend.

#![expect(
    clippy::disallowed_methods,
    reason = "delays are measured by the clock, and files laid out behind the back of the disk"
)]

use std::fs;
use std::io;
use std::os::fd::RawFd;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tempfile::TempDir;

use super::*;
use crate::disk::{Access, Completion, Disk, Done, File, Queue, Request, Sync, Wait};

fn directory(backend: Backend, delay: Duration) -> Option<(TempDir, Directory)> {
    let place = tempfile::tempdir().expect("a directory");
    match Directory::open(place.path(), OpenMode::ReadWrite, DirectoryOptions { backend, delay }) {
        Ok(directory) => Some((place, directory)),
        Err(error) if error.kind() == io::ErrorKind::Unsupported => None,
        Err(error) => panic!("{error}"),
    }
}

/// Both backends, or threads alone where io_uring is refused.
fn directories(delay: Duration) -> Vec<(TempDir, Directory)> {
    [Backend::Uring, Backend::Threads]
        .into_iter()
        .filter_map(|backend| directory(backend, delay))
        .collect()
}

fn write(file: &Arc<dyn File>, data: Vec<Bytes>, sync: Sync) -> Request {
    Request::Write { file: Arc::clone(file), offset: 0, data, sync }
}

fn finish(queue: &mut dyn Queue) -> Completion {
    let mut completions = Vec::new();
    queue.poll(Wait::Yes, &mut completions).unwrap();
    assert_eq!(completions.len(), 1);
    completions.remove(0)
}

/// Waits, a minute at most, until a descriptor is readable; at once says whether it is.
fn is_readable(descriptor: RawFd, wait: Wait) -> bool {
    let mut entry = libc::pollfd { fd: descriptor, events: libc::POLLIN, revents: 0 };
    let timeout_ms = if wait == Wait::Yes { 60_000 } else { 0 };
    // SAFETY: one entry is passed, and one is said to be there.
    let count = unsafe { libc::poll(&mut entry, 1, timeout_ms) };
    count == 1
}

#[test]
fn a_directory_is_opened_once() {
    let place = tempfile::tempdir().unwrap();
    let options = DirectoryOptions::default();
    for first in [OpenMode::Create, OpenMode::ReadWrite, OpenMode::ReadOnly] {
        let directory = Directory::open(place.path(), first, options).unwrap();
        for second in [OpenMode::Create, OpenMode::ReadWrite, OpenMode::ReadOnly] {
            let error = Directory::open(place.path(), second, options).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
            let path = place.path().display();
            assert_eq!(error.to_string(), format!("{path} is open in another process"));
            let inner = error.get_ref().unwrap().downcast_ref();
            assert!(matches!(inner, Some(OpenError::Locked { .. })), "{inner:?}");
        }
        drop(directory);
    }
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0, "no lock file is left");
}

#[test]
fn a_directory_is_made_if_asked_for() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("new");
    let open = |path, mode| Directory::open(path, mode, DirectoryOptions::default());
    for mode in [OpenMode::ReadWrite, OpenMode::ReadOnly] {
        let error = open(path.clone(), mode).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        let expected = format!("{}: No such file or directory (os error 2)", path.display());
        assert_eq!(error.to_string(), expected);
    }
    drop(open(path.clone(), OpenMode::Create).unwrap());
    drop(open(path.clone(), OpenMode::Create).unwrap());
    let error = open(path.join("far").join("below"), OpenMode::Create).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::NotFound);

    let file = path.join("file");
    fs::write(&file, b"").unwrap();
    for mode in [OpenMode::Create, OpenMode::ReadWrite, OpenMode::ReadOnly] {
        let error = open(file.clone(), mode).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotADirectory);
    }
}

#[test]
fn only_plain_files_are_listed() {
    let place = tempfile::tempdir().unwrap();
    fs::create_dir(place.path().join("lost+found")).unwrap();
    fs::write(place.path().join("file"), b"").unwrap();
    let options = DirectoryOptions::default();
    let directory = Directory::open(place.path(), OpenMode::ReadOnly, options).unwrap();
    assert_eq!(directory.list().unwrap(), ["file"]);
}

#[test]
fn a_directory_opened_to_be_read_is_not_changed() {
    let place = tempfile::tempdir().unwrap();
    fs::write(place.path().join("file"), b"data").unwrap();
    let options = DirectoryOptions::default();
    let directory = Directory::open(place.path(), OpenMode::ReadOnly, options).unwrap();
    for error in [
        directory.open("file", Access::ReadWrite).unwrap_err(),
        directory.open("new", Access::CreateNew).unwrap_err(),
        directory.remove("file").unwrap_err(),
        directory.rename("file", "new").unwrap_err(),
    ] {
        assert_eq!(error.kind(), io::ErrorKind::ReadOnlyFilesystem);
    }
    let file = directory.open("file", Access::Read).unwrap();
    assert_eq!(&*file.map(4).unwrap(), b"data");
    file.drop_cache().unwrap();
}

#[test]
fn the_event_descriptor_is_readable_when_there_are_completions() {
    for (_place, directory) in directories(Duration::ZERO) {
        let file = directory.open("a", Access::CreateNew).unwrap();
        let mut queue = directory.queue().unwrap();
        let event = queue.event_descriptor().expect("real queues have one");
        assert!(!is_readable(event, Wait::No));
        for token in 0..100 {
            let data = vec![Bytes::from_static(b"data")];
            let request = match token % 3 {
                0 => write(&file, data, Sync::Data),
                1 => Request::Sync { file: Arc::clone(&file) },
                _ => Request::Read { file: Arc::clone(&file), offset: 0, length: 4 },
            };
            queue.submit(token, request);
            let mut completions = Vec::new();
            while completions.is_empty() {
                assert!(is_readable(event, Wait::Yes), "a wake-up was lost");
                queue.poll(Wait::No, &mut completions).unwrap();
            }
            assert_eq!(completions[0].token, token);
            completions.remove(0).result.unwrap();
            // What a ring announces when it is entered may be announced twice, but not for ever.
            queue.poll(Wait::No, &mut completions).unwrap();
            assert!(completions.is_empty() && !is_readable(event, Wait::No));
        }
    }
}

/// An event loop is told once of each signal, and has nothing to poll while nothing is under way.
/// On one processor, who is woken by a completion is often ahead of the kernel's worker.
#[test]
fn what_is_announced_late_hides_no_later_completion() {
    stay_on_one_processor();
    for (_place, directory) in directories(Duration::ZERO) {
        let file = directory.open("a", Access::CreateNew).unwrap();
        let mut queue = directory.queue().unwrap();
        let event = queue.event_descriptor().expect("real queues have one");
        for token in 0..2_000 {
            queue.submit(token, write(&file, vec![Bytes::from_static(b"data")], Sync::Data));
            let mut completions = Vec::new();
            while completions.is_empty() {
                assert!(is_readable(event, Wait::Yes), "write {token} was not announced");
                queue.poll(Wait::No, &mut completions).unwrap();
            }
            take_signals(event);
        }
    }
}

/// Keeps this thread, and those that it starts from now on, where it is.
fn stay_on_one_processor() {
    // SAFETY: a set of processors is plain bits, and lives longer than the call.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        let here = usize::try_from(libc::sched_getcpu()).expect("the system tells");
        libc::CPU_SET(here, &mut set);
        assert_eq!(libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set), 0);
    }
}

/// Takes notice of what a descriptor announces, and does nothing about it.
fn take_signals(event: RawFd) {
    let mut count = 0_u64;
    while is_readable(event, Wait::No) {
        // SAFETY: the 8 bytes that an eventfd gives have their place.
        let length = unsafe { libc::read(event, (&raw mut count).cast(), size_of::<u64>()) };
        assert_eq!(length, 8);
    }
}

#[test]
fn a_refused_request_is_announced_too() {
    for (_place, directory) in directories(Duration::ZERO) {
        let file = directory.open("a", Access::CreateNew).unwrap();
        let mut queue = directory.queue().unwrap();
        queue.submit(3, Request::Read { file, offset: 0, length: usize::MAX });
        assert!(is_readable(queue.event_descriptor().unwrap(), Wait::Yes));
        let completion = finish(queue.as_mut());
        assert_eq!(completion.token, 3);
        assert_eq!(completion.result.unwrap_err().kind(), io::ErrorKind::OutOfMemory);
    }
}

#[test]
fn more_buffers_than_a_call_takes_are_a_short_write() {
    for (_place, directory) in directories(Duration::ZERO) {
        let file = directory.open("a", Access::CreateNew).unwrap();
        let mut queue = directory.queue().unwrap();
        queue.submit(0, write(&file, vec![Bytes::from_static(b"ab"); 1500], Sync::Data));
        assert_eq!(finish(queue.as_mut()).result.unwrap(), Done::Written(2048));
        assert_eq!(file.length().unwrap(), 2048);
    }
}

#[test]
fn a_short_write_is_not_synced_and_says_so() {
    /// Where files may not grow beyond, which makes the write short.
    const LENGTH_MAX: u64 = 3000;
    for (_place, directory) in directories(Duration::ZERO) {
        let file = directory.open("a", Access::CreateNew).unwrap();
        // The limit and the signal's fate belong to a whole process: a child does it.
        let backend = directory.backend();
        // SAFETY: the child calls `limited_write` and ends; other threads' locks are only those
        // of the allocator, which the C library keeps usable across a fork.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let is_short = limited_write(&directory, &file, LENGTH_MAX);
            // SAFETY: ends the child at once, without anything that the parent's threads left.
            unsafe { libc::_exit(i32::from(!is_short)) };
        }
        let mut status = 0;
        // SAFETY: `status` is memory for an int.
        assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
        assert_eq!(status, 0, "{backend:?}");
        assert_eq!(file.length().unwrap(), LENGTH_MAX, "{backend:?}");
    }
}

fn limited_write(directory: &Directory, file: &Arc<dyn File>, length_max: u64) -> bool {
    let limit = libc::rlimit { rlim_cur: length_max, rlim_max: length_max };
    // SAFETY: the signal is to be ignored, no function of ours is called; `limit` is borrowed.
    unsafe {
        libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
        libc::setrlimit(libc::RLIMIT_FSIZE, &limit);
    }
    let mut queue = directory.queue().expect("a queue");
    queue.submit(0, write(file, vec![Bytes::from(vec![1; 4096])], Sync::Data));
    matches!(finish(queue.as_mut()).result, Ok(Done::Written(3000)))
}

#[test]
fn syncs_are_delayed_and_nothing_else() {
    const DELAY: Duration = Duration::from_millis(20);
    for (_place, directory) in directories(DELAY) {
        let backend = directory.backend();
        let file = directory.open("a", Access::CreateNew).unwrap();
        let mut queue = directory.queue().unwrap();
        let data = vec![Bytes::from_static(b"data")];
        let mut timed = |request: Request| {
            let begin = Instant::now();
            queue.submit(0, request);
            let submitted = begin.elapsed();
            finish(queue.as_mut()).result.unwrap();
            (submitted, begin.elapsed())
        };
        for request in
            [write(&file, data.clone(), Sync::Data), Request::Sync { file: Arc::clone(&file) }]
        {
            let (submitted, completed) = timed(request);
            assert!(completed >= DELAY, "{backend:?}");
            assert!(submitted < completed, "{backend:?}");
        }
        // Once in ten times at least it must be fast, however busy the machine is.
        let fastest = (0..10).map(|_| timed(write(&file, data.clone(), Sync::None)).1).min();
        assert!(fastest.unwrap() < DELAY, "{backend:?}");
        let begin = Instant::now();
        file.sync().unwrap();
        directory.sync_directory().unwrap();
        assert!(begin.elapsed() >= DELAY * 2, "{backend:?}");
    }
}

#[test]
fn delayed_syncs_overlap_on_io_uring() {
    const DELAY: Duration = Duration::from_millis(50);
    let Some((_place, directory)) = directory(Backend::Uring, DELAY) else {
        return;
    };
    let file = directory.open("a", Access::CreateNew).unwrap();
    let mut queue = directory.queue().unwrap();
    let begin = Instant::now();
    let mut completions = Vec::new();
    for token in 0..40 {
        queue.submit(token, Request::Sync { file: Arc::clone(&file) });
    }
    while completions.len() < 40 {
        queue.poll(Wait::Yes, &mut completions).unwrap();
    }
    assert!(begin.elapsed() < DELAY * 20, "one after the other it would be 40");
}

#[test]
fn one_line_says_that_io_uring_is_refused() {
    let place = tempfile::tempdir().unwrap();
    let log = Log::default();
    let open = |backend| {
        let options = DirectoryOptions { backend, ..Default::default() };
        Directory::open(place.path(), OpenMode::ReadWrite, options)
    };
    std::thread::scope(|scope| {
        scope.spawn(|| {
            refuse_io_uring();
            let directory = tracing::subscriber::with_default(log.clone(), || {
                open(Backend::Auto).expect("threads will do")
            });
            assert_eq!(directory.backend(), Backend::Threads);
            drop(directory);

            let error = open(Backend::Uring).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::Unsupported);
            let path = place.path().display();
            let reason = "Operation not permitted (os error 1)";
            assert_eq!(error.to_string(), format!("{path}: io_uring is refused: {reason}"));
        });
    });
    let lines = log.lines.lock().unwrap();
    let expected = "INFO io_uring is refused (Operation not permitted (os error 1)): \
                    threads are used for I/O";
    assert_eq!(*lines, [expected]);
}

#[test]
fn a_delay_is_logged_loudly_and_nothing_else_is() {
    let place = tempfile::tempdir().unwrap();
    let log = Log::default();
    tracing::subscriber::with_default(log.clone(), || {
        for delay in [Duration::ZERO, Duration::from_micros(1500)] {
            let options = DirectoryOptions { backend: Backend::Threads, delay };
            Directory::open(place.path(), OpenMode::ReadWrite, options).unwrap();
        }
    });
    let lines = log.lines.lock().unwrap();
    let path = place.path().display();
    let expected =
        format!("WARN {path}: every sync is delayed by 1500 us, which is for measuring only");
    assert_eq!(*lines, [expected]);
}

/// Makes io_uring_setup fail with EPERM in this thread, as containers do.
fn refuse_io_uring() {
    let statement = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
    let number = u32::try_from(libc::SYS_io_uring_setup).unwrap();
    let refuse = libc::SECCOMP_RET_ERRNO | u32::try_from(libc::EPERM).unwrap();
    let code = |parts: u32| u16::try_from(parts).unwrap();
    let mut filter = [
        statement(code(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS), 0, 0, 0),
        statement(code(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K), 0, 1, number),
        statement(code(libc::BPF_RET | libc::BPF_K), 0, 0, refuse),
        statement(code(libc::BPF_RET | libc::BPF_K), 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: 4, filter: filter.as_mut_ptr() };
    // SAFETY: the program has four statements, and lives until the calls are over. It concerns
    // this thread only.
    let codes = unsafe {
        [
            libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0),
            libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &program),
        ]
    };
    assert_eq!(codes, [0, 0], "{}", io::Error::last_os_error());
}

/// Remembers log lines: level and message.
#[derive(Clone, Default)]
struct Log {
    lines: Arc<Mutex<Vec<String>>>,
}

impl tracing::Subscriber for Log {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        struct Message(String);
        impl tracing::field::Visit for Message {
            fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
                if field.name() == "message" {
                    self.0 = format!("{value:?}");
                }
            }
        }
        let mut message = Message(String::new());
        event.record(&mut message);
        let line = format!("{} {}", event.metadata().level(), message.0);
        self.lines.lock().unwrap().push(line);
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

#[test]
fn what_is_not_synced_yet_is_known() {
    for (_place, directory) in directories(Duration::ZERO) {
        let file = directory.open("file", Access::CreateNew).unwrap();
        let mut queue = directory.queue().unwrap();
        let mut write = |offset, sync| {
            let data = vec![Bytes::from_static(b"some"), Bytes::from_static(b"data")];
            queue.submit(1, Request::Write { file: Arc::clone(&file), offset, data, sync });
            assert!(matches!(finish(&mut *queue).result, Ok(Done::Written(8))));
        };
        let is_synced = || unsynced::Unsynced::of(&file).is_none();
        assert!(!is_synced(), "nobody knows what was written before");
        write(0, Sync::Data);
        assert!(is_synced());
        write(8, Sync::Data);
        assert!(is_synced());
        write(16, Sync::None);
        assert!(!is_synced());
        write(24, Sync::Data);
        assert!(is_synced(), "all of the file was");
        file.write_at(b"data", 32).unwrap();
        assert!(!is_synced());
        file.sync().unwrap();
        assert!(is_synced());
        file.set_length(20).unwrap();
        assert!(!is_synced());
        write(4000, Sync::Data);
        assert!(is_synced());
        write(8000, Sync::Data);
        assert_eq!(file.length().unwrap(), 8008);
        let mut bytes = [0; 8];
        file.read_at(&mut bytes, 8000).unwrap();
        assert_eq!(&bytes, b"somedata");
    }
}

/// A write that is to sync is tried again as two steps: then it is known which one failed.
#[test]
fn a_full_disk_is_told_where_a_write_is_to_sync() {
    let Ok(full) = fs::OpenOptions::new().write(true).open("/dev/full") else { return };
    for (_place, directory) in directories(Duration::ZERO) {
        let mut file = file::RealFile::new(full.try_clone().unwrap(), Duration::ZERO);
        assert!(!file.syncs_with_writes, "a device does as it likes");
        file.syncs_with_writes = true;
        file.unsynced.synced(1);
        let file: Arc<dyn File> = Arc::new(file);
        let mut queue = directory.queue().unwrap();
        queue.submit(1, write(&file, vec![Bytes::from_static(b"data")], Sync::Data));
        let error = finish(&mut *queue).result.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    }
}
