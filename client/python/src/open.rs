//! Opening a storage.

use std::path::PathBuf;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use client::{Access, ClientOptions, Coding, Embedded, EmbeddedOptions, Error, Opening, Session};
use net::Address;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyString;

use crate::backend::Backend;
use crate::delivery::Delivery;
use crate::failure;
use crate::process::{hold_at_end, wait};
use crate::storage::Inner;

/// How often it is looked whether the user interrupts, while a cluster is looked for.
const SIGNALS_INTERVAL: Duration = Duration::from_millis(100);

/// Whoever waits longer for an answer gains nothing from a thread that is awake.
const BUSY_POLL_US_MAX: u32 = 1_000_000;

/// Where a database is.
pub(crate) enum Place {
    Cluster {
        masters: Vec<Address>,
        name: String,
    },
    /// A directory, and the name of the cluster that it is of, or may be served by.
    Directory {
        path: PathBuf,
        name: Option<String>,
    },
}

impl Place {
    pub(crate) fn new(
        masters: Option<&Bound<'_, PyAny>>,
        name: Option<&str>,
        path: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        match (masters, name, path) {
            (Some(masters), Some(name), None) if !name.is_empty() => {
                let masters = addresses(masters)?;
                Ok(Self::Cluster { masters, name: name.to_owned() })
            }
            (None, name, Some(path)) => {
                let path = path.extract::<PathBuf>()?;
                Ok(Self::Directory { path, name: name.map(str::to_owned) })
            }
            _ => Err(PyTypeError::new_err("either masters and name are given, or path")),
        }
    }

    /// What the user calls it.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Cluster { name, .. } => name.clone(),
            Self::Directory { path, .. } => path.display().to_string(),
        }
    }

    /// The same wherever and however often it is opened.
    pub(crate) fn sort_key(&self) -> String {
        match self {
            Self::Cluster { masters, name } => {
                let mut masters: Vec<_> = masters.iter().map(Address::to_string).collect();
                masters.sort();
                format!("neolith:{name}:{}", masters.join(","))
            }
            Self::Directory { path, .. } => {
                let whole = path.canonicalize();
                format!("neolith:{}", whole.as_ref().unwrap_or(path).display())
            }
        }
    }
}

/// Opens a database. It can be interrupted.
pub(crate) fn open(
    py: Python<'_>,
    place: &Place,
    cache_bytes: u64,
    is_read_only: bool,
    wait_timeout_s: Option<f64>,
    busy_poll_us: u32,
) -> PyResult<Inner> {
    if busy_poll_us > BUSY_POLL_US_MAX {
        let text = format!("busy_poll_us: {busy_poll_us} is more than {BUSY_POLL_US_MAX}");
        return Err(PyValueError::new_err(text));
    }
    let limit = wait_timeout_s.map(Duration::try_from_secs_f64).transpose();
    let limit = limit.map_err(|error| PyValueError::new_err(format!("wait_timeout: {error}")))?;
    let backend = match place {
        Place::Cluster { masters, name } => {
            let options = ClientOptions {
                access: if is_read_only { Access::ReadOnly } else { Access::ReadWrite },
                cache_bytes,
                master_timeout: limit,
                busy_poll: Duration::from_micros(busy_poll_us.into()),
                reconnect_delay: Duration::from_millis(200),
                ..ClientOptions::new(name.clone(), masters.clone())
            };
            Backend::Cluster(interruptible(py, move || Session::open_with(options))?)
        }
        Place::Directory { path, name } => {
            let options = EmbeddedOptions {
                opening: if is_read_only { Opening::ReadOnly } else { Opening::OrCreate },
                name: name.clone(),
                // A load from this process's memory takes a tenth of the time to inflate it.
                coding: Coding::Plain,
                cache_bytes: (cache_bytes > 0).then_some(cache_bytes),
                ..EmbeddedOptions::default()
            };
            let path = path.clone();
            Backend::Embedded(interruptible(py, move || Embedded::open(path, options))?)
        }
    };
    let started = wait(py, || {
        let notices = backend.subscribe();
        // What was told before the subscription is known when this is answered.
        backend.synchronize()?;
        let delivery = Delivery::new(backend.last_tid());
        let thread = delivery.start(notices);
        let thread = thread.map_err(|error| Error::System { kind: error.kind() })?;
        Ok((delivery, thread))
    })?;
    let (delivery, thread) = started.map_err(|error| failure::of_client(py, error))?;
    Ok(Inner::new(backend, delivery, thread, place, is_read_only))
}

/// Opens something on a thread of its own, so that the user can interrupt it.
fn interruptible<T: Send + 'static>(
    py: Python<'_>,
    open: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> PyResult<T> {
    let (sender, mut receiver) = mpsc::channel();
    let opener = std::thread::Builder::new().name("neolith-open".to_owned());
    let opened = opener.spawn(move || {
        // Nobody takes it if the user interrupted: it is closed then.
        let _ = sender.send(open());
    });
    opened.map_err(|error| failure::raise(py, "StorageSystemError", (error.to_string(),)))?;
    loop {
        let receiver = &mut receiver;
        match wait(py, move || receiver.recv_timeout(SIGNALS_INTERVAL))? {
            Ok(opened) => return opened.map_err(|error| failure::of_client(py, error)),
            Err(RecvTimeoutError::Timeout) => {
                py.check_signals()?;
                hold_at_end(py);
            }
            Err(RecvTimeoutError::Disconnected) => {
                return Err(failure::raise(py, "InternalError", ("opening panicked",)));
            }
        }
    }
}

/// `"host:port,host:port"`, separated by commas or spaces, or a sequence of such strings.
fn addresses(masters: &Bound<'_, PyAny>) -> PyResult<Vec<Address>> {
    let texts = match masters.cast::<PyString>() {
        Ok(text) => vec![text.to_string()],
        Err(_) => masters.extract::<Vec<String>>()?,
    };
    let words =
        texts.iter().flat_map(|text| text.split([',', ' '])).filter(|word| !word.is_empty());
    let parsed: Result<Vec<Address>, _> = words.map(str::parse).collect();
    match parsed {
        Ok(addresses) if addresses.is_empty() => Err(PyValueError::new_err("no master is named")),
        Ok(addresses) => Ok(addresses),
        Err(error) => Err(PyValueError::new_err(error.to_string())),
    }
}
