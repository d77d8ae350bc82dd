//! A world with a cluster that runs.

use model::{Cell, CellState, ClusterState, Nid, Oid, PartitionId, PartitionTableId, Tid, Ttid};
use net::{Message, OrderedMap};

use super::world::*;
use crate::MasterOptions;

/// What a storage answers with.
#[derive(Clone, Debug)]
pub(super) struct Answers {
    pub(super) table: Option<(u64, u32, Vec<Vec<Cell>>)>,
    pub(super) truncate: Option<Tid>,
    pub(super) backup: Option<Tid>,
    pub(super) locked: Vec<(Ttid, Option<Tid>)>,
    pub(super) final_tid: Option<Tid>,
    pub(super) last_tid: Option<Tid>,
    pub(super) last_oid: Option<Oid>,
}

impl Answers {
    /// Of an empty database.
    pub(super) fn empty() -> Self {
        Self {
            table: None,
            truncate: None,
            backup: None,
            locked: Vec::new(),
            final_tid: None,
            last_tid: None,
            last_oid: None,
        }
    }

    /// Of one that has this table.
    pub(super) fn with_table(id: u64, replicas: u32, rows: Vec<Vec<Cell>>) -> Self {
        Self { table: Some((id, replicas, rows)), ..Self::empty() }
    }
}

/// Rows: for each partition the numbers of storages and letters of states.
pub(super) fn rows(text: &[&str]) -> Vec<Vec<Cell>> {
    let cell = |word: &str| {
        let (number, state) = word.split_at(word.len() - 1);
        let state = match state {
            "U" => CellState::UpToDate,
            "O" => CellState::OutOfDate,
            "F" => CellState::Feeding,
            _ => CellState::Discarded,
        };
        Cell { nid: storage(number.parse().unwrap()), state }
    };
    text.iter().map(|row| row.split_whitespace().map(cell).collect()).collect()
}

/// The inverse of [`rows`].
pub(super) fn shown(rows: &[Vec<Cell>]) -> Vec<String> {
    let cell = |cell: &Cell| {
        let state = match cell.state {
            CellState::UpToDate => "U",
            CellState::OutOfDate => "O",
            CellState::Feeding => "F",
            CellState::Corrupted => "C",
            CellState::Discarded => "D",
        };
        format!("{}{state}", cell.nid.number())
    };
    rows.iter().map(|row| row.iter().map(cell).collect::<Vec<_>>().join(" ")).collect()
}

impl World {
    /// Has a storage answer whatever it is asked until it is asked nothing more. Names of what
    /// came are returned.
    pub(super) fn serve(&mut self, name: &'static str, answers: &Answers) -> Vec<&'static str> {
        let mut names = Vec::new();
        while !self.peer(name).came.is_empty() {
            names.push(self.serve_one(name, answers));
        }
        names
    }

    /// Has a storage answer the next thing that it is asked or told.
    pub(super) fn serve_one(&mut self, name: &'static str, answers: &Answers) -> &'static str {
        let (id, message) = match self.next(name) {
            Came::Request(id, message) => (id, message),
            Came::Closed => return "closed",
            Came::Answer(..) => return "answer",
        };
        let kind = message.name();
        let answer = match message {
            Message::AskRecovery {} => Message::AnswerRecovery {
                table_id: answers.table.as_ref().map(|table| PartitionTableId::new(table.0)),
                backup_tid: answers.backup,
                truncate_tid: answers.truncate,
            },
            Message::AskPartitionTable {} => {
                let (id, replicas, rows) = answers.table.clone().unwrap();
                let table_id = PartitionTableId::new(id);
                Message::AnswerPartitionTable { table_id, replicas, rows }
            }
            Message::AskLockedTransactions {} => Message::AnswerLockedTransactions {
                transactions: OrderedMap(answers.locked.clone()),
            },
            Message::AskFinalTID { .. } => Message::AnswerFinalTID { tid: answers.final_tid },
            Message::AskLastIDs {} => {
                let pack_id = Tid::ZERO;
                self.send(name, Message::NotifyPackCompleted { pack_id });
                Message::AnswerLastIDs {
                    last_tid: answers.last_tid,
                    last_oid: answers.last_oid,
                    first_tid: answers.last_tid.unwrap_or(Tid::MAX),
                }
            }
            Message::AskPackOrders { .. } => Message::AnswerPackOrders { orders: Vec::new() },
            Message::StartOperation { .. } => {
                self.send(name, Message::NotifyReady {});
                return kind;
            }
            _ => return kind,
        };
        self.answer(name, id, answer);
        kind
    }

    /// Has storages answer in turn until nobody is asked any more.
    pub(super) fn serve_all(&mut self, names: &[&'static str], answers: &Answers) {
        for _ in 0..10 {
            for name in names {
                self.serve(name, answers);
            }
        }
    }

    pub(super) fn start(&mut self) -> Message {
        self.ask("admin", Message::SetClusterState { state: ClusterState::Verifying });
        self.until_answer("admin")
    }

    pub(super) fn state(&mut self) -> ClusterState {
        self.ask("admin", Message::AskClusterState {});
        match self.until_answer("admin") {
            Message::AnswerClusterState { state: Some(state) } => state,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn last_tid(&mut self) -> Tid {
        self.ask("admin", Message::AskLastTransaction {});
        match self.until_answer("admin") {
            Message::AnswerLastTransaction { tid } => tid,
            other => panic!("{other:?}"),
        }
    }

    /// The table as a new admin is told.
    pub(super) fn table(&mut self) -> (Option<u64>, Vec<String>) {
        self.identify("visitor", model::NodeType::Admin, None, None, net::Extra::default());
        let (_, message) = self.until("visitor", "SendPartitionTable");
        self.lose("visitor");
        match message {
            Message::SendPartitionTable { table_id, rows, .. } => {
                (table_id.map(PartitionTableId::get), shown(&rows))
            }
            other => panic!("{other:?}"),
        }
    }

    /// A transaction begins.
    pub(super) fn begin(&mut self, client: &'static str) -> Ttid {
        self.ask(client, Message::AskBeginTransaction { tid: None });
        match self.until_answer(client) {
            Message::AnswerBeginTransaction { ttid } => ttid,
            other => panic!("{other:?}"),
        }
    }

    /// Asks for the end of a commit that changed some objects.
    pub(super) fn finish(&mut self, client: &'static str, ttid: Ttid, oids: &[u64]) {
        let oids = oids.iter().map(|oid| Oid::new(*oid)).collect();
        let (deleted, checked) = (Vec::<PartitionId>::new(), Vec::new());
        self.ask(
            client,
            Message::AskFinishTransaction { ttid, oids, deleted, checked, pack: None },
        );
    }

    /// A storage locks what it is asked to lock next; returns the tid.
    pub(super) fn lock(&mut self, name: &'static str) -> Tid {
        let (id, message) = self.until(name, "AskLockInformation");
        let Message::AskLockInformation { ttid, tid, .. } = message else { unreachable!() };
        self.answer(name, id, Message::AnswerInformationLocked { ttid });
        tid
    }

    /// The tid of a commit that is answered next.
    pub(super) fn finished(&mut self, client: &'static str) -> Tid {
        match self.until_answer(client) {
            Message::AnswerTransactionFinished { tid, .. } => tid,
            other => panic!("{other:?}"),
        }
    }
}

/// A cluster of storages s1, s2, .. with an admin, running.
pub(super) fn running(options: MasterOptions, names: &[&'static str]) -> World {
    let mut world = World::new(options);
    world.join_admin();
    for (index, name) in names.iter().enumerate() {
        let number = u16::try_from(index).unwrap();
        let nid: Nid = world.join_storage(name, None, 2001 + number);
        assert_eq!(nid.number(), u32::from(number) + 1);
        world.serve(name, &Answers::empty());
    }
    world.start();
    world.serve_all(names, &Answers::empty());
    assert_eq!(world.state(), ClusterState::Running);
    for name in names {
        world.skip(name);
    }
    world
}

/// Commits something, then a pack order up to that. Returns both tids.
pub(super) fn order_pack(world: &mut World, oids: Option<Vec<Oid>>) -> (Tid, Tid) {
    let ttid = world.begin("c1");
    world.skip("s1");
    world.finish("c1", ttid, &[1]);
    world.lock("s1");
    let tid = world.finished("c1");
    let ttid = world.begin("c1");
    world.skip("s1");
    let pack = Some(net::PackRequest { oids: oids.map(Into::into), tid });
    let (oids, deleted, checked) = (vec![], vec![], vec![]);
    world.ask(
        "c1",
        Message::AskFinishTransaction { ttid, oids: oids.into(), deleted, checked, pack },
    );
    let (id, message) = world.until("s1", "AskLockInformation");
    let Message::AskLockInformation { pack_approved: true, .. } = message else { panic!() };
    world.answer("s1", id, Message::AnswerInformationLocked { ttid });
    let pack_id = world.finished("c1");
    assert_eq!(world.names("s1"), ["NotifyUnlockInformation", "NotifyPackSigned"]);
    (tid, pack_id)
}
