//! The simulator: a whole cluster in a [`World`](crate::world::World), programs that use it, and
//! faults, all decided by one seed; and what must hold whatever happens.
//!
//! - [`Setting`]: what a seed decides before a run: the cluster, its programs, its [faults](Fault);
//! - [`run`]: carries it out, and what came of it: [`Outcome`];
//! - [`program`]: the programs, and [`History`] what they saw;
//! - [`check`]: the rules, each in a file of its own.
//! - [`Coverage`]: what a batch of runs has shown, and what it has not.

mod batch;
mod breaker;
mod broken;
pub mod check;
mod coverage;
mod disks;
mod fault;
mod history;
mod nodes;
mod profile;
pub mod program;
mod refusal;
mod run;
mod setting;
mod shrink;
mod truncation;

pub use batch::Batch;
pub use broken::Broken;
pub use coverage::{Coverage, all_points, reason_not_to_reach};
pub use fault::{Fault, FaultKind, Target, Targets};
pub use history::History;
pub use nodes::Nodes;
pub use profile::Profile;
pub use run::{Figures, Outcome, Tracing, run};
pub use setting::{Ending, Setting};
