//! Pack orders that are completed: only the storages have them.

use std::collections::{BTreeMap, BTreeSet};

use model::{CellState, Nid, PartitionId, Tid};
use net::{LinkId, Message, PackOrder};

use super::serving::Operation;
use crate::cluster::Cluster;
use crate::wire::Asked;

/// A request for old orders, and the partitions whose orders are not there yet.
#[derive(Debug)]
struct Search {
    number: u64,
    link: LinkId,
    request: u32,
    first_id: Tid,
    /// The first approved one, for a storage; all, for a client.
    only_first: bool,
    partitions: BTreeSet<PartitionId>,
    asked: BTreeMap<Nid, BTreeSet<PartitionId>>,
    orders: Vec<PackOrder>,
}

/// All such requests.
#[derive(Debug, Default)]
pub(super) struct OldPacks {
    searches: Vec<Search>,
    count: u64,
}

impl OldPacks {
    pub(super) fn storage_lost(&mut self, nid: Nid) {
        for search in &mut self.searches {
            search.asked.remove(&nid);
        }
    }

    pub(super) fn link_lost(&mut self, link: LinkId) {
        self.searches.retain(|search| search.link != link);
    }
}

impl Operation {
    /// Asks storages that have readable cells of all partitions.
    pub(super) fn search_old_packs(
        &mut self,
        cluster: &mut Cluster,
        link: LinkId,
        request: u32,
        first_id: Tid,
        only_first: bool,
    ) {
        let partitions = cluster.table().partitions().iter().collect();
        // The answers of a storage have to be read whatever it asks.
        if !only_first {
            cluster.wire.postpone(link, 1);
        }
        self.old_packs.count += 1;
        self.old_packs.searches.push(Search {
            number: self.old_packs.count,
            link,
            request,
            first_id,
            only_first,
            partitions,
            asked: BTreeMap::new(),
            orders: Vec::new(),
        });
        self.ask_old_packs(cluster);
    }

    /// Asks for what nobody was asked for yet, such as after a storage was lost.
    pub(super) fn ask_old_packs(&mut self, cluster: &mut Cluster) {
        for search in &mut self.old_packs.searches {
            let mut missing = search.partitions.clone();
            for partitions in search.asked.values() {
                missing.retain(|partition| !partitions.contains(partition));
            }
            while let Some(partition) = missing.pop_first() {
                let table = cluster.table().table();
                let ready = {
                    let mut readable = table.readable(partition);
                    readable.find(|nid| self.ready.contains_key(nid))
                };
                let Some(nid) = ready else { continue };
                let is_readable = |partition: &PartitionId| {
                    table.cell_state(*partition, nid).is_some_and(CellState::is_readable)
                };
                let mut partitions: BTreeSet<PartitionId> =
                    missing.iter().copied().filter(is_readable).collect();
                missing.retain(|partition| !partitions.contains(partition));
                partitions.insert(partition);
                search.asked.entry(nid).or_default().extend(partitions);
                if let Some(link) = cluster.nodes.link(nid) {
                    let message = Message::AskPackOrders { first_id: search.first_id };
                    cluster.wire.ask(link, &message, Asked::OldPackOrders(search.number));
                }
            }
        }
    }

    /// A storage answers with its orders.
    pub(super) fn old_pack_orders(
        &mut self,
        cluster: &mut Cluster,
        nid: Nid,
        number: u64,
        orders: Vec<PackOrder>,
    ) {
        let searches = &mut self.old_packs.searches;
        let Some(index) = searches.iter().position(|search| search.number == number) else {
            return;
        };
        let search = &mut searches[index];
        let answered = search.asked.remove(&nid).unwrap_or_default();
        search.partitions.retain(|partition| !answered.contains(partition));
        search.orders.extend(orders);
        if !search.partitions.is_empty() {
            return self.ask_old_packs(cluster);
        }
        let search = searches.remove(index);
        let mut found: BTreeMap<Tid, PackOrder> = BTreeMap::new();
        let known = cluster.packs.list(search.first_id);
        for order in search.orders.into_iter().chain(known) {
            let entry = found.entry(order.id).or_insert_with(|| order.clone());
            entry.state.approved = entry.state.approved.or(order.state.approved);
        }
        let mut orders: Vec<PackOrder> = found.into_values().collect();
        if search.only_first {
            orders.retain(|order| order.state.approved == Some(true));
            orders.truncate(1);
        }
        let message = Message::AnswerPackOrders { orders };
        if !search.only_first {
            cluster.wire.resume(search.link, 1);
        }
        cluster.wire.answer(search.link, search.request, &message);
    }
}
