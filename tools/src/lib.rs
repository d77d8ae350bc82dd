//! FileStorage files and the commands of `neolith`.

pub mod dump;
pub mod filestorage;
