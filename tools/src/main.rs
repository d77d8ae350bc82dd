//! The program `neolith`.

use std::process::ExitCode;

fn main() -> ExitCode {
    neolith_tools::run()
}
