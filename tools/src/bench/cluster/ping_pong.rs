//! What the machine takes for the same bytes if nothing is done for them: a process that answers
//! each request with so many bytes as it asks for.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::thread;

use clap::Args;
use model::Random;
use rustix::event::epoll;

use super::closed_loop::Station;
use super::wire::PATIENCE;
use crate::failure::Failure;

/// The longest answer: as much as an object that is loaded here.
const ANSWER_LENGTH_MAX: usize = 16 << 20;
/// Bytes of a request that say how long its answer is to be.
const LENGTH_BYTES: usize = 4;
/// Bytes read at once.
const READ_LENGTH_MAX: usize = 64 << 10;
/// Connections that are handled before the system is asked again.
const EVENTS_MAX: usize = 128;

/// Answer requests of `bench cluster` with as many bytes as they ask for, until it has gone
#[derive(Debug, Args)]
pub(crate) struct PingPongArgs {
    /// Connections to wait for
    #[arg(long)]
    connections: usize,
    /// Bytes of a request
    #[arg(long)]
    request_length: usize,
}

/// Serves until all connections are closed, or whoever started this has gone.
pub(crate) fn serve(args: &PingPongArgs) -> Result<ExitCode, Failure> {
    if args.request_length < LENGTH_BYTES {
        return Err(Failure::Refused(String::from("--request-length: too short for a number")));
    }
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(failed("listen on"))?;
    let address = listener.local_addr().map_err(failed("listen on"))?;
    println!("{address}");
    thread::spawn(|| {
        // Ends when the pipe is closed, however its other side ended.
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        std::process::exit(0);
    });
    let mut peers = Vec::new();
    for _ in 0..args.connections {
        let (stream, _) = listener.accept().map_err(failed("accept"))?;
        stream.set_nodelay(true).map_err(failed("accept"))?;
        peers.push(Peer { stream, request: vec![0; args.request_length], filled: 0 });
    }
    let answer = vec![0x5a; ANSWER_LENGTH_MAX];
    match &mut peers[..] {
        [peer] => while peer.serve(&answer).map_err(failed("serve"))? {},
        peers => serve_together(peers, &answer).map_err(failed("serve"))?,
    }
    Ok(ExitCode::SUCCESS)
}

struct Peer {
    stream: TcpStream,
    request: Vec<u8>,
    filled: usize,
}

impl Peer {
    /// Reads once, and answers a request if there is one. False at the end.
    fn serve(&mut self, answer: &[u8]) -> std::io::Result<bool> {
        let length = self.stream.read(&mut self.request[self.filled..])?;
        self.filled += length;
        if self.filled == self.request.len() {
            self.filled = 0;
            let wanted = u32::from_be_bytes(self.request[..LENGTH_BYTES].try_into().expect("4"));
            let wanted = usize::try_from(wanted).unwrap_or(usize::MAX).min(answer.len());
            self.stream.write_all(&answer[..wanted])?;
        }
        Ok(length > 0)
    }
}

fn serve_together(peers: &mut [Peer], answer: &[u8]) -> std::io::Result<()> {
    let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    for (index, peer) in peers.iter().enumerate() {
        let token = epoll::EventData::new_u64(index as u64);
        epoll::add(&poll, &peer.stream, token, epoll::EventFlags::IN)?;
    }
    let mut open = peers.len();
    let mut events = Vec::with_capacity(EVENTS_MAX);
    while open > 0 {
        events.clear();
        match epoll::wait(&poll, rustix::buffer::spare_capacity(&mut events), None) {
            Err(rustix::io::Errno::INTR) => continue,
            other => other?,
        };
        for event in &events {
            let index = usize::try_from(event.data.u64()).expect("addresses have 64 bits");
            if !peers[index].serve(answer)? {
                epoll::delete(&poll, peers[index].stream.as_fd())?;
                open -= 1;
            }
        }
    }
    Ok(())
}

/// The process.
pub(super) struct Server {
    child: Child,
    address: SocketAddr,
    request_length: usize,
}

impl Server {
    /// Starts one for requests of this length; shorter ones than a number are made longer.
    pub(super) fn start(connections: usize, request_length: usize) -> Result<Self, Failure> {
        let request_length = request_length.max(LENGTH_BYTES);
        let program = std::env::current_exe().map_err(failed("start"))?;
        let mut child = Command::new(program)
            .args(["bench", "ping-pong", "--connections", &connections.to_string()])
            .args(["--request-length", &request_length.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(failed("start"))?;
        let output = child.stdout.take().expect("it is a pipe");
        let mut line = String::new();
        let read = BufReader::new(output).read_line(&mut line).map_err(failed("start"))?;
        let address = line.trim().parse().map_err(|_| {
            Failure::Refused(format!("the ping-pong server said {line:?} ({read} bytes)"))
        })?;
        Ok(Self { child, address, request_length })
    }

    /// Its process.
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Connects once more, for answers of lengths chosen among these.
    pub(super) fn connect(&self, lengths: Arc<[usize]>, seed: u64) -> Result<Pinger, Failure> {
        let stream = TcpStream::connect(self.address).map_err(failed("connect to"))?;
        stream.set_nodelay(true).map_err(failed("connect to"))?;
        stream.set_read_timeout(Some(PATIENCE)).map_err(failed("connect to"))?;
        Ok(Pinger {
            stream,
            lengths,
            random: Random::from_seed(seed),
            request: vec![0; self.request_length],
            is_asking: false,
            missing: 0,
            buffer: vec![0; READ_LENGTH_MAX].into_boxed_slice(),
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It has ended already if all connections are closed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Somebody who asks it.
pub(super) struct Pinger {
    stream: TcpStream,
    lengths: Arc<[usize]>,
    random: Random,
    request: Vec<u8>,
    /// The request is to be sent.
    is_asking: bool,
    missing: usize,
    buffer: Box<[u8]>,
}

impl Station for Pinger {
    fn begin(&mut self, _slot: usize) -> Result<(), Failure> {
        let length = self.lengths[self.random.index(self.lengths.len())];
        self.missing = length.min(ANSWER_LENGTH_MAX);
        let number = u32::try_from(self.missing).expect("below the greatest length");
        self.request[..LENGTH_BYTES].copy_from_slice(&number.to_be_bytes());
        self.is_asking = true;
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Failure> {
        match std::mem::take(&mut self.is_asking) {
            true => self.stream.write_all(&self.request).map_err(failed("write to")),
            false => Ok(()),
        }
    }

    fn sockets(&self) -> Vec<&TcpStream> {
        vec![&self.stream]
    }

    fn receive(&mut self, _socket: usize, done: &mut Vec<usize>) -> Result<(), Failure> {
        let length = self.stream.read(&mut self.buffer).map_err(failed("read from"))?;
        if length == 0 {
            return Err(Failure::Refused(String::from("the ping-pong server has ended")));
        }
        self.missing = self.missing.saturating_sub(length);
        if self.missing == 0 {
            done.push(0);
        }
        Ok(())
    }
}

fn failed(action: &'static str) -> impl Fn(std::io::Error) -> Failure {
    move |source| Failure::Io { action, path: String::from("the ping-pong server"), source }
}
