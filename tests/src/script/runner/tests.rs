use std::time::Duration;

use engine::disk::MemoryDisk;
use model::{Nid, NodeType, Tid};
use net::{Incoming, Links, Machine, Message};

use super::*;

/// Tells the time as a tid to whoever asks, and asks whoever it reaches for its own.
struct Clock {
    links: Links<&'static str>,
    deadline: Option<Duration>,
    heard: Vec<String>,
    has_ended: bool,
}

impl Machine for Clock {
    type Context = &'static str;
    type Exit = &'static str;

    fn handle(&mut self, now: Now, event: Event) {
        match &event {
            Event::Timer => self.deadline = None,
            Event::Signal(Signal::Terminate) => self.has_ended = true,
            _ => {}
        }
        self.links.feed(event);
        while let Some(incoming) = self.links.next() {
            match incoming {
                Incoming::Request { link, id, message: Message::AskLastTransaction {} } => {
                    let tid = Tid::next_after(now.unix, Tid::ZERO).expect("it is not that late");
                    self.links.answer(link, id, &Message::AnswerLastTransaction { tid });
                }
                Incoming::Request { link, .. } => self.links.close(link),
                Incoming::Answer { context, message, .. } => {
                    self.heard.push(format!("{context}: {}", message.name()));
                }
                Incoming::Closed { reason, .. } => self.heard.push(format!("lost: {reason}")),
                Incoming::Accepted { .. } | Incoming::Stray { .. } => {}
            }
        }
    }

    fn links(&mut self) -> &mut Links<Self::Context> {
        &mut self.links
    }

    fn deadline(&self) -> Option<Duration> {
        self.deadline
    }

    fn exit(&mut self) -> Option<Self::Exit> {
        self.has_ended.then_some("asked to")
    }
}

struct ClockSetting;

impl Setting for ClockSetting {
    fn open(&mut self, options: &str, now: Now) -> Result<Box<dyn Node>, String> {
        if options == "broken" {
            return Err(String::from("it is broken"));
        }
        let mut links = Links::new(Duration::from_secs(1));
        let address = "127.0.0.1:2000".parse().expect("an address");
        for _ in 0..2 {
            let link = links.connect(now.monotonic, &address);
            links.ask(link, &Message::AskPrimary {}, "the time");
        }
        let deadline = Some(now.monotonic + Duration::from_secs(3));
        Ok(Box::new(Clock { links, deadline, heard: Vec::new(), has_ended: false }))
    }

    fn disk(&mut self) -> Option<&mut MemoryDisk> {
        None
    }

    fn operate(&mut self, node: &mut dyn Node, _: Now, words: &str) -> Result<(), String> {
        let clock = node.downcast_mut::<Clock>().expect("it is a clock");
        clock.heard.push(words.to_owned());
        Ok(())
    }

    fn reports(&mut self, node: &mut dyn Node) -> Vec<String> {
        std::mem::take(&mut node.downcast_mut::<Clock>().expect("it is a clock").heard)
    }
}

const SCRIPT: &str = "\
# It connects by itself, the second time after a while.
start
accept M1
---
connects to 127.0.0.1:2000
connects to 127.0.0.1:2000 in 1s
M1< AskPrimary()

refuse
M1> AnswerPrimary(M1)
do something
---
lost: connection refused
the time: AnswerPrimary
something

connect C1
advance 1.5s
C1> AskLastTransaction()
C1> Ping()
C1? AnswerLastTransaction($t)
C1> AskLastTransaction()
---
C1< AnswerLastTransaction($t)
C1< Pong()
C1< AnswerLastTransaction($t)

C1> !CloseClient(1)
---
closes C1
lost: malformed packet: expected another number of fields

connect X silent
X> bytes(\"GET / HTTP/1.0\")
---
closes X
lost: the peer does not speak NEO (but HTTP, perhaps): GET / HTTP/1.0

restart
signal terminate
---
connects to 127.0.0.1:2000
connects to 127.0.0.1:2000 in 1s
exits: \"asked to\"

restart broken
---
refuses to start: it is broken
";

#[test]
fn a_script_gives_what_is_written_in_it() {
    let found = Runner::new(Box::new(ClockSetting)).run(SCRIPT).unwrap();
    assert_eq!(found, SCRIPT);
}

#[test]
fn what_is_no_script_is_refused_with_its_line() {
    let refused = [
        ("start\nconnect", "line 2: which peer?"),
        ("start\n\nC1> Ping()", "line 3: C1 is not connected"),
        ("start\nconnect C1\nC1> Ping(1)", "line 3: Ping: expected 0 values, not 1: [Integer(1)]"),
        ("start\nconnect C1\nC1> Pang()", "line 3: \"Pang\" is no packet"),
        ("start\nstop", "line 2: \"stop\" is no command"),
        ("connect C1", "line 1: there is no machine"),
    ];
    for (script, text) in refused {
        let error = Runner::new(Box::new(ClockSetting)).run(script).unwrap_err();
        assert!(error.to_string().starts_with(text), "{error}");
    }
}

#[test]
fn packets_are_written_as_they_are_read() {
    let packets = [
        "RequestIdentification(STORAGE, nil, 127.0.0.1:2001, \"test\", @0+1, \
         {\"new_nid\": [0, 1]})",
        "AskStoreObject(0x1, 0x0, 1, sha1, \"x\"*100, nil, @1.5+3)",
        "AnswerObject(0x1, @0, nil, nil, none, \"\", nil)",
        "NotifyPartitionChanges(2, 1, [(0, S1, UP_TO_DATE), (1, S2, OUT_OF_DATE)])",
        "AnswerLockedTransactions({@0: nil, @0+1: @0+2})",
        "AskObject(INVALID, MAX_TID, nil)",
        "NotifyNodeInformation(@0.001+7, [(MASTER, (\"::1\", 2000), M1, RUNNING, nil)])",
        "Error(PROTOCOL_ERROR, h'00ff')",
        "NotifyMonitorInformation({\"cluster_state\": ClusterStates.RUNNING, \"x\": nil})",
    ];
    for text in packets {
        let (name, arguments) = text.split_at(text.find('(').unwrap());
        let packet = Schema::get().by_name(name).unwrap();
        let terms = Term::parse_arguments(arguments).unwrap();
        let variables = Variables::default();
        let values = encode::arguments(packet, &terms, &variables).unwrap();
        assert_eq!(super::super::render::packet(packet, &values, &variables).unwrap(), text);
    }
    let nid = Nid::of(NodeType::Admin, 3).get();
    let packet = Schema::get().by_name("AnswerPrimary").unwrap();
    let shown = super::super::render::packet(packet, &[nid.into()], &Variables::default());
    assert_eq!(shown.unwrap(), "AnswerPrimary(A3)");
}
