//! Calls that take time, and what may happen to the process meanwhile: a panic, a fork, its end.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};
use std::time::Duration;

use pyo3::prelude::*;

use crate::failure;

/// How often the process was forked, as far as `os.fork` tells: a storage is of one process.
static GENERATION: AtomicU64 = AtomicU64::new(0);

/// Who waits without the interpreter's lock.
static WAITING: Mutex<Waiting> = Mutex::new(Waiting { calls: 0, at_end: 0 });
static IDLE: Condvar = Condvar::new();

/// How long threads that find their storages closed by the end of the interpreter are held, if it
/// does not end: who ends it may wait for something that such a thread has.
const HELD_FOR: Duration = Duration::from_secs(5);

static END: Mutex<End> = Mutex::new(End::NotYet);
static HELD: Condvar = Condvar::new();

/// How the interpreter ends.
#[derive(Clone, Copy)]
enum End {
    NotYet,
    /// By this thread; others that find their storages closed are held.
    By(ThreadId),
    /// It takes so long that nobody is held any more.
    Late,
}

struct Waiting {
    /// Calls under way.
    calls: usize,
    /// Threads that wait until there are none: to wake nobody is a call of the system all the same.
    at_end: usize,
}

/// Does something that may take time, while other threads of Python run.
///
/// # Errors
/// A panic of ours, as `neolith.InternalError`.
pub(crate) fn wait<T: Send>(py: Python<'_>, action: impl FnOnce() -> T + Send) -> PyResult<T> {
    let _call = Call::begin();
    py.detach(|| catch_unwind(AssertUnwindSafe(action))).map_err(|panic| panicked(py, &*panic))
}

/// Which process this is, as far as forks go.
pub(crate) fn generation() -> u64 {
    GENERATION.load(Ordering::Relaxed)
}

/// Called in the child by `os.fork`.
#[pyfunction]
#[pyo3(name = "_after_fork")]
pub(crate) fn after_fork() {
    GENERATION.fetch_add(1, Ordering::Relaxed);
    // Who waited is not in this process, and it does not end because its parent does.
    *waiting() = Waiting { calls: 0, at_end: 0 };
    *end() = End::NotYet;
}

/// Called when the interpreter ends, before storages are closed.
#[pyfunction]
#[pyo3(name = "_begin_end")]
pub(crate) fn begin_end() {
    *end() = End::By(thread::current().id());
}

/// Holds a thread that finds its storage closed because the interpreter ends. What it would do with
/// an exception, write a traceback mostly, is what an interpreter that ends may die of.
pub(crate) fn hold_at_end(py: Python<'_>) {
    match *end() {
        End::By(thread) if thread != thread::current().id() => {}
        _ => return,
    }
    py.detach(|| {
        drop(HELD.wait_timeout_while(end(), HELD_FOR, |end| matches!(end, End::By(_))));
        // There is nothing to come back to when the interpreter is over.
        while Python::try_attach(|_| ()).is_none() {
            drop(HELD.wait_timeout_while(end(), HELD_FOR, |_| true));
        }
        *end() = End::Late;
        HELD.notify_all();
    });
}

/// Waits until no other thread is in a call that waits, at most for some seconds. An interpreter
/// that ends stops threads wherever they are, which native code does not survive.
#[pyfunction]
#[pyo3(name = "_wait_until_idle")]
pub(crate) fn wait_until_idle(py: Python<'_>, seconds_max: f64) {
    py.detach(|| {
        let limit = Duration::from_secs_f64(seconds_max.clamp(0.0, 60.0));
        let mut waiting = waiting();
        waiting.at_end += 1;
        let waited = IDLE.wait_timeout_while(waiting, limit, |waiting| waiting.calls > 0);
        waited.unwrap_or_else(PoisonError::into_inner).0.at_end -= 1;
    });
}

/// Panics, for tests of what becomes of a panic.
#[pyfunction]
#[pyo3(name = "_panic")]
pub(crate) fn panic(py: Python<'_>, text: &str) -> PyResult<()> {
    wait(py, || panic!("{text}"))
}

/// A call that waits. It ends when it has the interpreter's lock again.
struct Call;

impl Call {
    fn begin() -> Self {
        waiting().calls += 1;
        Self
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let mut waiting = waiting();
        waiting.calls -= 1;
        if waiting.calls == 0 && waiting.at_end > 0 {
            IDLE.notify_all();
        }
    }
}

fn end() -> MutexGuard<'static, End> {
    END.lock().unwrap_or_else(PoisonError::into_inner)
}

fn waiting() -> MutexGuard<'static, Waiting> {
    WAITING.lock().unwrap_or_else(PoisonError::into_inner)
}

fn panicked(py: Python<'_>, panic: &(dyn Any + Send)) -> PyErr {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    failure::raise(py, "InternalError", (text.unwrap_or_else(|| "a panic".to_owned()),))
}
