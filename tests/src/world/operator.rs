//! An operator at an admin node: has the database truncated, and the cluster started again.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use engine::disk::MemoryDisk;
use model::{ClusterState, NodeType, Now, Tid};
use net::{ErrorCode, Event, Extra, Incoming, LinkId, Links, Machine, Message};

use super::hosts::{NAME, master_address, operator_address};
use super::process::Host;
use crate::node::Node;

/// How often an operator says what it wants.
const INTERVAL: Duration = Duration::from_millis(400);
/// What a master says of a truncation that was done already.
const DONE: &str = "does nothing";

/// What an operator wants, and what came of it.
#[derive(Debug, Default)]
pub(crate) struct Orders {
    /// Up to where the database is to be truncated.
    pub(crate) truncate: Tid,
    /// Whether a master has said that it is.
    pub(crate) is_truncated: bool,
}

/// Starts an operator, again and again.
pub(crate) struct OperatorHost(pub(crate) Rc<RefCell<Orders>>);

impl Host for OperatorHost {
    fn open(&mut self, _: &MemoryDisk, now: Now) -> Result<Box<dyn Node>, String> {
        Ok(Box::new(Operator::new(Rc::clone(&self.0), now)))
    }
}

/// Says to the master what it wants, until that is done, and that it should start.
struct Operator {
    links: Links<Said>,
    master: Option<LinkId>,
    is_accepted: bool,
    /// Whether there is no answer yet to what was said last.
    waits: bool,
    /// Whether it said last that the cluster should start.
    starts: bool,
    next_at: Duration,
    orders: Rc<RefCell<Orders>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Said {
    Introduction,
    Truncate,
    Start,
}

impl Operator {
    fn new(orders: Rc<RefCell<Orders>>, now: Now) -> Self {
        Self {
            links: Links::new(INTERVAL),
            master: None,
            is_accepted: false,
            waits: false,
            starts: true,
            next_at: now.monotonic,
            orders,
        }
    }

    fn connect(&mut self, now: Now) {
        let link = self.links.connect(now.monotonic, &master_address());
        self.links.identified(link);
        self.master = Some(link);
        self.ask(
            Said::Introduction,
            &Message::RequestIdentification {
                node_type: NodeType::Admin,
                nid: None,
                address: Some(operator_address()),
                cluster: NAME.to_owned(),
                id_timestamp: None,
                extra: Extra::default(),
            },
        );
    }

    fn ask(&mut self, said: Said, message: &Message) {
        if let Some(link) = self.master {
            self.links.ask(link, message, said);
            self.waits = true;
        }
    }

    fn answered(&mut self, said: Said, message: &Message) {
        self.waits = false;
        match (said, message) {
            (Said::Introduction, Message::AcceptIdentification { .. }) => self.is_accepted = true,
            (Said::Truncate, Message::Error { code, text }) => {
                let is_done =
                    *code == ErrorCode::Ack || String::from_utf8_lossy(text).contains(DONE);
                self.orders.borrow_mut().is_truncated |= is_done;
            }
            _ => {}
        }
    }

    fn speak(&mut self) {
        let is_truncated = self.orders.borrow().is_truncated;
        let tid = self.orders.borrow().truncate;
        // What was not answered may have been done: then the cluster waits until it is started.
        self.starts = is_truncated || !self.starts;
        match self.starts {
            false => self.ask(Said::Truncate, &Message::Truncate { tid }),
            true => {
                let state = ClusterState::Verifying;
                self.ask(Said::Start, &Message::SetClusterState { state });
            }
        }
    }
}

impl Machine for Operator {
    type Context = Said;
    type Exit = ();

    fn handle(&mut self, now: Now, event: Event) {
        self.links.tell_time(now.monotonic);
        self.links.feed(event);
        while let Some(incoming) = self.links.next() {
            match incoming {
                Incoming::Answer { context, message, .. } => self.answered(context, &message),
                Incoming::Closed { link, .. } if Some(link) == self.master => {
                    self.master = None;
                    self.is_accepted = false;
                    self.waits = false;
                }
                _ => {}
            }
        }
        if now.monotonic < self.next_at {
            return;
        }
        self.next_at = now.monotonic + INTERVAL;
        match self.master {
            None => self.connect(now),
            Some(_) if self.is_accepted && !self.waits => self.speak(),
            Some(_) => {}
        }
    }

    fn links(&mut self) -> &mut Links<Said> {
        &mut self.links
    }

    fn deadline(&self) -> Option<Duration> {
        Some(self.next_at)
    }

    fn exit(&mut self) -> Option<()> {
        None
    }
}
