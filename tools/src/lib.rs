//! FileStorage files, the admin node, and the commands of `neolith`.

pub mod admin;
mod bench;
mod command_line;
mod commands;
mod control;
mod database;
mod demo;
pub mod dump;
mod failure;
pub mod filestorage;
mod interrupt;
mod node;
mod output;
mod progress;
mod records;
mod simple;
mod stopwatch;
mod time_text;

pub use command_line::run;
