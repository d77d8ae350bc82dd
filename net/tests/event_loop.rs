//! Machines over real sockets.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::sync::mpsc::TryRecvError;
use std::time::Duration;

use bytes::Bytes;
use model::{Now, Oid, Tid};
use net::{
    Address, Checksum, CloseReason, Data, Event, EventLoop, HANDSHAKE, Incoming, LinkId, Links,
    Machine, Message,
};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};

/// Answers loads with data of a length that the oid tells, and ends when asked to.
struct Server {
    links: Links<()>,
    ends: bool,
    closed: Vec<CloseReason>,
}

impl Server {
    fn new() -> Self {
        Self { links: Links::new(Duration::ZERO), ends: false, closed: Vec::new() }
    }
}

fn object(oid: Oid, length: u64) -> Message {
    let length = usize::try_from(length).unwrap();
    let data = Bytes::from_iter((0..=250).cycle().take(length));
    Message::AnswerObject {
        oid,
        serial: Tid::MAX,
        next_serial: None,
        compression: Some(0),
        checksum: Checksum::of(&data),
        data: Data::new(data),
        data_serial: None,
    }
}

impl Machine for Server {
    type Context = ();
    type Exit = usize;

    fn handle(&mut self, _now: Now, event: Event) {
        self.links.feed(event);
        while let Some(incoming) = self.links.next() {
            match incoming {
                Incoming::Request { link, id, message: Message::AskObject { oid, .. } } => {
                    self.links.identified(link);
                    self.links.answer(link, id, &object(oid, oid.get()));
                }
                Incoming::Request { link, id, message: Message::AskStoreObject { data, .. } } => {
                    let conflict = Some(Tid::new(data.bytes.len() as u64));
                    self.links.answer(link, id, &Message::AnswerStoreObject { conflict });
                }
                Incoming::Request { link, id, message: Message::AskLastTransaction {} } => {
                    self.links.answer(link, id, &object(Oid::new(1), 5 << 20));
                    self.ends = true;
                }
                Incoming::Closed { reason, .. } => self.closed.push(reason),
                _ => {}
            }
        }
    }

    fn links(&mut self) -> &mut Links<()> {
        &mut self.links
    }

    fn deadline(&self) -> Option<Duration> {
        None
    }

    fn exit(&mut self) -> Option<usize> {
        self.ends.then_some(self.closed.len())
    }
}

/// Loads objects of some lengths, one after the other.
struct Loader {
    links: Links<u64>,
    link: LinkId,
    lengths: Vec<u64>,
    loaded: Vec<u64>,
    closed: Option<CloseReason>,
}

impl Loader {
    fn new(address: &Address, lengths: &[u64]) -> Self {
        let mut links = Links::new(Duration::ZERO);
        let link = links.connect(Duration::ZERO, address);
        links.identified(link);
        let mut lengths = lengths.to_vec();
        lengths.reverse();
        let mut loader = Self { links, link, lengths, loaded: Vec::new(), closed: None };
        loader.ask();
        loader
    }

    fn ask(&mut self) {
        if let Some(length) = self.lengths.pop() {
            let message = Message::AskObject { oid: Oid::new(length), at: None, before: None };
            self.links.ask(self.link, &message, length);
        }
    }
}

impl Machine for Loader {
    type Context = u64;
    type Exit = Vec<u64>;

    fn handle(&mut self, _now: Now, event: Event) {
        self.links.feed(event);
        while let Some(incoming) = self.links.next() {
            match incoming {
                Incoming::Answer { context, message, .. } => {
                    assert_eq!(message, object(Oid::new(context), context));
                    let Message::AnswerObject { data, checksum, .. } = message else { panic!() };
                    assert_eq!(data.checksum(), checksum);
                    self.loaded.push(context);
                    self.ask();
                }
                Incoming::Closed { reason, .. } => self.closed = Some(reason),
                other => panic!("{other:?}"),
            }
        }
    }

    fn links(&mut self) -> &mut Links<u64> {
        &mut self.links
    }

    fn deadline(&self) -> Option<Duration> {
        None
    }

    fn exit(&mut self) -> Option<Vec<u64>> {
        let is_done = self.lengths.is_empty() && self.links.asked(self.link).count() == 0;
        (is_done || self.closed.is_some()).then(|| std::mem::take(&mut self.loaded))
    }
}

/// A server on a thread of its own, at an address.
fn serve(at: &str) -> (Address, std::thread::JoinHandle<usize>) {
    let mut event_loop = EventLoop::new().unwrap();
    let address = event_loop.listen(&at.parse().unwrap()).unwrap();
    let run = move || net::drive(&mut event_loop, &mut Server::new());
    (address, std::thread::spawn(run))
}

fn load(address: &Address, lengths: &[u64]) -> Vec<u64> {
    let mut event_loop = EventLoop::new().unwrap();
    net::drive(&mut event_loop, &mut Loader::new(address, lengths))
}

#[test]
fn objects_of_all_lengths_over_all_kinds_of_addresses() {
    let lengths = [0, 1, 100, 2047, 2048, 4096, 16 << 10, 70_000, 1 << 20, 20 << 20, 5, 300_000];
    for (at, reached) in [
        ("127.0.0.1:0", "127.0.0.1"),
        ("[::1]:0", "::1"),
        ("[::]:0", "127.0.0.1"),
        ("[::]:0", "::1"),
        ("0.0.0.0:0", "localhost"),
    ] {
        let (address, server) = serve(at);
        let reached = Address { host: reached.to_owned(), port: address.port };
        assert_eq!(load(&reached, &lengths), lengths, "{at} by {reached}");
        end(&reached, server);
    }
}

/// Ends a server; what it has still to say comes as a whole.
fn end(address: &Address, server: std::thread::JoinHandle<usize>) {
    let mut stream = TcpStream::connect((address.host.as_str(), address.port)).unwrap();
    stream.write_all(&HANDSHAKE).unwrap();
    stream.write_all(&[0x93, 0, 0x3c, 0x90]).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    assert!(answer.len() > 5 << 20, "{} bytes came", answer.len());
    drop(stream);
    server.join().unwrap();
}

#[test]
fn who_does_not_listen_or_exist_is_told_of() {
    let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for address in [Address::from(unused), "no-such-host.invalid:1".parse().unwrap()] {
        let mut event_loop = EventLoop::new().unwrap();
        let mut loader = Loader::new(&address, &[1]);
        net::drive(&mut event_loop, &mut loader);
        assert!(matches!(loader.closed, Some(CloseReason::Lost(_))), "{:?}", loader.closed);
    }
}

/// Notes what happens to it, and ends at a signal.
struct Watcher {
    links: Links<()>,
    seen: Vec<String>,
    deadline: Option<Duration>,
    ends_after: usize,
}

impl Watcher {
    fn new(ends_after: usize) -> Self {
        let links = Links::new(Duration::ZERO);
        Self { links, seen: Vec::new(), deadline: None, ends_after }
    }
}

impl Machine for Watcher {
    type Context = ();
    type Exit = Vec<String>;

    fn handle(&mut self, now: Now, event: Event) {
        match event {
            Event::Timer => {
                assert!(self.deadline.take().is_some_and(|deadline| deadline <= now.monotonic));
                self.seen.push("Timer".to_owned());
            }
            event => self.seen.push(format!("{event:?}")),
        }
    }

    fn links(&mut self) -> &mut Links<()> {
        &mut self.links
    }

    fn deadline(&self) -> Option<Duration> {
        self.deadline
    }

    fn exit(&mut self) -> Option<Vec<String>> {
        (self.seen.len() >= self.ends_after).then(|| std::mem::take(&mut self.seen))
    }
}

#[test]
fn deadlines_files_signals_and_threads_end_a_wait() {
    let mut event_loop = EventLoop::new().unwrap();
    let (file, mut writer) = std::os::unix::net::UnixStream::pair().unwrap();
    event_loop.watch(file.as_raw_fd()).unwrap();
    event_loop.catch_signals().unwrap();

    let mut watcher = Watcher::new(2);
    let begin = net::now();
    watcher.deadline = Some(begin.monotonic + Duration::from_millis(30));
    while watcher.seen.is_empty() {
        event_loop.turn(&mut watcher, None);
    }
    assert!(net::now().monotonic >= begin.monotonic + Duration::from_millis(30));
    // What was not read is told of again when more comes.
    for _ in 0..2 {
        writer.write_all(b"x").unwrap();
        event_loop.turn(&mut watcher, None);
    }
    assert_eq!(watcher.seen, ["Timer", "Disk", "Disk"]);

    watcher.seen.clear();
    for signal in [SIGHUP, SIGTERM, SIGUSR1, SIGINT] {
        signal_hook::low_level::raise(signal).unwrap();
        event_loop.turn(&mut watcher, None);
    }
    let [flush, terminate] = ["Signal(Flush)", "Signal(Terminate)"];
    assert_eq!(watcher.seen, [flush, terminate, flush, terminate]);

    // Nothing happens: it still comes back when it is told to, from before or from elsewhere.
    watcher.seen.clear();
    event_loop.turn(&mut watcher, Some(Duration::from_millis(5)));
    let waker = event_loop.waker();
    waker.wake();
    event_loop.turn(&mut watcher, None);
    let thread = std::thread::spawn(move || waker.wake());
    event_loop.turn(&mut watcher, None);
    thread.join().unwrap();
    assert_eq!(watcher.seen, [""; 0]);
    let stalls = event_loop.stalls();
    assert_eq!(stalls.events.count(), 7);
    assert!(stalls.turns.quantile(0.5) < Duration::from_millis(1), "{stalls}");
}

#[test]
fn a_loop_that_stays_awake_waits_as_long_as_any_and_does_not_call_it_a_stall() {
    let mut event_loop = EventLoop::new().unwrap();
    event_loop.set_busy_poll(Duration::from_millis(10));
    wait_awake_and_asleep(event_loop);
    let mut event_loop = EventLoop::new().unwrap();
    event_loop.set_busy_poll(Duration::from_millis(10));
    event_loop.pause_busy_poll(true);
    wait_awake_and_asleep(event_loop);
}

#[test]
fn a_thread_that_stays_awake_does_not_sleep_and_one_that_is_paused_does() {
    let mut event_loop = EventLoop::new().unwrap();
    event_loop.set_busy_poll(Duration::from_secs(60));
    let mut server = Server::new();
    for paused in [false, true] {
        event_loop.pause_busy_poll(paused);
        let waker = event_loop.waker();
        let (hold, held) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || {
            assert!(held.recv_timeout(Duration::from_millis(200)).is_err(), "nobody sends");
            waker.wake();
        });
        let before = sleeps();
        event_loop.turn(&mut server, None);
        assert_eq!(sleeps() > before, paused);
        drop(hold);
        thread.join().unwrap();
    }
}

/// How often this thread let others have its processor because it had to wait.
#[expect(clippy::disallowed_methods, reason = "it is no file of a database")]
fn sleeps() -> u64 {
    let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
    line.and_then(|number| number.trim().parse().ok()).expect("the system counts them")
}

fn wait_awake_and_asleep(mut event_loop: EventLoop) {
    let mut server = Server::new();
    let waker = event_loop.waker();
    // Shorter than it stays awake, and longer.
    for wait_max in [2, 30].map(Duration::from_millis) {
        waker.wake();
        event_loop.turn(&mut server, None);
        let begin = net::now().monotonic;
        event_loop.turn(&mut server, Some(wait_max));
        assert!(net::now().monotonic - begin >= wait_max);
    }
    // Something comes while it is awake, or asleep again.
    for pause in [2, 30].map(Duration::from_millis) {
        waker.wake();
        event_loop.turn(&mut server, None);
        let waker = waker.clone();
        let (hold, held) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || {
            assert!(held.recv_timeout(pause).is_err(), "nobody sends");
            waker.wake();
        });
        event_loop.turn(&mut server, None);
        drop(hold);
        thread.join().unwrap();
    }
    let stalls = event_loop.stalls();
    assert_eq!(stalls.turns.count(), 8);
    assert!(stalls.turns.quantile(0.5) < Duration::from_millis(1), "{stalls}");
}

#[test]
fn who_speaks_something_else_is_told_what_is_spoken_here_and_others_go_on() {
    let (address, server) = serve("127.0.0.1:0");
    let strangers: [&[u8]; 5] = [
        b"GET / HTTP/1.1\r\nHost: here\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\x92\xa3NEO\x04",
        b"\x92\xa3NEO\x05\xc1",
        b"\x92\xa3NEO\x05\x93\x00\x01\x92\x01\x02",
    ];
    for bytes in strangers {
        let mut stream = TcpStream::connect(address.to_socket().unwrap()).unwrap();
        stream.write_all(bytes).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("it is closed in good order");
        assert_eq!(answer, HANDSHAKE);
    }
    assert_eq!(load(&address, &[100]), [100]);
    end(&address, server);
}

#[test]
fn who_sends_without_end_does_not_keep_others_waiting() {
    let (address, server) = serve("127.0.0.1:0");
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let mut stream = TcpStream::connect(address.to_socket().unwrap()).unwrap();
    let mut reader = stream.try_clone().unwrap();
    let flood = std::thread::spawn(move || {
        stream.write_all(&HANDSHAKE).unwrap();
        let pings = [0x93, 0, 2, 0x90].repeat(1 << 16);
        while stopped.try_recv() == Err(TryRecvError::Empty) {
            stream.write_all(&pings).unwrap();
        }
        stream.shutdown(std::net::Shutdown::Both).unwrap();
    });
    let drain = std::thread::spawn(move || std::io::copy(&mut reader, &mut std::io::sink()));
    assert_eq!(load(&address, &[100; 50]), [100; 50]);
    stop.send(()).unwrap();
    flood.join().unwrap();
    assert!(drain.join().unwrap().unwrap() > 0);
    end(&address, server);
}

#[test]
fn who_takes_nothing_is_not_read_any_more_and_then_gets_everything() {
    let (address, server) = serve("127.0.0.1:0");
    let mut stream = TcpStream::connect(address.to_socket().unwrap()).unwrap();
    stream.write_all(&HANDSHAKE).unwrap();
    let length = 1 << 20;
    let ask = Message::AskObject { oid: Oid::new(length), at: None, before: None };
    let count: u32 = 100;
    for id in 0..count {
        stream.write_all(&ask.to_packet(id)).unwrap();
    }
    // Another one is served meanwhile: by then the first one's answers wait.
    assert_eq!(load(&address, &[1]), [1]);
    let answer_length = object(Oid::new(length), length).to_packet(200).len();
    let all = answer_length * usize::try_from(count).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut answers = vec![0; HANDSHAKE.len() + all - 128];
    stream.read_exact(&mut answers).expect("all answers come");
    assert_eq!(load(&address, &[2]), [2]);
    drop(stream);
    end(&address, server);
}

/// Set in the process that has few descriptors.
const FEW_DESCRIPTORS: &str = "NEOLITH_TEST_FEW_DESCRIPTORS";

#[test]
fn a_server_without_descriptors_left_waits_for_some() {
    if std::env::var_os(FEW_DESCRIPTORS).is_none() {
        let test = "a_server_without_descriptors_left_waits_for_some";
        let limited = std::process::Command::new("sh")
            .args(["-c", "ulimit -n 40; exec \"$0\" --exact \"$1\""])
            .arg(std::env::current_exe().unwrap())
            .args([test])
            .env(FEW_DESCRIPTORS, "yes")
            .output()
            .unwrap();
        let output = String::from_utf8_lossy(&limited.stdout);
        assert!(limited.status.success() && output.contains("1 passed"), "{output}");
        return;
    }
    let mut event_loop = EventLoop::new().unwrap();
    let address = event_loop.listen(&"127.0.0.1:0".parse().unwrap()).unwrap();
    let mut server = Server::new();
    // More than there are descriptors for, of both ends.
    let mut peers: Vec<_> =
        std::iter::from_fn(|| TcpStream::connect(address.to_socket().unwrap()).ok()).collect();
    assert!(peers.len() > 10);
    for _ in 0..5 {
        event_loop.turn(&mut server, Some(Duration::from_millis(10)));
    }
    assert_eq!(server.links.ids().count(), 0);
    let turns = event_loop.stalls().turns.count();
    let begin = net::now().monotonic;
    event_loop.turn(&mut server, Some(Duration::from_secs(1)));
    let waited = net::now().monotonic - begin;
    assert!(waited > Duration::from_millis(20), "it waits instead of trying all the time");
    assert_eq!(event_loop.stalls().turns.count(), turns + 1);
    // As descriptors become free, those who wait are served.
    peers.truncate(peers.len() / 3);
    let mut greeted = 0;
    for peer in &mut peers {
        peer.set_nonblocking(true).unwrap();
        let mut greeting = [0; HANDSHAKE.len()];
        for _ in 0..100 {
            event_loop.turn(&mut server, Some(Duration::from_millis(20)));
            if peer.read_exact(&mut greeting).is_ok() {
                greeted += 1;
                break;
            }
        }
    }
    assert_eq!(greeted, peers.len());
}
