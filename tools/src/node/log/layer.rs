//! Makes a line of an event.

use std::fmt::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use model::UtcTime;
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use super::super::arguments::LogFormat;
use super::Identity;
use super::writer::LineSender;

/// Name of the field that holds the text of an event.
const MESSAGE: &str = "message";

/// Writes each event as one line, with the time, the node and its cluster.
pub(super) struct LineLayer {
    format: LogFormat,
    identity: Arc<Mutex<Identity>>,
    lines: LineSender,
}

impl LineLayer {
    pub(super) fn new(
        format: LogFormat,
        identity: Arc<Mutex<Identity>>,
        lines: LineSender,
    ) -> Self {
        Self { format, identity, lines }
    }
}

impl<S: Subscriber> Layer<S> for LineLayer {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let identity = self.identity.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let time = UtcTime::from_unix(net::now().unix);
        let time = time.map_or_else(String::new, iso);
        let mut fields = Fields::default();
        event.record(&mut fields);
        let metadata = event.metadata();
        let level = metadata.level().as_str();
        let line = match self.format {
            LogFormat::Human => human(&identity, &time, level, metadata.target(), &fields),
            LogFormat::Json => json(&identity, &time, level, metadata.target(), fields),
        };
        self.lines.line(line);
    }
}

/// `2026-01-05T12:33:21.500000Z`.
fn iso(time: UtcTime) -> String {
    let text = time.to_string();
    let (date, rest) = text.split_once(' ').unwrap_or((&text, ""));
    let clock = rest.split(' ').next().unwrap_or_default();
    format!("{date}T{clock}Z")
}

fn human(identity: &Identity, time: &str, level: &str, target: &str, fields: &Fields) -> String {
    let cluster = identity.cluster.as_deref().unwrap_or("-");
    let mut line = match identity.nid {
        Some(nid) => format!("{time} {level:5} {nid} {cluster} {target}:"),
        None => format!("{time} {level:5} {} {cluster} {target}:", identity.kind),
    };
    if let Some(message) = &fields.message {
        let _ = write!(line, " {}", one_line(message));
    }
    for (name, value) in &fields.others {
        // Writing to a string cannot fail.
        let _ = match value {
            Value::String(text) => write!(line, " {name}={}", one_line(text)),
            value => write!(line, " {name}={value}"),
        };
    }
    line.push('\n');
    line
}

fn json(identity: &Identity, time: &str, level: &str, target: &str, fields: Fields) -> String {
    let mut line = Map::new();
    let mut put = |name: &str, value: Value| line.insert(name.to_owned(), value);
    put("time", time.into());
    put("level", level.into());
    put("kind", identity.kind.into());
    put("node", identity.nid.map(|nid| nid.to_string()).into());
    put("cluster", identity.cluster.clone().into());
    put("target", target.into());
    put("message", fields.message.into());
    if !fields.others.is_empty() {
        put("fields", Value::Object(fields.others.into_iter().collect()));
    }
    let mut line = Value::Object(line).to_string();
    line.push('\n');
    line
}

/// Without what would begin another line, or steer a terminal.
fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter.is_control() {
            true => line.extend(letter.escape_default()),
            false => line.push(letter),
        }
    }
    line
}

#[derive(Default)]
struct Fields {
    message: Option<String>,
    others: Vec<(String, Value)>,
}

impl Fields {
    fn put(&mut self, field: &Field, value: Value) {
        match (field.name(), value) {
            (MESSAGE, Value::String(text)) => self.message = Some(text),
            (name, value) => self.others.push((name.to_owned(), value)),
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, Value::String(format!("{value:?}")));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, Value::String(value.to_owned()));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }
}

#[cfg(test)]
mod tests {
    use model::{Nid, NodeType};

    use super::*;

    fn fields() -> Fields {
        let others = vec![
            (String::from("address"), Value::from("127.0.0.1:1\nx")),
            (String::from("count"), Value::from(3)),
        ];
        Fields { message: Some(String::from("lost\u{1b}[2J")), others }
    }

    #[test]
    fn a_line_for_people() {
        let mut identity = Identity { kind: "storage", nid: None, cluster: None };
        let line = human(&identity, "T", "INFO", "net", &fields());
        let end = "net: lost\\u{1b}[2J address=127.0.0.1:1\\nx count=3\n";
        assert_eq!(line, format!("T INFO  storage - {end}"));
        identity.nid = Some(Nid::of(NodeType::Storage, 2));
        identity.cluster = Some(String::from("site"));
        assert_eq!(
            human(&identity, "T", "WARN", "net", &fields()),
            format!("T WARN  S2 site {end}")
        );
    }

    #[test]
    fn a_line_for_programs() {
        let identity = Identity {
            kind: "storage",
            nid: Some(Nid::of(NodeType::Storage, 2)),
            cluster: Some(String::from("site")),
        };
        let line = json(&identity, "T", "INFO", "net", fields());
        assert_eq!(line.lines().count(), 1);
        let value: Value = serde_json::from_str(&line).unwrap();
        assert_eq!((value["node"].as_str(), value["cluster"].as_str()), (Some("S2"), Some("site")));
        assert_eq!(value["message"], "lost\u{1b}[2J");
        assert_eq!(value["fields"]["count"], 3);
    }
}
