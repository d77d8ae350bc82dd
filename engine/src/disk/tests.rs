//! What every disk does, run on each of them.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::time::Duration;

use tempfile::TempDir;

use super::*;

/// A disk under test; a real one goes away with its directory.
struct Subject {
    name: &'static str,
    disk: Arc<dyn Disk>,
    _directory: Option<TempDir>,
}

/// All disks, empty. Without io_uring where the system refuses it.
fn subjects() -> Vec<Subject> {
    let slow = Faults { slow_permille: 300, miss_permille: 300, ..Faults::default() };
    let memory =
        [("memory", MemoryDisk::new(1)), ("slow memory", MemoryDisk::new(2).with_faults(slow))];
    let memory = memory.map(|(name, disk)| (name, Arc::new(disk) as Arc<dyn Disk>, None));
    let mut subjects = Vec::from(memory);
    let delayed = DirectoryOptions { backend: Backend::Auto, delay: Duration::from_millis(1) };
    for (name, options) in [
        ("io_uring", DirectoryOptions { backend: Backend::Uring, ..Default::default() }),
        ("threads", DirectoryOptions { backend: Backend::Threads, ..Default::default() }),
        ("delayed", delayed),
    ] {
        let directory = tempfile::tempdir().expect("a directory");
        match Directory::open(directory.path(), OpenMode::ReadWrite, options) {
            Ok(disk) => subjects.push((name, Arc::new(disk), Some(directory))),
            Err(error) => assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}"),
        }
    }
    let subject = |(name, disk, _directory)| Subject { name, disk, _directory };
    subjects.into_iter().map(subject).collect()
}

fn write(file: &Arc<dyn File>, offset: u64, data: &'static [u8], sync: Sync) -> Request {
    let data = vec![Bytes::from_static(data)];
    Request::Write { file: Arc::clone(file), offset, data, sync }
}

fn read(file: &Arc<dyn File>, offset: u64, length: usize) -> Request {
    Request::Read { file: Arc::clone(file), offset, length }
}

fn whole(file: &Arc<dyn File>) -> Vec<u8> {
    let mut content = vec![0; usize::try_from(file.length().unwrap()).unwrap()];
    assert_eq!(file.read_at(&mut content, 0).unwrap(), content.len());
    content
}

/// Polls until so many requests have completed; their results by token.
fn finish(queue: &mut dyn Queue, count: usize) -> Vec<(u64, io::Result<Done>)> {
    let mut completions = Vec::new();
    while completions.len() < count {
        queue.poll(Wait::Yes, &mut completions).unwrap();
    }
    assert_eq!(completions.len(), count);
    completions.sort_by_key(|completion| completion.token);
    completions.into_iter().map(|completion| (completion.token, completion.result)).collect()
}

fn done(queue: &mut dyn Queue, token: u64) -> Done {
    let mut results = finish(queue, 1);
    let (answered, result) = results.remove(0);
    assert_eq!(answered, token);
    result.unwrap()
}

#[test]
fn names_are_listed_renamed_and_removed() {
    for Subject { name: subject, disk, .. } in subjects() {
        assert!(disk.list().unwrap().is_empty(), "{subject}");
        for name in ["b", "a", "c"] {
            disk.open(name, Access::CreateNew).unwrap();
        }
        assert_eq!(disk.list().unwrap(), ["a", "b", "c"], "{subject}");
        disk.rename("c", "a").unwrap();
        disk.remove("b").unwrap();
        disk.sync_directory().unwrap();
        assert_eq!(disk.list().unwrap(), ["a"], "{subject}");
        assert!(disk.path("a").ends_with('a'), "{subject}");
        assert!(disk.free_bytes().unwrap() > 0, "{subject}");
    }
}

#[test]
fn names_that_are_wrong_are_refused() {
    for Subject { name: subject, disk, .. } in subjects() {
        let kind = |result: io::Result<()>| result.unwrap_err().kind();
        let open = |name, access| disk.open(name, access).map(|_| ());
        open("here", Access::CreateNew).unwrap();
        assert_eq!(kind(open("here", Access::CreateNew)), ErrorKind::AlreadyExists, "{subject}");
        for access in [Access::Read, Access::ReadWrite] {
            assert_eq!(kind(open("gone", access)), ErrorKind::NotFound, "{subject}");
        }
        assert_eq!(kind(disk.remove("gone")), ErrorKind::NotFound, "{subject}");
        assert_eq!(kind(disk.rename("gone", "there")), ErrorKind::NotFound, "{subject}");
        for name in ["", ".", "..", "a/b", "../here", "nul\0"] {
            assert_eq!(kind(open(name, Access::CreateNew)), ErrorKind::InvalidInput, "{subject}");
            assert_eq!(kind(disk.rename("here", name)), ErrorKind::InvalidInput, "{subject}");
        }
    }
}

#[test]
fn what_is_written_is_read() {
    for Subject { name: subject, disk, .. } in subjects() {
        let file = disk.open("a", Access::CreateNew).unwrap();
        assert_eq!(file.write_at(b"hello", 0).unwrap(), 5, "{subject}");
        assert_eq!(file.write_at(b"world", 10_000).unwrap(), 5, "{subject}");
        assert_eq!(file.write_at(b"", 50_000).unwrap(), 0, "{subject}");
        assert_eq!(file.length().unwrap(), 10_005, "{subject}");
        file.sync().unwrap();
        let content = whole(&file);
        assert_eq!((&content[..6], &content[9_999..]), (&b"hello\0"[..], &b"\0world"[..]));

        let mut buffer = [7; 8];
        assert_eq!(file.read_at(&mut buffer, 10_000).unwrap(), 5, "{subject}");
        assert_eq!(&buffer, b"world\x07\x07\x07", "{subject}");
        assert_eq!(file.read_at(&mut buffer, 10_005).unwrap(), 0, "{subject}");
        assert_eq!(file.read_at(&mut buffer, 99_999).unwrap(), 0, "{subject}");

        file.set_length(3).unwrap();
        file.set_length(6).unwrap();
        let reader = disk.open("a", Access::Read).unwrap();
        assert_eq!(whole(&reader), b"hel\0\0\0", "{subject}");
    }
}

#[test]
fn a_file_opened_to_be_read_is_not_written() {
    for Subject { name: subject, disk, .. } in subjects() {
        disk.open("a", Access::CreateNew).unwrap();
        let file = disk.open("a", Access::Read).unwrap();
        let expected = Some(libc::EBADF);
        assert_eq!(file.write_at(b"x", 0).unwrap_err().raw_os_error(), expected, "{subject}");
        assert_eq!(file.set_length(1).unwrap_err().raw_os_error(), Some(libc::EINVAL), "{subject}");
        let mut queue = disk.queue().unwrap();
        queue.submit(0, write(&file, 0, b"x", Sync::None));
        let (_, result) = finish(queue.as_mut(), 1).remove(0);
        assert_eq!(result.unwrap_err().raw_os_error(), expected, "{subject}");
        assert_eq!(file.length().unwrap(), 0, "{subject}");
    }
}

#[test]
fn a_removed_file_stays_usable() {
    for Subject { name: subject, disk, .. } in subjects() {
        let file = disk.open("a", Access::CreateNew).unwrap();
        file.write_at(b"one", 0).unwrap();
        disk.remove("a").unwrap();
        disk.sync_directory().unwrap();
        file.write_at(b"two", 3).unwrap();
        file.sync().unwrap();
        assert_eq!(whole(&file), b"onetwo", "{subject}");
        disk.open("a", Access::CreateNew).unwrap();
        assert_eq!(whole(&file), b"onetwo", "{subject}");
    }
}

#[test]
fn resident_reads_answer_or_decline() {
    for Subject { name: subject, disk, .. } in subjects() {
        let file = disk.open("a", Access::CreateNew).unwrap();
        file.write_at(b"hello", 0).unwrap();
        let mut buffer = [0; 8];
        for _ in 0..20 {
            let answer = file.read_resident(&mut buffer, 1).unwrap();
            assert!(matches!(answer, None | Some(4)), "{subject}: {answer:?}");
            if answer.is_some() {
                assert_eq!(&buffer, b"ello\0\0\0\0", "{subject}");
            }
        }
    }
}

#[test]
fn mappings_have_the_length_that_was_asked_for() {
    for Subject { name: subject, disk, .. } in subjects() {
        let file = disk.open("a", Access::CreateNew).unwrap();
        assert_eq!(file.map(0).unwrap().len(), 0, "{subject}");
        file.write_at(b"hello", 0).unwrap();
        let (most, all) = (file.map(4).unwrap(), file.map(5).unwrap());
        assert_eq!((&*most, &*all), (&b"hell"[..], &b"hello"[..]), "{subject}");
        assert_eq!(file.map(6).err().unwrap().kind(), ErrorKind::UnexpectedEof, "{subject}");
        drop(file);
        disk.remove("a").unwrap();
        assert_eq!(&*all, b"hello", "{subject}");
    }
}

#[test]
fn the_cache_is_counted_and_dropped() {
    for Subject { name: subject, disk, .. } in subjects() {
        let file = disk.open("a", Access::CreateNew).unwrap();
        assert_eq!(file.cached_pages().unwrap(), (0, 0), "{subject}");
        file.write_at(&[1; 10_000], 0).unwrap();
        assert_eq!(file.cached_pages().unwrap(), (3, 3), "{subject}");
        file.drop_cache().unwrap();
        // A file system in memory has nowhere else to keep it.
        let (cached, total) = file.cached_pages().unwrap();
        assert!(cached <= 3 && total == 3, "{subject}");
        assert_eq!(whole(&file), [1; 10_000], "{subject}");
        assert_eq!(file.cached_pages().unwrap(), (3, 3), "{subject}");
    }
}

#[test]
fn a_queue_writes_syncs_and_reads() {
    for Subject { name: subject, disk, .. } in subjects() {
        let file = disk.open("a", Access::CreateNew).unwrap();
        let mut queue = disk.queue().unwrap();
        let pieces =
            ["one ", "", "two ", "three"].map(|piece| Bytes::from_static(piece.as_bytes()));
        for (token, sync) in [(7, Sync::Data), (8, Sync::None)] {
            let data = pieces.to_vec();
            queue.submit(token, Request::Write { file: Arc::clone(&file), offset: 2, data, sync });
            assert_eq!(done(queue.as_mut(), token), Done::Written(13), "{subject}");
        }
        queue.submit(u64::MAX, Request::Sync { file: Arc::clone(&file) });
        assert_eq!(done(queue.as_mut(), u64::MAX), Done::Synced, "{subject}");
        for (offset, length, expected) in
            [(2, 13, "one two three"), (10, 50, "three"), (15, 5, ""), (99, 5, ""), (3, 0, "")]
        {
            queue.submit(offset, read(&file, offset, length));
            let expected = Done::Read(Bytes::from_static(expected.as_bytes()));
            assert_eq!(done(queue.as_mut(), offset), expected, "{subject}");
        }
        for (token, data) in [(1, vec![]), (2, vec![Bytes::new()])] {
            let (file, sync) = (Arc::clone(&file), Sync::Data);
            queue.submit(token, Request::Write { file, offset: 0, data, sync });
            assert_eq!(done(queue.as_mut(), token), Done::Written(0), "{subject}");
        }
        assert_eq!(whole(&file), b"\0\0one two three", "{subject}");
    }
}

#[test]
fn every_token_comes_back_once() {
    /// More than a ring has places, and more than threads could take.
    const REQUESTS: u64 = 2000;
    for Subject { name: subject, disk, .. } in subjects() {
        if subject == "delayed" {
            continue;
        }
        let file = disk.open("a", Access::CreateNew).unwrap();
        let mut queue = disk.queue().unwrap();
        for token in 0..REQUESTS {
            let data = vec![Bytes::copy_from_slice(&token.to_le_bytes())];
            let sync = if token % 100 == 0 { Sync::Data } else { Sync::None };
            let file = Arc::clone(&file);
            queue.submit(token, Request::Write { file, offset: token * 8, data, sync });
        }
        let count = usize::try_from(REQUESTS).unwrap();
        for (expected, (token, result)) in finish(queue.as_mut(), count).into_iter().enumerate() {
            assert_eq!(usize::try_from(token).unwrap(), expected, "{subject}");
            assert_eq!(result.unwrap(), Done::Written(8), "{subject}");
        }
        for token in 0..REQUESTS {
            queue.submit(token, read(&file, token * 8, 8));
        }
        for (token, result) in finish(queue.as_mut(), count) {
            let expected = Bytes::copy_from_slice(&token.to_le_bytes());
            assert_eq!(result.unwrap(), Done::Read(expected), "{subject}");
        }
        let mut none = Vec::new();
        queue.poll(Wait::Yes, &mut none).unwrap();
        queue.poll(Wait::No, &mut none).unwrap();
        assert!(none.is_empty(), "{subject}");
    }
}

#[test]
fn wrong_requests_complete_with_an_error() {
    for Subject { name: subject, disk, .. } in subjects() {
        let file = disk.open("a", Access::CreateNew).unwrap();
        let mut queue = disk.queue().unwrap();
        queue.submit(1, write(&file, u64::MAX, b"x", Sync::Data));
        queue.submit(2, write(&file, u64::MAX - 5, b"x", Sync::None));
        queue.submit(3, write(&file, 0, b"x", Sync::None));
        let results = finish(queue.as_mut(), 3);
        let is_ok: Vec<bool> = results.iter().map(|(_, result)| result.is_ok()).collect();
        assert_eq!(is_ok, [false, false, true], "{subject}: {results:?}");
        assert_eq!(whole(&file), b"x", "{subject}");
    }
}

#[test]
fn a_dropped_queue_has_done_what_was_submitted() {
    for Subject { name: subject, disk, .. } in subjects() {
        let file = disk.open("a", Access::CreateNew).unwrap();
        let mut queue = disk.queue().unwrap();
        for offset in 0..20 {
            queue.submit(offset, write(&file, offset, b"x", Sync::Data));
        }
        drop(queue);
        assert_eq!(whole(&file), [b'x'; 20], "{subject}");
    }
}

#[test]
fn a_queue_goes_to_another_thread_when_idle() {
    for Subject { name: subject, disk, .. } in subjects() {
        let file = disk.open("a", Access::CreateNew).unwrap();
        let mut queue = disk.queue().unwrap();
        let mut threads = BTreeSet::new();
        for token in 0..3 {
            let file = Arc::clone(&file);
            let work = move || {
                let descriptor = queue.event_descriptor();
                queue.submit(token, write(&file, token, b"x", Sync::Data));
                assert_eq!(done(queue.as_mut(), token), Done::Written(1));
                (queue, descriptor)
            };
            let descriptor;
            (queue, descriptor) = std::thread::spawn(work).join().unwrap();
            threads.insert(descriptor);
        }
        assert_eq!(threads.len(), 1, "{subject}: the descriptor stays the same");
        assert_eq!(whole(&file), b"xxx", "{subject}");
    }
}

#[test]
fn files_and_queues_outlive_the_disk() {
    for Subject { name: subject, disk, .. } in subjects() {
        let file = disk.open("a", Access::CreateNew).unwrap();
        let mut queue = disk.queue().unwrap();
        drop(disk);
        queue.submit(0, write(&file, 0, b"x", Sync::Data));
        assert_eq!(done(queue.as_mut(), 0), Done::Written(1), "{subject}");
        assert_eq!(whole(&file), b"x", "{subject}");
    }
}
