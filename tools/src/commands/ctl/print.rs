//! `neolith ctl print`.

use bytes::Bytes;
use model::{Cell, Nid, NodeType, Oid, Tid};
use net::{Message, NodeInformation};

use super::{Control, unexpected};
use crate::control::{matrix_lines, node_lines, row_lines};
use crate::failure::Failure;
use crate::time_text::time_of_tid;

impl Control<'_> {
    pub(super) fn print_ids(&mut self) -> Result<(), Failure> {
        let answer = self.ask(&Message::AskRecovery {})?;
        let Message::AnswerRecovery { table_id, backup_tid, .. } = answer else {
            return Err(unexpected(&answer));
        };
        let last_tid = match backup_tid {
            Some(tid) => {
                self.output.line(format_args!("backup_tid = {}", with_time(tid)))?;
                match self.ask(&Message::AskLastTransaction {})? {
                    Message::AnswerLastTransaction { tid } => tid,
                    other => return Err(unexpected(&other)),
                }
            }
            None => match self.ask(&Message::AskLastIDs {})? {
                Message::AnswerLastIDs { last_tid, last_oid, .. } => {
                    let last_oid = last_oid.map_or(0, Oid::get);
                    self.output.line(format_args!("last_oid = {last_oid:#x}"))?;
                    last_tid.unwrap_or(Tid::ZERO)
                }
                other => return Err(unexpected(&other)),
            },
        };
        self.output.line(format_args!("last_tid = {}", with_time(last_tid)))?;
        let table_id = table_id.map_or_else(|| String::from("None"), |id| id.to_string());
        self.output.line(format_args!("last_ptid = {table_id}"))
    }

    pub(super) fn print_rows(
        &mut self,
        first: u32,
        last: u32,
        nid: Option<Nid>,
    ) -> Result<(), Failure> {
        let answer = self.ask(&Message::AskPartitionList { first, last, nid })?;
        let Message::AnswerPartitionList { table_id, replicas, rows } = answer else {
            return Err(unexpected(&answer));
        };
        let id = table_id.map_or_else(|| String::from("None"), |id| id.to_string());
        self.output.line(format_args!("# ptid: {id}, replicas: {replicas}"))?;
        match (first, last) {
            (0, 0) => self.print_matrix(&rows),
            _ => self.print_lines(&row_lines(&rows, first)),
        }
    }

    /// Prints a table with the storages that there are.
    pub(super) fn print_matrix(&mut self, rows: &[Vec<Cell>]) -> Result<(), Failure> {
        let nodes = self.nodes(Some(NodeType::Storage))?;
        let lines = matrix_lines(rows, &nodes);
        match lines.is_empty() {
            true => self.output.line(""),
            false => self.print_lines(&lines),
        }
    }

    pub(super) fn print_nodes(&mut self, node_type: Option<NodeType>) -> Result<(), Failure> {
        let nodes = self.nodes(node_type)?;
        match nodes.is_empty() {
            true => self.output.line("Empty list!"),
            false => self.print_lines(&node_lines(&nodes)),
        }
    }

    pub(super) fn print_cluster(&mut self) -> Result<(), Failure> {
        match self.ask(&Message::AskClusterState {})? {
            Message::AnswerClusterState { state: Some(state) } => self.output.line(state),
            Message::AnswerClusterState { state: None } => self.output.line("None"),
            other => Err(unexpected(&other)),
        }
    }

    pub(super) fn print_primary(&mut self) -> Result<(), Failure> {
        match self.ask(&Message::AskPrimary {})? {
            Message::AnswerPrimary { nid } => self.output.line(nid),
            other => Err(unexpected(&other)),
        }
    }

    pub(super) fn print_summary(&mut self) -> Result<(), Failure> {
        let answer = self.ask(&Message::AskMonitorInformation {})?;
        let Message::AnswerMonitorInformation { warnings, problems, text } = answer else {
            return Err(unexpected(&answer));
        };
        let lists = [("warning", warnings), ("problem", problems)];
        let lists: Vec<String> = lists
            .iter()
            .filter(|(_, names)| !names.is_empty())
            .map(|(severity, names)| format!("\"{severity}\": [{}]", json_names(names)))
            .collect();
        self.output.line(format_args!("# {{{}}}", lists.join(", ")))?;
        self.output.line(String::from_utf8_lossy(&text))
    }

    pub(super) fn nodes(
        &mut self,
        node_type: Option<NodeType>,
    ) -> Result<Vec<NodeInformation>, Failure> {
        match self.ask(&Message::AskNodeList { node_type })? {
            Message::AnswerNodeList { nodes } => Ok(nodes),
            other => Err(unexpected(&other)),
        }
    }

    fn print_lines(&mut self, lines: &[String]) -> Result<(), Failure> {
        lines.iter().try_for_each(|line| self.output.line(line))
    }
}

fn with_time(tid: Tid) -> String {
    format!("{:#x} ({})", tid.get(), time_of_tid(tid))
}

/// Names of clusters as JSON has them; `null` is the admin's own.
fn json_names(names: &[Option<Bytes>]) -> String {
    let json = |name: &Option<Bytes>| match name {
        Some(name) => serde_json::Value::from(String::from_utf8_lossy(name)).to_string(),
        None => String::from("null"),
    };
    names.iter().map(json).collect::<Vec<_>>().join(", ")
}
