//! Who drives the machine: the thread that waits for something, so that what it asks for costs it
//! no change of threads.
//!
//! - Whoever asks puts it in a queue and tries to get the driver. If it does, it *leads*: it drives
//!   until its own reply is there, and carries out what others put in the queue meanwhile.
//! - If another thread leads, that one is woken to look at the queue, and who asks *follows*: it
//!   waits for its reply, or until the leader leaves and rings for it to lead.
//! - While nobody waits for anything, a thread of the session's own watches the sockets, without
//!   the driver, and takes the driver when something comes. While others come and go it does not
//!   even watch, but looks every [`GRACE`] whether they still do. What comes in between waits so
//!   long. Nothing depends on it: whoever wants to know what is committed asks.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, TryLockError};
use std::thread::{self, Thread};
use std::time::Duration;

use net::{Machine as _, Waker, Watch};

use super::driver::{Command, Driver, Reply};
use super::mailbox::{Bell, Mail, Mailbox, mailbox};
use crate::cache::Cache;
use crate::error::Error;
use crate::request::{Answer, Request};

/// How long the session's own thread leaves everything to those who come and go.
const GRACE: Duration = Duration::from_millis(1);
/// Nothing is to be done at any time, or nobody watches: as nanoseconds of the monotonic clock.
const NEVER: u64 = u64::MAX;
const AT_ONCE: u64 = 0;

/// What all who use a session share.
pub(super) struct Shared {
    pub(super) last_tid: Arc<AtomicU64>,
    pub(super) cache: Option<Arc<Cache>>,
    /// `None` when it has ended.
    driver: Mutex<Option<Driver>>,
    commands: Mutex<VecDeque<Command>>,
    followers: Mutex<VecDeque<Bell>>,
    /// How often a thread that waited led.
    turns: AtomicU64,
    /// Until when the session's thread sleeps on the sockets; [`AT_ONCE`] if it does not.
    sleeps_until: AtomicU64,
    /// The session's own thread, and whether it sleeps until a leader leaves.
    watcher: OnceLock<Thread>,
    awaits_leader: AtomicBool,
    waker: Waker,
}

/// What who leads has. If it panics the session is over, for all.
struct Lead<'a> {
    shared: &'a Shared,
    driver: Option<MutexGuard<'a, Option<Driver>>>,
    /// The thread was unwinding before: it only ends something that it has of the session.
    is_unwinding: bool,
}

impl Shared {
    pub(super) fn new(driver: Driver) -> Self {
        Self {
            last_tid: Arc::clone(&driver.last_tid),
            cache: driver.client.cache.clone(),
            commands: Mutex::default(),
            followers: Mutex::default(),
            turns: AtomicU64::new(0),
            sleeps_until: AtomicU64::new(AT_ONCE),
            watcher: OnceLock::new(),
            awaits_leader: AtomicBool::new(false),
            waker: driver.event_loop.waker(),
            driver: Mutex::new(Some(driver)),
        }
    }

    /// Has a request carried out that is not part of a transaction that has begun.
    pub(super) fn request(&self, request: Request) -> Result<Answer, Error> {
        let mailbox = self.submit_later(request);
        match self.wait(&mailbox)? {
            Reply::Done(result) => result,
            Reply::Conflict(conflict) => unreachable!("nobody expects {conflict:?} here"),
        }
    }

    /// Hands in a request, which is sent at once.
    pub(super) fn submit(&self, request: Request) -> Mailbox {
        let (reply, mailbox) = mailbox();
        self.command(Command::Submit { request, reply });
        mailbox
    }

    /// Hands in a request, which is sent when it, or anything after it, is waited for.
    pub(super) fn submit_later(&self, request: Request) -> Mailbox {
        let (reply, mailbox) = mailbox();
        lock(&self.commands).push_back(Command::Submit { request, reply });
        mailbox
    }

    /// Has something done without waiting for it.
    pub(super) fn command(&self, command: Command) {
        lock(&self.commands).push_back(command);
        fence(Ordering::SeqCst);
        match self.try_lead() {
            Some(mut lead) => {
                lead.carry_out();
                self.leave(lead);
            }
            None => self.waker.wake(),
        }
    }

    /// Waits for the next reply.
    pub(super) fn wait(&self, mailbox: &Mailbox) -> Result<Reply, Error> {
        loop {
            match mailbox.take() {
                Mail::Reply(reply) => return Ok(reply),
                Mail::Closed => return Err(Error::Closed),
                Mail::Nothing => {}
            }
            match self.try_lead() {
                Some(lead) => self.lead(lead, mailbox),
                None => self.follow(mailbox),
            }
        }
    }

    /// Watches for what comes while nobody waits for anything, until the session has ended.
    pub(super) fn watch(&self, mut watch: Watch) {
        let _ = self.watcher.set(thread::current());
        let mut seen = self.turns.load(Ordering::SeqCst);
        loop {
            let turns = self.turns.load(Ordering::SeqCst);
            if seen != turns {
                seen = turns;
                thread::park_timeout(GRACE);
                continue;
            }
            let Some(mut lead) = self.try_lead() else {
                self.sleep_until_left();
                continue;
            };
            lead.turn(Some(Duration::ZERO));
            lead.carry_out();
            lead.flush();
            if lead.has_ended() {
                lead.finish();
                drop(lead);
                return self.pass_on();
            }
            let until = lead.deadline();
            // Before anybody else can lead, who has to know.
            self.sleeps_until.store(until, Ordering::SeqCst);
            drop(lead);
            self.pass_on();
            let now = nanoseconds(net::now().monotonic);
            let wait = Duration::from_nanos(until.saturating_sub(now));
            watch.wait((until != NEVER).then_some(wait));
            self.sleeps_until.store(AT_ONCE, Ordering::SeqCst);
        }
    }

    /// Drives until there is something in a mailbox.
    fn lead(&self, mut lead: Lead<'_>, mailbox: &Mailbox) {
        lead.carry_out();
        while mailbox.is_empty() && !lead.has_ended() {
            lead.turn(None);
            lead.carry_out();
        }
        self.turns.fetch_add(1, Ordering::SeqCst);
        self.leave(lead);
    }

    /// Waits until there is something in a mailbox, or nobody leads any more.
    fn follow(&self, mailbox: &Mailbox) {
        lock(&self.followers).push_back(mailbox.bell());
        fence(Ordering::SeqCst);
        if let Some(lead) = self.try_lead() {
            self.unfollow(mailbox);
            return self.lead(lead, mailbox);
        }
        if !lock(&self.commands).is_empty() {
            self.waker.wake();
        }
        mailbox.wait();
        self.unfollow(mailbox);
    }

    fn unfollow(&self, mailbox: &Mailbox) {
        let mut followers = lock(&self.followers);
        if let Some(place) = followers.iter().position(|bell| bell.is_of(mailbox)) {
            followers.remove(place);
        }
    }

    fn leave(&self, mut lead: Lead<'_>) {
        lead.flush();
        let until = lead.deadline();
        drop(lead);
        if until < self.sleeps_until.load(Ordering::SeqCst) {
            self.waker.wake();
        }
        self.pass_on();
        self.wake_watcher();
    }

    /// Nobody leads any more.
    fn wake_watcher(&self) {
        if self.awaits_leader.swap(false, Ordering::SeqCst)
            && let Some(watcher) = self.watcher.get()
        {
            watcher.unpark();
        }
    }

    /// Has somebody else lead who waits, and what is in the queue carried out.
    fn pass_on(&self) {
        loop {
            fence(Ordering::SeqCst);
            // Who has something in its mailbox has it from somebody who led since, and passed on.
            let next = lock(&self.followers).pop_front();
            if let Some(bell) = next {
                match bell.ring() {
                    true => return,
                    false => continue,
                }
            }
            if lock(&self.commands).is_empty() {
                return;
            }
            // Who leads carries it out.
            let Some(mut lead) = self.try_lead() else { return };
            lead.carry_out();
            lead.flush();
        }
    }

    fn sleep_until_left(&self) {
        self.awaits_leader.store(true, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        if self.try_lead().is_none() {
            thread::park();
        }
    }

    fn try_lead(&self) -> Option<Lead<'_>> {
        let driver = match self.driver.try_lock() {
            Ok(driver) => driver,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        let is_unwinding = thread::panicking();
        Some(Lead { shared: self, driver: Some(driver), is_unwinding })
    }
}

impl Lead<'_> {
    fn driver(&mut self) -> Option<&mut Driver> {
        self.driver.as_deref_mut().and_then(Option::as_mut)
    }

    /// Carries out what is in the queue, and hands over what came of it. What comes after the end
    /// is dropped, which tells who asks for it.
    fn carry_out(&mut self) {
        let shared = self.shared;
        let Some(driver) = self.driver() else { return lock(&shared.commands).clear() };
        loop {
            let Some(command) = lock(&shared.commands).pop_front() else { break };
            driver.carry_out(command);
        }
        driver.deliver();
    }

    fn turn(&mut self, wait_max: Option<Duration>) {
        if let Some(driver) = self.driver() {
            driver.event_loop.pause_busy_poll(!driver.awaits_one_answer());
            driver.event_loop.turn(&mut driver.client, wait_max);
        }
    }

    fn flush(&mut self) {
        if let Some(Driver { event_loop, client, .. }) = self.driver() {
            event_loop.flush(client);
        }
    }

    /// When there is something to do, if nothing happens before.
    fn deadline(&mut self) -> u64 {
        let Some(Driver { event_loop, client, .. }) = self.driver() else { return AT_ONCE };
        match client.exit() {
            Some(()) => AT_ONCE,
            None => event_loop.deadline(client).map_or(NEVER, nanoseconds),
        }
    }

    fn has_ended(&mut self) -> bool {
        self.driver().is_none_or(|driver| driver.client.exit().is_some())
    }

    /// Sends what is to be sent, and ends.
    fn finish(&mut self) {
        if let Some(Driver { event_loop, client, .. }) = self.driver() {
            net::drive(event_loop, client);
        }
        self.end();
    }

    fn end(&mut self) {
        if let Some(driver) = &mut self.driver {
            **driver = None;
        }
    }
}

impl Drop for Lead<'_> {
    fn drop(&mut self) {
        if thread::panicking() && !self.is_unwinding {
            self.end();
            self.driver = None;
            self.shared.waker.wake();
            self.shared.pass_on();
            self.shared.wake_watcher();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn nanoseconds(moment: Duration) -> u64 {
    u64::try_from(moment.as_nanos()).unwrap_or(NEVER - 1)
}
