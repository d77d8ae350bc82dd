//! Packets as text, for whoever looks on.

use std::io::Cursor;

use rmpv::Value;

use super::render;
use super::schema::Schema;
use super::variables::Variables;

/// Takes whole packets off a stream of bytes, behind its handshake, and describes them.
pub(crate) fn describe_packets(buffer: &mut Vec<u8>) -> Vec<String> {
    let mut descriptions = Vec::new();
    let mut taken = 0;
    loop {
        let mut cursor = Cursor::new(&buffer[taken..]);
        let Ok(value) = rmpv::decode::read_value(&mut cursor) else { break };
        taken += usize::try_from(cursor.position()).expect("less than was there");
        descriptions.push(describe(&value));
    }
    buffer.drain(..taken);
    descriptions
}

fn describe(value: &Value) -> String {
    let parts = value.as_array().map(Vec::as_slice);
    let Some([id, code, Value::Array(arguments)]) = parts else { return value.to_string() };
    let code = code.as_u64().and_then(|code| u16::try_from(code).ok());
    let Some(packet) = code.and_then(|code| Schema::get().by_code(code)) else {
        return value.to_string();
    };
    let text = render::packet(packet, arguments, &Variables::default());
    format!("#{id} {}", text.unwrap_or_else(|error| error))
}
