//! Who sits where: the cheapest seating, with replicas far from each other.

use std::collections::BTreeMap;

use bytes::Bytes;

/// Steps of the search for a seating that respects the topology, after which it is given up: it
/// is exponential at worst.
const STEPS_MAX: u32 = 200_000;

/// How replicas have to be spread over places: rooms, machines in rooms, disks in machines.
pub(crate) struct Topology<'a> {
    devpaths: &'a [&'a [Bytes]],
    /// For each depth, how many different places there are.
    places: Vec<usize>,
    /// The seats of each group of replicas.
    groups: Vec<Vec<usize>>,
    repeats: usize,
}

impl<'a> Topology<'a> {
    /// For each node, its seat. `costs[node][seat]` is to be low in total; partition `p` takes the
    /// `repeats` seats from `p * repeats` on, modulo their number.
    ///
    /// Where there is no seating that spreads replicas as far as the paths say, they are heeded
    /// less deep, or not at all.
    pub(crate) fn seating(
        devpaths: &'a [&'a [Bytes]],
        repeats: usize,
        partitions: usize,
        costs: &[Vec<u64>],
    ) -> Vec<usize> {
        let count = devpaths.len();
        let is_new = costs.iter().flatten().all(|cost| *cost == 0);
        let cheapest = if is_new { (0..count).collect() } else { cheapest(costs) };
        let depth = devpaths.iter().map(|path| path.len()).min().unwrap_or(0);
        if repeats < 2 || depth == 0 {
            return cheapest;
        }
        let groups: Vec<Vec<usize>> = (0..partitions.min(count))
            .map(|group| (0..repeats).map(|card| (group * repeats + card) % count).collect())
            .collect();
        let mut topology = Self { devpaths, places: places(devpaths, depth), groups, repeats };
        // What is deeper than a level at which no two replicas share a place adds nothing.
        if let Some(enough) = topology.places.iter().position(|places| *places >= repeats) {
            topology.places.truncate(enough + 1);
        }
        while !topology.places.is_empty() {
            if topology.fits(&cheapest) {
                return cheapest;
            }
            if let Some(seating) = topology.search(costs) {
                return seating;
            }
            tracing::warn!(
                depth = topology.places.len(),
                "replicas cannot be spread as the paths of the devices would have it"
            );
            topology.places.pop();
        }
        cheapest
    }

    fn fits(&self, seating: &[usize]) -> bool {
        let mut seats = vec![None; seating.len()];
        for (node, seat) in seating.iter().enumerate() {
            seats[*seat] = Some(node);
        }
        self.groups.iter().all(|group| self.group_fits(group, &seats))
    }

    /// Whether the replicas on some seats, as far as these are taken, are spread evenly: at each
    /// depth no place has two more than another.
    fn group_fits(&self, group: &[usize], seats: &[Option<usize>]) -> bool {
        let taken: Vec<usize> = group.iter().filter_map(|seat| seats[*seat]).collect();
        self.places.iter().enumerate().all(|(depth, places)| {
            let mut counts: BTreeMap<&[Bytes], usize> = BTreeMap::new();
            for node in &taken {
                *counts.entry(&self.devpaths[*node][..=depth]).or_default() += 1;
            }
            let most = counts.values().all(|count| *count <= self.repeats.div_ceil(*places));
            let is_full = taken.len() == group.len() && *places <= self.repeats;
            let full = counts.len() == *places
                && counts.values().all(|count| *count >= self.repeats / places);
            most && (!is_full || full)
        })
    }

    /// Takes seat after seat, cheap nodes first, and goes back where it leads to nothing.
    fn search(&self, costs: &[Vec<u64>]) -> Option<Vec<usize>> {
        let count = costs.len();
        let order: Vec<Vec<usize>> = (0..count)
            .map(|seat| {
                let mut nodes: Vec<usize> = (0..count).collect();
                nodes.sort_by_key(|node| (costs[*node][seat], *node));
                nodes
            })
            .collect();
        let of_seat: Vec<Vec<usize>> = (0..count)
            .map(|seat| {
                (0..self.groups.len()).filter(|g| self.groups[*g].contains(&seat)).collect()
            })
            .collect();
        let mut seats = vec![None; count];
        let mut used = vec![false; count];
        let mut next = vec![0; count];
        let (mut seat, mut steps) = (0, 0);
        while seat < count {
            steps += 1;
            if steps > STEPS_MAX {
                return None;
            }
            if let Some(node) = seats[seat].take() {
                used[node] = false;
            }
            let Some(node) = order[seat].get(next[seat]).copied() else {
                next[seat] = 0;
                seat = seat.checked_sub(1)?;
                continue;
            };
            next[seat] += 1;
            if used[node] {
                continue;
            }
            seats[seat] = Some(node);
            used[node] = true;
            if of_seat[seat].iter().all(|group| self.group_fits(&self.groups[*group], &seats)) {
                seat += 1;
            }
        }
        let mut seating = vec![0; count];
        for (seat, node) in seats.into_iter().enumerate() {
            seating[node?] = seat;
        }
        Some(seating)
    }
}

/// How many different places there are at each depth.
fn places(devpaths: &[&[Bytes]], depth: usize) -> Vec<usize> {
    (1..=depth)
        .map(|depth| {
            let mut places: Vec<&[Bytes]> = devpaths.iter().map(|path| &path[..depth]).collect();
            places.sort_unstable();
            places.dedup();
            places.len()
        })
        .collect()
}

/// The seating of least cost in total (the Hungarian method, with potentials).
fn cheapest(costs: &[Vec<u64>]) -> Vec<usize> {
    let count = costs.len();
    let cost = |node: usize, seat: usize| i128::from(costs[node - 1][seat - 1]);
    // Both are numbered from 1; seat 0 stands for the node that looks for a seat.
    let mut node_potential = vec![0_i128; count + 1];
    let mut seat_potential = vec![0_i128; count + 1];
    let mut holder = vec![0_usize; count + 1];
    for node in 1..=count {
        holder[0] = node;
        let mut seat = 0;
        let mut slack = vec![i128::MAX; count + 1];
        let mut from = vec![0_usize; count + 1];
        let mut seen = vec![false; count + 1];
        while holder[seat] != 0 {
            seen[seat] = true;
            let current = holder[seat];
            let (mut least, mut following) = (i128::MAX, 0);
            for other in (1..=count).filter(|other| !seen[*other]) {
                let reduced =
                    cost(current, other) - node_potential[current] - seat_potential[other];
                if reduced < slack[other] {
                    slack[other] = reduced;
                    from[other] = seat;
                }
                if slack[other] < least {
                    least = slack[other];
                    following = other;
                }
            }
            for other in 0..=count {
                if seen[other] {
                    node_potential[holder[other]] += least;
                    seat_potential[other] -= least;
                } else if slack[other] != i128::MAX {
                    slack[other] -= least;
                }
            }
            seat = following;
        }
        while seat != 0 {
            holder[seat] = holder[from[seat]];
            seat = from[seat];
        }
    }
    let mut seating = vec![0; count];
    for seat in 1..=count {
        seating[holder[seat] - 1] = seat - 1;
    }
    seating
}
