//! FileStorage files and the commands of `neolith`.

mod command_line;
mod commands;
mod database;
pub mod dump;
mod failure;
pub mod filestorage;

pub use command_line::run;
