//! `neolith master`.

use std::process::ExitCode;
use std::sync::Arc;

use engine::disk::{self, Disk};
use master::{Master, MasterExit, MasterOptions};
use model::{Nid, PartitionCount};

use crate::failure::Failure;
use crate::node::{
    Daemon, Ended, Log, MasterArgs, Named, configured, expanded, ignored, run_logged, seed,
    typed_words,
};

/// The port of masters in NEO.
const PORT: u16 = 10_000;
/// Partitions of a new cluster in NEO.
const PARTITIONS_DEFAULT: u32 = 100;

pub(crate) fn run() -> Result<ExitCode, Failure> {
    let args: MasterArgs = configured(&typed_words())?;
    run_logged("master", &args.common, |log| run_with(&args, log))
}

fn run_with(args: &MasterArgs, log: &Log) -> Result<ExitCode, Failure> {
    if args.backup {
        return Err(Failure::Refused(String::from("--backup: backups are not supported yet")));
    }
    if args.upstream_cluster.is_some() || args.upstream_masters.is_some() {
        ignored("--upstream-cluster", "backups are not supported yet");
    }
    let data = args.data.as_deref().map(expanded).transpose()?;
    let disk = match &data {
        None => None,
        Some(path) => {
            let opened = args.disk.directory(path, disk::OpenMode::Create);
            let opened = opened.map_err(|failure| Failure::Node(failure.to_string()))?;
            Some(opened as Arc<dyn Disk>)
        }
    };
    let mut daemon = Daemon::start(&args.common, PORT)?;
    daemon.wait(&args.waiting);
    let Some(default) = PartitionCount::new(PARTITIONS_DEFAULT) else {
        unreachable!("the default is legal")
    };
    let options = MasterOptions {
        cluster: args.common.cluster.clone(),
        address: daemon.address.clone(),
        masters: daemon.masters.clone(),
        partitions: args.partitions.unwrap_or(default),
        replicas: args.replicas.unwrap_or_default(),
        autostart: args.autostart,
        nid: args.nid,
        reconnect_delay: daemon.reconnect_delay,
        seed: seed()?,
    };
    let master = Master::open(options, disk, net::now()).map_err(failed)?;
    if let Some(descriptor) = master.descriptor() {
        daemon.watch(descriptor)?;
    }
    match daemon.run(master, log).1 {
        Ended::Exit(MasterExit::Failed(error)) => Err(failed(error)),
        Ended::Exit(MasterExit::Stopped | MasterExit::Terminated) | Ended::Overdue => {
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn failed(error: master::Error) -> Failure {
    Failure::Node(error.to_string())
}

impl Named for Master {
    fn nid(&self) -> Option<Nid> {
        Some(self.nid())
    }

    fn cluster(&self) -> Option<&str> {
        Some(self.cluster())
    }
}
