//! The program `neolith`.

fn main() {}
