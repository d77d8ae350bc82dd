//! The storage on a disk in memory, driven through real bytes.
