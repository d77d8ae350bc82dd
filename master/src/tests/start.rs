//! Starting: the first table, recovery, verification.

use super::world::*;
use model::{Cell, CellState, ClusterState, NodeState, PartitionTableId, Tid};
use net::{ErrorCode, Message};

#[test]
fn first_start_by_an_operator() {
    let mut world = World::new(options());
    world.join_admin();
    assert_eq!(world.join_storage("s1", None, 2001), storage(1));
    assert_eq!(world.names("s1"), ["NotifyNodeInformation", "AskRecovery"]);
}
