//! What can be set.

/// Limits and sizes of an engine. The defaults suit a storage daemon.
#[derive(Clone, Debug)]
pub struct Options {
    /// A log segment is closed at this length, in bytes.
    pub segment_length: u64,
    /// Bytes kept allocated for what must still be written when the disk is full.
    pub reserve_length: u64,
    /// Bytes collected before they are written without being asked to.
    pub group_length: u64,
    /// Bytes that may wait to be written before [`crate::Engine::is_congested`].
    pub unwritten_max: u64,
    /// Items of a memory table before it is frozen: bounds memory and the time to open.
    pub table_items_max: u64,
    /// Bytes of log behind a memory table before it is frozen: bounds the time to open.
    pub table_log_max: u64,
    /// Bytes for cached blocks of index runs and records of objects.
    pub cache_bytes_max: u64,
    /// Bytes for filters and index levels that stay in memory.
    pub pinned_bytes_max: u64,
    /// Bytes of a block of an index run.
    pub block_length: usize,
    /// So many runs of a level are merged into one of the next.
    pub fan_out: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            segment_length: 256 << 20,
            reserve_length: 1 << 20,
            group_length: 128 << 10,
            unwritten_max: 16 << 20,
            table_items_max: 64 << 10,
            table_log_max: 64 << 20,
            cache_bytes_max: 96 << 20,
            pinned_bytes_max: 128 << 20,
            block_length: 4096,
            fan_out: 4,
        }
    }
}

/// What a directory is opened for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OpenMode {
    /// To be read only. Nothing in the directory is changed, also after a crash.
    ReadOnly,
    /// To be read and written.
    ReadWrite,
}
