//! What a lookup waits for.

use std::sync::Arc;

use crate::disk::File;
use crate::log::segment_name;
use crate::run::RunSettings;

/// Bytes that a lookup waits for.
#[derive(Clone, Debug)]
pub struct Need {
    /// From which file.
    pub file: Arc<dyn File>,
    /// Where.
    pub offset: u64,
    /// How many.
    pub length: u32,
    pub(crate) what: Needed,
}

/// What kind of bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Needed {
    Block { run: u32 },
    Record { segment: u32 },
}

impl Needed {
    /// The name of the file.
    pub(crate) fn file_name(self) -> String {
        match self {
            Self::Block { run } => RunSettings::name(run),
            Self::Record { segment } => segment_name(segment),
        }
    }
}
