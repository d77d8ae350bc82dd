//! The codec against itself, against rmpv, and against whoever means harm.

use std::fmt::Write;

use bytes::BytesMut;
use model::{Oid, Random, Tid, Ttid};
use rmpv::Value;

use super::decode::LIST_LENGTH_MAX;
use super::framer::Framer;
use super::{Limits, Malformed};
use crate::message::{Message, Oids};
use crate::packet_stream::PacketStream;

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/packets.txt");
/// Bytes of a packet there: the longest that are not longer.
const GOLDEN_LENGTH_MAX: usize = 160;

fn decode(bytes: &[u8]) -> Result<Option<(u32, Message)>, Malformed> {
    let mut stream = PacketStream::default();
    stream.feed(BytesMut::from(bytes));
    stream.next(Limits::NODE)
}

fn oracle(mut packet: &[u8]) -> Value {
    let value = rmpv::decode::read_value(&mut packet).unwrap();
    assert!(packet.is_empty());
    value
}

fn by_oracle(value: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    rmpv::encode::write_value(&mut bytes, value).unwrap();
    bytes
}

#[test]
fn every_packet_comes_back_and_is_what_another_codec_writes() {
    for seed in 0..100 {
        let mut random = Random::from_seed(seed);
        for message in Message::samples(&mut random) {
            let id = u32::try_from(random.below(1 << 32)).unwrap() >> random.below(32);
            let packet = message.to_packet(id);
            assert_eq!(by_oracle(&oracle(&packet)), packet, "seed {seed}: {message:?}");
            assert_eq!(decode(&packet), Ok(Some((id, message))), "seed {seed}");
            for length in (0..packet.len()).take(40).chain([packet.len() - 1]) {
                assert_eq!(decode(&packet[..length]), Ok(None), "seed {seed}: half a packet");
            }
        }
    }
}

#[test]
fn oids_of_a_pack_order_may_come_in_one_string() {
    let order = |oids: Value| {
        let id = Value::Binary(vec![0, 0, 0, 0, 0, 0, 0, 9]);
        let order = vec![id.clone(), true.into(), true.into(), oids, id];
        let arguments = Value::Array(vec![Value::Array(vec![Value::Array(order)])]);
        by_oracle(&Value::Array(vec![0.into(), 0x8033.into(), arguments]))
    };
    let string = [[0, 0, 0, 0, 0, 0, 0, 1], [0, 0, 0, 0, 0, 0, 0, 2]];
    let list = string.iter().map(|oid| Value::Binary(oid.to_vec())).collect();
    let told = decode(&order(Value::Array(list)));
    assert!(matches!(told, Ok(Some(_))));
    assert_eq!(decode(&order(Value::Binary(string.concat()))), told);
    let half = decode(&order(Value::Binary(vec![0; 12])));
    assert_eq!(half, Err(Malformed::Expected("oids of 8 bytes each")));
}

#[test]
fn packets_stay_as_they_are() {
    let mut text = String::from(
        "# A packet of each kind: its bytes, and what another decoder makes of them.\n\
         # NEOLITH_GOLDEN=write cargo test -p neolith-net writes it; the wire must never change.\n",
    );
    let samples: Vec<_> =
        (0..64).map(|seed| Message::samples(&mut Random::from_seed(seed))).collect();
    for kind in 0..samples[0].len() {
        let of_kind = samples.iter().map(|samples| &samples[kind]);
        let short = of_kind.filter(|message| message.to_packet(7).len() <= GOLDEN_LENGTH_MAX);
        let message = short.max_by_key(|message| message.to_packet(7).len()).unwrap();
        let packet = message.to_packet(7);
        let hex: String = packet.iter().map(|byte| format!("{byte:02x}")).collect();
        let mut decoded = String::new();
        render(&oracle(&packet), &mut decoded);
        write!(text, "\n{}\n{hex}\n{decoded}\n", message.name()).unwrap();
    }
    check_golden(GOLDEN, &text);
}

#[expect(clippy::disallowed_methods, reason = "golden bytes are no file of an engine")]
pub(crate) fn check_golden(path: &str, text: &str) {
    if std::env::var_os("NEOLITH_GOLDEN").is_some_and(|value| value == "write") {
        std::fs::write(path, text).unwrap();
    }
    let golden = std::fs::read_to_string(path).unwrap();
    for (line, (found, expected)) in text.lines().zip(golden.lines()).enumerate() {
        assert_eq!(found, expected, "{path}:{}", line + 1);
    }
    assert_eq!(text.len(), golden.len(), "{path} has another length");
}

/// As the documentation of protocols writes it.
fn render(value: &Value, out: &mut String) {
    match value {
        Value::Binary(bytes) => {
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            write!(out, "h'{hex}'").unwrap();
        }
        Value::Ext(kind, bytes) => write!(out, "{kind}({})", bytes[0]).unwrap(),
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                out.push_str(if index == 0 { "" } else { ", " });
                render(item, out);
            }
            out.push(']');
        }
        Value::Map(items) => {
            out.push('{');
            for (index, (key, value)) in items.iter().enumerate() {
                out.push_str(if index == 0 { "" } else { ", " });
                render(key, out);
                out.push_str(": ");
                render(value, out);
            }
            out.push('}');
        }
        other => write!(out, "{other}").unwrap(),
    }
}

/// Values of which at most one kind is right anywhere.
fn strangers() -> Vec<Value> {
    vec![
        Value::Nil,
        Value::Boolean(true),
        Value::from(3),
        Value::from(-3),
        Value::from(u64::MAX),
        Value::F64(1.5),
        Value::F64(f64::NAN),
        Value::from("text"),
        Value::Binary(vec![0; 7]),
        Value::Binary(vec![0xff; 8]),
        Value::Array(Vec::new()),
        Value::Array(vec![Value::Nil; 6]),
        Value::Map(vec![(Value::Nil, Value::Nil)]),
        Value::Ext(4, vec![1]),
        Value::Ext(4, vec![9]),
        Value::Ext(4, vec![1, 1]),
        Value::Ext(9, vec![1]),
    ]
}

/// Calls with the packet in which one value after the other is replaced.
fn replace_each(value: &Value, with: &Value, then: &mut dyn FnMut(Value)) {
    match value {
        Value::Array(items) => {
            for index in 0..items.len() {
                let put = |new: Value| {
                    let mut items = items.clone();
                    items[index] = new;
                    Value::Array(items)
                };
                then(put(with.clone()));
                replace_each(&items[index], with, &mut |new| then(put(new)));
            }
        }
        Value::Map(items) => {
            for index in 0..items.len() {
                let put = |key: Option<Value>, value: Option<Value>| {
                    let mut items = items.clone();
                    let (old_key, old_value) = items[index].clone();
                    items[index] = (key.unwrap_or(old_key), value.unwrap_or(old_value));
                    Value::Map(items)
                };
                then(put(Some(with.clone()), None));
                then(put(None, Some(with.clone())));
                let (key, value) = &items[index];
                replace_each(key, with, &mut |new| then(put(Some(new), None)));
                replace_each(value, with, &mut |new| then(put(None, Some(new))));
            }
        }
        _ => {}
    }
}

#[test]
fn a_value_of_another_type_is_refused_or_means_itself() {
    let (mut taken, mut refused) = (0, 0);
    for message in Message::samples(&mut Random::from_seed(2)) {
        let packet = oracle(&message.to_packet(7));
        for stranger in strangers() {
            replace_each(&packet, &stranger, &mut |changed| {
                let bytes = by_oracle(&changed);
                match decode(&bytes) {
                    Ok(Some((id, message))) => {
                        let again = message.to_packet(id);
                        match message {
                            // Its oids may come in one string.
                            Message::AnswerPackOrders { .. } => {
                                assert_eq!(decode(&again), Ok(Some((id, message))), "{changed}");
                            }
                            _ => assert_eq!(again, bytes, "{changed}: {message:?}"),
                        }
                        taken += 1;
                    }
                    Ok(None) => panic!("{changed} is whole"),
                    Err(_) => refused += 1,
                }
            });
        }
    }
    assert!(taken > 500 && refused > 10 * taken, "{taken} taken, {refused} refused");
}

#[test]
fn one_argument_more_or_less_is_refused() {
    let expected = Err(Malformed::Expected("another number of fields"));
    for message in Message::samples(&mut Random::from_seed(3)) {
        let Value::Array(mut packet) = oracle(&message.to_packet(7)) else { panic!() };
        let Value::Array(arguments) = packet[2].clone() else { panic!() };
        let more = arguments.iter().cloned().chain([Value::Nil]).collect();
        packet[2] = Value::Array(more);
        assert_eq!(decode(&by_oracle(&Value::Array(packet.clone()))), expected, "{message:?}");
        if let [but_last @ .., _] = &arguments[..] {
            packet[2] = Value::Array(but_last.to_vec());
            assert_eq!(decode(&by_oracle(&Value::Array(packet))), expected, "{message:?}");
        }
    }
}

#[test]
fn mutated_streams_are_taken_or_refused() {
    let mut random = Random::from_seed(4);
    for round in 0..10_000 {
        let mut samples = Message::samples(&mut random);
        let message = samples.swap_remove(random.index(samples.len()));
        let mut bytes = message.to_packet(7).to_vec();
        bytes.truncate(5000);
        for _ in 0..1 + random.below(4) {
            mutate(&mut bytes, &mut random);
        }
        let mut stream = PacketStream::default();
        stream.feed(BytesMut::from(&bytes[..]));
        // Until it ends, or something is wrong: what is taken encodes.
        while let Ok(Some((id, message))) = stream.next(Limits::UNIDENTIFIED) {
            assert!(!message.to_packet(id).is_empty(), "round {round}");
        }
    }
}

fn mutate(bytes: &mut Vec<u8>, random: &mut Random) {
    let at = random.index(bytes.len() + 1);
    let heads =
        [0x90, 0x9f, 0x8f, 0xc0, 0xc1, 0xc4, 0xc6, 0xc9, 0xcf, 0xd8, 0xdb, 0xdd, 0xdf, 0xff];
    match random.below(4) {
        0 => bytes.insert(at, *random.choose(&heads).unwrap()),
        1 => bytes.truncate(at.max(1)),
        _ if at == bytes.len() => bytes.push(random.bytes(1)[0]),
        2 => bytes[at] = *random.choose(&heads).unwrap(),
        _ => bytes[at] ^= 1 << random.below(8),
    }
}

/// A packet with these arguments, of which only the beginning is there.
fn begun(code: u8, arguments: &[u8]) -> Vec<u8> {
    [&[0x93, 0, code], arguments].concat()
}

#[test]
fn claims_of_great_lengths_are_refused_at_once_and_cost_nothing() {
    let limit = |what, given, limit| Err(Malformed::TooLong { what, given, limit });
    let cases = [
        (
            "bytes of 4 GiB",
            begun(0x45, b"\x91\xc6\xff\xff\xff\xff"),
            limit("a string", 0xffff_ffff, 1 << 30),
        ),
        (
            "text of 4 GiB",
            begun(0x48, b"\x91\x81\xc4\x00\xdb\xff\xff\xff\xff"),
            limit("a string", 0xffff_ffff, 1 << 30),
        ),
        (
            "an item of an enum of 4 GiB",
            begun(0x2a, b"\x91\xc9\xff\xff\xff\xff\x01"),
            limit("a string", 0x1_0000_0000, 1 << 30),
        ),
        (
            "a list of 2^32",
            begun(0x34, b"\x92\xdd\xff\xff\xff\xff"),
            limit("a list", 0xffff_ffff, LIST_LENGTH_MAX as u64),
        ),
        (
            "a map of 2^32",
            begun(0x0f, b"\x91\xdf\xff\xff\xff\xff"),
            limit("a list", 0x1_ffff_fffe, LIST_LENGTH_MAX as u64),
        ),
        (
            "arguments without end",
            begun(0x02, b"\xdd\xff\xff\xff\xff"),
            limit("a list", 0xffff_ffff, LIST_LENGTH_MAX as u64),
        ),
        ("no MessagePack", begun(0x02, b"\xc1"), Err(Malformed::Expected("MessagePack"))),
    ];
    for (name, bytes, expected) in cases {
        for cut in 1..bytes.len() {
            let mut framer = Framer::default();
            framer.feed(BytesMut::from(&bytes[..cut]));
            let mut found = framer.next(Limits::NODE);
            if found.as_ref().is_ok_and(Option::is_none) {
                framer.feed(BytesMut::from(&bytes[cut..]));
                found = framer.next(Limits::NODE);
            }
            assert_eq!(found.map(|_| ()), expected.clone(), "{name}");
            assert!(framer.capacity() < 1 << 10, "{name}: {} bytes", framer.capacity());
        }
    }
}

#[test]
fn lists_that_do_not_end_are_refused_by_how_many_values_they_have() {
    // Lists of 15 lists of 15 lists..., each of which is allowed.
    let mut bytes = vec![0x93, 0, 0x48, 0x91];
    bytes.resize(1 << 20, 0x9f);
    for (limits, values_max) in [(Limits::UNIDENTIFIED, 1 << 17), (Limits::NODE, 1 << 23)] {
        let mut framer = Framer::default();
        framer.feed(BytesMut::from(&bytes[..]));
        let Err(Malformed::TooLong { what, limit, .. }) = framer.next(limits) else { panic!() };
        assert_eq!((what, limit), ("values of a packet", values_max));
    }
}

#[test]
fn depth_is_no_danger() {
    for (name, head) in [("lists", &[0x91_u8][..]), ("maps", &[0x81, 0xc4, 0])] {
        let mut bytes = begun(0x48, b"\x91\x81\xc4\x00");
        for _ in 0..10_000 {
            bytes.extend_from_slice(head);
        }
        assert_eq!(decode(&bytes), Ok(None), "{name}: the end is missing");
        bytes.push(0xc0);
        assert_eq!(decode(&bytes), Err(Malformed::Expected("less depth")), "{name}");
        // The same where nothing is left open.
        bytes[2] = 0x34;
        assert!(matches!(decode(&bytes), Err(Malformed::Expected(_))), "{name}");
    }
}

#[test]
fn a_peer_that_is_not_known_yet_cannot_make_a_node_grow() {
    let mut framer = Framer::default();
    framer.feed(BytesMut::from(&begun(0x01, b"\xdc\xff\xff")[..]));
    let mut fed = 0;
    let refused = loop {
        framer.feed(BytesMut::from(&[&b"\xc5\x10\x00"[..], &[7; 1 << 12]].concat()[..]));
        fed += 3 + (1 << 12);
        match framer.next(Limits::UNIDENTIFIED) {
            Ok(None) => assert!(framer.capacity() <= 4 * fed, "{} bytes", framer.capacity()),
            Ok(Some(_)) => panic!("nobody ended it"),
            Err(refused) => break refused,
        }
    };
    assert!(matches!(refused, Malformed::TooLong { what: "a packet", .. }), "{refused:?}");
    assert!(fed < (1 << 20) + (1 << 13));
}

#[test]
fn checksums_of_long_strings_are_known_when_the_packet_is_there() {
    for length in [0, 1000, (16 << 10) - 1, 16 << 10, 64 << 10, 300_000, 2 << 20] {
        let data = Random::from_seed(6).bytes(length);
        let message = Message::Error { code: crate::ErrorCode::Ack, text: data.clone().into() };
        let packet = message.to_packet(1);
        for step in [7777, packet.len()] {
            let mut framer = Framer::default();
            let mut frame = None;
            for piece in packet.chunks(step) {
                assert!(frame.is_none());
                framer.feed(BytesMut::from(piece));
                frame = framer.next(Limits::NODE).unwrap();
            }
            let sums = frame.unwrap().known.sums;
            let sums: Vec<_> =
                sums.iter().map(|(at, sums)| (*at, sums.checksum, sums.crc)).collect();
            let start = packet.len() - length;
            let expected = (start, crate::Checksum::of(&data), crc32c::crc32c(&data));
            let is_long = length >= 16 << 10;
            assert_eq!(sums, Vec::from_iter(is_long.then_some(expected)));
        }
    }
}

/// Whether the list of oids of a packet was checked while it came in; and the packet.
fn framed(packet: &[u8], step: usize) -> (bool, Result<Option<(u32, Message)>, Malformed>) {
    let mut framer = Framer::default();
    let mut stream = PacketStream::default();
    let mut is_known = false;
    let mut decoded = Ok(None);
    for piece in packet.chunks(step) {
        framer.feed(BytesMut::from(piece));
        let frame = framer.next(Limits::NODE).unwrap();
        is_known |= frame.is_some_and(|frame| !frame.known.oids.is_empty());
        stream.feed(BytesMut::from(piece));
        decoded = stream.next(Limits::NODE);
    }
    (is_known, decoded)
}

#[test]
fn long_lists_of_oids_are_checked_while_they_come_in() {
    let ttid = Ttid::new(5);
    for count in [0, 1, 255, 256, 1000, 20_000] {
        let oids: Oids = (1..=count).map(|n| Oid::new(n * n)).collect();
        let message = Message::AskFinishTransaction {
            ttid,
            oids: oids.clone(),
            deleted: vec![model::PartitionId::new(3); 300],
            checked: Vec::new(),
            pack: Some(crate::PackRequest { oids: Some(oids.clone()), tid: Tid::new(1) }),
        };
        let packet = message.to_packet(9);
        for step in [1, 7, 4096, packet.len()] {
            if step == 1 && count > 1000 {
                continue;
            }
            let (is_known, decoded) = framed(&packet, step);
            assert_eq!(is_known, count >= 256, "{count} oids");
            assert_eq!(decoded, Ok(Some((9, message.clone()))), "{count} oids by {step} bytes");
        }
        // One of them is something else of the same length.
        for item in [0, count / 2, count.saturating_sub(1)].into_iter().filter(|_| count > 0) {
            let mut packet = packet.to_vec();
            let oid = [&[0xc4, 8][..], &(((item + 1) * (item + 1)).to_be_bytes())].concat();
            let at = packet.windows(10).position(|bytes| bytes == oid).unwrap();
            packet[at] = 0xa9;
            let (_, decoded) = framed(&packet, 4096);
            assert_eq!(decoded, Err(Malformed::Expected("an id of 8 bytes")), "{item} of {count}");
        }
    }
}

#[test]
fn lists_that_are_only_announced_are_not_copied_again_and_again() {
    let mut framer = Framer::default();
    let mut bytes = begun(0x48, b"\x92\xc6\x00\x20\x00\x00");
    bytes.resize(bytes.len() + (2 << 20), 7);
    framer.feed(BytesMut::from(&bytes[..]));
    assert!(framer.next(Limits::NODE).unwrap().is_none());
    let mut moves = 0;
    for _ in 0..200 {
        let before = framer.buffer_start();
        // A list of 20,000 values, the first of them nil, the next one again such a list.
        let announced = b"\xdd\x00\x00\x4e\x20\xc0";
        match framer.room() {
            Some(room) => {
                room.extend_from_slice(announced);
                let piece = room.split();
                framer.feed(piece);
            }
            None => framer.feed(BytesMut::from(&announced[..])),
        }
        assert!(framer.next(Limits::NODE).unwrap().is_none());
        moves += u32::from(framer.buffer_start() != before);
    }
    assert!(moves <= 2, "2 MiB were copied {moves} times");
}

#[test]
fn a_long_string_that_is_read_to_its_room_is_not_copied() {
    let data = Random::from_seed(7).bytes(1 << 20);
    let message = Message::Error { code: crate::ErrorCode::Ack, text: data.into() };
    let packet = message.to_packet(1);
    let second = Message::NotifyReady {}.to_packet(2);
    let stream = [&packet[..], &second].concat();
    let mut framer = Framer::default();
    let (head, mut rest) = stream.split_at(100);
    framer.feed(BytesMut::from(head));
    assert!(framer.next(Limits::NODE).unwrap().is_none());
    let space = framer.room().unwrap().spare_capacity_mut().as_ptr_range();
    let space = space.start.cast::<u8>()..space.end.cast();
    let frame = loop {
        let room = framer.room().unwrap();
        let length = room.capacity().min(rest.len()).min(256 << 10);
        room.extend_from_slice(&rest[..length]);
        let piece = room.split();
        rest = &rest[length..];
        framer.feed(piece);
        if let Some(frame) = framer.next(Limits::NODE).unwrap() {
            break frame;
        }
    };
    assert_eq!(frame.bytes, packet);
    assert_eq!(frame.bytes[100..].as_ptr(), space.start, "it stayed where it was read to");
    assert!(framer.room().is_none());
    assert_eq!(framer.next(Limits::NODE).unwrap().unwrap().bytes, second);
    assert!(!space.contains(&framer.buffer_start()), "what follows does not keep its memory");
}
