//! Standard padded base64 as the protocol's programs decode it, with the position of the first bad byte: refusals
//! name that position, so a stock decoder, which counts differently, would answer differently.

use alloc::{string::String, vec::Vec};

use ::base64::{Engine, engine::general_purpose::STANDARD};

/// The text is not base64.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BadBase64 {
    /// Offset of the byte that is reported; where a group of four is cut short, the start of that group.
    pub(super) at: usize,
}

impl core::fmt::Display for BadBase64 {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "illegal base64 data at input byte {}", self.at)
    }
}

/// `bytes` as padded text.
pub(super) fn encode(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// The bytes of `text`. CR and LF are skipped wherever they stand; unused low bits are not looked at.
pub(super) fn decode(text: &str) -> Result<Vec<u8>, BadBase64> {
    let mut input = text.bytes().enumerate().filter(|&(_, byte)| byte != b'\r' && byte != b'\n');
    let mut out = Vec::with_capacity(text.len() / 4 * 3 + 3);
    loop {
        let (mut group, mut digits, mut padded) = (0_u32, 0_u32, false);
        while digits < 4 {
            let Some((at, byte)) = input.next() else {
                // The text ended: between groups that is the end, inside one the group is reported.
                if digits == 0 {
                    return Ok(out);
                }
                return Err(BadBase64 { at: text.len().saturating_sub(digits as usize) });
            };
            if let Some(value) = value_of(byte) {
                group = group << 6 | value;
                digits += 1;
            } else if byte == b'=' && digits >= 2 {
                if digits == 2 {
                    match input.next() {
                        Some((_, b'=')) => {}
                        Some((next, _)) => return Err(BadBase64 { at: next.saturating_sub(1) }),
                        None => return Err(BadBase64 { at: text.len() }),
                    }
                }
                padded = true;
                break;
            } else {
                return Err(BadBase64 { at });
            }
        }
        let [_, a, b, c] = (group << (6 * (4 - digits))).to_be_bytes();
        out.extend([a, b, c].into_iter().take(digits as usize - 1));
        if padded {
            return match input.next() {
                Some((at, _)) => Err(BadBase64 { at }),
                None => Ok(out),
            };
        }
    }
}

fn value_of(byte: u8) -> Option<u32> {
    let value = match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    };
    Some(u32::from(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_text_is_reported_where_the_reference_reports_it() {
        for (text, at) in
            [("!!", 0), ("%%%", 0), ("zz", 0), ("AAAAzz", 4), ("AAAA=", 4), ("AA=A", 2), ("AA==A", 4)]
        {
            assert_eq!(decode(text), Err(BadBase64 { at }), "{text}");
        }
    }

    #[test]
    fn decoding_inverts_encoding_and_skips_line_breaks() {
        for len in 0..70_u8 {
            let bytes: Vec<u8> = (0..len).collect();
            let text = encode(&bytes);
            assert_eq!(decode(&text).as_ref(), Ok(&bytes));
            let broken: String = text.chars().flat_map(|c| ['\r', c, '\n']).collect();
            assert_eq!(decode(&broken), Ok(bytes));
        }
    }
}
