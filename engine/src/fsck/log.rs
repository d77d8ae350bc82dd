//! The log by itself, and with it the indexes against the log.

use std::ops::Range;
use std::sync::Arc;

use super::Check;
use super::agreement::Agreement;
use super::commits::Commits;
use super::directory::{Database, segment_path};
use super::hits::Suspect;
use super::indexes::Indexes;
use super::report::{Findings, Hit, Totals};
use super::segments::{Visitor, walk};
use super::watch::{Going, Stage, Watch};
use crate::disk::{Access, Disk};
use crate::error::{Error, Result};
use crate::format::{
    GROUP_HEADER_LENGTH, GROUP_MAGIC, GroupHeader, HEADER_LENGTH, Intent, Location, Position,
    Record,
};
use crate::log::{SegmentBytes, open_segment};
use crate::manifest::MANIFEST;

/// What the later stages have to know.
pub(super) struct LogOutcome<'a> {
    pub(super) agreement: Agreement<'a>,
    pub(super) intents: Vec<Intent>,
    pub(super) suspects: Vec<Suspect>,
}

impl Check<'_, '_> {
    /// Goes through all segments in order.
    pub(super) fn log<'a>(
        &mut self,
        disk: &'a dyn Disk,
        database: &Database,
        indexes: &'a Indexes,
    ) -> Going<LogOutcome<'a>> {
        self.watch.begin(Stage::Log)?;
        let checkpoint = &database.manifest.state.checkpoint;
        let agreement = Agreement::new(disk, indexes, checkpoint.next_seq, self.window_items_max);
        let runs: u64 = indexes.runs.iter().map(|run| run.length).sum();
        self.watch.expect(agreement.windows() * runs);
        let mut visitor = LogVisitor {
            disk,
            database,
            findings: &mut *self.findings,
            totals: &mut *self.totals,
            watch: &mut *self.watch,
            agreement,
            commits: Commits::default(),
            suspects: Vec::new(),
            follows: None,
            is_past_checkpoint: false,
        };
        for (&number, &end) in &database.segments {
            visitor.segment(number, end)?;
        }
        visitor.end()?;
        let LogVisitor { mut agreement, commits, suspects, watch, .. } = visitor;
        agreement.end(watch)?;
        self.totals.listed_oids = commits.totals.listed_oids;
        self.totals.listed_oids_elsewhere = commits.totals.listed_oids_elsewhere;
        self.note_unlisted(&commits);
        Ok(LogOutcome { agreement, intents: commits.intents, suspects })
    }

    fn note_unlisted(&mut self, commits: &Commits) {
        let Some((first, _)) = commits.unlisted.first() else { return };
        let path = segment_path(&**self.disk, first.file);
        let text = format!(
            "{} objects are not in the list of their transaction, the first here",
            commits.unlisted_count
        );
        let finding = self.findings.note(&path, Some(first.offset), text);
        for (_, object) in &commits.unlisted {
            let (partition, oid) = (object.partition, Some(object.oid));
            self.findings.hit(finding, Hit { partition, oid, tid: None });
        }
    }
}

struct LogVisitor<'a, 'b, 'c> {
    disk: &'a dyn Disk,
    database: &'b Database,
    findings: &'b mut Findings,
    totals: &'b mut Totals,
    watch: &'b mut Watch<'c>,
    agreement: Agreement<'a>,
    commits: Commits,
    suspects: Vec<Suspect>,
    /// The place and the sequence number of the next group, if they are known.
    follows: Option<(Position, u64)>,
    is_past_checkpoint: bool,
}

impl LogVisitor<'_, '_, '_> {
    fn segment(&mut self, number: u32, end: Option<u64>) -> Going {
        let path = segment_path(self.disk, number);
        self.totals.segments += 1;
        let mut bytes = match open(self.disk, self.database, number) {
            Ok(bytes) => bytes,
            Err(error) => {
                self.suspect(number, 0..u64::MAX, &error);
                self.follows = None;
                return Ok(());
            }
        };
        if bytes.segment.epoch > self.database.manifest.header.epoch {
            self.findings.damage(&path, Some(36), "an epoch that the manifest knows");
        }
        self.commits.segment(bytes.segment.epoch);
        let length = bytes.length;
        let known = end.filter(|end| *end > length);
        if known.is_some() {
            let expected = "more bytes: the log goes on in this segment";
            let error = Error::Damaged { file: path.clone(), offset: length, expected };
            self.suspect(number, length..u64::MAX, &error);
        }
        let reached = walk(&mut bytes, end.map(|end| end.min(length)), self)?;
        if known.is_some() {
            self.follows = None;
        }
        self.watch.advance(length.saturating_sub(reached))?;
        self.rest(&mut bytes, &path, reached);
        Ok(())
    }

    /// Behind the end of the log there are zeros, or what a write that did not end has left.
    fn rest(&mut self, bytes: &mut SegmentBytes, path: &str, from: u64) {
        let nonzero = match bytes.find_nonzero(from) {
            Ok(Some(nonzero)) => nonzero,
            Ok(None) => return,
            Err(error) => {
                self.findings.error(&error);
                return;
            }
        };
        let count = bytes.length - from;
        let is_left_over = !self.database.is_closed || has_group(bytes, from).unwrap_or(false);
        match is_left_over {
            true => {
                let text = format!("{count} bytes behind the end of the log, which do not count");
                self.findings.note(path, Some(from), text);
            }
            false => {
                self.findings.damage(path, Some(nonzero), "zeros behind the end of the log");
            }
        }
    }

    /// The log has ended.
    fn end(&mut self) -> Going {
        self.pass_checkpoint();
        if let (Ok(recovered), Some((_, sequence))) = (&self.database.opened, self.follows)
            && sequence != recovered.next_sequence
            && !self.findings.has_damage()
        {
            let path = segment_path(self.disk, recovered.end.segment);
            let expected = "the end of the log where it ends when it is opened";
            self.findings.damage(&path, Some(recovered.end.offset), expected);
        }
        Ok(())
    }

    fn pass_checkpoint(&mut self) {
        if std::mem::replace(&mut self.is_past_checkpoint, true) || !self.suspects.is_empty() {
            return;
        }
        let checkpoint = &self.database.manifest.state.checkpoint;
        if let Err(malformed) = self.commits.check(checkpoint) {
            let offset = Some(HEADER_LENGTH as u64);
            self.findings.damage(&self.disk.path(MANIFEST), offset, malformed.expected);
        }
    }

    fn suspect(&mut self, segment: u32, range: Range<u64>, error: &Error) {
        let finding = self.findings.error(error);
        self.suspects.push(Suspect { segment, range, finding });
    }
}

impl Visitor for LogVisitor<'_, '_, '_> {
    fn read(&mut self, bytes: u64) -> Going {
        self.watch.advance(bytes)
    }

    fn group(&mut self, start: Position, header: &GroupHeader) {
        self.totals.groups += 1;
        if start >= self.database.replay() {
            self.pass_checkpoint();
        }
        // A log whose first segments were removed may begin with any sequence number.
        let first = (Position { segment: 0, offset: HEADER_LENGTH as u64 }, 1);
        let begins = self.follows.is_none() && header.sequence == 1;
        let expected = if begins { Some(first) } else { self.follows };
        let is_next = expected.is_none_or(|next| next == (header.previous, header.sequence));
        if !is_next {
            let file = segment_path(self.disk, start.segment);
            let expected = "the group that follows the one before";
            let error = Error::Damaged { file, offset: start.offset, expected };
            self.suspect(start.segment, start.offset..start.offset, &error);
        } else if header.durable > start {
            let file = segment_path(self.disk, start.segment);
            let expected = "a group that was not synced before it was written";
            self.findings.damage(&file, Some(start.offset), expected);
        }
        let end = start.offset + GROUP_HEADER_LENGTH as u64 + header.payload_length;
        let end = Position { segment: start.segment, offset: end };
        self.follows = Some((end, header.sequence + 1));
    }

    fn record(&mut self, location: Location, record: Record) -> Going {
        self.totals.records += 1;
        let (agreement, watch) = (&mut self.agreement, &mut *self.watch);
        let (disk, database) = (self.disk, self.database);
        let all_intents = || intents_of(disk, database);
        let mut going = Ok(());
        let followed = self.commits.record(location, record, &mut |order, item| {
            if going.is_ok() {
                going = agreement.item(order, item, watch, &all_intents);
            }
        });
        going?;
        // Where something is lost, what follows cannot fit.
        if let Err(malformed) = followed
            && self.suspects.is_empty()
        {
            let path = segment_path(self.disk, location.file);
            self.findings.damage(&path, Some(location.offset), malformed.expected);
        }
        Ok(())
    }

    fn damage(&mut self, segment: u32, error: &Error, lost: Range<u64>) {
        self.follows = None;
        self.suspect(segment, lost, error);
    }
}

/// A segment that the manifest names.
pub(super) fn open(disk: &dyn Disk, database: &Database, number: u32) -> Result<SegmentBytes> {
    let id = database.manifest.header.database;
    let (segment, _) = open_segment(disk, id, number, Access::Read)?;
    SegmentBytes::new(Arc::new(segment))
}

/// Whether a group, or a piece of one, begins anywhere behind this place.
fn has_group(bytes: &mut SegmentBytes, from: u64) -> Result<bool> {
    let mut at = from;
    while at < bytes.length {
        let length = usize::try_from(bytes.length - at).unwrap_or(usize::MAX).min(1 << 20);
        let Some(piece) = bytes.get(at, length)? else { break };
        if memchr::memmem::find(&piece, &GROUP_MAGIC).is_some() {
            return Ok(true);
        }
        at += (length - length.min(GROUP_MAGIC.len() - 1)).max(1) as u64;
    }
    Ok(false)
}

/// Reads the whole log for its intents only.
fn intents_of(disk: &dyn Disk, database: &Database) -> Vec<Intent> {
    let mut only = OnlyIntents::default();
    for (&number, &end) in &database.segments {
        let Ok(mut bytes) = open(disk, database, number) else { continue };
        let end = end.map(|end| end.min(bytes.length));
        // This visitor never stops.
        let _ = walk(&mut bytes, end, &mut only);
    }
    only.commits.intents
}

#[derive(Default)]
struct OnlyIntents {
    commits: Commits,
}

impl Visitor for OnlyIntents {
    fn read(&mut self, _: u64) -> Going {
        Ok(())
    }

    fn group(&mut self, _: Position, _: &GroupHeader) {}

    fn record(&mut self, location: Location, record: Record) -> Going {
        if let Record::Truncate { .. } | Record::Drop { .. } = record {
            // Intents fit always.
            let _ = self.commits.record(location, record, &mut |_, _| {});
        }
        Ok(())
    }

    fn damage(&mut self, _: u32, _: &Error, _: Range<u64>) {}
}
