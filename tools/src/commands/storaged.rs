//! `neolith storaged`.

mod database;

use std::path::Path;
use std::process::ExitCode;

use engine::Worker;
use model::Nid;
use storaged::{Storage, StorageExit, StorageOptions};

use crate::failure::Failure;
use crate::node::{
    Daemon, Ended, Log, Named, StorageArgs, configured, expanded, ignored, put_aside, run_logged,
    typed_words,
};
use database::Database;

/// Any one.
const PORT: u16 = 0;

pub(crate) fn run() -> Result<ExitCode, Failure> {
    let args: StorageArgs = configured(&typed_words())?;
    run_logged("storage", &args.common, |log| {
        check_neo_options(&args)?;
        let path = match &args.database {
            Some(path) => expanded(path)?,
            None => {
                let reason = "the directory of the database is missing: give --database";
                return Err(Failure::Refused(String::from(reason)));
            }
        };
        match args.reset {
            true => reset(&path),
            false => serve(&args, &path, log),
        }
    })
}

/// Puts the database aside, if there is one.
fn reset(path: &Path) -> Result<ExitCode, Failure> {
    match path.exists() {
        true => put_aside(path, "reset").map(|aside| println!("{}", moved(path, &aside)))?,
        false => println!("{}: nothing there", path.display()),
    }
    Ok(ExitCode::SUCCESS)
}

fn serve(args: &StorageArgs, path: &Path, log: &Log) -> Result<ExitCode, Failure> {
    let in_database = |failure: Failure| Failure::Node(failure.to_string());
    let database = Database::open(args, path).map_err(in_database)?;
    let cluster = database.cluster.clone();
    log.identify(|identity| identity.cluster = Some(cluster.clone()));
    let mut daemon = Daemon::start(&args.common, PORT)?;
    daemon.wait(&args.waiting);
    let options = StorageOptions {
        cluster,
        address: daemon.address.clone(),
        masters: daemon.masters_or_default(),
        nid: args.nid,
        device_path: database::device_path(path),
        new_nid: args.new_nid,
        disable_pack: args.disable_pack,
        disable_drop_partitions: args.disable_drop_partitions,
        reconnect_delay: daemon.reconnect_delay,
    };
    let failed = |error: storaged::Error| Failure::Node(format!("{}: {error}", path.display()));
    let Database { directory, engine, .. } = database;
    let mut storage = Storage::open(options, engine, net::now()).map_err(failed)?;
    let worker = Worker::start().map_err(|error| failed(storaged::Error::Background(error)))?;
    storage.set_background(Box::new(worker));
    for descriptor in storage.descriptors() {
        daemon.watch(descriptor)?;
    }
    let (storage, ended) = daemon.run(storage, log);
    match ended {
        Ended::Exit(StorageExit::Failed(error)) => return Err(failed(error)),
        // What was acknowledged is durable.
        Ended::Overdue => return Ok(ExitCode::SUCCESS),
        Ended::Exit(StorageExit::Stopped) => storage.close().map_err(failed)?,
        Ended::Exit(StorageExit::Cloned { nid }) => {
            tracing::info!(%nid, "the database is of a storage of its own now");
            storage.close().map_err(failed)?;
        }
        Ended::Exit(StorageExit::Dropped) => {
            storage.close().map_err(failed)?;
            let aside = put_aside(path, "dropped")?;
            tracing::warn!(
                database = %aside.display(),
                "dropped from the cluster: the database was put aside"
            );
        }
    }
    // Nobody else opens the directory before everything is done.
    drop(directory);
    Ok(ExitCode::SUCCESS)
}

fn moved(path: &Path, aside: &Path) -> String {
    format!("{}: put aside as {}", path.display(), aside.display())
}

/// Options of NEO/py that mean nothing here, and those that would be wrong to ignore.
fn check_neo_options(args: &StorageArgs) -> Result<(), Failure> {
    match args.adapter.as_deref() {
        None => {}
        Some(adapter) if adapter.eq_ignore_ascii_case("neolith") => {}
        Some("SQLite") => ignored("--adapter", "the database is a directory of Neolith's own"),
        Some(adapter) => {
            return Err(Failure::Refused(format!(
                "--adapter {adapter}: there is no such adapter; the database is a directory of \
                 Neolith's own, and --adapter can be left out"
            )));
        }
    }
    let given = [
        ("--wait", args.wait.is_some(), "there is no database server to wait for"),
        ("--engine", args.engine.is_some(), "there is no database server"),
        ("--dedup", args.dedup, "equal revisions of an object are kept once by packing"),
    ];
    for (option, _, reason) in given.into_iter().filter(|(_, given, _)| *given) {
        ignored(option, reason);
    }
    Ok(())
}

impl Named for Storage {
    fn nid(&self) -> Option<Nid> {
        self.nid()
    }

    fn cluster(&self) -> Option<&str> {
        None
    }
}
