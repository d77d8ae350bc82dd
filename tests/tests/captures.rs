//! The wire against what real nodes sent, where `../shared/data/neo-protocol` is there.

#![expect(clippy::disallowed_methods, reason = "captures are no files of an engine")]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::BytesMut;
use flate2::read::GzDecoder;
use model::Random;
use net::{
    Action, CloseReason, Event, HANDSHAKE, Incoming, Limits, LinkId, Links, Malformed, Message,
    PacketStream,
};
use serde_json::Value;

/// Where the captures are.
const DIRECTORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data/neo-protocol");

/// One line of a capture: what one side of a connection sent at once.
struct Sent {
    connection: u64,
    by_opener: bool,
    /// No node, but who tries out what nodes do.
    by_probe: bool,
    name: String,
    bytes: Vec<u8>,
    /// As the capture decoded it.
    arguments: String,
}

impl Sent {
    fn is_packet(&self) -> bool {
        !["(handshake)", "(close)", "(raw)"].contains(&self.name.as_str())
    }
}

/// The captures in a directory, in order of their names. Nothing where there are none.
fn captures(directory: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(Path::new(DIRECTORY).join(directory)) else {
        println!("no ../shared/data/neo-protocol: nothing is tested");
        return Vec::new();
    };
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.to_string_lossy().ends_with(".jsonl.gz"));
    paths.sort();
    paths
}

fn read(path: &Path) -> Vec<Sent> {
    let mut text = String::new();
    GzDecoder::new(File::open(path).unwrap()).read_to_string(&mut text).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter_map(sent).collect()
}

/// `None` for a mark of who made the capture.
fn sent(line: Value) -> Option<Sent> {
    let hex = line["hex"].as_str().unwrap_or_default();
    let digits = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    let bytes = (0..hex.len()).step_by(2).map(digits).collect();
    Some(Sent {
        connection: line["conn"].as_u64()?,
        by_opener: line["dir"] == ">",
        by_probe: line["from"] == "X",
        name: line["name"].as_str()?.to_owned(),
        bytes,
        arguments: line["args"].as_str().unwrap_or_default().to_owned(),
    })
}

/// The message of a packet, if it is one as a whole.
fn decode(bytes: &[u8]) -> Result<(u32, Message), Malformed> {
    let mut stream = PacketStream::default();
    stream.feed(BytesMut::from(bytes));
    let packet = stream.next(Limits::NODE)?;
    packet.ok_or(Malformed::Expected("more bytes"))
}

/// How many packets of some captures encode back to the same bytes, and why others are refused.
fn check(directory: &str) -> (usize, Vec<String>) {
    let (mut count, mut refused) = (0, Vec::new());
    for path in captures(directory) {
        for sent in read(&path).iter().filter(|sent| sent.is_packet()) {
            match decode(&sent.bytes) {
                Ok((id, message)) => {
                    assert_eq!(message.name(), sent.name);
                    assert_eq!(message.to_packet(id)[..], sent.bytes, "{path:?}: {message:?}");
                    count += 1;
                }
                Err(malformed) => {
                    refused.push(format!("{} {}: {malformed}", sent.name, sent.arguments));
                }
            }
        }
    }
    refused.sort();
    (count, refused)
}

#[test]
fn every_packet_of_the_scenarios_decodes_and_encodes_back() {
    let (count, refused) = check(".");
    if count == 0 {
        return;
    }
    // What the capture's own probe made up, to see what the nodes do.
    let expected = [
        "(unknown code 't') \"r\": malformed packet: expected a list of 3 values",
        "(unknown code 't') \"r\": malformed packet: expected a list of 3 values",
        "(unknown code 't') \"r\": malformed packet: expected a list of 3 values",
        "(unknown code 32766) []: unknown packet code 0x7ffe",
        "(unknown code 32766) []: unknown packet code 0x7ffe",
        "(unknown code 32766) []: unknown packet code 0x7ffe",
        "RequestIdentification [1, 2]: malformed packet: expected another number of fields",
        "RequestIdentification [1, 2]: malformed packet: expected another number of fields",
        "RequestIdentification []: malformed packet: expected another number of fields",
    ];
    assert_eq!(refused, expected);
    assert_eq!(count, 25_244);
}

#[test]
fn packets_that_tests_altered_are_taken_or_refused_cleanly() {
    let (count, refused) = check("threaded");
    // Those tests drop, delay and answer otherwise: what they send is well-formed.
    assert_eq!(refused, [""; 0]);
    assert!(count == 38_749 || count == 0, "{count} packets");
}

#[test]
fn streams_mean_the_same_however_they_are_cut() {
    let mut random = Random::from_seed(5);
    for path in captures(".") {
        let mut streams = BTreeMap::<_, (Vec<u8>, Vec<Vec<u8>>)>::new();
        for sent in read(&path) {
            let (stream, packets) = streams.entry((sent.connection, sent.by_opener)).or_default();
            stream.extend_from_slice(&sent.bytes);
            if sent.is_packet() && decode(&sent.bytes).is_ok() {
                packets.push(sent.bytes);
            }
        }
        for (stream, packets) in streams.into_values() {
            for length_max in [1, 3, 40, 4000, 1 << 20] {
                // Without it nothing else is looked at: a probe that speaks something else.
                if let Some(stream) = stream.strip_prefix(&HANDSHAKE) {
                    assert_eq!(cut(stream, length_max, &mut random), packets, "{path:?}");
                }
            }
        }
    }
}

/// The packets of a stream that comes in pieces of at most so many bytes.
fn cut(mut stream: &[u8], length_max: u64, random: &mut Random) -> Vec<Vec<u8>> {
    let mut packets = PacketStream::default();
    let mut found = Vec::new();
    while !stream.is_empty() {
        let length = usize::try_from(random.below(length_max) + 1).unwrap().min(stream.len());
        packets.feed(BytesMut::from(&stream[..length]));
        stream = &stream[length..];
        loop {
            match packets.next(Limits::NODE) {
                Ok(Some((id, message))) => found.push(message.to_packet(id).to_vec()),
                Ok(None) => break,
                Err(_) => return found,
            }
        }
    }
    found
}

#[test]
fn who_says_the_same_in_the_same_order_sends_the_same_bytes() {
    let (mut count, mut refused) = (0, Vec::new());
    for path in captures(".").into_iter().chain(captures("threaded")) {
        let mut connections = BTreeMap::<_, Vec<Sent>>::new();
        for sent in read(&path) {
            connections.entry(sent.connection).or_default().push(sent);
        }
        for sent in connections.into_values() {
            if sent.iter().any(|sent| sent.by_probe) {
                continue;
            }
            for as_opener in [true, false] {
                match replay(&sent, as_opener) {
                    Ok(sent) => count += sent,
                    Err(reason) => refused.push(reason),
                }
            }
        }
    }
    if count > 0 {
        // Two tests say nonsense, to see that the connection is lost.
        assert_eq!(refused, [CloseReason::UnexpectedAnswer("Pong"), CloseReason::OtherVersion(4)]);
        assert_eq!(count, 63_949);
    }
}

/// Plays one side of a connection; returns how many packets it sent, or why it refuses the other.
fn replay(conversation: &[Sent], as_opener: bool) -> Result<usize, CloseReason> {
    let mut links = Links::<()>::new(Duration::ZERO);
    let address = "127.0.0.1:1".parse().unwrap();
    let link = match as_opener {
        true => links.connect(Duration::ZERO, &address),
        false => LinkId::accepted(1),
    };
    links.feed(match as_opener {
        true => Event::Connected { link },
        false => Event::Accepted { link, address },
    });
    links.identified(link);
    let mut count = 0;
    let (mut expected, mut found) = (Vec::new(), Vec::new());
    for sent in conversation {
        if sent.by_opener == as_opener {
            expected.extend_from_slice(&sent.bytes);
            if sent.is_packet() {
                let (id, message) = decode(&sent.bytes).unwrap();
                say(&mut links, link, id, &message);
                count += 1;
            }
        } else if !sent.bytes.is_empty() {
            links.feed(Event::Received { link, bytes: BytesMut::from(&sent.bytes[..]) });
        }
        while let Some(incoming) = links.next() {
            if let Incoming::Closed { reason, .. } = incoming {
                return Err(reason);
            }
        }
        while let Some(action) = links.poll_action() {
            if action == (Action::Transmit { link }) {
                found.extend_from_slice(&links.queue(link).unwrap().take(usize::MAX));
                links.transmitted(link);
            }
        }
    }
    // The node may have been asked for a sign of life while it was about to answer something else.
    let [expected, found] = [expected, found].map(|stream| without_pongs(&stream));
    assert!(found.starts_with(&expected), "{found:02x?} instead of {expected:02x?}");
    Ok(count)
}

fn without_pongs(stream: &[u8]) -> Vec<Vec<u8>> {
    let packets = stream.strip_prefix(&HANDSHAKE).unwrap_or_default();
    let mut found = cut(packets, 1 << 20, &mut Random::from_seed(1));
    found.retain(|packet| !packet.ends_with(&[0xcd, 0x80, 0x02, 0x90]));
    found
}

fn say(links: &mut Links<()>, link: LinkId, id: u32, message: &Message) {
    match message {
        // Sent by the links themselves.
        Message::Pong {} => {}
        Message::AddObject { .. } | Message::AddTransaction { .. } => {
            links.answer(link, id, message)
        }
        message if message.is_answer() => links.answer(link, id, message),
        message => links.ask(link, message, ()),
    }
}
