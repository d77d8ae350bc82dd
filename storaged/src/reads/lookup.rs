//! All kinds of lookups as one.

use engine::{
    Blocks, BoundsLookup, HistoryEntry, HistoryLookup, LiveOids, LiveOidsLookup, LoadLookup,
    LoadResult, Lookup, NewestTidLookup, ObjectData, ObjectPage, ObjectsLookup, PartitionBounds,
    RevisionTids, Step, StoredLookup, TidOfLookup, TidsLookup, TidsOfLoadLookup, Transaction,
    TransactionLookup, UndoLookup, UndoResult,
};
use model::Tid;

macro_rules! lookups {
    ($($name:ident: $lookup:ty => $output:ty,)*) => {
        /// Any lookup.
        #[derive(Debug)]
        pub(crate) enum AnyLookup {
            $($name($lookup),)*
        }

        /// What a lookup found.
        #[derive(Debug)]
        pub(crate) enum Found {
            $($name($output),)*
        }

        impl Lookup for AnyLookup {
            type Output = Found;

            fn step(&mut self, blocks: &mut Blocks<'_>) -> engine::Result<Step<Found>> {
                match self {
                    $(Self::$name(lookup) => Ok(match lookup.step(blocks)? {
                        Step::Done(output) => Step::Done(Found::$name(output)),
                        Step::Need(need) => Step::Need(need),
                        Step::Pause => Step::Pause,
                    }),)*
                }
            }
        }
    };
}

lookups! {
    Load: LoadLookup => LoadResult,
    TidsOfLoad: TidsOfLoadLookup => Option<RevisionTids>,
    Newest: NewestTidLookup => Option<Tid>,
    Stored: StoredLookup => Option<ObjectData>,
    History: HistoryLookup => Vec<HistoryEntry>,
    Undo: UndoLookup => Option<UndoResult>,
    Transaction: TransactionLookup => Option<Transaction>,
    Tids: TidsLookup => Vec<Tid>,
    TidOf: TidOfLookup => Option<Tid>,
    Objects: ObjectsLookup => ObjectPage,
    LiveOids: LiveOidsLookup => LiveOids,
    Bounds: Box<BoundsLookup> => PartitionBounds,
}
