//! Sockets as NEO wants them.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, ToSocketAddrs};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};

use crate::address::Address;

/// Connections that the system takes before they are accepted here.
const BACKLOG: i32 = 1024;
/// A peer that is silent for so long is asked for a sign of life, by the system.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);
/// How long it has to answer.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
/// How often it is asked before it is given up.
const KEEPALIVE_PROBES: u32 = 3;

/// Never waits, sends small packets at once, and finds out about peers that vanished.
pub(crate) fn tune(socket: &Socket) -> io::Result<()> {
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE_IDLE)
        .with_interval(KEEPALIVE_INTERVAL)
        .with_retries(KEEPALIVE_PROBES);
    socket.set_tcp_keepalive(&keepalive)
}

/// Begins to connect to an address.
pub(crate) fn connect(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    tune(&socket)?;
    match socket.connect(&address.into()) {
        Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => Err(error),
        _ => Ok(socket),
    }
}

/// Listens, also for IPv4 if the address is `[::]`. A host name is looked up, which may take time.
pub(crate) fn listen(address: &Address) -> io::Result<TcpListener> {
    let mut error = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for found in (address.host.as_str(), address.port).to_socket_addrs()? {
        match listen_at(found) {
            Ok(listener) => return Ok(listener),
            Err(found) => error = found,
        }
    }
    Err(error)
}

fn listen_at(address: SocketAddr) -> io::Result<TcpListener> {
    let protocol = Some(Protocol::TCP);
    let socket = match Socket::new(Domain::for_address(address), Type::STREAM, protocol) {
        // A system without IPv6: everywhere then means everywhere in IPv4.
        Err(error)
            if error.raw_os_error() == Some(libc::EAFNOSUPPORT)
                && address.is_ipv6()
                && address.ip().is_unspecified() =>
        {
            return listen_at((Ipv4Addr::UNSPECIFIED, address.port()).into());
        }
        socket => socket?,
    };
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    // The port of a node that was just killed can be taken over.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}
