//! JSON as the protocol's programs write it: compact, keys in byte order, and five characters escaped
//! (`<` `>` `&` U+2028 U+2029), so that answers can be compared byte for byte.

use alloc::string::String;

pub use serde_json::{Map, Value, json};

/// `value` in one line; the keys of every object ascend (the map type sorts them).
pub fn to_line(value: &Value) -> String {
    escape(&serde_json::to_string(value).unwrap_or_default())
}

/// Escapes the five characters in text that is already JSON. They can only stand inside strings.
pub fn escape(json: &str) -> String {
    if pilot_proto::planted!(AnswerUnescaped) {
        return String::from(json);
    }
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            '<' => out.push_str("\\u003c"),
            '>' => out.push_str("\\u003e"),
            '&' => out.push_str("\\u0026"),
            '\u{2028}' => out.push_str("\\u2028"),
            '\u{2029}' => out.push_str("\\u2029"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_sorted_and_markup_is_escaped() {
        let value = json!({"b": "<&>\u{2028}", "a": 1});
        assert_eq!(to_line(&value), r#"{"a":1,"b":"\u003c\u0026\u003e\u2028"}"#);
    }
}
