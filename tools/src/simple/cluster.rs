//! Starts the cluster, waits for it, and stops it.

use std::path::PathBuf;
use std::time::Duration;

use engine::{MetadataKey, OpenMode};
use model::PartitionCount;
use net::Address;

use super::child::Node;
use super::configuration::{FILE, configuration};
use super::place::Place;
use super::plan::{Plan, storage_name};
use super::{ready, text};
use crate::commands::import::{self, ImportArgs};
use crate::database::DiskArgs;
use crate::failure::Failure;
use crate::interrupt::Interrupt;

/// How often nodes are looked after.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);
/// Looks until nodes that were told to end are told more firmly: 8 seconds.
const LOOKS_MAX: u32 = 160;

/// What a cluster is to be.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) name: Option<String>,
    /// A temporary one if `None`.
    pub(crate) directory: Option<PathBuf>,
    /// As many as there are in the directory if `None`, or one.
    pub(crate) storages: Option<u32>,
    pub(crate) replicas: u32,
    pub(crate) partitions: PartitionCount,
    /// A FileStorage that new storages begin with.
    pub(crate) import: Option<PathBuf>,
    pub(crate) disk: DiskArgs,
}

/// A cluster whose nodes were started here. Dropped, it is stopped at once.
#[derive(Debug)]
pub(crate) struct Cluster {
    // Before the place, so that the files are there as long as nodes run.
    nodes: Vec<Node>,
    plan: Plan,
    place: Place,
}

/// Name of a cluster that nobody named.
const NAME_DEFAULT: &str = "neolith";

impl Cluster {
    /// Imports what is to be imported, and starts all nodes.
    pub(crate) fn start(wanted: &Wanted, interrupt: &Interrupt) -> Result<Self, Failure> {
        let place = Place::make(wanted.directory.as_deref())?;
        let present = place.storages();
        let storages = match (wanted.storages, present) {
            (None, 0) => 1,
            (None, present) => present,
            (Some(wanted), present) if present == 0 || wanted == present => wanted,
            (Some(wanted), present) => {
                let path = place.path().display();
                return Err(Failure::Refused(format!(
                    "--storages {wanted}: {path} has the databases of {present}"
                )));
            }
        };
        if wanted.replicas >= storages {
            let replicas = wanted.replicas;
            return Err(Failure::Refused(format!(
                "--replicas {replicas}: expected less than the number of storages, {storages}"
            )));
        }
        let name = match (&wanted.name, present) {
            (Some(name), _) => name.clone(),
            (None, 0) => String::from(NAME_DEFAULT),
            (None, _) => stored_name(&place, &wanted.disk)?,
        };
        if let Some(source) = &wanted.import {
            import_into(&place, wanted, source, &name, storages, interrupt)?;
        }
        let directory = place.path().to_owned();
        let plan = Plan::new(name, directory, wanted.partitions, wanted.replicas, storages)?;
        place.write(FILE, &configuration(&plan, &wanted.disk))?;
        let mut cluster = Self { nodes: Vec::new(), plan, place };
        for node in &cluster.plan.nodes {
            let log = cluster.place.log(&node.section)?;
            let file = cluster.place.path().join(FILE);
            cluster.nodes.push(Node::start(node.command, &node.section, &file, log)?);
        }
        Ok(cluster)
    }

    /// Waits until clients are served.
    pub(crate) fn wait_until_running(&mut self, interrupt: &Interrupt) -> Result<(), Failure> {
        loop {
            interrupt.check()?;
            self.check_nodes()?;
            // Until the admin has found the master, there is no answer.
            if ready::is_running(self.plan.admin(), self.plan.storages()).unwrap_or(false) {
                return Ok(());
            }
            std::thread::park_timeout(LOOK_INTERVAL);
        }
    }

    /// Waits until somebody wants the cluster to end: ctrl-C, or the cluster was stopped by an
    /// operator.
    pub(crate) fn wait_for_end(&mut self, interrupt: &Interrupt) -> Result<(), Failure> {
        while !interrupt.is_asked() {
            if self.nodes.iter_mut().all(|node| node.ended().is_some_and(|status| status.success()))
            {
                return Ok(());
            }
            self.check_failed()?;
            std::thread::park_timeout(LOOK_INTERVAL);
        }
        Ok(())
    }

    /// Stops the cluster in good order.
    pub(crate) fn stop(mut self) -> Result<(), Failure> {
        // If it cannot be asked, its nodes are told one by one.
        let _ = ready::stop(self.plan.admin());
        if !self.wait_for_nodes() {
            self.nodes.iter_mut().for_each(Node::end);
            self.wait_for_nodes();
        }
        self.check_failed()
    }

    pub(crate) fn name(&self) -> &str {
        &self.plan.name
    }

    pub(crate) fn master(&self) -> &Address {
        self.plan.master()
    }

    pub(crate) fn admin(&self) -> &Address {
        self.plan.admin()
    }

    pub(crate) fn storages(&self) -> usize {
        self.plan.storages()
    }

    pub(crate) fn uri(&self) -> String {
        text::uri(&self.plan.name, self.plan.master())
    }

    /// How to reach the cluster, for people.
    pub(crate) fn how_to_reach(&self) -> String {
        text::how_to_reach(&self.plan)
    }

    pub(crate) fn directory(&self) -> &std::path::Path {
        self.place.path()
    }

    /// Whether all nodes ended within some seconds.
    fn wait_for_nodes(&mut self) -> bool {
        for _ in 0..LOOKS_MAX {
            if self.nodes.iter_mut().all(|node| node.ended().is_some()) {
                return true;
            }
            std::thread::park_timeout(LOOK_INTERVAL);
        }
        false
    }

    /// An error if a node has ended, in whatever way.
    fn check_nodes(&mut self) -> Result<(), Failure> {
        self.check_failed()?;
        for node in &mut self.nodes {
            if node.ended().is_some() {
                let name = &node.name;
                return Err(Failure::Node(format!("{name} ended before the cluster served")));
            }
        }
        Ok(())
    }

    /// An error if a node has failed.
    fn check_failed(&mut self) -> Result<(), Failure> {
        for node in &mut self.nodes {
            if let Some(status) = node.ended().filter(|status| !status.success()) {
                let name = &node.name;
                let lines = self.place.last_lines(name);
                return Err(Failure::Node(format!("{name} failed ({status}):{lines}")));
            }
        }
        Ok(())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.nodes.iter_mut().for_each(Node::end);
        if !self.wait_for_nodes() {
            for node in &mut self.nodes {
                // Nothing more can be done for a process that cannot be killed.
                let _ = node.kill();
            }
        }
    }
}

/// Name of the cluster, as the database of its first storage has it.
fn stored_name(place: &Place, disk: &DiskArgs) -> Result<String, Failure> {
    let engine = disk.open(&place.path().join(storage_name(1)), OpenMode::ReadOnly)?;
    let name = engine.metadata().get(MetadataKey::ClusterName);
    let name = name.map(|name| String::from_utf8_lossy(name).into_owned());
    Ok(name.unwrap_or_else(|| String::from(NAME_DEFAULT)))
}

fn import_into(
    place: &Place,
    wanted: &Wanted,
    source: &std::path::Path,
    name: &str,
    storages: u32,
    interrupt: &Interrupt,
) -> Result<(), Failure> {
    let args = ImportArgs {
        source: source.to_owned(),
        directory: match storages {
            1 => place.path().join(storage_name(1)),
            _ => place.path().to_owned(),
        },
        storages,
        replicas: wanted.replicas,
        partitions: Some(wanted.partitions),
        name: Some(name.to_owned()),
        json: false,
        disk: wanted.disk.clone(),
    };
    let imported = import::import_all(&args, interrupt)?;
    let counts = imported.counts;
    eprintln!(
        "imported {}: {} transactions, {} records",
        source.display(),
        counts.transactions,
        counts.records
    );
    Ok(())
}
