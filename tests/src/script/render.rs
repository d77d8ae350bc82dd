//! Writes what a machine sent as scripts have it, and finds whatever does not keep the protocol.

use rmpv::Value;
use sha1::{Digest, Sha1};

use super::moment::Moment;
use super::schema::{ERRORS, Enum, Kind, Packet};
use super::variables::Variables;

/// Strings of one byte from this length on are written `"x"*length`.
const REPEATED_LENGTH_MIN: usize = 32;

/// A packet with its arguments. An error says what is not as the protocol has it.
pub(super) fn packet(
    packet: &Packet,
    arguments: &[Value],
    variables: &Variables,
) -> Result<String, String> {
    let arguments = tuple(&packet.arguments, arguments, variables);
    let arguments = arguments.map_err(|error| format!("{}: {error}", packet.name))?;
    Ok(format!("{}{arguments}", packet.name))
}

fn tuple(kinds: &[Kind], values: &[Value], variables: &Variables) -> Result<String, String> {
    if kinds.len() != values.len() {
        return Err(format!("{} values instead of {}: {values:?}", values.len(), kinds.len()));
    }
    let mut texts = Vec::new();
    for (index, (kind, value)) in kinds.iter().zip(values).enumerate() {
        let is_of_next = match (kind, value, values.get(index + 1)) {
            (Kind::Checksum, Value::Binary(sum), Some(Value::Binary(data))) => {
                sum[..] == Sha1::digest(data)[..]
            }
            _ => false,
        };
        texts.push(match is_of_next {
            true => String::from("sha1"),
            false => render(kind, value, variables)?,
        });
    }
    Ok(format!("({})", texts.join(", ")))
}

fn render(kind: &Kind, value: &Value, variables: &Variables) -> Result<String, String> {
    if matches!(kind, Kind::Id | Kind::Time)
        && let Some(name) = variables.name_of(value)
    {
        return Ok(format!("${name}"));
    }
    let text = match (kind, value) {
        (Kind::Optional(_), Value::Nil) => Some(String::from("nil")),
        (Kind::Optional(kind), _) => Some(render(kind, value, variables)?),
        (Kind::Tuple(kinds), Value::Array(values)) => Some(tuple(kinds, values, variables)?),
        (Kind::List(kind), Value::Array(values)) => Some(list(kind, values, variables)?),
        (Kind::Any, Value::Array(values)) => Some(list(&Kind::Any, values, variables)?),
        (Kind::Map(key, item), Value::Map(items)) => Some(map(key, item, items, variables)?),
        (Kind::Any, Value::Map(items)) => Some(map(&Kind::Any, &Kind::Any, items, variables)?),
        (Kind::Address, Value::Array(values)) => match values.as_slice() {
            [Value::Binary(host), port] => address(host, port),
            _ => None,
        },
        _ => plain(kind, value),
    };
    text.ok_or_else(|| format!("{value:?} is not {kind:?}"))
}

fn list(kind: &Kind, values: &[Value], variables: &Variables) -> Result<String, String> {
    let texts = values.iter().map(|value| render(kind, value, variables));
    Ok(format!("[{}]", texts.collect::<Result<Vec<_>, _>>()?.join(", ")))
}

fn map(
    key: &Kind,
    item: &Kind,
    items: &[(Value, Value)],
    variables: &Variables,
) -> Result<String, String> {
    let texts = items.iter().map(|(first, second)| {
        let (first, second) = (render(key, first, variables)?, render(item, second, variables)?);
        Ok(format!("{first}: {second}"))
    });
    Ok(format!("{{{}}}", texts.collect::<Result<Vec<_>, String>>()?.join(", ")))
}

/// A value without parts.
fn plain(kind: &Kind, value: &Value) -> Option<String> {
    Some(match (kind, value) {
        (Kind::Integer | Kind::Any, Value::Integer(number)) => match number.as_u64() {
            Some(number) if number == u64::from(u32::MAX) => String::from("INVALID_PARTITION"),
            _ => number.to_string(),
        },
        (Kind::Bool | Kind::Any, Value::Boolean(value)) => value.to_string(),
        (Kind::Any, Value::Nil) => String::from("nil"),
        (Kind::Bytes | Kind::Any, Value::Binary(bytes)) => text(bytes),
        (Kind::Checksum, Value::Binary(bytes)) if bytes.len() == 20 => checksum(bytes),
        (Kind::Id, Value::Binary(bytes)) => id(u64::from_be_bytes(bytes[..].try_into().ok()?)),
        (Kind::Time, Value::F64(number)) => match Moment::of_timestamp(*number) {
            Some(moment) => moment.to_string(),
            None => format!("{number:?}"),
        },
        (Kind::Any, Value::F64(number)) => format!("{number:?}"),
        (Kind::Nid, Value::Integer(number)) => nid(number.as_i64()?),
        (Kind::Error, Value::Integer(number)) => {
            (*ERRORS.get(usize::try_from(number.as_u64()?).ok()?)?).to_owned()
        }
        (Kind::Enum(found), Value::Ext(extension, data)) if found.extension == *extension => {
            item(*found, data)?.to_owned()
        }
        (Kind::Any, Value::Ext(extension, data)) => {
            let found = Enum::of_extension(*extension)?;
            format!("{}.{}", found.name, item(found, data)?)
        }
        _ => return None,
    })
}

fn item(found: Enum, data: &[u8]) -> Option<&'static str> {
    let [number] = data else { return None };
    found.items.get(usize::from(*number)).copied()
}

fn address(host: &[u8], port: &Value) -> Option<String> {
    let host = std::str::from_utf8(host).ok()?;
    let port = u16::try_from(port.as_u64()?).ok()?;
    Some(match host.contains(':') {
        true => format!("(\"{host}\", {port})"),
        false => format!("{host}:{port}"),
    })
}

fn nid(number: i64) -> String {
    let letter = match number >> 24 {
        0x00 => "S",
        -0x10 => "M",
        -0x20 => "C",
        -0x30 => "A",
        _ => return number.to_string(),
    };
    match number & 0x00ff_ffff {
        0 => number.to_string(),
        number => format!("{letter}{number}"),
    }
}

/// An oid, tid or ttid.
pub(super) fn id(id: u64) -> String {
    match id {
        u64::MAX => String::from("INVALID"),
        _ if id == i64::MAX.cast_unsigned() => String::from("MAX_TID"),
        _ => Moment::of_tid(id).map_or_else(|| format!("{id:#x}"), |moment| moment.to_string()),
    }
}

fn checksum(bytes: &[u8]) -> String {
    match bytes.iter().all(|byte| *byte == 0) {
        true => String::from("none"),
        false => hexadecimal(bytes),
    }
}

fn text(bytes: &[u8]) -> String {
    let quoted = |bytes: &[u8]| {
        let text = std::str::from_utf8(bytes).ok();
        let plain = |text: &&str| !text.contains(|c: char| c == '"' || c.is_control());
        text.filter(plain).map_or_else(|| hexadecimal(bytes), |text| format!("\"{text}\""))
    };
    let is_one_byte = bytes.iter().all(|byte| *byte == bytes[0]);
    match is_one_byte && bytes.len() >= REPEATED_LENGTH_MIN {
        true => format!("{}*{}", quoted(&bytes[..1]), bytes.len()),
        false => quoted(bytes),
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("h'{digits}'")
}
