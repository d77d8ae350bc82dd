//! Random writes.

use bytes::Bytes;
use engine::{
    AddedObject, AddedTransaction, Delete, Error, MetadataEdit, MetadataKey, TransactionState,
};
use model::{Oid, PartitionId, Random, Tid, Ttid};

use super::check::PARTITIONS;
use super::life::{End, Life};
use super::plan::{any_object, any_oid, any_tid, any_transaction};
use super::state::Op;
use super::world::World;

impl Life {
    pub(crate) fn write(&mut self, world: &mut World) -> Result<(), End> {
        match world.random.below(32) {
            0..9 => self.store(world),
            9 => self.unstore(world),
            10..13 => self.vote(world),
            13..15 => self.lock(world),
            15..18 => self.unlock(world),
            18 => self.abort(world),
            19..23 => self.commit(world),
            23..26 => self.add(world),
            26 => self.delete(world),
            27 if world.random.chance(1, 3) => self.truncate(world),
            28 if world.random.chance(1, 3) => self.drop_partition(world),
            29 => self.edit(world),
            30 => self.sync(world),
            _ => self.many(world),
        }
    }

    fn store(&mut self, world: &mut World) -> Result<(), End> {
        let ttid = 100 + world.random.below(8);
        self.store_in(world, ttid)
    }

    fn store_in(&mut self, world: &mut World, ttid: u64) -> Result<(), End> {
        let random = &mut world.random;
        let (partition, oid, object) = (any_partition(random), any_oid(random), any_object(random));
        let result =
            self.engine.store(Ttid::new(ttid), PartitionId::new(partition), Oid::new(oid), &object);
        if self.is_in_another_state(ttid, &result, TransactionState::Open) {
            return Ok(());
        }
        self.tell(world, Op::Store { ttid, partition, oid, object }, result)?;
        Ok(())
    }

    /// Whether a call was refused for good reason: the transaction is not in this state.
    fn is_in_another_state(
        &self,
        ttid: u64,
        result: &engine::Result<()>,
        state: TransactionState,
    ) -> bool {
        if !matches!(result, Err(Error::WrongState { .. })) {
            return false;
        }
        match self.history.current.pending.get(&ttid) {
            Some(pending) => {
                assert!(pending.state != state, "{ttid} is {state:?}: {result:?}");
            }
            // It ended, but the record of it may not be written yet.
            None => assert_eq!(self.engine.transaction(Ttid::new(ttid)), None, "it is unknown"),
        }
        true
    }

    fn unstore(&mut self, world: &mut World) -> Result<(), End> {
        let Some(ttid) = self.any_in(world, TransactionState::Open) else { return Ok(()) };
        let objects: Vec<_> = self.history.current.pending[&ttid].objects.keys().copied().collect();
        let Some(&(partition, oid)) = world.random.choose(&objects) else { return Ok(()) };
        let result =
            self.engine.unstore(Ttid::new(ttid), PartitionId::new(partition), Oid::new(oid));
        self.tell(world, Op::Unstore { ttid, partition, oid }, result)?;
        if world.random.chance(1, 2) {
            let object = any_object(&mut world.random);
            let result = self.engine.store(
                Ttid::new(ttid),
                PartitionId::new(partition),
                Oid::new(oid),
                &object,
            );
            self.tell(world, Op::Store { ttid, partition, oid, object }, result)?;
        }
        Ok(())
    }

    fn vote(&mut self, world: &mut World) -> Result<(), End> {
        let ttid = match self.any_in(world, TransactionState::Open) {
            Some(ttid) => ttid,
            None => return Ok(()),
        };
        let partition = any_partition(&mut world.random);
        let transaction =
            world.random.chance(2, 3).then(|| any_transaction(&mut world.random, ttid));
        let op = Op::Vote { ttid, partition, transaction: transaction.clone() };
        let token = self.take_token();
        let result =
            self.engine.vote(token, Ttid::new(ttid), PartitionId::new(partition), transaction);
        self.voted(world, ttid, token, op, result)
    }

    fn commit(&mut self, world: &mut World) -> Result<(), End> {
        let ttid = match self.any_in(world, TransactionState::Open) {
            Some(ttid) => ttid,
            None => {
                // One without objects.
                200 + world.random.below(1000)
            }
        };
        let (tid, partition) = (any_tid(&mut world.random), any_partition(&mut world.random));
        let transaction =
            world.random.chance(2, 3).then(|| any_transaction(&mut world.random, ttid));
        let op = Op::Commit { ttid, tid, partition, transaction: transaction.clone() };
        let token = self.take_token();
        let (id, of) = (Ttid::new(ttid), PartitionId::new(partition));
        let result = self.engine.commit(token, id, Tid::new(tid), of, transaction);
        self.voted(world, ttid, token, op, result)
    }

    fn voted(
        &mut self,
        world: &World,
        ttid: u64,
        token: u64,
        op: Op,
        result: engine::Result<()>,
    ) -> Result<(), End> {
        match result {
            Err(Error::Broken { .. }) => {
                assert!(self.may_be_full(world), "broken without a reason");
                if let Some(pending) = self.history.current.pending.get_mut(&ttid) {
                    pending.is_broken = true;
                }
                Ok(())
            }
            Err(Error::Full { .. })
                if matches!(op, Op::Vote { .. })
                    && self.history.current.in_doubt().len() + self.history.unlocks()
                        >= VOTES_SURE =>
            {
                // There are more votes than the reserve can take.
                Ok(())
            }
            result => {
                if self.is_in_another_state(ttid, &result, TransactionState::Open) {
                    return Ok(());
                }
                self.submit_with(world, token, op, result)
            }
        }
    }

    fn lock(&mut self, world: &mut World) -> Result<(), End> {
        let Some(ttid) = self.any_in(world, TransactionState::Voted) else { return Ok(()) };
        if !self.history.current.pending[&ttid].is_acknowledged {
            return Ok(());
        }
        let tid = any_tid(&mut world.random);
        let token = self.take_token();
        let result = self.engine.lock(token, Ttid::new(ttid), Tid::new(tid));
        self.goes_forward(world, &result);
        self.submit_with(world, token, Op::Lock { ttid, tid }, result)
    }

    fn unlock(&mut self, world: &mut World) -> Result<(), End> {
        let locked = self.history.current.pending.iter().find(|(_, pending)| {
            matches!(pending.state, TransactionState::Locked(_)) && pending.is_acknowledged
        });
        let Some(ttid) = locked.map(|(ttid, _)| *ttid) else { return Ok(()) };
        let result = self.engine.unlock(Ttid::new(ttid));
        self.goes_forward(world, &result);
        self.tell(world, Op::Unlock { ttid }, result)?;
        Ok(())
    }

    /// What was voted can be locked and unlocked, however full the disk is.
    fn goes_forward(&self, world: &World, result: &engine::Result<()>) {
        let is_full = matches!(result, Err(Error::Full { .. }));
        let by_capacity = self.plan.trouble != super::plan::Trouble::NoSpace;
        let may_be_refused = !by_capacity || !self.had_space;
        assert!(!is_full || may_be_refused, "phase 2 was refused at {:?}", world.disk.capacity());
    }

    fn abort(&mut self, world: &mut World) -> Result<(), End> {
        let ttids: Vec<u64> = self.history.current.pending.keys().copied().collect();
        let Some(&ttid) = world.random.choose(&ttids) else { return Ok(()) };
        let pending = &self.history.current.pending[&ttid];
        let is_locked = matches!(pending.state, TransactionState::Locked(_));
        let result = self.engine.abort(Ttid::new(ttid));
        if is_locked {
            assert!(matches!(result, Err(Error::WrongState { .. })), "locked ones go forward");
            return Ok(());
        }
        self.tell(world, Op::Abort { ttid }, result)?;
        Ok(())
    }

    fn add(&mut self, world: &mut World) -> Result<(), End> {
        let random = &mut world.random;
        let objects: Vec<_> = (0..random.below(6))
            .map(|_| AddedObject {
                partition: PartitionId::new(any_partition(random)),
                oid: Oid::new(any_oid(random)),
                tid: Tid::new(any_tid(random)),
                object: any_object(random),
            })
            .collect();
        let transactions: Vec<_> = (0..random.below(3))
            .map(|_| {
                let ttid = any_tid(random);
                AddedTransaction {
                    partition: PartitionId::new(any_partition(random)),
                    tid: Tid::new(any_tid(random)),
                    transaction: any_transaction(random, ttid),
                }
            })
            .collect();
        let op = Op::Add { objects: objects.clone(), transactions: transactions.clone() };
        self.submit(world, op, |engine, token| engine.add(token, &objects, transactions))?;
        Ok(())
    }

    fn delete(&mut self, world: &mut World) -> Result<(), End> {
        let random = &mut world.random;
        let objects: Vec<_> = self.history.current.data.objects.keys().copied().collect();
        let deletes: Vec<_> = (0..random.below(4))
            .map(|_| match (random.chance(2, 3), random.choose(&objects).copied()) {
                (true, Some((partition, oid, tid))) => Delete::Revision {
                    partition: PartitionId::new(partition),
                    oid: Oid::new(oid),
                    tid: Tid::new(tid),
                },
                _ => Delete::Transaction {
                    partition: PartitionId::new(any_partition(random)),
                    tid: Tid::new(any_tid(random)),
                },
            })
            .collect();
        let op = Op::Delete { deletes: deletes.clone() };
        self.submit(world, op, |engine, token| engine.delete(token, &deletes))?;
        Ok(())
    }

    fn truncate(&mut self, world: &mut World) -> Result<(), End> {
        let tid = any_tid(&mut world.random);
        let op = Op::Truncate { tid };
        self.submit(world, op, |engine, token| engine.truncate(token, Tid::new(tid)))?;
        Ok(())
    }

    fn drop_partition(&mut self, world: &mut World) -> Result<(), End> {
        let partition = any_partition(&mut world.random);
        let op = Op::Drop { partition };
        self.submit(world, op, |engine, token| {
            engine.drop_partition(token, PartitionId::new(partition))
        })?;
        Ok(())
    }

    fn edit(&mut self, world: &mut World) -> Result<(), End> {
        let random = &mut world.random;
        let edits: Vec<_> = (0..1 + random.below(3))
            .map(|_| {
                let key = match random.below(4) {
                    0 => MetadataKey::Nid,
                    1 => MetadataKey::PartitionTable,
                    2 => MetadataKey::BackupTid,
                    _ => MetadataKey::CellProgress(PartitionId::new(any_partition(random))),
                };
                let length = random.index(80);
                let value = random.chance(3, 4).then(|| random.bytes(length));
                MetadataEdit { key, value }
            })
            .collect();
        let op = Op::Edit { edits: edits.clone() };
        self.submit(world, op, |engine, token| engine.edit(token, edits))?;
        Ok(())
    }

    fn sync(&mut self, world: &mut World) -> Result<(), End> {
        self.submit(world, Op::Sync, |engine, token| engine.sync(token))?;
        Ok(())
    }

    /// One transaction of many objects, now and then of very many.
    fn many(&mut self, world: &mut World) -> Result<(), End> {
        let ttid = 300 + world.random.below(100);
        if self.history.current.pending.contains_key(&ttid) || !world.random.chance(1, 4) {
            return Ok(());
        }
        let count = if world.random.chance(1, 400) { 2200 } else { 40 };
        for number in 0..count {
            let object = engine::ObjectData {
                data: Some(Bytes::from_static(b"one of many")),
                ..engine::ObjectData::default()
            };
            let partition = any_partition(&mut world.random);
            let result = self.engine.store(
                Ttid::new(ttid),
                PartitionId::new(partition),
                Oid::new(number),
                &object,
            );
            if self.is_in_another_state(ttid, &result, TransactionState::Open) {
                return Ok(());
            }
            let op = Op::Store { ttid, partition, oid: number, object };
            if !self.tell(world, op, result)? {
                break;
            }
        }
        Ok(())
    }

    fn any_in(&self, world: &mut World, state: TransactionState) -> Option<u64> {
        let pending = self.history.current.pending.iter();
        let fitting = pending.filter(|(_, pending)| pending.state == state && !pending.is_broken);
        let ttids: Vec<u64> = fitting.map(|(ttid, _)| *ttid).collect();
        world.random.choose(&ttids).copied()
    }
}

/// So many votes fit into the smallest reserve.
const VOTES_SURE: usize = 6;

fn any_partition(random: &mut Random) -> u32 {
    u32::try_from(random.below(u64::from(PARTITIONS))).expect("few")
}
