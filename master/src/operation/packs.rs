//! Pack orders: kept until all storages have carried them out.

use std::collections::BTreeMap;

use model::Tid;
use net::{LinkId, PackOrder, PackRequest, PackState};

/// One order, and the requests that wait for its completion.
#[derive(Debug)]
struct Order {
    state: PackState,
    waiting: Vec<(LinkId, u32)>,
}

/// The pack orders that are not completed.
#[derive(Debug, Default)]
pub(crate) struct Packs {
    orders: BTreeMap<Tid, Order>,
    /// The greatest one that is known to be completed. Orders up to here are not kept here.
    completed: Option<Tid>,
}

impl Packs {
    /// Forgets all, to be told again.
    pub(crate) fn forget(&mut self) {
        *self = Self::default();
    }

    /// Takes note of orders that a storage has. Signatures that it missed are those of the log.
    pub(crate) fn learn(&mut self, orders: Vec<PackOrder>, signed: &BTreeMap<Tid, bool>) {
        for PackOrder { id, mut state } in orders {
            state.approved = state.approved.or(signed.get(&id).copied());
            match self.orders.get_mut(&id) {
                Some(order) => order.state.approved = order.state.approved.or(state.approved),
                None => {
                    self.orders.insert(id, Order { state, waiting: Vec::new() });
                    if self.completed.is_some_and(|completed| completed > id) {
                        self.completed = id.get().checked_sub(1).map(Tid::new);
                    }
                }
            }
        }
    }

    /// A new order. It is approved unless another one is still to be signed.
    pub(crate) fn order(&mut self, id: Tid, request: &PackRequest) -> bool {
        let approved = self.orders.values().all(|order| order.state.approved.is_some());
        let state = PackState {
            approved: approved.then_some(true),
            partial: request.oids.as_ref().is_some_and(|oids| !oids.is_empty()),
            oids: request.oids.clone(),
            tid: request.tid,
        };
        self.orders.insert(id, Order { state, waiting: Vec::new() });
        approved
    }

    /// Whether an order was approved, or rejected.
    pub(crate) fn signature(&self, id: Tid) -> Option<bool> {
        self.orders.get(&id)?.state.approved
    }

    /// Ids of approved and of rejected orders from one on. The greatest completed one stands for
    /// those before it.
    pub(crate) fn signed(&self, first_id: Tid) -> (Vec<Tid>, Vec<Tid>) {
        let (mut approved, mut rejected) = (Vec::new(), Vec::new());
        approved.extend(self.completed.filter(|id| *id >= first_id));
        for (id, order) in self.orders.range(first_id..) {
            match order.state.approved {
                Some(true) => approved.push(*id),
                Some(false) => rejected.push(*id),
                None => {}
            }
        }
        (approved, rejected)
    }

    /// Orders from one on.
    pub(crate) fn list(&self, first_id: Tid) -> Vec<PackOrder> {
        let orders = self.orders.range(first_id..);
        orders.map(|(id, order)| PackOrder { id: *id, state: order.state.clone() }).collect()
    }

    /// The first approved order from one on.
    pub(crate) fn first_approved(&self, first_id: Tid) -> Option<PackOrder> {
        let mut orders = self.orders.range(first_id..);
        let found = orders.find(|(_, order)| order.state.approved == Some(true))?;
        Some(PackOrder { id: *found.0, state: found.1.state.clone() })
    }

    /// Whether orders from one on are all here.
    pub(crate) fn reaches(&self, first_id: Tid) -> bool {
        self.completed.is_none_or(|completed| completed < first_id)
    }

    /// Takes note that all storages have carried out the orders up to one. Returns the requests
    /// that waited for that; `None` if nothing changes.
    pub(crate) fn complete(&mut self, id: Tid) -> Option<Vec<(LinkId, u32)>> {
        let rest = match id.get().checked_add(1) {
            Some(following) => self.orders.split_off(&Tid::new(following)),
            None => BTreeMap::new(),
        };
        let done = std::mem::replace(&mut self.orders, rest);
        let (last, _) = done.last_key_value()?;
        self.completed = self.completed.max(Some(*last));
        Some(done.into_values().flat_map(|order| order.waiting).collect())
    }

    /// Has a request wait for the completion of an order; false if there is no such order.
    pub(crate) fn wait(&mut self, id: Tid, link: LinkId, request: u32) -> bool {
        let order = self.orders.get_mut(&id);
        let known = order.is_some();
        if let Some(order) = order {
            order.waiting.push((link, request));
        }
        known
    }

    /// How many requests of a connection wait.
    pub(crate) fn waiting(&self, link: LinkId) -> usize {
        let waiting = self.orders.values().flat_map(|order| &order.waiting);
        waiting.filter(|(other, _)| *other == link).count()
    }

    /// Forgets requests of a connection that ended.
    pub(crate) fn link_lost(&mut self, link: LinkId) {
        for order in self.orders.values_mut() {
            order.waiting.retain(|(other, _)| *other != link);
        }
    }
}
