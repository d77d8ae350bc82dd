//! FileStorage files and the commands of `neolith`.

mod bench;
mod command_line;
mod commands;
mod database;
mod demo;
pub mod dump;
mod failure;
pub mod filestorage;
mod interrupt;
mod output;
mod progress;
mod records;
mod stopwatch;

pub use command_line::run;
