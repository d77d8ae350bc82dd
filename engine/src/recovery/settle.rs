//! Makes what was recovered the ground to write on.

use std::collections::VecDeque;
use std::sync::Arc;

use super::Recovered;
use crate::database::{CLOSED, RESERVE_PER_VOTE};
use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::format::HEADER_LENGTH;
use crate::log::{SegmentBytes, segment_number};
use crate::manifest::{Manifest, remove_if_there, write_all};
use crate::run::RunSettings;

/// Segments that are kept for their space.
const SPARES_MAX: usize = 2;
/// Bytes copied at once.
const PIECE_LENGTH: usize = 1 << 20;

/// Makes the log durable up to its end, cuts what is behind, removes what nothing refers to, and
/// writes a manifest of a new epoch. Also gives the segments that were prepared and not
/// used: the manifest does not name them any more.
pub(crate) fn settle(
    disk: &Arc<dyn Disk>,
    recovered: &Recovered,
) -> Result<(Manifest, VecDeque<u32>)> {
    // From here on the rest of the directory may change. Also if the file is gone already: an
    // opening that was killed may not have made that durable.
    remove_if_there(&**disk, CLOSED)?;
    disk.sync_directory().map_err(|e| Error::sync(disk.path(""), e))?;
    make_durable(recovered)?;
    let mut state = recovered.manifest.state.clone();
    let mut spares = VecDeque::new();
    for (&number, length) in &mut state.segments {
        match recovered.visited.get(&number) {
            Some(&end) if length.is_none() => {
                cut(recovered, number, end)?;
                *length = Some(end);
            }
            None if length.is_none() => match number < recovered.end.segment {
                // Its first write had failed, and the log went on behind it.
                true => {
                    cut(recovered, number, HEADER_LENGTH as u64)?;
                    *length = Some(HEADER_LENGTH as u64);
                }
                false => spares.push_back(number),
            },
            _ => {}
        }
    }
    state.segments.retain(|number, _| !spares.contains(number));
    state.checkpoint.durable = recovered.end;
    let header = &recovered.header;
    let sequence = recovered.manifest.sequence + 1;
    let write = || {
        let epoch = header.epoch + 1;
        Manifest::write(Arc::clone(disk), header.database, epoch, state.clone(), sequence)
    };
    let manifest = match write() {
        Err(Error::Full { .. }) if !spares.is_empty() => {
            // One small reserve has to do, the rest makes room for the manifest. The files stay,
            // as the manifest of before names them.
            let votes = recovered.transactions.len() as u64 + 1;
            let mut kept = HEADER_LENGTH as u64 + votes * RESERVE_PER_VOTE;
            for number in &spares {
                cut(recovered, *number, kept)?;
                kept = HEADER_LENGTH as u64;
            }
            write()?
        }
        other => other?,
    };
    remove_strays(&**disk, &manifest, &mut spares)?;
    disk.sync_directory().map_err(|e| Error::sync(disk.path(""), e))?;
    Ok((manifest, spares))
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

/// Files that were being written, and are not named by the manifest; but a few segments are kept
/// as spares. Names that are not the engine's are left alone.
fn remove_strays(disk: &dyn Disk, manifest: &Manifest, spares: &mut VecDeque<u32>) -> Result<()> {
    spares.clear();
    let state = manifest.state();
    let names = disk.list().map_err(|e| Error::io("list", disk.path(""), e))?;
    for name in names {
        let run = name
            .strip_prefix("run-")
            .and_then(|digits| u32::from_str_radix(digits, 16).ok())
            .filter(|number| RunSettings::name(*number) == name);
        let is_stray = match (run, segment_number(&name)) {
            (Some(number), _) => !state.runs.contains_key(&number),
            (_, Some(number)) if state.segments.contains_key(&number) => false,
            (_, Some(number)) if spares.len() < SPARES_MAX => {
                spares.push_back(number);
                false
            }
            (_, Some(_)) => true,
            _ => name == "manifest.new" || name == "closed.new",
        };
        if is_stray {
            remove_if_there(disk, &name)?;
        }
    }
    Ok(())
}
