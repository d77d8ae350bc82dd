use super::*;

fn all<S>(from_number: fn(u8) -> Option<S>) -> Vec<S> {
    (0..=u8::MAX).filter_map(from_number).collect()
}

/// A line for each state: its number, name, and what it may become.
fn picture<S: Copy + std::fmt::Display>(
    from_number: fn(u8) -> Option<S>,
    number: fn(S) -> u8,
    can_become: impl Fn(S, S) -> bool,
) -> String {
    let states = all(from_number);
    let mut text = String::new();
    for &state in &states {
        text += &format!("{} {state} ->", number(state));
        for next in states.iter().filter(|next| can_become(state, **next)) {
            text += &format!(" {next}");
        }
        text += "\n";
    }
    text
}

#[test]
fn cell_states() {
    let text = picture(CellState::from_number, CellState::number, CellState::can_become);
    assert_eq!(
        text,
        "0 OUT_OF_DATE -> UP_TO_DATE DISCARDED\n\
         1 UP_TO_DATE -> OUT_OF_DATE FEEDING CORRUPTED DISCARDED\n\
         2 FEEDING -> UP_TO_DATE CORRUPTED DISCARDED\n\
         3 CORRUPTED -> OUT_OF_DATE DISCARDED\n\
         4 DISCARDED -> OUT_OF_DATE UP_TO_DATE\n"
    );
}

#[test]
fn cluster_states() {
    let text = picture(ClusterState::from_number, ClusterState::number, ClusterState::can_become);
    assert_eq!(
        text,
        "0 RECOVERING -> VERIFYING STOPPING\n\
         1 VERIFYING -> RECOVERING RUNNING STOPPING STARTING_BACKUP\n\
         2 RUNNING -> RECOVERING STOPPING STARTING_BACKUP\n\
         3 STOPPING ->\n\
         4 STARTING_BACKUP -> RECOVERING STOPPING BACKINGUP STOPPING_BACKUP\n\
         5 BACKINGUP -> RECOVERING STOPPING STARTING_BACKUP STOPPING_BACKUP\n\
         6 STOPPING_BACKUP -> RECOVERING STOPPING STARTING_BACKUP\n"
    );
}

#[test]
fn storage_states() {
    let text = picture(NodeState::from_number, NodeState::number, |state, next| {
        state.can_become(next, NodeType::Storage)
    });
    assert_eq!(
        text,
        "0 UNKNOWN -> DOWN RUNNING PENDING\n\
         1 DOWN -> UNKNOWN RUNNING PENDING\n\
         2 RUNNING -> UNKNOWN DOWN PENDING\n\
         3 PENDING -> UNKNOWN DOWN RUNNING\n"
    );
}

#[test]
fn masters_are_never_pending_and_clients_never_down() {
    let masters = picture(NodeState::from_number, NodeState::number, |state, next| {
        state.can_become(next, NodeType::Master)
    });
    assert_eq!(
        masters,
        "0 UNKNOWN -> DOWN RUNNING\n1 DOWN -> UNKNOWN RUNNING\n\
         2 RUNNING -> UNKNOWN DOWN\n3 PENDING ->\n"
    );
    for node_type in [NodeType::Client, NodeType::Admin] {
        let others = picture(NodeState::from_number, NodeState::number, |state, next| {
            state.can_become(next, node_type)
        });
        assert_eq!(others, "0 UNKNOWN -> RUNNING\n1 DOWN ->\n2 RUNNING -> UNKNOWN\n3 PENDING ->\n");
    }
}

#[test]
fn only_up_to_date_and_feeding_cells_are_read() {
    let readable = |state: &CellState| state.is_readable();
    let states = all(CellState::from_number);
    let found: Vec<_> = states.iter().copied().filter(readable).collect();
    assert_eq!(found, [CellState::UpToDate, CellState::Feeding]);
    for state in states {
        assert_eq!(state.is_writable(), state != CellState::Discarded, "{state}");
    }
}

#[test]
fn names_can_be_padded() {
    assert_eq!(format!("{:>9}|", NodeState::Down), "     DOWN|");
}
