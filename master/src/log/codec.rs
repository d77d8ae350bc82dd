//! Bytes of entries and snapshots.
