//! FileStorage, the file that ZODB keeps a database in: a reader and a writer.
//!
//! [`Reader`] goes through the transactions of a file that Python 2 (`FS21`) or Python 3 (`FS30`)
//! wrote and gives what ZODB's own iterator gives; [`Writer`] makes a file that ZODB opens.
//! Neither needs or makes `Data.fs.index`. Blobs live in a directory beside the file and are none
//! of their business.
//!
//! # The file
//!
//! Integers are big-endian, positions count from the start of the file. After 4 bytes of magic
//! the file is a sequence of transactions in the order of their tids:
//!
//! ```text
//! transaction  tid[8]  length[8]  status[1]  user length[2]  description length[2]
//!              extension length[2]  user  description  extension  records  length[8]
//! record       oid[8]  tid[8]  previous[8]  transaction[8]  0[2]  data length[8]  data
//!              or, where the data length is 0: the same 42 bytes and a back pointer[8]
//! ```
//!
//! `length` counts from the tid to the end of the records; it is repeated so that the file can be
//! read backwards. `status` is a space, `p` (packed), `u` (undone in place by an ancient version:
//! does not count) or `c` (written, but not yet committed). `previous` is the position of the
//! record of the same oid in the last earlier transaction that has one, or 0; `transaction` is the
//! position of the transaction that the record is in. A back pointer is the position of an earlier
//! record of the same oid that has the data, or again a back pointer; 0 means that the object
//! does not exist from here on (its creation was undone, or it was deleted). There are no
//! checksums.
//!
//! # The end of the file
//!
//! A crash can leave a transaction that was being written. ZODB cuts it off when it opens the file
//! for writing, and [`Reader`] ignores it by the same rules and tells where it was:
//! fewer bytes than a header, a length beyond the end of the file, status `c`, or a length
//! that does not even hold the header while the last 8 bytes of the file are no length of a last
//! transaction. One thing is decided otherwise: where a whole transaction ends with the file,
//! behind what would be cut, this is no torn end but damage in the middle, and an error; ZODB
//! would drop everything from there on.

#![expect(
    clippy::disallowed_methods,
    reason = "a FileStorage is no file of the engine: it is opened here and nowhere else"
)]

mod damage;
mod error;
mod format;
mod positions;
mod reader;
mod tail;
mod window;
mod writer;

#[cfg(test)]
mod tests;

pub use damage::{BackPointerDamage, Damage};
pub use error::{Action, Error, Field};
pub use format::{DATA_LENGTH_MAX, Format, Length, Metadata, Position, Status};
pub use reader::{Identity, Reader, Record, TornTail, Transaction};
pub use writer::Writer;
