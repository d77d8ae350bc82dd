//! Lists of nodes, as NEO's tool prints them.

use model::Nid;
use net::{Address, NodeInformation};

use crate::time_text::time_of_unix;

/// One line a node: id, type, address, state and since when it is connected, in columns. First
/// those with an id, in order of ids.
pub(crate) fn node_lines(nodes: &[NodeInformation]) -> Vec<String> {
    let mut nodes: Vec<&NodeInformation> = nodes.iter().collect();
    nodes.sort_by_key(|node| (node.nid.is_none(), node.nid, node.address.clone()));
    let rows: Vec<[String; 5]> = nodes.into_iter().map(columns).collect();
    let width = |column: usize| {
        rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default()
    };
    let widths = [width(0), width(1), width(2), width(3)];
    rows.iter()
        .map(|[nid, node_type, address, state, since]| {
            let [a, b, c, d] = widths;
            format!("{nid:a$} | {node_type:b$} | {address:c$} | {state:d$} | {since}")
        })
        .collect()
}

fn columns(node: &NodeInformation) -> [String; 5] {
    let since = node
        .id_timestamp
        .map(|timestamp| time_of_unix(timestamp.0).unwrap_or_else(|| timestamp.0.to_string()));
    [
        node.nid.as_ref().map_or_else(|| String::from("None"), Nid::to_string),
        node.node_type.to_string(),
        node.address.as_ref().map_or_else(String::new, Address::to_string),
        node.state.to_string(),
        since.unwrap_or_else(|| String::from("None")),
    ]
}

#[cfg(test)]
mod tests {
    use model::{NodeState, NodeType};
    use net::IdTimestamp;

    use super::*;

    fn node(
        node_type: NodeType,
        number: u32,
        port: Option<u16>,
        timestamp: Option<f64>,
    ) -> NodeInformation {
        NodeInformation {
            node_type,
            address: port.map(|port| Address { host: String::from("127.0.0.1"), port }),
            nid: (number > 0).then(|| Nid::of(node_type, number)),
            state: NodeState::Running,
            id_timestamp: timestamp.map(IdTimestamp),
        }
    }

    #[test]
    fn nodes_are_in_columns() {
        let mut nodes = vec![
            node(NodeType::Master, 0, Some(1), None),
            node(NodeType::Storage, 1, Some(27010), Some(1_795_377_014.756_275)),
            node(NodeType::Master, 1, Some(27000), None),
            node(NodeType::Client, 1, None, Some(1_795_377_014.0)),
        ];
        nodes[1].state = NodeState::Pending;
        let expected = [
            "C1   | CLIENT  |                 | RUNNING | 2026-11-22 19:50:14",
            "M1   | MASTER  | 127.0.0.1:27000 | RUNNING | None",
            "S1   | STORAGE | 127.0.0.1:27010 | PENDING | 2026-11-22 19:50:14.756275",
            "None | MASTER  | 127.0.0.1:1     | RUNNING | None",
        ];
        assert_eq!(node_lines(&nodes), expected);
    }
}
