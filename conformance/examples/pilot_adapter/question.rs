//! The members of a question as values, and the ways an operation can end.

use serde_json::Value;
use std::str::FromStr;

/// What is no result.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The implementation refuses the input.
    Refused(String),
    /// There is no such operation.
    Unsupported,
}

/// What an operation gives.
pub(crate) type Outcome = Result<Value, Failure>;

/// A refusal with the words of the implementation.
pub(crate) fn refused(why: impl ToString) -> Failure {
    Failure::Refused(why.to_string())
}

/// A question. A member that is missing or of another type is a mistake of whoever asks, and ends the program.
#[derive(Clone, Copy)]
pub(crate) struct Question<'a>(pub(crate) &'a Value);

impl<'a> Question<'a> {
    pub(crate) fn text(self, name: &str) -> &'a str {
        self.0[name].as_str().unwrap_or_else(|| panic!("{name} is no text in {}", self.0))
    }

    /// A number, or one that is too large for JSON as decimal text.
    pub(crate) fn number<T: TryFrom<u64> + FromStr>(self, name: &str) -> T {
        let number = match &self.0[name] {
            Value::String(text) => text.parse().ok(),
            value => value.as_u64().and_then(|number| T::try_from(number).ok()),
        };
        number.unwrap_or_else(|| panic!("{name} is no such number in {}", self.0))
    }

    pub(crate) fn bytes(self, name: &str) -> Vec<u8> {
        unhex(self.text(name)).unwrap_or_else(|| panic!("{name} is no hex in {}", self.0))
    }

    /// So many bytes; others are refused, as an implementation does whose types have this length.
    pub(crate) fn array<const N: usize>(self, name: &str) -> Result<[u8; N], Failure> {
        let bytes = self.bytes(name);
        let length = bytes.len();
        bytes.try_into().map_err(|_| refused(format!("{name} has {length} bytes, {N} expected")))
    }

    pub(crate) fn list(self, name: &str) -> &'a [Value] {
        self.0[name].as_array().unwrap_or_else(|| panic!("{name} is no list in {}", self.0))
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes().chunks(2);
    digits.map(|two| u8::from_str_radix(std::str::from_utf8(two).ok()?, 16).ok()).collect()
}
