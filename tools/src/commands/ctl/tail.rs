//! `neolith ctl tail`.

use client::{Access, ClientOptions, Session};
use model::{ClusterState, NodeType};
use net::{Address, Message};

use super::{Control, unexpected};
use crate::commands::tail::Shown;
use crate::failure::Failure;

impl Control<'_> {
    pub(super) fn tail(&mut self, cluster: &str, count: u64, json: bool) -> Result<(), Failure> {
        let masters = self.serving_masters()?;
        let options =
            ClientOptions { access: Access::ReadOnly, ..ClientOptions::new(cluster, masters) };
        let session = Session::open_with(options)?;
        for transaction in session.undo_log(0, count)? {
            let shown = Shown {
                tid: transaction.tid,
                user: &transaction.metadata.user,
                description: &transaction.metadata.description,
                extension: &transaction.metadata.extension,
                packed: transaction.packed,
                oids: transaction.oids.len(),
            };
            shown.print(self.output, json)?;
        }
        session.close();
        Ok(())
    }

    /// Where the masters are, if clients are served: else they would wait.
    fn serving_masters(&mut self) -> Result<Vec<Address>, Failure> {
        match self.ask(&Message::AskClusterState {})? {
            Message::AnswerClusterState {
                state: Some(ClusterState::Running | ClusterState::BackingUp),
            } => {}
            Message::AnswerClusterState { state } => {
                let state = state.map_or_else(|| String::from("None"), |state| state.to_string());
                return Err(Failure::Node(format!("the cluster serves no clients: {state}")));
            }
            other => return Err(unexpected(&other)),
        }
        let masters = self.nodes(Some(NodeType::Master))?;
        Ok(masters.into_iter().filter_map(|node| node.address).collect())
    }
}
