//! Metadata of the node: a small map whose edits are atomic.

use std::collections::BTreeMap;

use model::{PartitionId, Tid};

use super::codec::{Decoded, Put, Take, length_u32, malformed};

/// What a value of the node's metadata is about.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub enum MetadataKey {
    /// The node id, 4 bytes.
    Nid,
    /// Name of the cluster, UTF-8.
    ClusterName,
    /// The partition table, coded by its user.
    PartitionTable,
    /// Number of partitions, 4 bytes.
    Partitions,
    /// Number of replicas, 4 bytes.
    Replicas,
    /// Up to where a cell is complete: resume points of replication.
    CellProgress(PartitionId),
    /// Up to which order a cell is packed.
    PackProgress(PartitionId),
    /// The backup TID, 8 bytes.
    BackupTid,
    /// A truncation that is not finished, 8 bytes.
    TruncateTid,
    /// An import that is not finished: what it was importing.
    Import,
    /// Pack orders that are known, and how they were signed; coded by its user.
    PackOrders,
}

impl MetadataKey {
    fn code(self) -> (u16, u32) {
        match self {
            MetadataKey::Nid => (1, 0),
            MetadataKey::ClusterName => (2, 0),
            MetadataKey::PartitionTable => (3, 0),
            MetadataKey::Partitions => (4, 0),
            MetadataKey::Replicas => (5, 0),
            MetadataKey::CellProgress(partition) => (6, partition.get()),
            MetadataKey::PackProgress(partition) => (7, partition.get()),
            MetadataKey::BackupTid => (8, 0),
            MetadataKey::TruncateTid => (9, 0),
            MetadataKey::Import => (10, 0),
            MetadataKey::PackOrders => (11, 0),
        }
    }

    fn from_code(code: u16, partition: u32) -> Decoded<Self> {
        let partition = PartitionId::new(partition);
        Ok(match code {
            1 => MetadataKey::Nid,
            2 => MetadataKey::ClusterName,
            3 => MetadataKey::PartitionTable,
            4 => MetadataKey::Partitions,
            5 => MetadataKey::Replicas,
            6 => MetadataKey::CellProgress(partition),
            7 => MetadataKey::PackProgress(partition),
            8 => MetadataKey::BackupTid,
            9 => MetadataKey::TruncateTid,
            10 => MetadataKey::Import,
            11 => MetadataKey::PackOrders,
            _ => return malformed("a known key of node metadata"),
        })
    }
}

/// One change of the node's metadata.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MetadataEdit {
    /// What is changed.
    pub key: MetadataKey,
    /// The new value, or `None` to remove it.
    pub value: Option<Vec<u8>>,
}

impl MetadataEdit {
    /// Sets a value.
    pub fn set(key: MetadataKey, value: impl Into<Vec<u8>>) -> Self {
        Self { key, value: Some(value.into()) }
    }

    /// Removes a value.
    pub fn remove(key: MetadataKey) -> Self {
        Self { key, value: None }
    }

    pub(crate) fn encode_list(edits: &[Self], out: &mut Vec<u8>) {
        out.put_u32(length_u32(edits.len()));
        for edit in edits {
            let (code, partition) = edit.key.code();
            out.put_u16(code);
            out.put_u32(partition);
            out.put_u8(u8::from(edit.value.is_some()));
            out.put_bytes(edit.value.as_deref().unwrap_or_default());
        }
    }

    pub(crate) fn take_list(take: &mut Take<'_>) -> Decoded<Vec<Self>> {
        let count = take.count(11)?;
        let mut edits = Vec::with_capacity(count);
        for _ in 0..count {
            let key = MetadataKey::from_code(take.u16()?, take.u32()?)?;
            let present = take.u8()? != 0;
            let value = take.bytes()?.to_vec();
            edits.push(Self { key, value: present.then_some(value) });
        }
        Ok(edits)
    }

    pub(crate) fn decode_list(bytes: &[u8]) -> Decoded<Vec<Self>> {
        let mut take = Take::new(bytes);
        let edits = Self::take_list(&mut take)?;
        take.end()?;
        Ok(edits)
    }
}

/// The metadata of a node.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Metadata {
    values: BTreeMap<MetadataKey, Vec<u8>>,
}

impl Metadata {
    /// A value as it was set.
    pub fn get(&self, key: MetadataKey) -> Option<&[u8]> {
        self.values.get(&key).map(Vec::as_slice)
    }

    /// A value of 4 bytes, little-endian.
    pub fn get_u32(&self, key: MetadataKey) -> Option<u32> {
        self.get(key)?.try_into().ok().map(u32::from_le_bytes)
    }

    /// A value of 8 bytes, little-endian, as a TID.
    pub fn get_tid(&self, key: MetadataKey) -> Option<Tid> {
        self.get(key)?.try_into().ok().map(u64::from_le_bytes).map(Tid::new)
    }

    /// All values.
    pub fn iter(&self) -> impl Iterator<Item = (MetadataKey, &[u8])> {
        self.values.iter().map(|(key, value)| (*key, value.as_slice()))
    }

    pub(crate) fn apply(&mut self, edits: &[MetadataEdit]) {
        for edit in edits {
            match &edit.value {
                Some(value) => self.values.insert(edit.key, value.clone()),
                None => self.values.remove(&edit.key),
            };
        }
    }

    pub(crate) fn to_edits(&self) -> Vec<MetadataEdit> {
        self.iter().map(|(key, value)| MetadataEdit::set(key, value)).collect()
    }
}
