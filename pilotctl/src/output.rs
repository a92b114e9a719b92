//! How results and errors reach people and programs: text or one JSON line, error codes, hints.

use std::fmt::Display;
use std::io::Write;

use pilot_roles::json::{Map, Value, escape, to_line};

/// Error codes of the command line. Scripts match them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    InvalidArgument,
    NotFound,
    AlreadyExists,
    NotRunning,
    ConnectionFailed,
    Timeout,
    Internal,
    Unavailable,
}

impl Code {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Code::InvalidArgument => "invalid_argument",
            Code::NotFound => "not_found",
            Code::AlreadyExists => "already_exists",
            Code::NotRunning => "not_running",
            Code::ConnectionFailed => "connection_failed",
            Code::Timeout => "timeout",
            Code::Internal => "internal",
            Code::Unavailable => "unavailable",
        }
    }
}

/// Why a command failed, in one sentence, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) code: Code,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

impl Failure {
    pub(crate) fn new(code: Code, message: impl Display) -> Self {
        Failure { code, message: message.to_string(), hint: None }
    }

    pub(crate) fn invalid(message: impl Display) -> Self {
        Failure::new(Code::InvalidArgument, message)
    }

    pub(crate) fn internal(message: impl Display) -> Self {
        Failure::new(Code::Internal, message)
    }

    pub(crate) fn failed(message: impl Display) -> Self {
        Failure::new(Code::ConnectionFailed, message)
    }

    pub(crate) fn hint(self, hint: impl Display) -> Self {
        Failure { hint: Some(hint.to_string()), ..self }
    }

    pub(crate) fn to_json(&self) -> Value {
        let mut object = Map::new();
        object.insert("status".into(), "error".into());
        object.insert("code".into(), self.code.name().into());
        object.insert("message".into(), self.message.as_str().into());
        if let Some(hint) = &self.hint {
            object.insert("hint".into(), hint.as_str().into());
        }
        Value::Object(object)
    }
}

/// Where a command's words go. A reader that went away is no error: there is nobody to tell.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    pub(crate) json: bool,
}

impl Output {
    /// The result: `{"data":..,"status":"ok"}` for programs, `human` for people.
    pub(crate) fn result(self, data: Value, human: impl FnOnce(&Value) -> String) {
        if self.json {
            let mut object = Map::new();
            object.insert("data".into(), data);
            object.insert("status".into(), "ok".into());
            self.write(&to_line(&Value::Object(object)));
        } else {
            self.write(&human(&data));
        }
    }

    /// A result that people see as an indented object.
    pub(crate) fn object(self, data: Value) {
        self.result(data, indented);
    }

    /// A line for people on standard output.
    pub(crate) fn line(self, text: impl Display) {
        if !self.json {
            self.write(&text.to_string());
        }
    }

    /// A line for people on standard error.
    pub(crate) fn note(self, text: impl Display) {
        if !self.json {
            let _ = writeln!(std::io::stderr(), "{text}");
        }
    }

    /// One object of an endless list: a bare JSON line, or `human`.
    pub(crate) fn item(self, data: &Value, human: impl FnOnce() -> String) {
        if self.json {
            self.write(&to_line(data));
        } else {
            self.write(&human());
        }
    }

    /// The failure, on standard error.
    pub(crate) fn failure(self, failure: &Failure) {
        let mut err = std::io::stderr();
        let _ = if self.json {
            writeln!(err, "{}", to_line(&failure.to_json()))
        } else {
            match &failure.hint {
                Some(hint) => writeln!(err, "error: {}\nhint:  {hint}", failure.message),
                None => writeln!(err, "error: {}", failure.message),
            }
        };
    }

    fn write(self, text: &str) {
        let mut out = std::io::stdout().lock();
        let _ = writeln!(out, "{text}").and_then(|()| out.flush());
    }
}

/// An object indented by two spaces, keys in order.
pub(crate) fn indented(value: &Value) -> String {
    escape(&serde_json::to_string_pretty(value).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use pilot_roles::json::json;

    #[test]
    fn errors_carry_their_hint_only_when_there_is_one() {
        let failure = Failure::invalid("a<b");
        assert_eq!(
            to_line(&failure.to_json()),
            r#"{"code":"invalid_argument","message":"a\u003cb","status":"error"}"#
        );
        let failure = failure.hint("do c");
        assert!(to_line(&failure.to_json()).contains(r#""hint":"do c""#));
    }

    #[test]
    fn objects_are_indented_with_sorted_keys() {
        assert_eq!(
            indented(&json!({"b": [1], "a": "<"})),
            "{\n  \"a\": \"\\u003c\",\n  \"b\": [\n    1\n  ]\n}"
        );
    }
}
