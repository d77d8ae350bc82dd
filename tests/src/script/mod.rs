//! Scripts: one real machine that talks to peers whose every packet is written down, on simulated
//! time. A file is a conversation; it holds what is done, and below it all that the machine did.
//!
//! A file is commands, a line `---`, what the machine did, an empty line, and so on:
//!
//! ```text
//! # A storage joins.
//! connect S1
//! S1> RequestIdentification(STORAGE, nil, 127.0.0.1:2001, "test", nil, {"new_nid": []})
//! ---
//! S1< AcceptIdentification(MASTER, M1, S1)
//! S1< NotifyNodeInformation(@0+1, [(STORAGE, 127.0.0.1:2001, S1, PENDING, @0+1)])
//! ```
//!
//! `ok` stands for nothing. A line that is indented goes on with the one before; `#` begins a
//! comment. What differs from the file is a failure; with `UPDATE_SCRIPTS=1` in the environment the
//! files are written anew, to be read before they are committed.
//!
//! | command | what it does |
//! |---|---|
//! | `start OPTIONS` | starts the machine that the script is about |
//! | `connect NAME` | a peer connects, and sends its handshake, unless `silent` follows |
//! | `accept NAME [ADDRESS]` | takes the oldest connection that the machine opens (to an address) |
//! | `refuse [ADDRESS]` | refuses it |
//! | `NAME> Packet(..)` | a peer sends a packet. An answer is for the oldest request that it fits |
//! | `NAME> !Packet(..)` | likewise, but nobody checks that it is as the protocol has it;
//! `!0x1234(..)` sends any code | | `NAME> bytes(..)` | a peer sends bytes | | `NAME? Packet(_,
//! $x)` | gives names to parts of the last such packet that the peer got | | `close NAME` | a peer
//! closes its connection | | `advance 1.5s` | time goes on | | `signal terminate` | the system
//! signals (or `flush`) | | `restart [OPTIONS]` | the process is killed, and started again; options
//! as before where none are given | | `crash [OPTIONS]` | the same, but the power fails: what was
//! not synced is lost | | `hold` | the disk does nothing that it is asked for, until `release` | |
//! `do ..` | what else this kind of machine can be asked for |
//!
//! What is written by the machine and by the peers goes through two codecs that know nothing of
//! each other: net's, and the one here, which is made of rmpv and `packets.txt`.

mod call;
mod describe;
mod encode;
mod error;
mod moment;
mod peer;
mod render;
mod runner;
mod schema;
mod sections;
mod setting;
mod term;
mod variables;
mod verify;

pub(crate) use call::{Call, shorten_ids};
pub(crate) use describe::describe_packets;
pub use error::ScriptError;
pub use runner::Runner;
pub use setting::Setting;
pub use verify::verify_directory;
