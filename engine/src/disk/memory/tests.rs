//! That the faulty disk does what its documentation says: no more, and no less.

use std::collections::BTreeSet;
use std::io::ErrorKind;

use bytes::Bytes;

use super::*;
use crate::disk::{Completion, Done, Request, Sync, Wait};

const SEEDS: u64 = 300;

fn create(disk: &MemoryDisk, name: &str) -> Arc<dyn File> {
    disk.open(name, Access::CreateNew).unwrap()
}

/// A file of which all is durable.
fn durable(disk: &MemoryDisk, name: &str, content: &[u8]) -> Arc<dyn File> {
    disk.write_file(name, content);
    disk.open(name, Access::ReadWrite).unwrap()
}

/// What is found under a name in the images of many seeds.
fn found(disk: &MemoryDisk, name: &str) -> BTreeSet<Option<Vec<u8>>> {
    (0..SEEDS).map(|seed| disk.crash_image(seed).read_file(name)).collect()
}

fn errno<T>(result: io::Result<T>) -> Option<i32> {
    result.err().expect("an error").raw_os_error()
}

/// A file's content after each change since its last sync, to say what a crash may leave of it.
struct History(Vec<Vec<u8>>);

impl History {
    fn allows(&self, image: &[u8]) -> bool {
        let lengths = || self.0.iter().map(Vec::len);
        let within = lengths().min()..=lengths().max();
        let cuts: BTreeSet<usize> = lengths().chain([image.len()]).collect();
        within.contains(&Some(image.len()))
            && image.chunks(512).enumerate().all(|(number, sector)| {
                let base = number * 512;
                self.0.iter().any(|version| {
                    let version = version.get(base..).unwrap_or_default();
                    // Cut at some time, and grown again.
                    [usize::MAX].iter().chain(&cuts).any(|cut| {
                        let kept = cut.saturating_sub(base).min(version.len()).min(sector.len());
                        sector[..kept] == version[..kept] && sector[kept..].iter().all(|b| *b == 0)
                    })
                })
            })
    }
}

#[test]
fn a_crash_leaves_what_the_documentation_allows() {
    for seed in 0..SEEDS {
        let mut random = Random::from_seed(seed);
        let disk = MemoryDisk::new(seed);
        let file = create(&disk, "a");
        disk.sync_directory().unwrap();
        let mut history = History(vec![Vec::new()]);
        for _ in 0..30 {
            let mut content = history.0.last().unwrap().clone();
            match random.below(10) {
                0 => {
                    file.sync().unwrap();
                    history.0.clear();
                }
                1 => {
                    let length = random.index(3000);
                    file.set_length(u64::try_from(length).unwrap()).unwrap();
                    content.resize(length, 0);
                }
                _ => {
                    let (offset, length) = (random.index(3000), 1 + random.index(1500));
                    let data = random.bytes(length);
                    file.write_at(&data, u64::try_from(offset).unwrap()).unwrap();
                    content.resize(content.len().max(offset + length), 0);
                    content[offset..offset + length].copy_from_slice(&data);
                }
            }
            history.0.push(content);
            assert_eq!(disk.read_file("a").as_ref(), history.0.last(), "seed {seed}");
            let image = disk.crash_image(random.next_u64()).read_file("a").unwrap();
            assert!(history.allows(&image), "seed {seed}");
            let image = disk.lose_all_unsynced().read_file("a").unwrap();
            assert_eq!(image, history.0[0], "seed {seed}");
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_image() {
    let disk = MemoryDisk::new(1);
    for name in ["a", "b", "c"] {
        let file = create(&disk, name);
        for offset in 0..10 {
            file.write_at(&[7; 700], offset * 300).unwrap();
        }
    }
    let look = |disk: &MemoryDisk| -> Vec<_> {
        let names = disk.list().unwrap().into_iter();
        names.map(|name| (disk.read_file(&name), name)).collect()
    };
    let images: Vec<_> = (0..20).map(|seed| look(&disk.crash_image(seed))).collect();
    let again: Vec<_> = (0..20).map(|seed| look(&disk.crash_image(seed))).collect();
    assert_eq!(images, again);
    assert!(images.iter().collect::<BTreeSet<_>>().len() > 10);
}

#[test]
fn unsynced_writes_are_lost_torn_and_reordered_but_not_within_a_sector() {
    let disk = MemoryDisk::new(1);
    let file = durable(&disk, "a", &[0; 1536]);
    file.write_at(&[1; 1024], 0).unwrap();
    file.write_at(&[2; 1024], 512).unwrap();
    let images = found(&disk, "a");
    let sectors = |image: &Option<Vec<u8>>| -> Vec<u8> {
        let image = image.as_ref().unwrap();
        assert!(image.chunks(512).all(|sector| sector.iter().all(|byte| *byte == sector[0])));
        image.iter().step_by(512).copied().collect()
    };
    let found: BTreeSet<Vec<u8>> = images.iter().map(sectors).collect();
    let all = [0, 1].into_iter().flat_map(|first| {
        let second = move |second| [0, 2].map(|third| vec![first, second, third]);
        [0, 1, 2].into_iter().flat_map(second)
    });
    assert_eq!(found, all.collect());
}

#[test]
fn the_length_is_lost_or_kept_or_in_between() {
    let disk = MemoryDisk::new(1);
    let file = durable(&disk, "a", b"12");
    file.write_at(b"34", 2).unwrap();
    let expected = ["12", "12\0", "12\0\0", "123", "1234"];
    let expected = expected.map(|content| Some(content.as_bytes().to_vec()));
    assert_eq!(found(&disk, "a"), BTreeSet::from(expected));

    let file = durable(&disk, "b", b"1234");
    file.set_length(1).unwrap();
    file.write_at(b"x", 1).unwrap();
    let lost = |content: &str| Some(content.as_bytes().to_vec());
    let expected = ["1234", "1", "1x", "1\0"].map(lost);
    assert_eq!(found(&disk, "b"), BTreeSet::from(expected), "behind a lost cut nothing is new");
}

#[test]
fn names_are_lost_until_the_directory_is_synced() {
    let disk = MemoryDisk::new(1);
    let file = create(&disk, "a");
    file.write_at(b"data", 0).unwrap();
    file.sync().unwrap();
    assert_eq!(found(&disk, "a"), BTreeSet::from([None, Some(b"data".to_vec())]));
    disk.sync_directory().unwrap();
    assert_eq!(found(&disk, "a"), BTreeSet::from([Some(b"data".to_vec())]));
    disk.remove("a").unwrap();
    assert_eq!(found(&disk, "a"), BTreeSet::from([None, Some(b"data".to_vec())]));
    drop(file);
    assert_eq!(found(&disk, "a"), BTreeSet::from([None, Some(b"data".to_vec())]));
    disk.sync_directory().unwrap();
    assert_eq!(found(&disk, "a"), BTreeSet::from([None]));
}

#[test]
fn a_rename_is_whole_or_not_done() {
    let disk = MemoryDisk::new(1);
    disk.write_file("old", b"1");
    disk.write_file("new", b"2");
    disk.rename("new", "old").unwrap();
    let images = (0..SEEDS).map(|seed| disk.crash_image(seed));
    let images: BTreeSet<_> =
        images.map(|image| (image.read_file("old"), image.read_file("new"))).collect();
    let before = (Some(b"1".to_vec()), Some(b"2".to_vec()));
    let after = (Some(b"2".to_vec()), None);
    assert_eq!(images, BTreeSet::from([before, after]));
}

#[test]
fn changes_of_names_are_lost_one_by_one_but_a_durable_file_never_is() {
    let disk = MemoryDisk::new(1);
    disk.write_file("a", b"1");
    create(&disk, "x");
    disk.rename("a", "b").unwrap();
    create(&disk, "a");
    let mut images = BTreeSet::new();
    for seed in 0..SEEDS {
        let image = disk.crash_image(seed);
        let (a, b) = (image.read_file("a"), image.read_file("b"));
        let survivor = [&a, &b].into_iter().flatten().filter(|content| *content == b"1");
        assert_eq!(survivor.count(), 1, "seed {seed}: {a:?} {b:?}");
        images.insert(image.list().unwrap().join(""));
    }
    let expected = ["a", "ax", "b", "bx", "ab", "abx"].map(str::to_owned);
    assert_eq!(images, BTreeSet::from(expected));
}

#[test]
fn a_killed_process_leaves_the_cache_and_the_cache_can_still_be_lost() {
    let disk = MemoryDisk::new(1);
    let file = durable(&disk, "a", b"old");
    file.write_at(b"new", 0).unwrap();
    create(&disk, "b");
    let killed = disk.keep_all();
    assert_eq!(killed.list().unwrap(), ["a", "b"]);
    assert_eq!(killed.read_file("a").unwrap(), b"new");
    let lost = killed.lose_all_unsynced();
    assert_eq!(lost.list().unwrap(), ["a"]);
    assert_eq!(lost.read_file("a").unwrap(), b"old");

    let copy = disk.snapshot().lose_all_unsynced();
    assert_eq!(copy.list().unwrap(), ["a", "b"]);
    assert_eq!(copy.read_file("a").unwrap(), b"new");
}

#[test]
fn images_are_disks_of_their_own() {
    let disk = MemoryDisk::new(1);
    disk.write_file("a", b"1");
    disk.schedule(0, Fault::Crash);
    let image = disk.snapshot();
    create(&image, "b").write_at(b"x", 0).unwrap();
    image.open("a", Access::ReadWrite).unwrap().write_at(b"2", 0).unwrap();
    assert_eq!(disk.list().unwrap(), ["a"]);
    assert_eq!(disk.read_file("a").unwrap(), b"1");
    assert_eq!((image.operations(), disk.operations()), (3, 0));
}

#[test]
fn a_crash_happens_at_its_operation_and_ends_everything() {
    // What happens to the disk, an operation each.
    let script = |disk: &MemoryDisk| -> io::Result<()> {
        let file = disk.open("a", Access::CreateNew)?;
        file.write_at(b"data", 0)?;
        file.sync()?;
        disk.rename("a", "b")?;
        disk.sync_directory()?;
        file.set_length(2)?;
        let mut queue = disk.queue()?;
        let data = vec![Bytes::from_static(b"more")];
        queue.submit(0, Request::Write { file, offset: 2, data, sync: Sync::Data });
        let mut completions = Vec::new();
        queue.poll(Wait::Yes, &mut completions)?;
        completions.remove(0).result?;
        disk.remove("b")
    };
    let whole = MemoryDisk::new(1);
    script(&whole).unwrap();
    assert_eq!(whole.operations(), 9);
    for at in 0..9 {
        let disk = MemoryDisk::new(1);
        let file = durable(&disk, "other", b"");
        disk.schedule(at, Fault::Crash);
        assert!(CrashedError::is_in(&script(&disk).unwrap_err()));
        assert!(disk.is_crashed());
        assert_eq!(disk.operations(), at + 1);
        for error in [
            disk.list().unwrap_err(),
            disk.sync_directory().unwrap_err(),
            disk.open("other", Access::Read).unwrap_err(),
            file.length().unwrap_err(),
            file.read_at(&mut [0], 0).unwrap_err(),
            file.write_at(b"x", 0).unwrap_err(),
            file.sync().unwrap_err(),
        ] {
            assert!(CrashedError::is_in(&error), "{error}");
        }
        let image = disk.crash_image(at);
        assert!(!image.is_crashed() && image.operations() == 0);
        assert!(image.list().unwrap().contains(&"other".to_owned()));
        // What was synced before is there. The sync is operation 2, that of names 4.
        let b = image.read_file("b");
        match at {
            0..=2 => {}
            3..=4 => {
                let content = b.or_else(|| image.read_file("a"));
                assert!(content.is_none_or(|content| content == b"data"));
            }
            5..=7 => assert!(b.unwrap().starts_with(b"da")),
            _ => assert!(b.is_none_or(|content| content == b"damore")),
        }
    }
    assert!(!CrashedError::is_in(&io::Error::from_raw_os_error(libc::EIO)));
}

#[test]
fn what_is_scheduled_no_more_does_not_happen() {
    let disk = MemoryDisk::new(1);
    let file = create(&disk, "a");
    disk.schedule(0, Fault::WriteError);
    assert!(disk.is_scheduled(0, Fault::WriteError));
    disk.clear_schedule();
    assert!(!disk.is_scheduled(0, Fault::WriteError));
    file.write_at(b"data", 0).unwrap();
}

#[test]
fn a_scheduled_fault_happens_once_to_the_first_operation_that_it_fits() {
    let disk = MemoryDisk::new(1);
    let file = create(&disk, "a");
    for (fault, code) in [(Fault::WriteError, libc::EIO), (Fault::NoSpace, libc::ENOSPC)] {
        disk.schedule(disk.operations() + 1, fault);
        file.write_at(b"data", 0).unwrap();
        file.sync().unwrap();
        assert_eq!(errno(file.write_at(b"lost", 0)), Some(code), "{fault:?}");
        assert_eq!(disk.read_file("a").unwrap(), b"data", "{fault:?}");
        file.write_at(b"data", 0).unwrap();
        let others: [&dyn Fn() -> io::Result<()>; 3] =
            [&|| disk.open("b", Access::CreateNew).map(|_| ()), &|| disk.rename("a", "b"), &|| {
                file.set_length(1)
            }];
        for other in others {
            disk.schedule(0, fault);
            assert_eq!(errno(other()), Some(code), "{fault:?}");
        }
        assert_eq!(disk.list().unwrap(), ["a"], "{fault:?}");
    }
    disk.schedule(0, Fault::NoSpace);
    assert_eq!(file.write_at(b"x", 0).unwrap_err().kind(), ErrorKind::StorageFull);

    disk.schedule(0, Fault::ShortWrite);
    file.write_at(b"x", 0).unwrap();
    let written = file.write_at(&[9; 100], 0).unwrap();
    assert!((1..100).contains(&written));
    assert_eq!(disk.read_file("a").unwrap()[..written], vec![9; written]);

    disk.schedule(0, Fault::SyncError);
    assert_eq!(errno(disk.sync_directory()), Some(libc::EIO));
    assert_eq!(disk.lose_all_unsynced().list().unwrap(), [""; 0]);
    disk.sync_directory().unwrap();
    assert_eq!(disk.lose_all_unsynced().list().unwrap(), ["a"]);

    disk.schedule(disk.reads() + 1, Fault::ReadError);
    file.read_at(&mut [0], 0).unwrap();
    assert_eq!(errno(file.read_at(&mut [0], 0)), Some(libc::EIO));
    file.read_at(&mut [0], 0).unwrap();
}

#[test]
fn random_faults_happen_as_often_as_was_asked_for() {
    let faults = Faults {
        short_write_permille: 200,
        write_error_permille: 100,
        sync_error_permille: 100,
        read_error_permille: 100,
        miss_permille: 100,
        ..Faults::default()
    };
    let disk = MemoryDisk::new(1);
    let file = durable(&disk, "a", b"data");
    let _disk = disk.with_faults(faults);
    let mut counts = [0; 5];
    for _ in 0..1000 {
        let happened = [
            file.write_at(b"data", 0).is_ok_and(|written| written < 4),
            file.write_at(b"d", 0).is_err(),
            file.sync().is_err(),
            file.read_at(&mut [0], 0).is_err(),
            matches!(file.read_resident(&mut [0], 0), Ok(None)),
        ];
        for (count, happened) in counts.iter_mut().zip(happened) {
            *count += u32::from(happened);
        }
    }
    let [short, write, sync, read, miss] = counts;
    assert!((150..250).contains(&short), "{counts:?}");
    for count in [write, sync, read, miss] {
        assert!((60..140).contains(&count), "{counts:?}");
    }
}

#[test]
fn a_failed_sync_loses_data_for_good_and_shows_it_all_the_same() {
    let mut outcomes = BTreeSet::new();
    for seed in 0..50 {
        let disk = MemoryDisk::new(seed);
        let file = durable(&disk, "a", &[0; 1024]);
        file.write_at(&[1; 1024], 0).unwrap();
        disk.schedule(0, Fault::SyncError);
        assert_eq!(errno(file.sync()), Some(libc::EIO));
        assert_eq!(disk.read_file("a").unwrap(), [1; 1024]);

        // A later sync says that all is well, and it is not.
        file.sync().unwrap();
        assert_eq!(disk.read_file("a").unwrap(), [1; 1024]);
        let found = disk.crash_image(seed).read_file("a").unwrap();
        assert_eq!(disk.keep_all().read_file("a").unwrap(), [1; 1024]);
        assert_eq!(disk.keep_all().lose_all_unsynced().read_file("a").unwrap(), found);
        outcomes.insert((found[0], found[512]));

        // What is written again is stored, the rest of its sector with it.
        file.write_at(&[1], 100).unwrap();
        let before = disk.lose_all_unsynced().read_file("a").unwrap();
        assert_eq!(before, found);
        file.sync().unwrap();
        let found = disk.crash_image(seed).read_file("a").unwrap();
        assert_eq!(found[..512], [1; 512]);
    }
    assert_eq!(outcomes, BTreeSet::from([(0, 0), (0, 1), (1, 0), (1, 1)]));
}

#[test]
fn changes_after_a_failed_sync_are_undone_to_what_is_durable() {
    for seed in 0..SEEDS {
        let mut random = Random::from_seed(seed);
        let disk = MemoryDisk::new(seed);
        let file = durable(&disk, "a", &random.bytes(2000));
        let mut content = disk.read_file("a").unwrap();
        let mut durable = None;
        for _ in 0..30 {
            let (offset, length) = (random.index(3000), 1 + random.index(900));
            match random.below(6) {
                0 => {
                    disk.schedule(0, Fault::SyncError);
                    file.sync().unwrap_err();
                    durable = None;
                }
                1 => {
                    file.sync().unwrap();
                    durable = None;
                }
                2 => {
                    file.set_length(u64::try_from(offset).unwrap()).unwrap();
                    content.resize(offset, 0);
                }
                _ => {
                    let data = random.bytes(length);
                    file.write_at(&data, u64::try_from(offset).unwrap()).unwrap();
                    content.resize(content.len().max(offset + length), 0);
                    content[offset..offset + length].copy_from_slice(&data);
                }
            }
            assert_eq!(disk.read_file("a").as_ref(), Some(&content), "seed {seed}");
            assert!(disk.crash_image(random.next_u64()).read_file("a").is_some());
            // Only syncs change what is durable.
            let found = disk.lose_all_unsynced().read_file("a");
            assert_eq!(*durable.get_or_insert(found.clone()), found, "seed {seed}");
        }
    }
}

#[test]
fn space_runs_out_and_is_given_back() {
    let disk = MemoryDisk::new(1);
    disk.set_capacity(Some(3 * 4096));
    let file = create(&disk, "a");
    assert_eq!(file.write_at(&[1; 5000], 0).unwrap(), 5000);
    assert_eq!((disk.allocated_bytes(), disk.total_bytes()), (8192, 5000));
    assert_eq!(disk.free_bytes().unwrap(), 4096);
    file.set_length(1 << 20).unwrap();
    assert_eq!(disk.free_bytes().unwrap(), 4096, "a hole needs no space");

    let other = create(&disk, "b");
    assert_eq!(other.write_at(b"x", 0).unwrap(), 1);
    assert_eq!(errno(other.write_at(b"x", 4096)), Some(libc::ENOSPC));
    assert_eq!(other.write_at(b"x", 4095).unwrap(), 1, "the block is there");
    assert_eq!(file.write_at(&[2; 8192], 0).unwrap(), 8192, "so are these");
    let mut outcomes = BTreeSet::new();
    for _ in 0..20 {
        outcomes.insert(file.write_at(&[3; 100], 8190).map_err(|error| error.raw_os_error()));
    }
    assert_eq!(outcomes, BTreeSet::from([Ok(2), Err(Some(libc::ENOSPC))]));

    file.set_length(4097).unwrap();
    assert_eq!(disk.free_bytes().unwrap(), 0);
    file.set_length(4096).unwrap();
    assert_eq!(disk.free_bytes().unwrap(), 4096);
    disk.remove("b").unwrap();
    assert_eq!(disk.free_bytes().unwrap(), 4096, "somebody has it open");
    drop(other);
    assert_eq!(disk.free_bytes().unwrap(), 8192);
    assert_eq!(disk.crash_image(1).capacity(), Some(3 * 4096));
}

#[test]
fn a_disk_that_becomes_full_stays_full() {
    let disk = MemoryDisk::new(1);
    let file = create(&disk, "a");
    file.write_at(&[1; 4096], 0).unwrap();
    disk.schedule(disk.operations(), Fault::Full);
    for _ in 0..3 {
        assert_eq!(errno(file.write_at(b"x", 4096)), Some(libc::ENOSPC));
        assert_eq!(file.write_at(b"x", 0).unwrap(), 1);
    }
    assert_eq!(disk.free_bytes().unwrap(), 0);
    disk.set_capacity(None);
    assert_eq!(file.write_at(b"x", 4096).unwrap(), 1);
}

fn tokens(queue: &mut dyn Queue) -> Vec<u64> {
    let mut completions = Vec::new();
    queue.poll(Wait::No, &mut completions).unwrap();
    completions.into_iter().map(|Completion { token, .. }| token).collect()
}

fn submit_writes(queue: &mut dyn Queue, file: &Arc<dyn File>) {
    for token in 0..10 {
        let data = vec![Bytes::copy_from_slice(&[b'0' + u8::try_from(token).unwrap(); 512])];
        let (file, offset) = (Arc::clone(file), token * 512);
        queue.submit(token, Request::Write { file, offset, data, sync: Sync::None });
    }
}

#[test]
fn held_requests_wait_until_they_are_let_go_or_waited_for() {
    let disk = MemoryDisk::new(1);
    let file = create(&disk, "file");
    let mut queue = disk.queue().unwrap();
    disk.hold_requests(true);
    submit_writes(queue.as_mut(), &file);
    assert_eq!(tokens(queue.as_mut()), []);
    assert_eq!((disk.outstanding(), disk.operations()), (10, 1));
    disk.hold_requests(false);
    assert_eq!(tokens(queue.as_mut()).len(), 10);
    disk.hold_requests(true);
    submit_writes(queue.as_mut(), &file);
    queue.poll(Wait::Yes, &mut Vec::new()).unwrap();
    assert_eq!(disk.outstanding(), 0);
}

#[test]
fn a_queue_keeps_order_unless_it_is_slow() {
    let slow = Faults { slow_permille: 500, ..Faults::default() };
    let mut orders = Vec::new();
    for (seed, faults) in [(1, Faults::default()), (1, slow), (1, slow), (2, slow)] {
        let disk = MemoryDisk::new(seed).with_faults(faults);
        let file = create(&disk, "a");
        let mut queue = disk.queue().unwrap();
        submit_writes(queue.as_mut(), &file);
        let mut order = tokens(queue.as_mut());
        assert_eq!(order.len() < 10, faults == slow);
        while order.len() < 10 {
            order.extend(tokens(queue.as_mut()));
        }
        orders.push(order);
    }
    assert_eq!(orders[0], Vec::from_iter(0..10));
    assert_eq!(orders[1], orders[2], "the same seed, the same order");
    assert_ne!(orders[1], orders[3]);
    let sorted = |order: &Vec<u64>| order.iter().copied().collect::<BTreeSet<_>>().len();
    assert_eq!(orders.iter().map(sorted).collect::<Vec<_>>(), [10; 4]);
}

#[test]
fn what_a_queue_has_not_completed_may_have_been_done() {
    let disk = MemoryDisk::new(1);
    let file = durable(&disk, "a", &[b'-'; 5120]);
    let mut queue = disk.queue().unwrap();
    submit_writes(queue.as_mut(), &file);
    assert_eq!(disk.read_file("a").unwrap(), [b'-'; 5120]);
    let done = |image: &[u8]| image.iter().step_by(512).filter(|byte| **byte != b'-').count();
    let counts: BTreeSet<usize> =
        (0..SEEDS).map(|seed| done(&disk.crash_image(seed).read_file("a").unwrap())).collect();
    assert!(counts.contains(&0) && counts.len() > 4, "{counts:?}");
    assert_eq!(disk.lose_all_unsynced().read_file("a").unwrap(), [b'-'; 5120]);
    assert!((1..10).contains(&done(&disk.keep_all().read_file("a").unwrap())));

    // The same, when the queue hears of the crash before the image is made.
    disk.schedule(0, Fault::Crash);
    file.sync().unwrap_err();
    let mut completions = Vec::new();
    queue.poll(Wait::No, &mut completions).unwrap();
    assert_eq!(completions.len(), 10);
    for completion in completions {
        assert!(CrashedError::is_in(&completion.result.unwrap_err()));
    }
    assert!((1..10).contains(&done(&disk.read_file("a").unwrap())));
    submit_writes(queue.as_mut(), &file);
    let before = disk.read_file("a");
    assert_eq!(tokens(queue.as_mut()).len(), 10);
    assert_eq!(disk.read_file("a"), before, "what was submitted too late is not done");
}

#[test]
fn a_short_write_of_a_queue_is_not_synced() {
    let disk = MemoryDisk::new(1);
    let file = durable(&disk, "a", b"");
    let mut queue = disk.queue().unwrap();
    disk.schedule(0, Fault::ShortWrite);
    let data = vec![Bytes::from_static(b"da"), Bytes::from_static(b"ta")];
    queue.submit(0, Request::Write { file, offset: 0, data, sync: Sync::Data });
    let mut completions = Vec::new();
    queue.poll(Wait::No, &mut completions).unwrap();
    let Ok(Done::Written(written)) = completions.remove(0).result else { panic!("written") };
    assert!((1..4).contains(&written));
    assert_eq!(disk.lose_all_unsynced().read_file("a").unwrap(), b"");
}

#[test]
fn bits_are_flipped() {
    let disk = MemoryDisk::new(1);
    let file = durable(&disk, "a", &[0, 0, 0]);
    assert_eq!(&*file.map(3).unwrap(), [0, 0, 0]);
    disk.flip("a", 1, 7);
    assert_eq!(&*file.map(3).unwrap(), [0, 0x80, 0]);
    assert_eq!(disk.crash_image(1).read_file("a").unwrap(), [0, 0x80, 0]);
    disk.flip("a", 1, 7);
    assert_eq!(disk.read_file("a").unwrap(), [0, 0, 0]);
}

#[test]
fn the_cache_is_dropped_until_the_next_read() {
    let disk = MemoryDisk::new(1);
    let file = durable(&disk, "a", &[1; 5000]);
    assert_eq!(file.read_resident(&mut [0], 0).unwrap(), Some(1));
    file.drop_cache().unwrap();
    assert_eq!(file.cached_pages().unwrap(), (0, 2));
    assert_eq!(file.read_resident(&mut [0], 0).unwrap(), None);
    file.read_at(&mut [0], 0).unwrap();
    assert_eq!(file.read_resident(&mut [0], 0).unwrap(), Some(1));
}

#[test]
fn files_that_nobody_can_reach_are_forgotten() {
    let disk = MemoryDisk::new(1);
    for round in 0..100 {
        let file = create(&disk, "a");
        file.write_at(&[1; 4096], 0).unwrap();
        if round % 2 == 0 {
            disk.rename("a", "b").unwrap();
        } else {
            disk.remove("a").unwrap();
        }
        disk.sync_directory().unwrap();
    }
    assert_eq!(disk.lock().files.len(), 1);
}
