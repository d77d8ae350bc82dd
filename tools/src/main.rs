//! The program `neolith`.

use std::process::ExitCode;

use mimalloc::MiMalloc;

// The system's allocator may merge all small pieces that were freed, hundreds of thousands after a
// large transaction, in one call: an event loop then stands still for tens of milliseconds.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    neolith_tools::run()
}
