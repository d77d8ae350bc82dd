//! Programs that use the cluster.

mod plan;
mod teller;

pub use plan::Plan;
