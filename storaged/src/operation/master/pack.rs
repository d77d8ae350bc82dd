//! Pack orders: kept, signed, answered. They are not carried out yet; the master is told that they
//! are, so that nobody waits for ever.

use engine::TransactionLookup;
use model::Tid;
use net::{LinkId, Message, PackOrder, PackState};

use crate::machine::Storage;
use crate::reads::{AnyLookup, Found, Task, Turn};

impl Storage {
    /// The orders of readable cells, from an id on.
    pub(crate) fn ask_pack_orders(&mut self, link: LinkId, id: u32, first: Tid) {
        let Some(table) = &self.table else {
            let orders = Vec::new();
            return self.links.answer(link, id, &Message::AnswerPackOrders { orders });
        };
        let is_readable = |id: &Tid| self.is_readable(table.partition_of_tid(*id));
        let mut ids: Vec<Tid> = self.packs.from(first).filter(is_readable).collect();
        ids.reverse();
        self.start_task(Some(link), Orders { link, id, ids, orders: Vec::new() });
    }

    pub(crate) fn sign_packs(&mut self, link: LinkId, approved: &[Tid], rejected: &[Tid]) {
        let changed = self.packs.sign(approved, true) | self.packs.sign(rejected, false);
        if changed {
            self.keep_packs();
        }
        let last = approved.iter().max().copied();
        if last > self.last_pack {
            self.last_pack = last;
            if self.is_operating() {
                self.tell_packed(link);
            }
        }
    }

    pub(crate) fn tell_packed(&mut self, link: LinkId) {
        if let Some(pack_id) = self.last_pack {
            self.links.send(link, &Message::NotifyPackCompleted { pack_id });
        }
    }

    /// A pack order as it is kept with its transaction, with how it is signed now.
    pub(crate) fn pack_state(&self, id: Tid, order: engine::PackOrder) -> PackState {
        let engine::PackOrder { partial, oids, tid, approved } = order;
        let oids = oids.map(Into::into);
        PackState { approved: self.packs.approved(id).or(approved), partial, oids, tid }
    }
}

/// Looks up what orders say.
struct Orders {
    link: LinkId,
    id: u32,
    /// Those that are left, the next one last.
    ids: Vec<Tid>,
    orders: Vec<PackOrder>,
}

impl Task for Orders {
    fn go_on(&mut self, node: &mut Storage, found: Option<Found>) -> Turn {
        if let Some(Found::Transaction(found)) = found
            && let Some(id) = self.ids.pop()
            && let Some(order) = found.and_then(|transaction| transaction.pack_order)
        {
            self.orders.push(PackOrder { id, state: node.pack_state(id, order) });
        }
        if let (Some(&id), Some(table)) = (self.ids.last(), &node.table) {
            let partition = table.partition_of_tid(id);
            let lookup = TransactionLookup::new(node.engine.snapshot(), partition, id);
            return Turn::LookUp(AnyLookup::Transaction(lookup));
        }
        let orders = std::mem::take(&mut self.orders);
        node.links.answer(self.link, self.id, &Message::AnswerPackOrders { orders });
        Turn::Done
    }
}
