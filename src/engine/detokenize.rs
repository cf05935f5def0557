//! Bytes of tokens to whole characters, as they come. It strips and adds nothing: the text is the tokens',
//! verbatim.

/// Holds the bytes of a character until it is complete. The result of all pushes and the finish is the same
/// as [`String::from_utf8_lossy`] of all bytes together.
#[derive(Debug, Default, Clone)]
pub(crate) struct Detokenizer {
    /// The beginning of a character, at most three bytes.
    pending: Vec<u8>,
}

impl Detokenizer {
    /// Takes the bytes of one token and gives the characters that are now complete. Bytes that cannot become
    /// a character any more are U+FFFD, one for each longest beginning of a character.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> String {
        self.pending.extend_from_slice(bytes);
        let mut text = String::new();
        let mut rest = 0;
        for chunk in self.pending.utf8_chunks() {
            text.push_str(chunk.valid());
            rest += chunk.valid().len();
            let invalid = chunk.invalid();
            let at_end = rest + invalid.len() == self.pending.len();
            if !invalid.is_empty() && at_end && may_continue(invalid) {
                break;
            }
            if !invalid.is_empty() {
                text.push(char::REPLACEMENT_CHARACTER);
                rest += invalid.len();
            }
        }
        self.pending.drain(..rest);
        text
    }

    /// The end of the text: what is not complete now is invalid.
    pub(crate) fn finish(&mut self) -> &'static str {
        let incomplete = !self.pending.is_empty();
        self.pending.clear();
        if incomplete { "\u{FFFD}" } else { "" }
    }
}

/// Whether more bytes could make a character of these.
fn may_continue(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_err_and(|error| error.error_len().is_none())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(tokens: &[&[u8]], expected: &[&str]) {
        let mut detokenizer = Detokenizer::default();
        let mut texts: Vec<String> = tokens.iter().map(|bytes| detokenizer.push(bytes)).collect();
        texts.push(detokenizer.finish().to_owned());
        assert_eq!(texts, expected);
    }

    #[test]
    fn a_character_waits_for_its_last_byte() {
        check(&[b"\xF0", b"\x9F\x98", b"\x80!"], &["", "", "😀!", ""]);
    }

    #[test]
    fn a_byte_that_fits_nowhere_is_replaced_at_once() {
        check(&[b"a\xFFb", b"\x80"], &["a\u{FFFD}b", "\u{FFFD}", ""]);
    }

    #[test]
    fn a_broken_character_is_replaced_when_the_next_byte_shows_it() {
        check(&[b"\xE2\x82", b"x"], &["", "\u{FFFD}x", ""]);
    }

    #[test]
    fn an_incomplete_character_at_the_end_is_replaced() {
        check(&[b"\xE2\x82"], &["", "\u{FFFD}"]);
    }

    #[test]
    fn leading_spaces_stay() {
        check(&[b" the", b" cat"], &[" the", " cat", ""]);
    }

    proptest! {
        #[test]
        fn however_the_bytes_are_cut_the_text_is_the_same(
            tokens in prop::collection::vec(prop::collection::vec(prop_oneof![
                any::<u8>(), Just(0xF0), Just(0x9F), Just(0x98), Just(0x80), Just(0xE2), Just(0xC3), Just(b'a'),
            ], 0..5), 0..12)
        ) {
            let mut detokenizer = Detokenizer::default();
            let mut text: String = tokens.iter().map(|bytes| detokenizer.push(bytes)).collect();
            text.push_str(detokenizer.finish());
            let all = tokens.concat();
            prop_assert_eq!(text, String::from_utf8_lossy(&all).into_owned());
        }
    }
}
