//! Makes what was recovered the ground to write on.

use std::collections::VecDeque;
use std::sync::Arc;

use super::Recovered;
use crate::database::CLOSED;
use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::format::HEADER_LENGTH;
use crate::log::{SegmentBytes, segment_name, segment_number};
use crate::manifest::{Manifest, remove_if_there, write_all};
use crate::run::RunSettings;

/// Bytes copied at once.
const PIECE_LENGTH: usize = 1 << 20;

/// Makes the log durable up to its end, cuts what is behind, removes what nothing refers to, and
/// writes a manifest of a new epoch. Also gives the segments that were prepared and not used.
pub(crate) fn settle(
    disk: &Arc<dyn Disk>,
    recovered: &Recovered,
) -> Result<(Manifest, VecDeque<u32>)> {
    if recovered.closed.is_some() {
        // From here on the rest of the directory may change.
        remove_if_there(&**disk, CLOSED)?;
        disk.sync_directory().map_err(|e| Error::sync(disk.path(""), e))?;
    }
    make_durable(recovered)?;
    let mut state = recovered.manifest.state.clone();
    let mut reusable = VecDeque::new();
    for (&number, length) in &mut state.segments {
        match recovered.visited.get(&number) {
            Some(&end) if length.is_none() => {
                cut(recovered, number, end)?;
                *length = Some(end);
            }
            None if length.is_none() => match number < recovered.end.segment {
                // Its first write had failed, and the log went on behind it.
                true => *length = Some(HEADER_LENGTH as u64),
                false => reusable.push_back(number),
            },
            _ => {}
        }
    }
    state.checkpoint.durable = recovered.end;
    let header = &recovered.header;
    let sequence = recovered.manifest.sequence + 1;
    let write = || {
        let epoch = header.epoch + 1;
        Manifest::write(Arc::clone(disk), header.database, epoch, state.clone(), sequence)
    };
    let manifest = match write() {
        Err(Error::Full { .. }) if reusable.len() > 1 => {
            // One reserve has to do, the other makes room for the manifest.
            let Some(number) = reusable.pop_back() else { unreachable!("there are two") };
            state.segments.remove(&number);
            remove_if_there(&**disk, &segment_name(number))?;
            let epoch = header.epoch + 1;
            Manifest::write(Arc::clone(disk), header.database, epoch, state, sequence)?
        }
        other => other?,
    };
    remove_strays(&**disk, &manifest)?;
    disk.sync_directory().map_err(|e| Error::sync(disk.path(""), e))?;
    Ok((manifest, reusable))
}

/// What was read may have been only in the system's cache: it is written again and synced, so that
/// nothing is built on what a power cut could still take.
fn make_durable(recovered: &Recovered) -> Result<()> {
    if recovered.durable >= recovered.end {
        return Ok(());
    }
    for (&number, &end) in recovered.visited.range(recovered.durable.segment..) {
        let Some(segment) = recovered.version.segments.get(&number) else { continue };
        let mut bytes = SegmentBytes::new(Arc::clone(segment))?;
        let mut offset = match number == recovered.durable.segment {
            true => recovered.durable.offset,
            false => 0,
        };
        while offset < end {
            let rest = usize::try_from(end - offset).unwrap_or(usize::MAX);
            let length = rest.min(PIECE_LENGTH);
            let Some(piece) = bytes.get(offset, length)? else { break };
            write_all(&*segment.file, &segment.path, &piece, offset)?;
            offset += length as u64;
        }
        sync(recovered, number)?;
    }
    Ok(())
}

fn cut(recovered: &Recovered, number: u32, end: u64) -> Result<()> {
    let Some(segment) = recovered.version.segments.get(&number) else { return Ok(()) };
    let failed = |source| Error::io("cut", segment.path.clone(), source);
    if segment.file.length().map_err(failed)? > end {
        segment.file.set_length(end).map_err(failed)?;
        sync(recovered, number)?;
    }
    Ok(())
}

fn sync(recovered: &Recovered, number: u32) -> Result<()> {
    let Some(segment) = recovered.version.segments.get(&number) else { return Ok(()) };
    segment.file.sync().map_err(|e| Error::sync(segment.path.clone(), e))
}

/// Files that were being written, and are not named by the manifest. Names that are not the
/// engine's are left alone.
fn remove_strays(disk: &dyn Disk, manifest: &Manifest) -> Result<()> {
    let state = manifest.state();
    let names = disk.list().map_err(|e| Error::io("list", disk.path(""), e))?;
    for name in names {
        let run = name
            .strip_prefix("run-")
            .and_then(|digits| u32::from_str_radix(digits, 16).ok())
            .filter(|number| RunSettings::name(*number) == name);
        let is_stray = match (run, segment_number(&name)) {
            (Some(number), _) => !state.runs.contains_key(&number),
            (_, Some(number)) => !state.segments.contains_key(&number),
            _ => name == "manifest.new" || name == "closed.new",
        };
        if is_stray {
            remove_if_there(disk, &name)?;
        }
    }
    Ok(())
}

