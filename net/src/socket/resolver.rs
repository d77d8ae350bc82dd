//! Looks up host names on a thread of its own: that may take many seconds.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use crate::address::Address;
use crate::links::LinkId;

/// What was found, or why nothing was.
pub(crate) type Resolved = (LinkId, io::Result<Vec<SocketAddr>>);

/// A thread that looks up one host after the other. It ends when this is dropped and it comes to
/// its next one.
pub(crate) struct Resolver {
    questions: Sender<(LinkId, Address)>,
    answers: Receiver<Resolved>,
}

impl Resolver {
    /// Starts the thread, which calls `wake` after each answer.
    pub(crate) fn start(wake: impl Fn() + Send + 'static) -> io::Result<Self> {
        let (questions, asked) = channel::<(LinkId, Address)>();
        let (answer, answers) = channel();
        thread::Builder::new().name("resolver".to_owned()).spawn(move || {
            for (link, address) in asked {
                let host = (address.host.as_str(), address.port);
                let found = host.to_socket_addrs().map(Iterator::collect);
                if answer.send((link, found)).is_err() {
                    return;
                }
                wake();
            }
        })?;
        Ok(Self { questions, answers })
    }

    pub(crate) fn ask(&self, link: LinkId, address: Address) {
        self.questions.send((link, address)).expect("the thread lasts as long as its questions");
    }

    pub(crate) fn answer(&self) -> Option<Resolved> {
        self.answers.try_recv().ok()
    }
}
