//! A JSON reader over bytes that needs no memory: strings are handed on character by character.
//!
//! As lenient as the programs of the network are: invalid UTF-8 and lone surrogates read as U+FFFD.

use core::fmt;

/// How deep values that nobody reads may be nested.
const MAX_DEPTH: u8 = 32;

/// Why the text could not be read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JsonError {
    /// It ends in the middle; more bytes may complete it.
    Incomplete,
    /// The byte at this offset cannot stand there.
    Malformed {
        /// Offset from the beginning.
        at: usize,
    },
    /// The value at this offset is nested too deeply.
    TooDeep {
        /// Offset from the beginning.
        at: usize,
    },
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            JsonError::Incomplete => write!(f, "the text ends before the value does"),
            JsonError::Malformed { at } => write!(f, "not JSON at byte {at}"),
            JsonError::TooDeep { at } => write!(f, "nested deeper than {MAX_DEPTH} at byte {at}"),
        }
    }
}

impl core::error::Error for JsonError {}

/// Whether more bytes would change nothing: one value is complete, or what is there is no JSON.
pub(crate) fn is_complete(bytes: &[u8]) -> bool {
    Reader::new(bytes).skip() != Err(JsonError::Incomplete)
}

/// A position in a JSON text.
#[derive(Clone, Debug)]
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Reader { bytes, at: 0 }
    }

    /// The next byte that is not white space.
    pub(super) fn peek(&mut self) -> Result<u8, JsonError> {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.bytes.get(self.at) {
            self.at += 1;
        }
        self.bytes.get(self.at).copied().ok_or(JsonError::Incomplete)
    }

    /// Whether only white space is left.
    pub(super) fn at_end(&mut self) -> bool {
        self.peek().is_err()
    }

    /// Passes `wanted` after white space if it stands there.
    pub(super) fn take(&mut self, wanted: u8) -> Result<bool, JsonError> {
        let found = self.peek()? == wanted;
        self.at += usize::from(found);
        Ok(found)
    }

    /// Passes `wanted` after white space.
    pub(super) fn expect(&mut self, wanted: u8) -> Result<(), JsonError> {
        if self.take(wanted)? { Ok(()) } else { Err(self.malformed()) }
    }

    pub(super) const fn malformed(&self) -> JsonError {
        JsonError::Malformed { at: self.at }
    }

    /// Passes `null` if a word starts here that can only be it.
    pub(super) fn take_null(&mut self) -> Result<bool, JsonError> {
        if self.peek()? != b'n' {
            return Ok(false);
        }
        self.word(b"null").map(|()| true)
    }

    /// Passes a string, handing each decoded character to `sink`.
    pub(super) fn string(&mut self, mut sink: impl FnMut(char)) -> Result<(), JsonError> {
        self.expect(b'"')?;
        loop {
            let c = match self.byte()? {
                b'"' => {
                    self.at += 1;
                    return Ok(());
                }
                b'\\' => self.escape()?,
                0..=0x1f => return Err(self.malformed()),
                _ => self.character(),
            };
            sink(c);
        }
    }

    /// Passes a number and returns its text.
    pub(super) fn number(&mut self) -> Result<&'a str, JsonError> {
        self.peek()?;
        let start = self.at;
        if self.byte()? == b'-' {
            self.at += 1;
        }
        if self.byte()? == b'0' {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.bytes.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.bytes.get(self.at) {
            self.at += 1;
            if let Some(b'+' | b'-') = self.bytes.get(self.at) {
                self.at += 1;
            }
            self.digits()?;
        }
        let text = self.bytes.get(start..self.at).and_then(|text| core::str::from_utf8(text).ok());
        text.ok_or(self.malformed())
    }

    /// Passes any value.
    pub(super) fn skip(&mut self) -> Result<(), JsonError> {
        self.skip_nested(MAX_DEPTH)
    }

    fn skip_nested(&mut self, depth: u8) -> Result<(), JsonError> {
        match self.peek()? {
            b'"' => self.string(|_| {}),
            b'-' | b'0'..=b'9' => self.number().map(|_| ()),
            b't' => self.word(b"true"),
            b'f' => self.word(b"false"),
            b'n' => self.word(b"null"),
            open @ (b'{' | b'[') => {
                let depth = depth.checked_sub(1).ok_or(JsonError::TooDeep { at: self.at })?;
                let (object, close) = if open == b'{' { (true, b'}') } else { (false, b']') };
                self.at += 1;
                if self.take(close)? {
                    return Ok(());
                }
                loop {
                    if object {
                        self.string(|_| {})?;
                        self.expect(b':')?;
                    }
                    self.skip_nested(depth)?;
                    if self.take(close)? {
                        return Ok(());
                    }
                    self.expect(b',')?;
                }
            }
            _ => Err(self.malformed()),
        }
    }

    fn byte(&self) -> Result<u8, JsonError> {
        self.bytes.get(self.at).copied().ok_or(JsonError::Incomplete)
    }

    fn word(&mut self, word: &[u8]) -> Result<(), JsonError> {
        for wanted in word {
            if self.byte()? != *wanted {
                return Err(self.malformed());
            }
            self.at += 1;
        }
        Ok(())
    }

    /// One digit at least.
    fn digits(&mut self) -> Result<(), JsonError> {
        if !self.byte()?.is_ascii_digit() {
            return Err(self.malformed());
        }
        while self.bytes.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
        Ok(())
    }

    /// The character at this byte of a string; one bad byte is one U+FFFD.
    fn character(&mut self) -> char {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let found = (1..=4).find_map(|len| core::str::from_utf8(rest.get(..len)?).ok()?.chars().next());
        let c = found.unwrap_or(char::REPLACEMENT_CHARACTER);
        self.at += found.map_or(1, char::len_utf8);
        c
    }

    fn escape(&mut self) -> Result<char, JsonError> {
        self.at += 1;
        let c = match self.byte()? {
            c @ (b'"' | b'\\' | b'/') => char::from(c),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.unicode_escape(),
            _ => return Err(self.malformed()),
        };
        self.at += 1;
        Ok(c)
    }

    /// `uXXXX`, with the second half of a surrogate pair if it follows.
    fn unicode_escape(&mut self) -> Result<char, JsonError> {
        let first = self.hex4()?;
        if let 0xd800..=0xdbff = first {
            let rest = self.bytes.get(self.at..).unwrap_or_default();
            if rest.starts_with(b"\\u") {
                let after_first = self.at;
                self.at += 1;
                let second = self.hex4()?;
                if let 0xdc00..=0xdfff = second {
                    let code = 0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00);
                    return Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
                }
                self.at = after_first;
            }
        }
        Ok(char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    /// `u` and four hexadecimal digits.
    fn hex4(&mut self) -> Result<u32, JsonError> {
        self.at += 1;
        let mut code = 0;
        for _ in 0..4 {
            let digit = char::from(self.byte()?).to_digit(16).ok_or(self.malformed())?;
            code = code << 4 | digit;
            self.at += 1;
        }
        Ok(code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn string(json: &[u8]) -> Result<String, JsonError> {
        let mut out = String::new();
        Reader::new(json).string(|c| out.push(c)).map(|()| out)
    }

    #[test]
    fn escapes_surrogates_and_bad_utf8_read_as_elsewhere_in_the_network() {
        assert_eq!(string(br#""a\"\\\/\b\f\n\r\t\u00e9""#).unwrap(), "a\"\\/\u{8}\u{c}\n\r\t\u{e9}");
        assert_eq!(string(br#""\ud83d\ude00""#).unwrap(), "\u{1f600}");
        assert_eq!(string(br#""\ud83dx""#).unwrap(), "\u{fffd}x");
        assert_eq!(string(br#""\ud83d\u0041""#).unwrap(), "\u{fffd}A");
        assert_eq!(string(br#""\ude00""#).unwrap(), "\u{fffd}");
        assert_eq!(string(b"\"h\xc3\xa9\xc3(\xff\"").unwrap(), "h\u{e9}\u{fffd}(\u{fffd}");
        assert_eq!(string(b"\"a\nb\""), Err(JsonError::Malformed { at: 2 }));
        assert_eq!(string(br#""\x""#), Err(JsonError::Malformed { at: 2 }));
        assert_eq!(string(br#""abc"#), Err(JsonError::Incomplete));
    }

    #[test]
    fn nesting_is_bounded() {
        let at_limit = [vec![b'['; 32], vec![b']'; 32]].concat();
        assert_eq!(Reader::new(&at_limit).skip(), Ok(()));
        let beyond = [vec![b'['; 33], vec![b']'; 33]].concat();
        assert_eq!(Reader::new(&beyond).skip(), Err(JsonError::TooDeep { at: 32 }));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Reader::new(&bytes).skip();
        }

        #[test]
        fn it_accepts_what_serde_json_accepts(text in r#"[\[\]{}:,"\\ 0-9eE.truefalsn+\-u]{0,12}"#) {
            let mut reader = Reader::new(text.as_bytes());
            let accepted = reader.skip().is_ok() && reader.at_end();
            // The one difference wanted: lone surrogates are text here and errors there.
            if !text.contains("\\u") && !text.contains(['e', 'E']) {
                prop_assert_eq!(accepted, serde_json::from_str::<serde_json::Value>(&text).is_ok(), "{}", text);
            }
        }
    }
}
