//! A whole cluster in one process: every node a thread of its own, with real sockets and files, and
//! sessions that do what clients do.

#[path = "../../client/examples/exercise/scenarios.rs"]
mod scenarios;
#[path = "../../client/examples/exercise/shared.rs"]
mod shared;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use client::{ClientOptions, Session};
use engine::disk::{Directory, DirectoryOptions, Disk};
use engine::{Engine, MetadataEdit, MetadataKey, Options, Worker};
use master::{Master, MasterOptions};
use model::{Now, PartitionCount};
use net::{Address, Event, EventLoop, Links, Machine, Waker};
use storaged::{Storage, StorageOptions};
use tempfile::TempDir;

const NAME: &str = "threads";
const RECONNECT_DELAY: Duration = Duration::from_millis(10);

/// A machine that ends when it is told to.
struct Stoppable<M> {
    machine: M,
    stop: Arc<AtomicBool>,
}

impl<M: Machine> Machine for Stoppable<M> {
    type Context = M::Context;
    type Exit = ();

    fn handle(&mut self, now: Now, event: Event) {
        self.machine.handle(now, event);
    }

    fn links(&mut self) -> &mut Links<Self::Context> {
        self.machine.links()
    }

    fn deadline(&self) -> Option<Duration> {
        self.machine.deadline()
    }

    fn exit(&mut self) -> Option<()> {
        (self.stop.load(Ordering::Acquire) || self.machine.exit().is_some()).then_some(())
    }
}

/// A node that runs.
struct Running {
    stop: Arc<AtomicBool>,
    waker: Waker,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    /// Runs the machine that `open` makes. It is made by the thread that runs it, to which its disk
    /// belongs.
    fn start<M: Machine>(
        mut event_loop: EventLoop,
        open: impl FnOnce(&mut EventLoop) -> M + Send + 'static,
    ) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let waker = event_loop.waker();
        let told = stop.clone();
        let thread = std::thread::spawn(move || {
            let mut stoppable = Stoppable { machine: open(&mut event_loop), stop: told };
            net::drive(&mut event_loop, &mut stoppable);
        });
        Self { stop, waker, thread: Some(thread) }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        self.waker.wake();
        let ended = self.thread.take().expect("it was started").join();
        assert!(ended.is_ok() || std::thread::panicking(), "a node panicked");
    }
}

/// A cluster: a master that remembers nothing, and storages with a directory each.
struct Cluster {
    /// Storages last: the master should not see them go.
    nodes: Vec<Running>,
    master: Address,
    _directories: Vec<TempDir>,
}

fn listen() -> (EventLoop, Address) {
    let mut event_loop = EventLoop::new().expect("there is an event loop");
    let any = Address { host: "127.0.0.1".to_owned(), port: 0 };
    let address = event_loop.listen(&any).expect("there is a port");
    (event_loop, address)
}

impl Cluster {
    fn start(storages: u32, replicas: u32, partitions: u32) -> Self {
        let (event_loop, master) = listen();
        let options = MasterOptions {
            cluster: Some(NAME.to_owned()),
            address: master.clone(),
            masters: vec![master.clone()],
            partitions: PartitionCount::new(partitions).expect("so many are possible"),
            replicas,
            autostart: Some(storages),
            nid: None,
            reconnect_delay: RECONNECT_DELAY,
            seed: 1,
        };
        let open = move |_: &mut EventLoop| {
            Master::open(options, None, net::now()).expect("nothing is in its way")
        };
        let mut nodes = vec![Running::start(event_loop, open)];
        let mut directories = Vec::new();
        for number in 0..storages {
            let directory = TempDir::new().expect("there is room");
            nodes.push(start_storage(&directory, &master, number));
            directories.push(directory);
        }
        Self { nodes, master, _directories: directories }
    }

    fn options(&self) -> ClientOptions {
        ClientOptions {
            reconnect_delay: RECONNECT_DELAY,
            ..ClientOptions::new(NAME, vec![self.master.clone()])
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        while let Some(node) = self.nodes.pop() {
            drop(node);
        }
    }
}

fn start_storage(directory: &TempDir, master: &Address, number: u32) -> Running {
    let path = directory.path().join("database");
    let (event_loop, address) = listen();
    let options = StorageOptions {
        cluster: NAME.to_owned(),
        address,
        masters: vec![master.clone()],
        nid: None,
        device_path: vec![number.to_string()],
        new_nid: false,
        disable_pack: false,
        disable_drop_partitions: false,
        reconnect_delay: RECONNECT_DELAY,
    };
    Running::start(event_loop, move |event_loop| {
        let storage = Storage::open(options, create_database(&path, number), net::now());
        let mut storage = storage.expect("the database is whole");
        storage.set_background(Box::new(Worker::start().expect("there is a thread")));
        for descriptor in storage.descriptors() {
            event_loop.watch(descriptor).expect("it can be watched");
        }
        storage
    })
}

fn create_database(path: &Path, number: u32) -> Engine {
    let disk = Directory::open(path, engine::disk::OpenMode::Create, DirectoryOptions::default());
    let disk: Arc<dyn Disk> = Arc::new(disk.expect("the directory is new"));
    let name = MetadataEdit::set(MetadataKey::ClusterName, NAME.as_bytes());
    let id = [u8::try_from(number).expect("few storages"); 16];
    Engine::create(disk, Options::default(), id, vec![name]).expect("it is new")
}

fn exercise(cluster: &Cluster, cache_bytes: u64) {
    let options = ClientOptions { cache_bytes, ..cluster.options() };
    for (name, scenario) in scenarios::ALL {
        println!("{name}");
        let session = Session::open_with(options.clone()).expect("the cluster is there");
        scenario(&session, &options);
        session.close();
    }
}

#[test]
fn one_storage_serves_clients() {
    exercise(&Cluster::start(1, 0, 1), 0);
}

#[test]
fn two_storages_with_a_replica_serve_clients_with_a_cache() {
    exercise(&Cluster::start(2, 1, 12), 1 << 20);
}

#[test]
fn three_storages_without_replicas_serve_clients() {
    exercise(&Cluster::start(3, 0, 7), 0);
}

#[test]
fn a_thread_that_waits_for_one_answer_stays_awake() {
    const CALLS: u64 = 200;
    let cluster = Cluster::start(1, 0, 1);
    let options = ClientOptions { busy_poll: Duration::from_secs(60), ..cluster.options() };
    let session = Session::open_with(options).expect("the cluster is there");
    let before = sleeps();
    for _ in 0..CALLS {
        session.ask_last_tid().expect("the master answers");
    }
    let slept = sleeps() - before;
    // The session's own thread may be in the way. One that sleeps does so almost each time, or half
    // of them where the processors are busy.
    assert!(slept < CALLS / 10, "{slept} times in {CALLS} calls");
    session.close();
}

/// How often this thread had to wait for something.
#[expect(clippy::disallowed_methods, reason = "it is no file of a database")]
fn sleeps() -> u64 {
    let status = std::fs::read_to_string("/proc/thread-self/status").expect("the system tells");
    let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
    line.and_then(|number| number.trim().parse().ok()).expect("the system counts them")
}
