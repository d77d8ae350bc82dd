//! The storage on a disk in memory, driven through real bytes.

mod chaos;
mod commits;
mod conversations;
mod crashes;
mod damage;
mod deaths;
mod hostile;
mod locking;
mod reading;
mod replication;
mod world;
