//! One file a command: its arguments with their help, and what it does.

pub(crate) mod admin;
pub(crate) mod bench;
pub(crate) mod ctl;
pub(crate) mod demo;
pub(crate) mod dump;
pub(crate) mod export;
pub(crate) mod fsck;
pub(crate) mod history;
pub(crate) mod import;
pub(crate) mod load;
pub(crate) mod master;
pub(crate) mod simple;
pub(crate) mod stat;
pub(crate) mod storaged;
pub(crate) mod tail;
