//! Walks through a run in order.

use std::sync::Arc;

use super::block::{Block, BlockPosition};
use super::reader::{BlockRef, RunFile};
use crate::error::Result;
use crate::format::{Item, Key};
use crate::lookup::{Source, Step, ready};

/// A place in a run. All steps can be repeated after a [`Step::Need`].
#[derive(Debug)]
pub(crate) struct RunCursor {
    run: Arc<RunFile>,
    state: State,
}

#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "one a cursor, and no allocation for a block")]
enum State {
    /// To be placed at the first item at or after a key.
    Seek(Key),
    /// To go on with a block that is not read yet, at or after a key.
    Enter(BlockRef, Key),
    /// Within a block.
    Within(BlockRef, Block, BlockPosition),
    /// To go on with what follows a block.
    After(BlockRef),
    End,
}

impl RunCursor {
    /// At the first item at or after `key`.
    pub(crate) fn new(run: Arc<RunFile>, key: Key) -> Self {
        Self { run, state: State::Seek(key) }
    }

    /// Moves to the first item at or after `key`.
    pub(crate) fn seek(&mut self, key: Key) {
        self.state = State::Seek(key);
    }

    /// The next item, `None` at the end.
    pub(crate) fn next(&mut self, source: &mut dyn Source) -> Result<Step<Option<Item>>> {
        loop {
            match &mut self.state {
                State::Seek(key) => {
                    let key = *key;
                    let block = match ready!(self.run.block_before(&key, source)?) {
                        Some(block) => Some(block),
                        None => ready!(self.run.first_block(source)?),
                    };
                    self.state = match block {
                        Some(block) => State::Enter(block, key),
                        None => State::End,
                    };
                }
                State::Enter(at, key) => {
                    let block = ready!(self.run.block(at, source)?);
                    let position = self.run.sound(block.position_of(key), at)?;
                    self.state = State::Within(*at, block, position);
                }
                State::Within(at, block, position) => {
                    match self.run.sound(block.next(position), at)? {
                        Some(item) => return Ok(Step::Done(Some(item))),
                        None => self.state = State::After(*at),
                    }
                }
                State::After(at) => {
                    self.state = match ready!(self.run.block_after(at, source)?) {
                        Some(block) => {
                            let first = block.entry.first;
                            State::Enter(block, first)
                        }
                        None => State::End,
                    };
                }
                State::End => return Ok(Step::Done(None)),
            }
        }
    }
}
