//! The table of packets in docs/protocol.md.

use std::fmt::Write;

use super::packets::PacketInformation;

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/protocol.md");
const BEGIN: &str = "cargo test -p neolith-net` -->\n";
const END: &str = "<!-- end of packets -->";

#[test]
fn the_table_in_the_documentation_is_what_is_declared() {
    #[expect(clippy::disallowed_methods, reason = "documentation is no file of an engine")]
    let text = std::fs::read_to_string(DOCUMENT).unwrap();
    let (head, rest) = text.split_once(BEGIN).unwrap();
    let (_, tail) = rest.split_once(END).unwrap();
    crate::codec::tests::check_golden(DOCUMENT, &format!("{head}{BEGIN}{}{END}{tail}", table()));
}

fn table() -> String {
    let mut table =
        String::from("| code | packet | from -> to | fields | answer |\n|---|---|---|---|---|\n");
    for packet in PacketInformation::ALL {
        let PacketInformation { code, name, direction, fields, answer, answer_fields } = packet;
        let answer = answer.map_or_else(String::new, |answer| {
            format!("{answer} {}", notation_of_fields(answer_fields)).trim_end().to_owned()
        });
        let fields = notation_of_fields(fields);
        writeln!(table, "| {code:#06x} | {name} | {direction} | {fields} | {answer} |").unwrap();
    }
    table.push_str("| 0x8000 | Error | * -> * | `code: error`, `text: bin` |  |\n");
    table
}

fn notation_of_fields(fields: &[(&str, &str)]) -> String {
    let field = |(name, kind): &(&str, &str)| format!("`{name}: {}`", notation(kind));
    fields.iter().map(field).collect::<Vec<_>>().join(", ")
}

fn notation(kind: &str) -> String {
    let kind = kind.trim();
    let inside = |prefix: &str, end: char| kind.strip_prefix(prefix)?.strip_suffix(end);
    if let Some(kind) = inside("Option<", '>') {
        return format!("?{}", notation(kind));
    }
    if let Some(kind) = inside("Vec<", '>') {
        return format!("[{}]", notation(kind));
    }
    if let Some((key, value)) = inside("OrderedMap<", '>').and_then(|kinds| kinds.split_once(',')) {
        return format!("{{{}: {}}}", notation(key), notation(value));
    }
    if let Some((first, second)) = inside("(", ')').and_then(|kinds| kinds.split_once(',')) {
        return format!("[{}, {}]", notation(first), notation(second));
    }
    let plain = match kind {
        "u8" | "u16" | "u32" | "u64" | "PartitionTableId" => "int",
        "Oid" => "oid",
        "Oids" => "[oid]",
        "Tid" => "tid",
        "Ttid" => "ttid",
        "Nid" => "nid",
        "PartitionId" => "partition",
        "bool" => "bool",
        "Bytes" => "bin",
        "Data" => "data",
        "String" => "text",
        "Checksum" => "sha1",
        "Address" => "address",
        "IdTimestamp" => "time",
        "NodeInformation" => "node",
        "Cell" => "cell",
        "CellChange" => "change",
        "PackRequest" => "pack request",
        "PackState" => "pack state",
        "PackOrder" => "pack order",
        "RelockConflict" => "relock conflict",
        "UndoSerials" => "undo serials",
        "CheckSource" => "check source",
        "Extra" => "extra",
        "CellState" | "ClusterState" | "NodeState" | "NodeType" => kind,
        other => panic!("the documentation has no notation for {other}"),
    };
    plain.to_owned()
}
