//! Commands of `neolith ctl` that change something.

use model::{Nid, NodeState, NodeType, PartitionId, Tid};
use net::{ErrorCode, Message, OrderedMap};

use super::confirm::confirm;
use super::{Control, unexpected};
use crate::control::{parse_checks, parse_nid};
use crate::failure::Failure;
use crate::time_text::time_of_tid;

impl Control<'_> {
    /// Has something done, and prints what the master says of it.
    pub(super) fn order(&mut self, message: &Message) -> Result<(), Failure> {
        let text = self.acknowledged(message)?;
        self.output.line(text)
    }

    pub(super) fn add(&mut self, nodes: &[String]) -> Result<(), Failure> {
        let nids = self.storages(nodes)?;
        self.order(&Message::AddPendingNodes { nids })
    }

    pub(super) fn tweak(&mut self, dry_run: bool, excluded: &[Nid]) -> Result<(), Failure> {
        let excluded = excluded.to_vec();
        match self.ask(&Message::TweakPartitionTable { dry_run, excluded })? {
            Message::AnswerTweakPartitionTable { changed: true, rows } => self.print_matrix(&rows),
            Message::AnswerTweakPartitionTable { changed: false, .. } => {
                self.output.line("No change done.")
            }
            other => Err(unexpected(&other)),
        }
    }

    pub(super) fn drop_node(&mut self, nid: Nid, yes: bool) -> Result<(), Failure> {
        if !yes {
            let question = format!("{nid} is removed from the cluster for ever.");
            confirm(&question, &nid.to_string())?;
        }
        self.order(&Message::SetNodeState { nid, state: NodeState::Unknown })
    }

    pub(super) fn kill(&mut self, nid: Nid) -> Result<(), Failure> {
        self.order(&Message::SetNodeState { nid, state: NodeState::Down })
    }

    pub(super) fn check(&mut self, words: &[String]) -> Result<(), Failure> {
        let checks = parse_checks(words).map_err(Failure::Refused)?;
        let partitions = match checks.partitions[..] {
            [(None, source)] => {
                let message = Message::AskPartitionList { first: 0, last: 0, nid: None };
                let answer = self.ask(&message)?;
                let Message::AnswerPartitionList { rows, .. } = answer else {
                    return Err(unexpected(&answer));
                };
                (0..).zip(rows).map(|(number, _)| (PartitionId::new(number), source)).collect()
            }
            _ => checks
                .partitions
                .into_iter()
                .filter_map(|(partition, source)| partition.map(|partition| (partition, source)))
                .collect(),
        };
        let (tid_min, tid_max) = (checks.tid_min, checks.tid_max);
        let partitions = OrderedMap(partitions);
        self.acknowledged(&Message::CheckReplicas { partitions, tid_min, tid_max })?;
        Ok(())
    }

    pub(super) fn prune_orphan(&mut self, dry_run: bool, nodes: &[String]) -> Result<(), Failure> {
        let nids = self.storages(nodes)?;
        self.order(&Message::Repair { nids, dry_run })
    }

    pub(super) fn truncate(&mut self, tid: Tid, yes: bool) -> Result<(), Failure> {
        let answer = self.ask(&Message::AskLastIDs {})?;
        let Message::AnswerLastIDs { last_tid, first_tid, .. } = answer else {
            return Err(unexpected(&answer));
        };
        let at = |tid: Tid| format!("{:#x} ({})", tid.get(), time_of_tid(tid));
        // Without any transaction, the first is none.
        if tid < first_tid && first_tid != Tid::MAX {
            return Err(Failure::Node(format!(
                "refused: {} is before the first transaction, {}; nothing would be left",
                at(tid),
                at(first_tid)
            )));
        }
        if !yes {
            let last = at(last_tid.unwrap_or(Tid::ZERO));
            let question = format!(
                "All transactions after {} are removed for ever; the last one is {last}.",
                at(tid)
            );
            confirm(&question, "truncate")?;
        }
        self.acknowledged(&Message::Truncate { tid })?;
        Ok(())
    }

    /// Asks something that is answered by a text.
    fn acknowledged(&mut self, message: &Message) -> Result<String, Failure> {
        match self.ask(message)? {
            Message::Error { code: ErrorCode::Ack, text } => {
                Ok(String::from_utf8_lossy(&text).into_owned())
            }
            other => Err(unexpected(&other)),
        }
    }

    /// Storages that are named, or all.
    fn storages(&mut self, names: &[String]) -> Result<Vec<Nid>, Failure> {
        match names {
            [all] if all == "all" => {
                let nodes = self.nodes(Some(NodeType::Storage))?;
                Ok(nodes.into_iter().filter_map(|node| node.nid).collect())
            }
            names => {
                let nids = names.iter().map(|name| parse_nid(name));
                nids.collect::<Result<_, _>>().map_err(Failure::Refused)
            }
        }
    }
}
