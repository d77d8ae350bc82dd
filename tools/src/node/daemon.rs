//! What all nodes do when they start, and when they end.

use std::ffi::OsString;
use std::io;
use std::process::ExitCode;
use std::time::Duration;

use net::{Address, EventLoop, Machine};

use super::arguments::{CommonArgs, WaitingArgs};
use super::driven::{Driven, Ended, Named};
use super::log::{Identity, Log};
use super::{addresses, parent, paths, service};
use crate::failure::Failure;

/// Where masters are if nobody says it: as NEO has it.
const MASTER_DEFAULT: (&str, u16) = ("127.0.0.1", 10_000);
/// Seconds between two connections to the same address, if nobody says it.
const RECONNECT_DELAY_DEFAULT: Duration = Duration::from_secs(1);

/// What a node has before it is a machine: a log, an event loop, and a place to listen.
pub(crate) struct Daemon {
    pub(crate) event_loop: EventLoop,
    /// Masters, with numbers for hosts.
    pub(crate) masters: Vec<Address>,
    /// Where others find the node.
    pub(crate) address: Address,
    pub(crate) reconnect_delay: Duration,
}

/// The words behind the name of the command, as they were typed.
pub(crate) fn typed_words() -> Vec<OsString> {
    std::env::args_os().skip(2).collect()
}

/// Starts the log of a node.
pub(crate) fn start_log(kind: &'static str, common: &CommonArgs) -> Result<Log, Failure> {
    let identity = Identity { kind, nid: None, cluster: common.cluster.clone() };
    let file = common.logfile.as_deref().map(paths::expanded).transpose()?;
    Log::start(identity, common.log_format.unwrap_or_default(), file)
}

/// Runs a node with a log, and has a failure of it in the log as well.
pub(crate) fn run_logged(
    kind: &'static str,
    common: &CommonArgs,
    run: impl FnOnce(&Log) -> Result<ExitCode, Failure>,
) -> Result<ExitCode, Failure> {
    let log = start_log(kind, common)?;
    let outcome = run(&log);
    if let Err(failure) = &outcome {
        log.to_file(&format!("neolith: {failure}"));
    }
    outcome
}

impl Daemon {
    /// Listens. `port` is for who did not say one.
    pub(crate) fn start(common: &CommonArgs, port: u16) -> Result<Self, Failure> {
        refuse_what_is_not_there(common)?;
        let masters = match &common.masters {
            Some(masters) => addresses::resolved(&masters.0)?,
            None => Vec::new(),
        };
        let mut event_loop = EventLoop::new().map_err(failed_loop)?;
        let wanted = common.bind.clone().unwrap_or_default().address(port)?;
        let listening = event_loop
            .listen(&wanted)
            .map_err(|error| Failure::Node(format!("cannot listen at {wanted}: {error}")))?;
        let address = addresses::reachable(&listening, &masters);
        event_loop.catch_signals().map_err(failed_loop)?;
        if common.exit_with_parent {
            parent::end_with_parent()?;
        }
        tracing::info!(version = env!("CARGO_PKG_VERSION"), %listening, %address, "started");
        let reconnect_delay = common.reconnect_delay.unwrap_or(RECONNECT_DELAY_DEFAULT);
        Ok(Self { event_loop, masters, address, reconnect_delay })
    }

    /// The masters, or where one is by default.
    pub(crate) fn masters_or_default(&self) -> Vec<Address> {
        match self.masters.is_empty() {
            true => {
                let (host, port) = MASTER_DEFAULT;
                vec![Address { host: host.to_owned(), port }]
            }
            false => self.masters.clone(),
        }
    }

    /// Runs a machine until it ends, and gives it back.
    pub(crate) fn run<M: Machine + Named>(&mut self, machine: M, log: &Log) -> (M, Ended<M::Exit>) {
        if let Err(error) = service::ready() {
            tracing::warn!(%error, "the service manager cannot be told");
        }
        let mut driven = Driven::new(machine, log);
        let ended = net::drive(&mut self.event_loop, &mut driven);
        if matches!(ended, Ended::Overdue) {
            tracing::warn!("it took too long to end in good order");
        }
        (driven.machine, ended)
    }

    /// Has the loop wait as it was asked to.
    pub(crate) fn wait(&mut self, args: &WaitingArgs) {
        self.event_loop.set_busy_poll(Duration::from_micros(args.busy_poll_us.into()));
    }

    /// Has the loop tell of files.
    pub(crate) fn watch(&mut self, descriptor: std::os::fd::RawFd) -> Result<(), Failure> {
        self.event_loop.watch(descriptor).map_err(failed_loop)
    }
}

/// Numbers that differ from one start to the next.
pub(crate) fn seed() -> Result<u64, Failure> {
    getrandom::u64().map_err(|error| Failure::Io {
        action: "get",
        path: String::from("random numbers"),
        source: error.into(),
    })
}

fn failed_loop(source: io::Error) -> Failure {
    Failure::Node(format!("cannot wait for events: {source}"))
}

/// A node that was told to encrypt must not speak plainly.
fn refuse_what_is_not_there(common: &CommonArgs) -> Result<(), Failure> {
    let tls = [("--ca", &common.ca), ("--cert", &common.cert), ("--key", &common.key)];
    for (name, given) in tls {
        if given.is_some() {
            return Err(Failure::Refused(format!("{name}: TLS is not supported yet")));
        }
    }
    if common.dynamic_master_list.is_some() {
        ignored("--dynamic-master-list", "masters are those of --masters");
    }
    Ok(())
}

/// Says that an option has no effect.
pub(crate) fn ignored(option: &str, reason: &str) {
    tracing::warn!(option, reason, "an option has no effect");
}
