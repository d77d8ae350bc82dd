//! A program at work in its process.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Waker};
use std::time::Duration;

use client::{Client, Completion, Token};
use engine::disk::MemoryDisk;
use model::{Now, Random, Tid};

use super::desk::{Desk, Ticket};
use super::kind::Kind;
use super::session::Session;
use crate::node::Node;
use crate::sim::History;
use crate::sim::history::Connection;
use crate::world::{Actor, Host, client};

/// Starts a program, again and again.
pub(super) struct ProgramHost {
    pub(super) kind: Kind,
    /// Which program of its plan.
    pub(super) number: usize,
    pub(super) lives: u32,
    pub(super) history: Rc<RefCell<History>>,
    pub(super) random: Random,
}

impl Host for ProgramHost {
    fn open(&mut self, _: &MemoryDisk, now: Now) -> Result<Box<dyn Node>, String> {
        Ok(Box::new(client(self.random.next_u64(), now)))
    }

    fn actor(&mut self) -> Option<Box<dyn Actor>> {
        self.lives += 1;
        let name = format!("{} {}/{}", self.kind, self.number, self.lives);
        let (kind, random) = (self.kind, self.random.split());
        Some(Box::new(Program::new(kind, name, Rc::clone(&self.history), random)))
    }
}

/// A program with its client, for one life of their process.
struct Program {
    desk: Rc<Desk>,
    history: Rc<RefCell<History>>,
    /// Which of the connections in the history is its own.
    connection: usize,
    /// What was acknowledged to any program when its client began to look for a master.
    acknowledged: Option<Tid>,
    tickets: BTreeMap<Token, Ticket>,
    /// What it still has to do; `None` at its end.
    future: Option<Pin<Box<dyn Future<Output = ()>>>>,
}

impl Program {
    fn new(kind: Kind, name: String, history: Rc<RefCell<History>>, random: Random) -> Self {
        let desk = Rc::new(Desk::default());
        let acknowledged = history.borrow().last_acknowledged();
        let connection = history.borrow().connections.len();
        let new = Connection { reader: name.clone(), ..Connection::default() };
        history.borrow_mut().connections.push(new);
        let session = Session::new(Rc::clone(&desk), Rc::clone(&history), name, random);
        let future = Some(Box::pin(kind.run(session)) as Pin<Box<_>>);
        Self { desk, history, connection, acknowledged, tickets: BTreeMap::new(), future }
    }

    fn completed(&mut self, completion: Completion) {
        let mut history = self.history.borrow_mut();
        let connection = &mut history.connections[self.connection];
        match completion {
            Completion::Done { token, result } => {
                let ticket = self.tickets.remove(&token).expect("only what was asked is answered");
                self.desk.answered(ticket, result);
            }
            Completion::Conflict(conflict) => self.desk.conflicting(conflict),
            Completion::Invalidated { tid, oids, .. } => {
                connection.told.last_mut().expect("it is connected").push(tid);
                connection.invalidated.push((tid, oids));
            }
            Completion::Connected { last_tid } => {
                connection.told.push(vec![last_tid]);
                connection.is_connected = true;
                connection.connected.push((last_tid, self.acknowledged));
            }
            Completion::Disconnected => {
                connection.is_connected = false;
                self.acknowledged = history.last_acknowledged();
            }
            // Programs wait for a primary master as long as it takes.
            Completion::Unreachable(error) => panic!("{error}"),
            Completion::Refused { master, text } => panic!("{master} refuses: {text}"),
        }
    }

    /// Lets the program go on until it waits for something.
    fn go_on(&mut self) {
        let mut context = Context::from_waker(Waker::noop());
        if let Some(future) = &mut self.future
            && future.as_mut().poll(&mut context).is_ready()
        {
            self.future = None;
        }
    }
}

impl Actor for Program {
    fn act(&mut self, node: &mut dyn Node, now: Now) {
        let client = node.downcast_mut::<Client>().expect("a program uses a client");
        loop {
            while let Some(completion) = client.poll_completion() {
                self.completed(completion);
            }
            self.desk.set_present(now.monotonic, client.last_tid());
            self.go_on();
            let mut is_quiet = true;
            while let Some((ticket, request)) = self.desk.take_request() {
                is_quiet = false;
                let token = client.submit(now, request);
                self.tickets.insert(token, ticket);
            }
            if is_quiet {
                return;
            }
        }
    }

    fn wake_at(&self) -> Option<Duration> {
        self.desk.wake_at()
    }
}
