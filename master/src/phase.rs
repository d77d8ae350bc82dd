//! One machine for each state of the cluster.

use model::{ClusterState, Tid};

use crate::operation::Operation;
use crate::options::MasterExit;
use crate::recovery::Recovery;
use crate::stopping::Stopping;
use crate::verification::Verification;

/// The machine of the present state.
#[derive(Debug)]
pub(crate) enum Phase {
    /// Waits for the storages that make the cluster operational.
    Recovering(Recovery),
    /// Decides on transactions in doubt.
    Verifying(Verification),
    /// Serves clients.
    Running(Operation),
    /// Ends transactions, then all nodes.
    Stopping(Stopping),
}

impl Phase {
    pub(crate) fn state(&self) -> ClusterState {
        match self {
            Self::Recovering(_) => ClusterState::Recovering,
            Self::Verifying(_) => ClusterState::Verifying,
            Self::Running(_) => ClusterState::Running,
            Self::Stopping(_) => ClusterState::Stopping,
        }
    }

    /// The machine that serves clients, if one does.
    pub(crate) fn operation(&mut self) -> Option<&mut Operation> {
        match self {
            Self::Running(operation) => Some(operation),
            Self::Stopping(stopping) => stopping.operation.as_mut(),
            Self::Recovering(_) | Self::Verifying(_) => None,
        }
    }
}

/// What is to follow when an event is handled.
#[derive(Debug)]
pub(crate) enum Next {
    /// The table can be operated with: verification.
    Verify,
    /// Nothing is in doubt any more: operation.
    Operate,
    /// Back to recovery, perhaps to truncate.
    FallBack {
        /// Up to where to truncate.
        truncate: Option<Tid>,
    },
    /// The cluster is to stop.
    Stop,
    /// The master is to end.
    End(MasterExit),
}
