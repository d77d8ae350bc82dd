//! Where a node listens, where it says that it listens, and where masters are.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, ToSocketAddrs, UdpSocket};

use net::Address;

use crate::failure::Failure;

/// An address of nobody: asking for the way there tells the address of this host on most networks.
const ELSEWHERE: (Ipv4Addr, u16) = (Ipv4Addr::new(192, 0, 2, 1), 9);

/// Addresses in one argument, separated by spaces.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Masters(pub(crate) Vec<Address>);

/// Takes addresses separated by spaces.
pub(crate) fn parse_masters(text: &str) -> Result<Masters, String> {
    let addresses = text.split_whitespace().map(|word| word.parse::<Address>());
    addresses.collect::<Result<_, _>>().map(Masters).map_err(|error| error.to_string())
}

/// Where to listen, as far as that was said.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Bind {
    /// `None`: all interfaces.
    pub(crate) host: Option<String>,
    pub(crate) port: Option<u16>,
}

/// Takes `HOST`, `HOST:PORT`, `[IPv6]`, `[IPv6]:PORT`, `:PORT`.
pub(crate) fn parse_bind(text: &str) -> Result<Bind, String> {
    let refuse = || {
        format!(
            "{text:?} is no address to listen at: expected HOST, HOST:PORT, [IPv6]:PORT or :PORT"
        )
    };
    if text.parse::<std::net::Ipv6Addr>().is_ok() {
        return Ok(Bind { host: Some(text.to_owned()), port: None });
    }
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, "")) => (host, None),
        Some((host, rest)) => (host, Some(rest.strip_prefix(':').ok_or_else(refuse)?)),
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    if host.contains(':') && host.parse::<std::net::Ipv6Addr>().is_err() || text.is_empty() {
        return Err(refuse());
    }
    let port = port.map(|port| port.parse().map_err(|_| refuse())).transpose()?;
    Ok(Bind { host: Some(host.to_owned()).filter(|host| !host.is_empty()), port })
}

/// Addresses with numbers for hosts, as nodes tell them to one another.
pub(crate) fn resolved(addresses: &[Address]) -> Result<Vec<Address>, Failure> {
    addresses.iter().map(|address| Ok(Address::from(look_up(address)?))).collect()
}

fn look_up(address: &Address) -> Result<SocketAddr, Failure> {
    let failed =
        |reason: String| Failure::Node(format!("{address}: cannot be looked up: {reason}"));
    let mut found = (address.host.as_str(), address.port)
        .to_socket_addrs()
        .map_err(|error| failed(error.to_string()))?;
    found.next().ok_or_else(|| failed(String::from("there is no such host")))
}

impl Bind {
    /// The address to listen at; without a port, this one.
    pub(crate) fn address(&self, port: u16) -> Result<Address, Failure> {
        let port = self.port.unwrap_or(port);
        match &self.host {
            Some(host) => Ok(Address::from(look_up(&Address { host: host.clone(), port })?)),
            None => Ok(Address { host: all_interfaces().to_string(), port }),
        }
    }
}

/// IPv6 takes IPv4 as well, where there is IPv6.
fn all_interfaces() -> IpAddr {
    let ipv6 = IpAddr::from(std::net::Ipv6Addr::UNSPECIFIED);
    match TcpListener::bind((ipv6, 0)) {
        Ok(_) => ipv6,
        Err(_) => IpAddr::from(Ipv4Addr::UNSPECIFIED),
    }
}

/// The address under which a node that listens here is found by those who find `others`.
///
/// Of a node that listens on all interfaces that is its own address on the way to the first of
/// them. A master is itself among the others: then what they were told is right.
pub(crate) fn reachable(listening: &Address, others: &[Address]) -> Address {
    let host = listening.host.parse::<IpAddr>();
    if !host.is_ok_and(|host| host.is_unspecified()) {
        return listening.clone();
    }
    let port = listening.port;
    if let Some(own) = others.iter().find(|other| other.port == port && is_here(other)) {
        return own.clone();
    }
    let target = others.first().and_then(Address::to_socket);
    let way = target.or(Some(SocketAddr::from(ELSEWHERE))).and_then(address_towards);
    let host = way.unwrap_or(IpAddr::from(Ipv4Addr::LOCALHOST));
    Address { host: host.to_canonical().to_string(), port }
}

/// Whether an address is one of this host.
fn is_here(address: &Address) -> bool {
    let ip = address.to_socket().map(|socket| socket.ip());
    ip.is_some_and(|ip| !ip.is_unspecified() && UdpSocket::bind((ip, 0)).is_ok())
}

/// The address of this host towards another. Nothing is sent.
fn address_towards(target: SocketAddr) -> Option<IpAddr> {
    let any: IpAddr = match target {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect(target).ok()?;
    Some(socket.local_addr().ok()?.ip()).filter(|ip| !ip.is_unspecified())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_to_listen() {
        let cases = [
            ("127.0.0.1", Some((Some("127.0.0.1"), None))),
            ("127.0.0.1:0", Some((Some("127.0.0.1"), Some(0)))),
            ("localhost:99", Some((Some("localhost"), Some(99)))),
            (":99", Some((None, Some(99)))),
            ("[::1]:99", Some((Some("::1"), Some(99)))),
            ("[::1]", Some((Some("::1"), None))),
            ("::1", Some((Some("::1"), None))),
            ("", None),
            ("a:b", None),
            ("a:1:2", None),
            ("[::1]99", None),
            ("[x:y]:1", None),
            ("a:65536", None),
        ];
        for (text, expected) in cases {
            let bind = parse_bind(text).ok();
            let found = bind.as_ref().map(|bind| (bind.host.as_deref(), bind.port));
            assert_eq!(found, expected, "{text:?}");
        }
    }

    #[test]
    fn masters_are_separated_by_spaces() {
        let masters = parse_masters("127.0.0.1:1 [::1]:2\n host:3").unwrap();
        let masters: Vec<_> = masters.0.iter().map(Address::to_string).collect();
        assert_eq!(masters, ["127.0.0.1:1", "[::1]:2", "host:3"]);
        assert!(parse_masters("127.0.0.1").is_err());
    }

    #[test]
    fn others_are_told_an_address_that_they_reach() {
        let address = |text: &str| text.parse::<Address>().unwrap();
        let told = |listening: &str, others: &[&str]| {
            let others: Vec<_> = others.iter().map(|other| address(other)).collect();
            reachable(&address(listening), &others).to_string()
        };
        assert_eq!(told("127.0.0.2:1", &["127.0.0.1:5"]), "127.0.0.2:1");
        assert_eq!(told("0.0.0.0:1", &["127.0.0.1:5"]), "127.0.0.1:1");
        assert_eq!(told("[::]:1", &["127.0.0.1:5"]), "127.0.0.1:1");
        assert_eq!(told("[::]:1", &["192.0.2.1:1", "127.0.0.3:1"]), "127.0.0.3:1");
    }
}
