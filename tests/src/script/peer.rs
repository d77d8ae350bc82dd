//! A peer of the machine, as a script has it.

use std::io::Cursor;

use net::{HANDSHAKE, LinkId};
use rmpv::Value;

use super::encode;
use super::render;
use super::schema::{ANSWER, Packet, Schema};
use super::variables::Variables;

/// `Error`, which may answer anything.
const ERROR: u16 = ANSWER;
/// What a source of a replication sends carries the id of the request that it serves.
const SERVING: [&str; 2] = ["AddTransaction", "AddObject"];

/// One side of a connection to the machine.
pub(super) struct Peer {
    pub(super) name: String,
    pub(super) link: LinkId,
    /// Bytes that came and are no whole packet yet.
    buffer: Vec<u8>,
    /// Whether the machine's handshake came.
    greeted: bool,
    next_id: u32,
    sent: usize,
    /// Requests to the machine that are not answered: id, code, and how many were sent before.
    asked: Vec<(u32, u16, usize)>,
    /// Requests of the machine that are not answered.
    requests: Vec<(u32, u16)>,
    /// Packets that came, by name.
    received: Vec<(&'static str, Vec<Value>)>,
}

/// A packet of the machine.
pub(super) struct Received {
    peer: String,
    packet: &'static Packet,
    arguments: Vec<Value>,
    /// What is to be said about its id.
    remark: String,
}

impl Received {
    pub(super) fn render(&self, variables: &Variables) -> Result<String, String> {
        let text = render::packet(self.packet, &self.arguments, variables)?;
        Ok(format!("{}< {text}{}", self.peer, self.remark))
    }
}

impl Peer {
    pub(super) fn new(name: &str, link: LinkId) -> Self {
        Self {
            name: name.to_owned(),
            link,
            buffer: Vec::new(),
            greeted: false,
            next_id: 0,
            sent: 0,
            asked: Vec::new(),
            requests: Vec::new(),
            received: Vec::new(),
        }
    }

    /// The bytes of a packet to be sent.
    pub(super) fn send(&mut self, code: u16, arguments: Vec<Value>) -> Vec<u8> {
        let id = self.id_for(code);
        let is_request = Schema::get().by_code(code).is_some_and(|packet| packet.is_request);
        if is_request {
            self.sent += 1;
            self.asked.push((id, code, self.sent));
        }
        encode::packet(id, code, arguments)
    }

    /// The id of the oldest request that a packet answers, or serves; else a new one.
    fn id_for(&mut self, code: u16) -> u32 {
        let serves = |request: u16| match code {
            ERROR => true,
            0x0043 => request == 0x0041,
            0x0044 => request == 0x0042,
            _ => request | ANSWER == code,
        };
        let found = self.requests.iter().position(|(_, request)| serves(*request));
        match found {
            Some(index) if code & ANSWER != 0 => self.requests.remove(index).0,
            Some(index) => self.requests[index].0,
            None => {
                self.next_id += 1;
                self.next_id - 1
            }
        }
    }

    /// The arguments of the last packet of a name that came.
    pub(super) fn last(&self, name: &str) -> Option<&[Value]> {
        let mut received = self.received.iter().rev();
        received.find(|(other, _)| *other == name).map(|(_, arguments)| arguments.as_slice())
    }

    /// Takes what the machine sent. An error says what is not as the protocol has it.
    pub(super) fn receive(&mut self, bytes: &[u8]) -> Result<Vec<Received>, String> {
        self.buffer.extend_from_slice(bytes);
        if !self.greeted && !self.buffer.is_empty() {
            let greeting: Vec<u8> =
                self.buffer.drain(..HANDSHAKE.len().min(self.buffer.len())).collect();
            if greeting != *b"\x92\xa3NEO\x05" {
                return Err(format!("{} gets no handshake: {greeting:?}", self.name));
            }
            self.greeted = true;
        }
        let mut received = Vec::new();
        while !self.buffer.is_empty() {
            let mut cursor = Cursor::new(self.buffer.as_slice());
            let value = rmpv::decode::read_value(&mut cursor).map_err(|error| {
                format!("{} gets no whole packet: {error}: {:02x?}", self.name, self.buffer)
            })?;
            let length = usize::try_from(cursor.position()).expect("less than was there");
            let bytes: Vec<u8> = self.buffer.drain(..length).collect();
            received.push(self.packet(&value, &bytes)?);
        }
        Ok(received)
    }

    fn packet(&mut self, value: &Value, bytes: &[u8]) -> Result<Received, String> {
        let refuse = |what: &str| Err(format!("{} gets {what}: {value:?}", self.name));
        let parts = value.as_array().map(Vec::as_slice);
        let Some([id, code, Value::Array(arguments)]) = parts else {
            return refuse("no packet");
        };
        let id = id.as_u64().and_then(|id| u32::try_from(id).ok());
        let code = code.as_u64().and_then(|code| u16::try_from(code).ok());
        let packet = code.and_then(|code| Schema::get().by_code(code));
        let (Some(id), Some(packet)) = (id, packet) else {
            return refuse("a packet of no kind");
        };
        if encode::packet(id, packet.code, arguments.clone()) != bytes {
            return refuse("bytes that could be shorter");
        }
        let remark = self.take_note(id, packet);
        self.received.push((&packet.name, arguments.clone()));
        Ok(Received { peer: self.name.clone(), packet, arguments: arguments.clone(), remark })
    }

    /// What is to be said about the id of a packet.
    fn take_note(&mut self, id: u32, packet: &Packet) -> String {
        let asked = self.asked.iter().position(|(other, code, _)| {
            *other == id && (packet.code == ERROR || *code | ANSWER == packet.code)
        });
        let serves = SERVING.contains(&packet.name.as_str());
        if packet.code & ANSWER != 0 {
            return match asked {
                Some(0) => {
                    self.asked.remove(0);
                    String::new()
                }
                Some(index) => {
                    let (_, _, number) = self.asked.remove(index);
                    format!(" (answers request {number})")
                }
                None => String::from(" (answers nothing)"),
            };
        }
        if serves {
            return match self.asked.iter().any(|(other, _, _)| *other == id) {
                true => String::new(),
                false => String::from(" (serves nothing)"),
            };
        }
        if packet.is_request {
            self.requests.push((id, packet.code));
        }
        String::new()
    }
}
