//! The configuration file of the cluster, as one would write it.

use std::fmt::Write;

use clap::ValueEnum;

use super::plan::{NodePlan, Plan};
use crate::database::DiskArgs;

/// The file.
pub(super) fn configuration(plan: &Plan, disk: &DiskArgs) -> String {
    let mut text = format!(
        "# Made by `neolith simple`, each time it starts. A node of it is started by\n\
         #     neolith storaged -f {file} -s storage1\n\
         [DEFAULT]\n\
         cluster = {name}\n\
         masters = {master}\n\
         partitions = {partitions}\n\
         replicas = {replicas}\n\
         autostart = {storages}\n\
         reconnect_delay = 0.1\n",
        file = escaped(&plan.directory.join(FILE).display().to_string()),
        name = escaped(&plan.name),
        master = plan.master(),
        partitions = plan.partitions,
        replicas = plan.replicas,
        storages = plan.storages(),
    );
    // Writing to a string cannot fail.
    if let Some(backend) = disk.disk_backend.to_possible_value() {
        let _ = writeln!(text, "disk_backend = {}", backend.get_name());
    }
    let _ = writeln!(text, "disk_delay_us = {}", disk.disk_delay_us);
    let mut storage_number = 0;
    for NodePlan { section, command, address, directory } in &plan.nodes {
        let _ = write!(text, "\n[{section}]\nbind = {address}\n");
        let key = match *command {
            "master" => "data",
            _ => "database",
        };
        if let Some(directory) = directory {
            let directory = escaped(&directory.display().to_string());
            let _ = writeln!(text, "{key} = {directory}");
        }
        if *command == "storaged" {
            storage_number += 1;
            let _ = writeln!(text, "nid = {storage_number}");
        }
    }
    text
}

/// Name of the file.
pub(super) const FILE: &str = "neolith.conf";

/// A value in which nothing refers to another one.
fn escaped(value: &str) -> String {
    value.replace('%', "%%")
}
