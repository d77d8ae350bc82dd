//! The kinds of machines that there are scripts for.

mod admin;
mod client;
mod master;
mod storage;
mod words;

pub use admin::AdminSetting;
pub use client::ClientSetting;
pub use master::MasterSetting;
pub use storage::StorageSetting;
