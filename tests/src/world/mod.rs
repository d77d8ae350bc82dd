//! A whole cluster in one thread: real machines on simulated time, a simulated network and disks in
//! memory. One seed decides everything that is left to chance, so the same seed gives the same run.
//!
//! - [`World`]: the processes, what connects them, and what is to happen next;
//! - [`Host`]: how a process is started on its disk, and started again after a crash;
//! - [`Actor`]: what uses a process from inside, such as a program with its client;
//! - [`Cluster`]: a master, storages and clients that know each other;
//! - [`Teller`]: moves money between accounts, and [`Ledger`] what became of it.
//!
//! **Network.** A connection is two streams of bytes, in order, each cut in pieces that take their
//! time. A peer that does not read stops its sender. A process that ends closes its connections
//! behind what it sent. [`World::cut`] breaks one at once: what was on its way is lost.
//!
//! **Processes.** [`World::crash`] is a power cut: what the disk had not synced is lost, in part or
//! as a whole; its peers are told as if the process had ended, or nothing ([`Machines`]).
//! [`World::kill`] ends the process only. [`World::pause`] stops it like SIGSTOP: what
//! comes for it waits. What a machine wanted to send in the event in which its disk crashed is
//! never sent.
//!
//! **Obstacles.** [`World::block`] lets nothing through in one direction while connections stay,
//! [`World::half_open`] tells only one end that they broke, [`World::refuse`] refuses new ones.
//! [`World::delay_network`] and [`World::delay_disk`] make slow. [`World::drift`] and
//! [`World::jump`] make clocks wrong.

mod agenda;
mod audit;
mod bank;
mod clock;
mod cluster;
mod hosts;
mod machines;
mod network;
mod obstacles;
mod operator;
mod process;
mod restarts;
mod trace;
mod traffic;
mod whole;
mod witness;

pub use audit::{Auditor, Findings};
pub use bank::{Fate, Ledger, Teller};
pub use cluster::{Cluster, ClusterOptions};
pub(crate) use hosts::{
    MasterHost, StorageHost, client, client_address, master_address, operator_address,
    storage_address,
};
pub use machines::Machines;
pub(crate) use operator::{OperatorHost, Orders};
pub use process::{Actor, Host, ProcessId};
pub use whole::World;
pub use witness::Witness;
