//! What a client is told when it is made.

use std::time::Duration;

use net::Address;

/// Options of a [`crate::Client`].
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// Name of the cluster.
    pub cluster: String,
    /// Masters to begin with, at least one.
    pub masters: Vec<Address>,
    /// Whether it may commit. A backup cluster takes only clients that do not.
    pub access: Access,
    /// How long to wait before connecting again to the same address.
    pub reconnect_delay: Duration,
    /// How long requests wait for a primary master when there is none; `None`: as long as it takes.
    pub master_timeout: Option<Duration>,
    /// How long a storage that failed is asked only if no other can be.
    pub avoid_delay: Duration,
    /// Bytes of objects that a transaction may have on their way. A store beyond is accepted when
    /// enough of them were answered.
    pub transaction_bytes_max: usize,
    /// Bytes of memory for objects that are kept for those who ask again; 0: none are. With a
    /// cache, loads that ask the same at the same time are one request.
    pub cache_bytes: u64,
    /// Of a [`crate::Session`]: how long a thread that waits for one answer asks the system for it
    /// again and again before it sleeps, while answers mostly come within that time; zero: not at
    /// all. That takes a processor that would wait otherwise, and saves what it takes to wake the
    /// thread.
    pub busy_poll: Duration,
    /// Of the choice of storages to read from.
    pub seed: u64,
}

/// What a client may do.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Access {
    /// Read and commit.
    #[default]
    ReadWrite,
    /// Only read.
    ReadOnly,
}

impl ClientOptions {
    /// The usual, for a cluster.
    pub fn new(cluster: impl Into<String>, masters: Vec<Address>) -> Self {
        Self {
            cluster: cluster.into(),
            masters,
            access: Access::ReadWrite,
            reconnect_delay: Duration::from_secs(1),
            master_timeout: None,
            avoid_delay: Duration::from_secs(600),
            transaction_bytes_max: 16 << 20,
            cache_bytes: 0,
            busy_poll: Duration::from_micros(50),
            seed: 0,
        }
    }
}
