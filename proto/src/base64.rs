//! Standard base64 with padding (RFC 4648 §4), into lent memory.

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Characters needed for `bytes` bytes.
pub const fn encoded_len(bytes: usize) -> usize {
    bytes.div_ceil(3) * 4
}

/// The characters for `bytes`, one after the other.
pub fn encode(bytes: &[u8]) -> impl Iterator<Item = u8> + '_ {
    bytes.chunks(3).flat_map(|chunk| {
        let at = |i: usize| u32::from(chunk.get(i).copied().unwrap_or(0));
        let group = (at(0) << 16) | (at(1) << 8) | at(2);
        [18, 12, 6, 0].into_iter().enumerate().map(move |(i, shift)| {
            let symbol = ALPHABET.get((group >> shift & 63) as usize).copied();
            symbol.filter(|_| i <= chunk.len()).unwrap_or(b'=')
        })
    })
}

/// The `N` bytes that `text` stands for; `None` if it is not base64 or not of that length.
///
/// Unused bits of the last character may be anything, as in most decoders; everything else is strict.
pub fn decode<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    if text.len() != encoded_len(N) {
        return None;
    }
    let mut out = [0; N];
    for (chunk, place) in text.chunks(4).zip(out.chunks_mut(3)) {
        let mut group = 0;
        for (i, symbol) in chunk.iter().enumerate() {
            let padding = i > place.len();
            let value =
                if padding && *symbol == b'=' { 0 } else { value_of(*symbol).filter(|_| !padding)? };
            group = group << 6 | value;
        }
        for (byte, shift) in place.iter_mut().zip([16, 8, 0]) {
            *byte = (group >> shift) as u8;
        }
    }
    Some(out)
}

fn value_of(symbol: u8) -> Option<u32> {
    let (base, first) = match symbol {
        b'A'..=b'Z' => (b'A', 0),
        b'a'..=b'z' => (b'a', 26),
        b'0'..=b'9' => (b'0', 52),
        b'+' => return Some(62),
        b'/' => return Some(63),
        _ => return None,
    };
    Some(u32::from(symbol - base) + first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(bytes: &[u8]) -> String {
        encode(bytes).map(char::from).collect()
    }

    #[test]
    fn the_examples_of_rfc_4648_section_10() {
        for (plain, coded) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(text(plain.as_bytes()), coded);
        }
        assert_eq!(decode(b"Zm9vYg=="), Some(*b"foob"));
        assert_eq!(decode(b"+/+/"), Some([0xfb, 0xff, 0xbf]));
    }

    #[test]
    fn wrong_length_padding_or_character_is_refused() {
        for bad in
            ["Zm9vYg", "Zm9vYg=", "Zm9vYg==\n", "Zm9v=g==", "Zm9vY===", "Zm9vYgA=", "Zm9*Yg==", "=m9vYg=="]
        {
            assert_eq!(decode::<4>(bad.as_bytes()), None, "{bad}");
        }
        assert_eq!(decode::<0>(b""), Some([]));
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(bytes: [u8; 32], longer: [u8; 64]) {
            prop_assert_eq!(decode(text(&bytes).as_bytes()), Some(bytes));
            prop_assert_eq!(decode(text(&longer).as_bytes()), Some(longer));
        }

        #[test]
        fn no_text_panics(bytes in proptest::collection::vec(any::<u8>(), 0..12)) {
            let _ = (decode::<0>(&bytes), decode::<4>(&bytes), decode::<5>(&bytes), decode::<6>(&bytes));
        }
    }
}
