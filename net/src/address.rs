//! Where nodes listen.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

/// An address as messages carry it: a host, which should be a numeric IP address, and a port.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    /// The host.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl Address {
    /// The address as sockets take it; `None` if the host is not numeric.
    pub fn to_socket(&self) -> Option<SocketAddr> {
        Some(SocketAddr::new(self.host.parse::<IpAddr>().ok()?, self.port))
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        Self { host: address.ip().to_canonical().to_string(), port: address.port() }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// A text that is no address.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ParseAddressError {
    /// The text.
    pub text: String,
}

impl fmt::Display for ParseAddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is no address: expected HOST:PORT or [IPv6]:PORT", self.text)
    }
}

impl std::error::Error for ParseAddressError {}

impl FromStr for Address {
    type Err = ParseAddressError;

    /// Takes `host:port` and `[ipv6]:port`.
    fn from_str(text: &str) -> Result<Self, ParseAddressError> {
        let refuse = || ParseAddressError { text: text.to_owned() };
        let (host, port) = text.rsplit_once(':').ok_or_else(refuse)?;
        let host = match host.strip_prefix('[') {
            Some(rest) => rest.strip_suffix(']').ok_or_else(refuse)?,
            None if host.contains(':') => return Err(refuse()),
            None => host,
        };
        if host.is_empty() {
            return Err(refuse());
        }
        let port = port.parse().map_err(|_| refuse())?;
        Ok(Self { host: host.to_owned(), port })
    }
}
