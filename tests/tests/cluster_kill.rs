//! Real processes on loopback: whatever is killed, stopped or cut off at whatever step of a commit,
//! what was acknowledged is there, what was refused is not, and no money is lost or made.
//!
//! Steps are reached by watching: nodes write in their log what they did, and a node that is
//! stopped holds up a commit for as long as wanted.

#![expect(clippy::disallowed_methods, reason = "tests make their own directories")]

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use client::{ClientOptions, Error, Metadata, Payload, Session, Trouble};
use model::{Oid, Random, Tid, Ttid};
use net::Address;
use tempfile::TempDir;
use tests::{Daemon, command, succeed};

const NAME: &str = "kill";
/// What each account begins with.
const BALANCE: u64 = 100;
const ACCOUNTS: u64 = 4;

/// A node that can be killed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Victim {
    Master,
    /// By its number, from 0.
    Storage(usize),
}

const VICTIMS: [Victim; 3] = [Victim::Master, Victim::Storage(0), Victim::Storage(1)];

/// A master that keeps a log, and two storages.
struct Cluster {
    storages: Vec<Option<Daemon>>,
    master: Option<Daemon>,
    address: String,
    replicas: u32,
    has_started: bool,
    directory: TempDir,
}

impl Cluster {
    /// A new one that serves, with its accounts.
    fn start(replicas: u32) -> Self {
        let mut cluster = Self {
            storages: vec![None, None],
            master: None,
            address: String::from("127.0.0.1:0"),
            replicas,
            has_started: false,
            directory: TempDir::new().expect("there is room"),
        };
        cluster.start_master();
        cluster.start_storage(0);
        cluster.start_storage(1);
        cluster.has_started = true;
        let session = cluster.session();
        let mut transaction = session.begin().expect("it serves");
        for oid in 1..=ACCOUNTS {
            transaction.store(Oid::new(oid), Tid::ZERO, balance(BALANCE)).expect("it serves");
        }
        transaction.commit(Metadata::default()).expect("it serves");
        session.close();
        cluster
    }

    fn start_node(&self, arguments: &[&str]) -> Daemon {
        let mut command = command(&[]);
        command.args(arguments).args(["--cluster", NAME, "--reconnect-delay", "0.01"]);
        // Nodes end with this process, whatever ends it.
        command.arg("--exit-with-parent").stdin(Stdio::piped());
        command.env("NEOLITH_LOG", "storaged=debug,master=debug,neolith=debug,info");
        Daemon::spawn(command)
    }

    fn path(&self, name: &str) -> String {
        self.directory.path().join(name).to_str().expect("it is text").to_owned()
    }

    fn start_master(&mut self) {
        let (data, replicas) = (self.path("master"), self.replicas.to_string());
        let arguments = ["master", "--bind", &self.address, "--data", &data];
        let database = ["--partitions", "2", "--replicas", &replicas, "--autostart", "2"];
        let mut master = self.start_node(&[&arguments[..], &database[..]].concat());
        self.address = master.listening();
        self.master = Some(master);
    }

    fn start_storage(&mut self, number: usize) {
        let path = self.path(&format!("storage{number}"));
        let arguments = ["--bind", "127.0.0.1:0", "--masters", &self.address, "--database", &path];
        let mut storage = self.start_node(&[&["storaged"], &arguments[..]].concat());
        storage.listening();
        if !self.has_started {
            // The first one that comes is S1.
            storage.wait_for(&["joined a cluster"]);
        }
        self.storages[number] = Some(storage);
    }

    fn node(&mut self, victim: Victim) -> &mut Daemon {
        let node = match victim {
            Victim::Master => &mut self.master,
            Victim::Storage(number) => &mut self.storages[number],
        };
        node.as_mut().expect("it was started")
    }

    /// kill -9. The node is gone when this returns.
    fn kill(&mut self, victim: Victim) {
        match victim {
            Victim::Master => drop(self.master.take()),
            Victim::Storage(number) => drop(self.storages[number].take()),
        }
    }

    /// Starts what does not run.
    fn start_missing(&mut self) {
        if self.master.is_none() {
            self.start_master();
        }
        for number in 0..self.storages.len() {
            if self.storages[number].is_none() {
                self.start_storage(number);
            }
        }
    }

    /// The storage that keeps the metadata of a transaction, or one of them: S1 has the first of
    /// two partitions, S2 the other one.
    fn keeper(&self, ttid: Ttid) -> usize {
        usize::from(ttid.get() % 2 == 1)
    }

    fn options(&self) -> ClientOptions {
        let masters = vec![self.address.parse().expect("an address")];
        let reconnect_delay = Duration::from_millis(10);
        ClientOptions { reconnect_delay, ..ClientOptions::new(NAME, masters) }
    }

    fn session(&self) -> Session {
        Session::open_with(self.options()).expect("the cluster is found")
    }

    /// The accounts as they are now. Waits until the cluster serves.
    fn balances(&self) -> Vec<(u64, Tid)> {
        let session = self.session();
        session.synchronize().expect("the cluster is found");
        let load = |oid| loop {
            match session.load(Oid::new(oid)) {
                Ok(object) => return (amount(&object.data), object.serial),
                // A storage is not back yet.
                Err(error) if error.trouble() == Trouble::Network => {}
                Err(error) => panic!("account {oid}: {error}"),
            }
        };
        let balances = (1..=ACCOUNTS).map(load).collect();
        session.close();
        balances
    }
}

fn balance(amount: u64) -> Payload {
    Payload::plain(amount.to_be_bytes().to_vec())
}

fn amount(data: &Option<Payload>) -> u64 {
    let payload = data.as_ref().expect("accounts are never deleted");
    let bytes = payload.bytes().expect("it is not compressed");
    u64::from_be_bytes(bytes[..].try_into().expect("8 bytes"))
}

/// Where a transfer is when somebody is killed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Step {
    /// It has begun.
    Begun,
    /// Its data is sent.
    Stored,
    /// One storage has voted.
    Voting,
    /// Everything is durable.
    Voted,
    /// One storage has locked, the other one does not answer.
    Locking,
    /// The client was told that it is committed.
    Finished,
}

const STEPS: [Step; 6] =
    [Step::Begun, Step::Stored, Step::Voting, Step::Voted, Step::Locking, Step::Finished];

/// A commit in which `victim` is killed at a step, and started again. What came of it.
fn transfer(
    cluster: &mut Cluster,
    session: &Session,
    step: Step,
    victim: Victim,
) -> Result<Tid, Error> {
    let accounts = cluster.balances();
    let mut transaction = session.begin()?;
    let kill_at = |cluster: &mut Cluster, at: Step| {
        if at == step {
            cluster.kill(victim);
            cluster.start_missing();
        }
    };
    kill_at(cluster, Step::Begun);
    let [(from, from_serial), (to, to_serial)] = [accounts[0], accounts[1]];
    transaction.store(Oid::new(1), from_serial, balance(from - 10))?;
    transaction.store(Oid::new(2), to_serial, balance(to + 10))?;
    kill_at(cluster, Step::Stored);
    let ttid = transaction.ttid();
    let vote = move || transaction.vote(Metadata::default()).map(|_| transaction);
    let transaction = match step == Step::Voting {
        true => {
            // The other storage may have voted as well, or not.
            let voting = thread::spawn(vote);
            let keeper = Victim::Storage(cluster.keeper(ttid));
            cluster.node(keeper).wait_for(&["voted", &ttid.to_string()]);
            cluster.kill(victim);
            cluster.start_missing();
            voting.join().expect("it does not panic")?
        }
        false => vote()?,
    };
    kill_at(cluster, Step::Voted);
    let finish = move || transaction.finish();
    let result = match step == Step::Locking {
        true => held_up(cluster, ttid, victim, finish),
        false => finish(),
    };
    kill_at(cluster, Step::Finished);
    result
}

/// Finishes a transaction while one storage is stopped, so that only the other one locks it; then
/// kills somebody and lets the rest go on.
fn held_up<T: Send + 'static>(
    cluster: &mut Cluster,
    ttid: Ttid,
    victim: Victim,
    act: impl FnOnce() -> T + Send + 'static,
) -> T {
    // The one that keeps the metadata is not the one that is stopped.
    let keeper = cluster.keeper(ttid);
    let held = Victim::Storage(1 - keeper);
    cluster.node(held).signal("STOP");
    let acting = thread::spawn(act);
    cluster.node(Victim::Storage(keeper)).wait_for(&["locked", &ttid.to_string()]);
    cluster.kill(victim);
    if held != victim {
        cluster.node(held).signal("CONT");
    }
    cluster.start_missing();
    acting.join().expect("it does not panic")
}

/// Looks at the accounts after a transfer.
fn check(cluster: &Cluster, result: &Result<Tid, Error>, before: &[(u64, Tid)], what: &str) {
    let after = cluster.balances();
    let total: u64 = after.iter().map(|(amount, _)| amount).sum();
    assert_eq!(total, ACCOUNTS * BALANCE, "{what}: {result:?}");
    assert_eq!(after[0].1 == before[0].1, after[1].1 == before[1].1, "{what}: all or nothing");
    match result {
        Ok(tid) => assert_eq!((after[0].1, after[1].1), (*tid, *tid), "{what}"),
        Err(Error::OutcomeUnknown { .. }) => {}
        Err(error) => {
            assert_eq!(error.trouble(), Trouble::Network, "{what}: {error}");
            assert_eq!(after, before, "{what}: {error}");
        }
    }
}

fn kill_each_at_each_step(replicas: u32) {
    for victim in VICTIMS {
        for step in STEPS {
            let what = format!("{victim:?} killed at {step:?}, {replicas} replicas");
            let mut cluster = Cluster::start(replicas);
            let before = cluster.balances();
            let session = cluster.session();
            let result = transfer(&mut cluster, &session, step, victim);
            println!("{what}: {result:?}");
            check(&cluster, &result, &before, &what);
            // What one storage has locked is committed (rule R2).
            if matches!(step, Step::Locking | Step::Finished) {
                assert!(result.is_ok(), "{what}: {result:?}");
            }
            // The cluster goes on.
            let again = transfer(&mut cluster, &session, Step::Finished, victim);
            assert!(again.is_ok(), "{what}: {again:?}");
        }
    }
}

#[test]
fn nodes_are_killed_at_each_step_of_a_commit() {
    kill_each_at_each_step(0);
}

#[test]
fn nodes_are_killed_at_each_step_of_a_commit_with_a_replica() {
    kill_each_at_each_step(1);
}

/// All nodes are killed while a commit is in doubt.
#[test]
fn a_transaction_in_doubt_is_committed_if_one_storage_knows_its_tid() {
    let mut cluster = Cluster::start(0);
    let (before, session) = (cluster.balances(), cluster.session());
    let transaction = voted(&session, &before);
    let ttid = transaction.ttid();
    let keeper = cluster.keeper(ttid);
    cluster.node(Victim::Storage(1 - keeper)).signal("STOP");
    let finishing = thread::spawn(move || transaction.finish());
    cluster.node(Victim::Storage(keeper)).wait_for(&["locked", &ttid.to_string()]);
    VICTIMS.into_iter().for_each(|victim| cluster.kill(victim));
    cluster.start_missing();
    cluster.node(Victim::Master).wait_for(&["completing a commit"]);
    let result = finishing.join().expect("it does not panic");
    assert!(result.is_ok(), "{result:?}");
    check(&cluster, &result, &before, "in doubt");
}

#[test]
fn a_transaction_in_doubt_is_dropped_if_nobody_knows_a_tid() {
    let mut cluster = Cluster::start(0);
    let (before, session) = (cluster.balances(), cluster.session());
    let transaction = voted(&session, &before);
    // It never hears that the transaction is to be finished.
    cluster.node(Victim::Master).signal("STOP");
    let finishing = thread::spawn(move || transaction.finish());
    VICTIMS.into_iter().for_each(|victim| cluster.kill(victim));
    cluster.start_missing();
    cluster.node(Victim::Master).wait_for(&["dropping a transaction"]);
    let result = finishing.join().expect("it does not panic");
    // The latter if the master was gone before the client had asked it.
    let is_refused = matches!(result, Err(Error::NotCommitted { .. } | Error::MasterLost { .. }));
    assert!(is_refused, "{result:?}");
    check(&cluster, &result, &before, "in doubt");
}

fn voted(session: &Session, accounts: &[(u64, Tid)]) -> client::Transaction {
    let mut transaction = session.begin().expect("it serves");
    for (oid, change) in [(1, -10), (2, 10)] {
        let (amount, serial) = accounts[usize::from(oid == 2)];
        let data = balance(amount.saturating_add_signed(change));
        transaction.store(Oid::new(oid), serial, data).expect("it serves");
    }
    transaction.vote(Metadata::default()).expect("it serves");
    transaction
}

#[test]
fn a_cluster_that_was_stopped_starts_again() {
    let mut cluster = Cluster::start(1);
    let before = cluster.balances();
    for signal in ["TERM", "KILL"] {
        for victim in VICTIMS {
            cluster.node(victim).signal(signal);
        }
        VICTIMS.into_iter().for_each(|victim| cluster.kill(victim));
        cluster.start_missing();
        assert_eq!(cluster.balances(), before, "after {signal}");
    }
    let mut arguments: Vec<&dyn AsRef<std::ffi::OsStr>> = vec![&"admin", &"--cluster", &NAME];
    let bind = "127.0.0.1:0";
    arguments.extend([&"--bind" as &dyn AsRef<_>, &bind, &"--masters", &cluster.address]);
    let mut admin = Daemon::start(&arguments);
    let address = admin.listening();
    admin.wait_for(&["state=RUNNING"]);
    succeed(&[&"ctl", &"-a", &address, &"set", &"cluster", &"stopping"]);
    let nodes = cluster.storages.iter_mut().map(Option::take).chain([cluster.master.take()]);
    for node in nodes.chain([Some(admin)]).flatten() {
        let ended = node.wait();
        assert_eq!(ended.code, Some(0), "{}", ended.errors);
    }
    cluster.start_missing();
    assert_eq!(cluster.balances(), before, "after an orderly stop");
}

/// What programs were told of their transfers: by name, the tid if it was committed, or whether
/// nobody knows.
type Told = Arc<Mutex<BTreeMap<String, Result<Tid, Error>>>>;

/// Transfers money until told to stop.
fn work(session: &Session, name: &str, told: &Told, stop: &Arc<Mutex<bool>>, seed: u64) {
    let mut random = Random::from_seed(seed);
    for number in 0.. {
        if *stop.lock().expect("nobody panicked") {
            return;
        }
        let name = format!("{name} {number}");
        let result = transfer_some(session, &name, &mut random);
        if let Err(error) = &result {
            let may_be = matches!(error.trouble(), Trouble::Network | Trouble::Conflict);
            assert!(may_be, "{name}: {error}");
        }
        told.lock().expect("nobody panicked").insert(name, result);
    }
}

fn transfer_some(session: &Session, name: &str, random: &mut Random) -> Result<Tid, Error> {
    let from = 1 + random.below(ACCOUNTS);
    let to = 1 + (from + random.below(ACCOUNTS - 1)) % ACCOUNTS;
    let mut transaction = session.begin()?;
    let accounts = [session.load(Oid::new(from))?, session.load(Oid::new(to))?];
    let moved = amount(&accounts[0].data).min(random.below(10));
    let amounts = [amount(&accounts[0].data) - moved, amount(&accounts[1].data) + moved];
    for (account, amount) in accounts.iter().zip(amounts) {
        transaction.store(account.oid, account.serial, balance(amount))?;
    }
    let description = name.to_owned().into();
    transaction.commit(Metadata { description, ..Metadata::default() })
}

/// Programs transfer money meanwhile.
fn while_working(cluster: &mut Cluster, address: &str, act: impl FnOnce(&mut Cluster, &Told)) {
    let (told, stop) = (Told::default(), Arc::new(Mutex::new(false)));
    let masters = vec![address.parse::<Address>().expect("an address")];
    let options = ClientOptions { masters, ..cluster.options() };
    let workers = (1..=3).map(|number| {
        let session = Session::open_with(options.clone()).expect("the cluster is found");
        let (told, stop) = (Arc::clone(&told), Arc::clone(&stop));
        let name = format!("program {number}");
        thread::spawn(move || work(&session, &name, &told, &stop, number))
    });
    let workers: Vec<_> = workers.collect();
    act(cluster, &told);
    cluster.start_missing();
    wait_for_commits(&told, 5);
    *stop.lock().expect("nobody panicked") = true;
    for worker in workers {
        worker.join().expect("it does not panic");
    }
    audit(cluster, &told.lock().expect("nobody panicked"));
}

/// Waits until so many more transfers are committed.
fn wait_for_commits(told: &Told, count: usize) {
    let committed = || {
        let told = told.lock().expect("nobody panicked");
        told.values().filter(|result| result.is_ok()).count()
    };
    let wanted = committed() + count;
    let begin = std::time::Instant::now();
    while committed() < wanted {
        assert!(begin.elapsed() < Duration::from_secs(60), "no commits any more");
        thread::yield_now();
    }
}

/// Compares all that was committed with what programs were told.
fn audit(cluster: &Cluster, told: &BTreeMap<String, Result<Tid, Error>>) {
    let session = cluster.session();
    session.synchronize().expect("the cluster is found");
    let transactions = session.transactions(Tid::ZERO, None);
    let transactions: Vec<_> = transactions.map(|found| found.expect("it serves")).collect();
    let name = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let found: BTreeMap<String, Tid> =
        transactions.iter().map(|found| (name(&found.metadata.description), found.tid)).collect();
    assert_eq!(found.len(), transactions.len(), "nothing is committed twice");
    for (name, result) in told {
        match result {
            Ok(tid) => assert_eq!(found.get(name), Some(tid), "{name} is there"),
            Err(Error::OutcomeUnknown { .. }) => {}
            Err(error) => assert_eq!(found.get(name), None, "{name}: {error}"),
        }
    }
    for transaction in &transactions {
        let before = Tid::new(transaction.tid.get() + 1);
        let load = |oid| session.load_before(Oid::new(oid), before).expect("it serves");
        let total: u64 = (1..=ACCOUNTS).map(|oid| amount(&load(oid).data)).sum();
        assert_eq!(total, ACCOUNTS * BALANCE, "as of {}", transaction.tid);
    }
    session.close();
}

#[test]
fn programs_go_on_while_nodes_are_killed() {
    for replicas in [0, 1] {
        let mut cluster = Cluster::start(replicas);
        let address = cluster.address.clone();
        while_working(&mut cluster, &address, |cluster, told| {
            let mut random = Random::from_seed(u64::from(replicas));
            for _ in 0..8 {
                wait_for_commits(told, 3);
                let victim = *random.choose(&VICTIMS).expect("there are some");
                cluster.kill(victim);
                cluster.start_missing();
            }
        });
    }
}

#[test]
fn programs_go_on_while_nodes_are_stopped_for_a_while() {
    let mut cluster = Cluster::start(1);
    let address = cluster.address.clone();
    while_working(&mut cluster, &address, |cluster, told| {
        for victim in VICTIMS {
            wait_for_commits(told, 3);
            cluster.node(victim).signal("STOP");
            // Another node is killed and comes back while this one does not answer.
            if let Victim::Storage(number) = victim {
                cluster.kill(Victim::Storage(1 - number));
                cluster.start_missing();
            }
            cluster.node(victim).signal("CONT");
        }
    });
}

#[test]
fn programs_go_on_while_connections_break() {
    let mut cluster = Cluster::start(1);
    let relay = Relay::start(&cluster.address);
    let address = relay.address.clone();
    while_working(&mut cluster, &address, |_, told| {
        for _ in 0..10 {
            wait_for_commits(told, 2);
            relay.cut();
        }
    });
}

/// Stands between clients and a master, to break their connections.
struct Relay {
    address: String,
    sockets: Arc<Mutex<Vec<TcpStream>>>,
}

impl Relay {
    fn start(target: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("there is a port");
        let address = listener.local_addr().expect("it is bound").to_string();
        let sockets = Arc::new(Mutex::new(Vec::new()));
        let (target, kept) = (target.to_owned(), Arc::clone(&sockets));
        // It ends with the test.
        thread::spawn(move || {
            for inside in listener.incoming().map_while(Result::ok) {
                let Ok(outside) = TcpStream::connect(&target) else { continue };
                let copy = |socket: &TcpStream| socket.try_clone().expect("descriptors are left");
                kept.lock().expect("nobody panicked").extend([copy(&inside), copy(&outside)]);
                for (source, target) in [(copy(&inside), copy(&outside)), (outside, inside)] {
                    thread::spawn(move || pass_on(source, target));
                }
            }
        });
        Self { address, sockets }
    }

    /// Breaks all connections.
    fn cut(&self) {
        for socket in self.sockets.lock().expect("nobody panicked").drain(..) {
            // It may be gone already.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}

fn pass_on(mut source: TcpStream, mut target: TcpStream) {
    let mut buffer = [0; 4096];
    while let Ok(length @ 1..) = source.read(&mut buffer) {
        if target.write_all(&buffer[..length]).is_err() {
            break;
        }
    }
    let _ = target.shutdown(Shutdown::Both);
}
