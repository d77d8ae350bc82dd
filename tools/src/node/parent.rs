//! Ends a node whose parent is gone.

use std::io::{self, Read};

use signal_hook::consts::SIGTERM;

use crate::failure::Failure;

/// From now on the process is told to end, as by SIGTERM, when its standard input ends. However
/// the parent died, the system closes its pipes.
pub(crate) fn end_with_parent() -> Result<(), Failure> {
    let watch = || {
        let mut bytes = [0; 64];
        while io::stdin().read(&mut bytes).is_ok_and(|length| length > 0) {}
        // If there is no such signal, there is no way to end but to be killed.
        let _ = signal_hook::low_level::raise(SIGTERM);
    };
    let thread = std::thread::Builder::new().name(String::from("parent")).spawn(watch);
    thread.map(drop).map_err(|source| Failure::Io {
        action: "start",
        path: String::from("a thread"),
        source,
    })
}
