//! Conversations of nodes, one a file, each with one real machine: see `tests/scripts`.

use tests::script::verify_directory;
use tests::settings::{AdminSetting, ClientSetting, MasterSetting, StorageSetting};

#[test]
fn masters() {
    verify_directory("master", || Box::new(MasterSetting::default()));
}

#[test]
fn storages() {
    verify_directory("storage", || Box::new(StorageSetting::default()));
}

#[test]
fn clients() {
    verify_directory("client", || Box::new(ClientSetting));
}

#[test]
fn admins() {
    verify_directory("admin", || Box::new(AdminSetting));
}
