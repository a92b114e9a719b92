//! Log lines: what roles and the driver say, through `tracing`, one line each on stderr as text or JSON.
//!
//! Lines look like those of the existing daemons (`time=… level=INFO msg="daemon registered" node_id=1`), because
//! scripts search for them. `tracing` fixes field names at compile time, so the fields of a role's
//! [`Record`] travel in the field `fields`, as JSON pairs of name and value, and are unfolded here; a foreign subscriber
//! sees the pairs.

use std::{
    fmt,
    io::Write,
    sync::Mutex,
    time::{SystemTime, UNIX_EPOCH},
};

use pilot_roles::{
    clock,
    role::{Level, Record},
};
use serde_json::{Value, json};
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    Layer,
    layer::{Context, SubscriberExt},
};

/// Form of a log line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// `key=value`, values quoted where needed.
    #[default]
    Text,
    /// One JSON object.
    Json,
}

impl Format {
    /// `json`, in any case, is JSON; everything else is text.
    pub fn named(name: &str) -> Self {
        if name.eq_ignore_ascii_case("json") { Format::Json } else { Format::Text }
    }
}

/// `debug`, `info`, `warn` or `warning`, `error`, in any case; everything else is `info`.
pub fn level_named(name: &str) -> Level {
    match name.to_ascii_lowercase().as_str() {
        "debug" => Level::Debug,
        "warn" | "warning" => Level::Warn,
        "error" => Level::Error,
        _ => Level::Info,
    }
}

/// Sends every line of this process that is at least as loud as `level` to stderr. The first call wins.
pub fn init(level: Level, format: Format) {
    let lines = Lines { level, format, out: Mutex::new(std::io::stderr()) };
    let _ = tracing::subscriber::set_global_default(tracing_subscriber::registry().with(lines));
}

/// One line of a role.
pub fn emit(record: &Record) {
    let pair = |(name, value): &(&str, String)| json!([name, bare_or_text(value)]);
    let fields = Value::Array(record.fields.iter().map(pair).collect());
    let message = record.message;
    match record.level {
        Level::Debug => tracing::debug!(target: "pilot", %fields, "{message}"),
        Level::Info => tracing::info!(target: "pilot", %fields, "{message}"),
        Level::Warn => tracing::warn!(target: "pilot", %fields, "{message}"),
        Level::Error => tracing::error!(target: "pilot", %fields, "{message}"),
    }
}

/// Why the program ends before it could work. Always said, whatever level was chosen.
pub fn fatal(words: &str) {
    eprintln!("fatal: {words}");
}

/// Roles write values as text; whole numbers and truth values keep their JSON type.
fn bare_or_text(value: &str) -> Value {
    match value {
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        _ => match value.parse::<i64>() {
            Ok(number) if number.to_string() == value => number.into(),
            _ => value.into(),
        },
    }
}

struct Lines<W> {
    level: Level,
    format: Format,
    out: Mutex<W>,
}

impl<S: Subscriber, W: Write + 'static> Layer<S> for Lines<W>
where
    Lines<W>: 'static,
{
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        // Of the libraries below us only complaints are of interest to an operator.
        let ours = metadata.target().starts_with("pilot");
        loudness(metadata.level()) >= if ours { self.level } else { self.level.max(Level::Warn) }
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let micros = i64::try_from(unix.as_micros()).unwrap_or(i64::MAX);
        let mut line = write_line(self.format, micros, loudness(event.metadata().level()), fields);
        line.push('\n');
        // Nobody is left to tell when stderr itself is gone.
        if let Ok(mut out) = self.out.lock() {
            let _ = out.write_all(line.as_bytes());
        }
    }
}

fn loudness(level: &tracing::Level) -> Level {
    match *level {
        tracing::Level::ERROR => Level::Error,
        tracing::Level::WARN => Level::Warn,
        tracing::Level::INFO => Level::Info,
        _ => Level::Debug,
    }
}

fn write_line(format: Format, unix_micros: i64, level: Level, fields: Fields) -> String {
    let level = match level {
        Level::Debug => "DEBUG",
        Level::Info => "INFO",
        Level::Warn => "WARN",
        Level::Error => "ERROR",
    };
    match format {
        Format::Json => {
            let mut line = format!(
                "{{\"time\":\"{}\",\"level\":\"{level}\",\"msg\":{}",
                clock::rfc3339_micros(unix_micros),
                Value::from(fields.message)
            );
            for (name, value) in fields.rest {
                line.push_str(&format!(",{}:{value}", Value::from(name)));
            }
            line.push('}');
            line
        }
        Format::Text => {
            let seconds = clock::rfc3339(unix_micros, 0);
            let millis = unix_micros.div_euclid(1000).rem_euclid(1000);
            let mut line = format!(
                "time={}.{millis:03}Z level={level} msg={}",
                seconds.trim_end_matches('Z'),
                quoted(&fields.message)
            );
            for (name, value) in fields.rest {
                let value = match &value {
                    Value::String(text) => quoted(text),
                    other => other.to_string(),
                };
                line.push_str(&format!(" {name}={value}"));
            }
            line
        }
    }
}

/// Quoted if it is empty or holds a blank, `=`, a quote or anything that does not print.
fn quoted(text: &str) -> String {
    let plain = |c: char| !(c.is_whitespace() || c.is_control() || c == '=' || c == '"');
    if !text.is_empty() && text.chars().all(plain) { text.to_owned() } else { format!("{text:?}") }
}

/// The fields of one event in order.
#[derive(Default)]
struct Fields {
    message: String,
    rest: Vec<(String, Value)>,
}

impl Fields {
    fn push(&mut self, field: &Field, value: Value) {
        self.rest.push((field.name().to_owned(), value));
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let text = format!("{value:?}");
        match field.name() {
            "message" => self.message = text,
            "fields" => match serde_json::from_str::<Vec<(String, Value)>>(&text) {
                Ok(fields) => self.rest.extend(fields),
                Err(_) => self.push(field, text.into()),
            },
            _ => self.push(field, text.into()),
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.push(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.push(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.push(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.push(field, value.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registered() -> Fields {
        Fields {
            message: "daemon registered".into(),
            rest: vec![
                ("node_id".into(), bare_or_text("1")),
                ("addr".into(), bare_or_text("0:0000.0000.0001")),
                ("empty".into(), bare_or_text("")),
                ("why".into(), bare_or_text("a \"b\" c=d")),
            ],
        }
    }

    #[test]
    fn text_lines_quote_only_where_needed() {
        assert_eq!(
            write_line(Format::Text, 1_775_466_487_065_400, Level::Info, registered()),
            "time=2026-04-06T09:08:07.065Z level=INFO msg=\"daemon registered\" node_id=1 \
             addr=0:0000.0000.0001 empty=\"\" why=\"a \\\"b\\\" c=d\""
        );
    }

    #[test]
    fn json_lines_keep_numbers_bare() {
        assert_eq!(
            write_line(Format::Json, 1_775_466_487_065_400, Level::Warn, registered()),
            "{\"time\":\"2026-04-06T09:08:07.0654Z\",\"level\":\"WARN\",\"msg\":\"daemon registered\",\"node_id\":1,\
             \"addr\":\"0:0000.0000.0001\",\"empty\":\"\",\"why\":\"a \\\"b\\\" c=d\"}"
        );
    }

    #[test]
    fn names_of_levels_and_formats() {
        assert_eq!(level_named("WARNING"), Level::Warn);
        assert_eq!(level_named("loud"), Level::Info);
        assert_eq!(Format::named("JSON"), Format::Json);
        assert_eq!(Format::named(""), Format::Text);
    }
}
