//! What a script needs to know of a kind of machine.

use engine::disk::MemoryDisk;
use model::Now;

use crate::node::Node;

/// A kind of machine, with the disk that it runs on.
pub trait Setting {
    /// Starts the machine, on what an earlier one left on the disk. Options are words `name=value`.
    ///
    /// # Errors
    /// If the machine refuses to start, or an option is unknown: the text for the script.
    fn open(&mut self, options: &str, now: Now) -> Result<Box<dyn Node>, String>;

    /// The disk, if there is one.
    fn disk(&mut self) -> Option<&mut MemoryDisk>;

    /// Carries out what is behind `do`.
    ///
    /// # Errors
    /// If there is no such thing: the text for the script.
    fn operate(&mut self, node: &mut dyn Node, now: Now, words: &str) -> Result<(), String>;

    /// What came of operations since the last call, a line each.
    fn reports(&mut self, node: &mut dyn Node) -> Vec<String>;
}
