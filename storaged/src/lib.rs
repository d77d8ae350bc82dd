//! The storage daemon: NEO's storage node as a machine over an [`engine::Engine`].
//!
//! [`Storage`] is the machine: it joins a cluster ([`net::Bootstrap`]), tells the primary master
//! what its database knows, and serves clients and other storages while the cluster operates.
//! Whoever drives it moves bytes, and looks at [`Storage::descriptors`] for its disk.

mod background;
mod completions;
mod error;
mod identification;
mod initialization;
mod invariants;
mod locks;
mod machine;
mod metadata;
mod operation;
mod options;
mod pace;
mod packs;
mod peers;
mod reads;
mod recovery;
mod transactions;
mod verification;

#[cfg(test)]
mod tests;

pub use background::{Background, Inline};
pub use error::Error;
pub use machine::{Storage, StorageExit};
pub use options::StorageOptions;
