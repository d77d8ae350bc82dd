//! Carries out the commands of a script.

use std::time::Duration;

use bytes::BytesMut;
use model::Now;
use net::{Action, Address, Event, HANDSHAKE, LinkId, Signal};

use super::encode;
use super::error::ScriptError;
use super::moment::START;
use super::peer::{Peer, Received};
use super::schema::Schema;
use super::sections::{Section, wrap};
use super::setting::Setting;
use super::term::Term;
use super::variables::Variables;
use crate::node::Node;

/// Lines of the output are not longer where they can be broken.
const COLUMNS_MAX: usize = 100;
/// The first moment of the monotonic clock. It has nothing to do with that of the other one.
const MONOTONIC_START: Duration = Duration::from_secs(1000);
/// A machine that is still not at rest after so many events will never be.
const EVENTS_MAX: usize = 10_000;
/// So often it may look at a disk that does nothing, before that counts as rest.
const LOOKS_MAX: usize = 10;

/// Something that the machine did.
enum Line {
    Text(String),
    Packet(Received),
}

/// A machine and its peers.
pub struct Runner {
    setting: Box<dyn Setting>,
    node: Option<Box<dyn Node>>,
    options: String,
    elapsed: Duration,
    peers: Vec<Peer>,
    /// Connections that the machine opens and nobody took.
    connecting: Vec<(LinkId, Address)>,
    accepted: u64,
    variables: Variables,
    /// Whether the disk does nothing that it is asked for.
    holds_disk: bool,
    lines: Vec<Line>,
}

impl Runner {
    /// Of a kind of machine; a script begins with `start`.
    pub fn new(setting: Box<dyn Setting>) -> Self {
        Self {
            setting,
            node: None,
            options: String::new(),
            elapsed: Duration::ZERO,
            peers: Vec::new(),
            connecting: Vec::new(),
            accepted: 0,
            variables: Variables::default(),
            holds_disk: false,
            lines: Vec::new(),
        }
    }

    /// Carries out a script, and returns it with the output that came of it.
    ///
    /// # Errors
    /// If a command cannot be carried out, or the machine sends what is not in the protocol.
    pub fn run(&mut self, script: &str) -> Result<String, ScriptError> {
        let sections = Section::parse(script);
        let mut texts = Vec::new();
        for (index, section) in sections.iter().enumerate() {
            match self.section(section) {
                Ok(output) => texts.push(section.to_text(&output)),
                Err((line, text, output)) => {
                    texts.push(section.to_text(&output));
                    let rest = sections[index + 1..].iter();
                    texts.extend(rest.map(|section| section.to_text(&section.output)));
                    return Err(ScriptError { line, text, script: texts.join("\n") });
                }
            }
        }
        Ok(texts.join("\n"))
    }

    /// The output of a section, or the line that failed, why, and the output before that.
    fn section(&mut self, section: &Section) -> Result<Vec<String>, (usize, String, Vec<String>)> {
        let mut last_line = 0;
        for (line, command) in section.commands() {
            last_line = line;
            if let Err(text) = self.command(&command) {
                let output = self.take_output().unwrap_or_else(|error| vec![error]);
                return Err((line, text, output));
            }
        }
        self.take_output().map_err(|text| (last_line, text, Vec::new()))
    }

    fn take_output(&mut self) -> Result<Vec<String>, String> {
        let mut output = Vec::new();
        for line in self.lines.drain(..) {
            let text = match line {
                Line::Text(text) => text,
                Line::Packet(received) => received.render(&self.variables)?,
            };
            output.extend(text.lines().flat_map(|line| wrap(line, COLUMNS_MAX)));
        }
        if output.is_empty() {
            output.push(String::from("ok"));
        }
        Ok(output)
    }

    fn now(&self) -> Now {
        Now { monotonic: MONOTONIC_START + self.elapsed, unix: START + self.elapsed }
    }

    fn say(&mut self, text: impl Into<String>) {
        self.lines.push(Line::Text(text.into()));
    }

    fn command(&mut self, command: &str) -> Result<(), String> {
        let (word, rest) = command.split_once(' ').unwrap_or((command, ""));
        let rest = rest.trim();
        match word {
            "start" => self.start(rest),
            "restart" => self.restart(rest, MemoryImage::Killed),
            "crash" => self.restart(rest, MemoryImage::PowerCut),
            "connect" => self.connect(rest),
            "accept" => self.accept(rest),
            "refuse" => self.refuse(rest),
            "close" => self.close(rest),
            "advance" => self.advance(rest),
            "signal" => self.signal(rest),
            "hold" => self.hold_disk(true),
            "release" => self.hold_disk(false),
            "do" => self.operate(rest),
            _ => match (word.strip_suffix('>'), word.strip_suffix('?')) {
                (Some(name), _) => self.send(name, rest),
                (_, Some(name)) => self.bind(name, rest),
                _ => Err(format!("{word:?} is no command")),
            },
        }
    }

    fn start(&mut self, options: &str) -> Result<(), String> {
        if self.node.is_some() {
            return Err(String::from("the machine was started before"));
        }
        self.options = options.to_owned();
        match self.setting.open(options, self.now()) {
            Ok(node) => self.node = Some(node),
            Err(text) => self.say(format!("refuses to start: {text}")),
        }
        self.settle()
    }

    fn restart(&mut self, options: &str, image: MemoryImage) -> Result<(), String> {
        self.end();
        if let Some(disk) = self.setting.disk() {
            *disk = match image {
                MemoryImage::Killed => disk.keep_all(),
                MemoryImage::PowerCut => disk.lose_all_unsynced(),
            };
        }
        let options = if options.is_empty() { self.options.clone() } else { options.to_owned() };
        self.start(&options)
    }

    /// Nothing is left of a process but its disk.
    fn end(&mut self) {
        self.holds_disk = false;
        self.node = None;
        self.peers.clear();
        self.connecting.clear();
    }

    fn connect(&mut self, words: &str) -> Result<(), String> {
        let (name, is_silent) = match words.split_once(' ') {
            Some((name, "silent")) => (name, true),
            Some((_, rest)) => return Err(format!("unexpected {rest:?}")),
            None => (words, false),
        };
        self.check_name(name)?;
        let link = LinkId::accepted(self.accepted);
        self.accepted += 1;
        let address = format!("127.0.0.1:{}", 40_000 + self.accepted);
        let address = address.parse().expect("an address");
        self.peers.push(Peer::new(name, link));
        self.handle(Event::Accepted { link, address })?;
        if is_silent { Ok(()) } else { self.deliver(link, &HANDSHAKE) }
    }

    fn check_name(&self, name: &str) -> Result<(), String> {
        match self.peers.iter().any(|peer| peer.name == name) {
            true => Err(format!("{name} is connected")),
            false if name.is_empty() => Err(String::from("which peer?")),
            false => Ok(()),
        }
    }

    fn accept(&mut self, words: &str) -> Result<(), String> {
        let (name, address) = words.split_once(' ').unwrap_or((words, ""));
        self.check_name(name)?;
        let link = self.take_connecting(address)?;
        self.peers.push(Peer::new(name, link));
        self.handle(Event::Connected { link })?;
        self.deliver(link, &HANDSHAKE)
    }

    fn refuse(&mut self, address: &str) -> Result<(), String> {
        let link = self.take_connecting(address)?;
        self.handle(Event::Closed { link, reason: String::from("connection refused") })
    }

    fn take_connecting(&mut self, address: &str) -> Result<LinkId, String> {
        let fits =
            |(_, other): &(LinkId, Address)| address.is_empty() || other.to_string() == address;
        let found = self.connecting.iter().position(fits);
        let found = found.ok_or_else(|| format!("the machine does not connect ({address})"))?;
        Ok(self.connecting.remove(found).0)
    }

    fn peer(&mut self, name: &str) -> Result<&mut Peer, String> {
        let peer = self.peers.iter_mut().find(|peer| peer.name == name);
        peer.ok_or_else(|| format!("{name} is not connected"))
    }

    fn close(&mut self, name: &str) -> Result<(), String> {
        let link = self.peer(name)?.link;
        self.peers.retain(|peer| peer.link != link);
        self.handle(Event::Closed { link, reason: String::from("closed by the peer") })
    }

    fn send(&mut self, name: &str, text: &str) -> Result<(), String> {
        let link = self.peer(name)?.link;
        let (packet_name, arguments) = text.split_at(text.find('(').unwrap_or(text.len()));
        let terms = Term::parse_arguments(arguments).map_err(|error| error.to_string())?;
        if packet_name == "bytes" {
            let bytes = terms.iter().map(|term| match term {
                Term::Bytes(bytes) => Ok(bytes.as_slice()),
                _ => Err(format!("{term:?} is no string of bytes")),
            });
            let bytes = bytes.collect::<Result<Vec<_>, _>>()?.concat();
            return self.deliver(link, &bytes);
        }
        let (code, arguments) = match packet_name.strip_prefix('!') {
            Some(packet_name) => {
                let arguments = encode::as_written(&terms, &self.variables);
                (code_of(packet_name)?, arguments.map_err(|error| error.to_string())?)
            }
            None => {
                let packet = Schema::get().by_name(packet_name);
                let packet = packet.ok_or_else(|| format!("{packet_name:?} is no packet"))?;
                let arguments = encode::arguments(packet, &terms, &self.variables);
                (packet.code, arguments.map_err(|error| error.to_string())?)
            }
        };
        let bytes = self.peer(name)?.send(code, arguments);
        self.deliver(link, &bytes)
    }

    fn deliver(&mut self, link: LinkId, bytes: &[u8]) -> Result<(), String> {
        if bytes.is_empty() || !self.peers.iter().any(|peer| peer.link == link) {
            return Ok(());
        }
        self.handle(Event::Received { link, bytes: BytesMut::from(bytes) })
    }

    fn bind(&mut self, name: &str, text: &str) -> Result<(), String> {
        let (packet_name, arguments) = text.split_at(text.find('(').unwrap_or(text.len()));
        let terms = Term::parse_arguments(arguments).map_err(|error| error.to_string())?;
        let peer = self.peers.iter().find(|peer| peer.name == name);
        let values = peer.and_then(|peer| peer.last(packet_name));
        let values = values.ok_or_else(|| format!("{name} got no {packet_name}"))?;
        self.variables.bind(&terms, values).map_err(|error| error.to_string())
    }

    fn signal(&mut self, word: &str) -> Result<(), String> {
        let signal = match word {
            "terminate" => Signal::Terminate,
            "flush" => Signal::Flush,
            _ => return Err(format!("{word:?} is no signal")),
        };
        self.handle(Event::Signal(signal))
    }

    /// Has the disk wait with what it is asked for, or do it.
    fn hold_disk(&mut self, hold: bool) -> Result<(), String> {
        self.setting.disk().ok_or("there is no disk")?.hold_requests(hold);
        self.holds_disk = hold;
        self.settle()
    }

    fn operate(&mut self, words: &str) -> Result<(), String> {
        let now = self.now();
        let node = self.node.as_mut().ok_or("there is no machine")?;
        self.setting.operate(node.as_mut(), now, words)?;
        self.settle()
    }

    /// Lets time go on, from one deadline of the machine to the next.
    fn advance(&mut self, text: &str) -> Result<(), String> {
        let target = self.elapsed + parse_duration(text)?;
        for _ in 0..EVENTS_MAX {
            let deadline = self.node.as_ref().and_then(|node| node.deadline());
            let deadline = deadline.map(|deadline| deadline.saturating_sub(MONOTONIC_START));
            match deadline.filter(|deadline| *deadline <= target) {
                Some(deadline) => {
                    self.elapsed = self.elapsed.max(deadline);
                    self.handle(Event::Timer)?;
                }
                None => {
                    self.elapsed = target;
                    return Ok(());
                }
            }
        }
        Err(String::from("the machine's deadlines do not end"))
    }

    fn handle(&mut self, event: Event) -> Result<(), String> {
        let now = self.now();
        let node = self.node.as_mut().ok_or("there is no machine")?;
        node.handle(now, event);
        self.settle()
    }

    /// Carries out what the machine wants until it is at rest: timers that are due and completions
    /// of its disk included.
    fn settle(&mut self) -> Result<(), String> {
        // A machine may look at a disk that does nothing again and again.
        let mut looks_left = LOOKS_MAX;
        for _ in 0..EVENTS_MAX {
            let moved = self.carry_out_actions()?;
            let now = self.now();
            let disk = self.setting.disk().map(|disk| disk.operations() + disk.reads());
            let Some(node) = &mut self.node else { return Ok(()) };
            if let Some(exit) = node.exit() {
                self.say(format!("exits: {exit}"));
                self.end();
                return Ok(());
            }
            let reports = self.setting.reports(node.as_mut());
            let is_due = node.deadline().is_some_and(|deadline| deadline <= now.monotonic);
            if is_due {
                node.handle(now, Event::Timer);
            } else if disk.is_some() {
                node.handle(now, Event::Disk);
            }
            let activity = self.setting.disk().map(|disk| disk.operations() + disk.reads());
            let is_idle = !moved && reports.is_empty() && activity == disk;
            self.lines.extend(reports.into_iter().map(Line::Text));
            if is_idle && self.holds_disk && is_due {
                looks_left -= 1;
            }
            if is_idle && (!is_due || looks_left == 0) && !self.carry_out_actions()? {
                return Ok(());
            }
        }
        Err(String::from("the machine never comes to rest"))
    }

    /// Whether there was anything to do.
    fn carry_out_actions(&mut self) -> Result<bool, String> {
        let mut moved = false;
        while let Some(action) = self.node.as_mut().and_then(|node| node.poll_action()) {
            moved |= self.carry_out(action)?;
        }
        Ok(moved)
    }

    fn carry_out(&mut self, action: Action) -> Result<bool, String> {
        match action {
            Action::Connect { link, address, at } => {
                let delay = at.saturating_sub(self.now().monotonic);
                let delay = if delay.is_zero() { String::new() } else { format!(" in {delay:?}") };
                self.say(format!("connects to {address}{delay}"));
                self.connecting.push((link, address));
            }
            Action::Transmit { link } => {
                let peer = self.peers.iter_mut().find(|peer| peer.link == link);
                let (Some(peer), Some(node)) = (peer, &mut self.node) else { return Ok(false) };
                let bytes = node.take_output(link, usize::MAX);
                if bytes.is_empty() {
                    return Ok(false);
                }
                let received = peer.receive(&bytes)?;
                self.lines.extend(received.into_iter().map(Line::Packet));
            }
            Action::Read { link, on } => {
                let name = self.name_of(link);
                let what = if on { "reads from" } else { "stops reading from" };
                self.say(format!("{what} {name}"));
                let now = self.now();
                if on && let Some(node) = &mut self.node {
                    node.handle(now, Event::Writable { link });
                }
            }
            Action::Close { link } => {
                let pending = self.connecting.iter().position(|(other, _)| *other == link);
                match pending {
                    Some(index) => {
                        let (_, address) = self.connecting.remove(index);
                        self.say(format!("gives up connecting to {address}"));
                    }
                    None => {
                        let name = self.name_of(link);
                        self.say(format!("closes {name}"));
                        self.peers.retain(|peer| peer.link != link);
                    }
                }
            }
        }
        Ok(true)
    }

    fn name_of(&self, link: LinkId) -> String {
        let peer = self.peers.iter().find(|peer| peer.link == link);
        peer.map_or_else(|| format!("{link:?}"), |peer| peer.name.clone())
    }
}

/// How a process ends that does not end by itself.
#[derive(Clone, Copy)]
enum MemoryImage {
    Killed,
    PowerCut,
}

fn code_of(name: &str) -> Result<u16, String> {
    let found = match name.strip_prefix("0x") {
        Some(code) => u16::from_str_radix(code, 16).ok(),
        None => Schema::get().by_name(name).map(|packet| packet.code),
    };
    found.ok_or_else(|| format!("{name:?} is no packet"))
}

/// A number with a unit: `1.5s`, `10ms`.
fn parse_duration(text: &str) -> Result<Duration, String> {
    let refuse = || format!("{text:?} is no duration");
    let (number, unit) = match text.strip_suffix("ms") {
        Some(number) => (number, 0.001),
        None => (text.strip_suffix('s').ok_or_else(refuse)?, 1.0),
    };
    let number: f64 = number.parse().map_err(|_| refuse())?;
    Duration::try_from_secs_f64(number * unit).map_err(|_| refuse())
}

#[cfg(test)]
mod tests;
