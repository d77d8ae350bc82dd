//! Sockets of links, without waiting for them: the event loop tells which are ready.

mod acceptor;
mod connector;
mod link_socket;
mod options;
mod resolver;
mod table;

pub(crate) use acceptor::Acceptor;
pub(crate) use connector::Connector;
pub(crate) use link_socket::Readiness;
pub(crate) use options::listen;
pub(crate) use table::Sockets;
