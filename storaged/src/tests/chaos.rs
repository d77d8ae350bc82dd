//! Many clients at random, on a disk that takes its time, with masters that are lost and power that
//! is cut: no update is lost, no lock is left.

use std::collections::BTreeMap;

use engine::disk::Faults;
use model::{CellState, Random};
use net::Message;

use super::world::{PeerId, World, oid, rows, store, tid, ttid, vote};

const OBJECTS: u64 = 6;
const CLIENTS: usize = 5;

/// What a client does at the moment.
#[derive(Default)]
struct Work {
    number: u64,
    /// Stores that are not answered, with the object and what they are based on.
    pending: BTreeMap<u64, (u64, u64)>,
    /// Relocks that are not answered.
    relocks: BTreeMap<u64, u64>,
    /// What is stored and locked, by object.
    stored: BTreeMap<u64, u64>,
    vote: Option<u64>,
}

struct Chaos {
    world: World,
    random: Random,
    clients: Vec<(PeerId, Option<Work>)>,
    next_ttid: u64,
    next_tid: u64,
    /// Voted ones, with what they stored.
    voted: Vec<(u64, BTreeMap<u64, u64>)>,
    locked: Vec<u64>,
    /// All that have a tid.
    tids: BTreeMap<u64, u64>,
    /// The newest revision of each object, and who wrote it.
    newest: BTreeMap<u64, (u64, u64)>,
    commits: u32,
}

impl Chaos {
    fn new(seed: u64) -> Self {
        let mut world = slow(World::operating());
        let clients = (0..CLIENTS).map(|_| (world.client(), None)).collect();
        Self {
            world,
            random: Random::from_seed(seed),
            clients,
            next_ttid: 1000,
            next_tid: 1_000_000,
            voted: Vec::new(),
            locked: Vec::new(),
            tids: BTreeMap::new(),
            newest: BTreeMap::new(),
            commits: 0,
        }
    }

    fn data(number: u64, of: u64) -> String {
        format!("{of} of {number}")
    }

    fn step(&mut self) {
        match self.random.below(150) {
            0 => self.lose_master(),
            1 => self.crash(),
            _ => self.act(),
        }
    }

    fn act(&mut self) {
        let index = self.random.index(CLIENTS);
        self.take_answers(index);
        match self.random.below(20) {
            0 => self.cut(index),
            1 => self.abort(index),
            2..=9 => self.store(index),
            10..=14 => self.vote(index),
            15..=17 => self.lock(),
            _ => self.unlock(),
        }
    }

    fn store(&mut self, index: usize) {
        let of = self.random.below(OBJECTS);
        let based_on = match self.random.chance(1, 5) {
            true => 0,
            false => self.newest.get(&of).map_or(0, |(serial, _)| *serial),
        };
        let (peer, work) = &mut self.clients[index];
        let work = work.get_or_insert_with(|| {
            self.next_ttid += 4;
            Work { number: self.next_ttid, ..Work::default() }
        });
        let is_known =
            work.stored.contains_key(&of) || work.pending.values().any(|(other, _)| *other == of);
        if work.vote.is_none() && !is_known {
            Self::post(&mut self.world, *peer, work, of, based_on);
        }
    }

    fn post(world: &mut World, peer: PeerId, work: &mut Work, of: u64, based_on: u64) {
        let data = Self::data(work.number, of);
        let message = store(ttid(work.number), oid(of), tid(based_on), &data);
        let token = world.post(peer, &message);
        work.pending.insert(token, (of, based_on));
    }

    fn take_answers(&mut self, index: usize) {
        let (peer, Some(work)) = &mut self.clients[index] else { return };
        let peer = *peer;
        for said in self.world.said(peer) {
            let Message::NotifyDeadlock { ttid: asked, oid: of } = said else { panic!("{said:?}") };
            // One that has all its answers may ignore it.
            let busy = !work.pending.is_empty() || work.vote.is_none();
            if asked == ttid(work.number) && work.stored.contains_key(&of.get()) && busy {
                let relock = Message::AskRelockObject { ttid: asked, oid: of };
                let token = self.world.post(peer, &relock);
                work.relocks.insert(token, of.get());
            }
        }
        for (token, (of, based_on)) in work.pending.clone() {
            let Some(answer) = self.world.answer(peer, token) else { continue };
            work.pending.remove(&token);
            match answer {
                Message::AnswerStoreObject { conflict: None } => {
                    work.stored.insert(of, based_on);
                }
                Message::AnswerStoreObject { conflict: Some(newer) } => {
                    assert!(newer > tid(based_on), "{newer} is no newer than {based_on}");
                    Self::post(&mut self.world, peer, work, of, newer.get());
                }
                other => panic!("{other:?}"),
            }
        }
        for (token, of) in work.relocks.clone() {
            let Some(answer) = self.world.answer(peer, token) else { continue };
            work.relocks.remove(&token);
            let Message::AnswerRelockObject { conflict } = answer else { panic!("{answer:?}") };
            if let Some(conflict) = conflict {
                let based_on = work.stored.remove(&of).expect("it was stored");
                assert_eq!(conflict.serial, tid(based_on));
                let data = conflict.data.expect("the data comes back").data.bytes;
                assert_eq!(data, Self::data(work.number, of));
                let newer = conflict.conflict_serial.get();
                Self::post(&mut self.world, peer, work, of, newer);
            }
        }
    }

    fn vote(&mut self, index: usize) {
        let (peer, Some(work)) = &mut self.clients[index] else { return };
        if !work.pending.is_empty() || !work.relocks.is_empty() || work.stored.is_empty() {
            return;
        }
        let oids: Vec<_> = work.stored.keys().map(|of| oid(*of)).collect();
        let answer = self.world.ask(*peer, &vote(ttid(work.number), &oids));
        assert_eq!(answer, Message::AnswerStoreTransaction {});
        self.voted.push((work.number, std::mem::take(&mut work.stored)));
        self.clients[index].1 = None;
    }

    fn lock(&mut self) {
        if self.voted.is_empty() {
            return;
        }
        let (number, stored) = self.voted.remove(0);
        self.next_tid += 4;
        self.world.lock_one(number, self.next_tid);
        for (of, based_on) in stored {
            let before = self.newest.insert(of, (self.next_tid, number));
            let before = before.map_or(0, |(serial, _)| serial);
            assert_eq!(based_on, before, "{number} lost an update of {of}");
        }
        self.locked.push(number);
        self.tids.insert(number, self.next_tid);
        self.commits += 1;
    }

    fn unlock(&mut self) {
        if !self.locked.is_empty() {
            let number = self.locked.remove(0);
            self.world.unlock_one(number);
        }
    }

    fn abort(&mut self, index: usize) {
        let (peer, work) = &mut self.clients[index];
        if let Some(work) = work.take() {
            let abort = Message::AbortTransaction { ttid: ttid(work.number), nids: Vec::new() };
            self.world.notify(*peer, &abort);
            self.world.said(*peer);
        }
    }

    fn cut(&mut self, index: usize) {
        let (peer, _) = self.clients[index];
        self.world.cut(peer);
        self.clients[index] = (self.world.client(), None);
    }

    fn lose_master(&mut self) {
        let master = self.world.master();
        self.world.cut(master);
        self.recover();
    }

    fn crash(&mut self) {
        let disk = self.world.disk.crash_image(self.random.next_u64());
        self.world = slow(World::reopen(disk));
        self.recover();
    }

    /// What has a tid is committed, the rest of what was voted is dropped.
    fn recover(&mut self) {
        self.world.join();
        self.world.send_table(1, rows(CellState::UpToDate));
        let answer = self.world.ask_master(&Message::AskLockedTransactions {});
        let Message::AnswerLockedTransactions { transactions } = answer else {
            panic!("{answer:?}")
        };
        for (number, found) in transactions.0 {
            let decided = self.tids.get(&number.get()).map(|as_tid| tid(*as_tid));
            assert!(found.is_none() || found == decided, "{number} has another tid");
            if let Some(decided) = decided {
                self.world.tell(&Message::ValidateTransaction { ttid: number, tid: decided });
            }
        }
        self.world.ask_master(&Message::AskLastIDs {});
        self.world.start();
        self.voted.clear();
        self.locked.clear();
        let clients = (0..CLIENTS).map(|_| (self.world.client(), None)).collect();
        self.clients = clients;
    }

    /// Ends everything, and looks at what is left.
    fn end(mut self) -> u32 {
        for index in 0..CLIENTS {
            self.abort(index);
        }
        while !self.voted.is_empty() || !self.locked.is_empty() {
            self.lock();
            self.unlock();
        }
        let client = self.world.client();
        for of in 0..OBJECTS {
            let expected = self.newest.get(&of);
            let expected = expected.map(|(serial, number)| (*serial, Self::data(*number, of)));
            assert_eq!(self.world.newest(client, of), expected);
        }
        // R10: nothing is locked any more.
        self.next_ttid += 4;
        let at = ttid(self.next_ttid);
        for of in 0..OBJECTS {
            let based_on = self.newest.get(&of).map_or(0, |(serial, _)| *serial);
            let answer = self.world.ask(client, &store(at, oid(of), tid(based_on), "last"));
            assert_eq!(answer, Message::AnswerStoreObject { conflict: None });
        }
        self.commits
    }
}

/// The same storage on a disk that takes its time.
fn slow(world: World) -> World {
    let faults = Faults {
        slow_permille: 500,
        short_write_permille: 100,
        miss_permille: 300,
        ..Faults::default()
    };
    let _ = world.disk.clone().with_faults(faults);
    world
}

#[test]
fn r9_r10_no_update_is_lost_and_no_lock_is_left() {
    let mut commits = 0;
    for seed in 0..40 {
        let mut chaos = Chaos::new(seed);
        for _ in 0..1000 {
            chaos.step();
        }
        commits += chaos.end();
    }
    assert!(commits > 500, "only {commits} commits");
}
