//! Text to token ids and back, for SentencePiece BPE with byte fallback. It decides who may write special
//! tokens, and knows nothing of models.
//!
//! The order of merges comes from [`Vocabulary`]; the merging is done by the `tokenizers` crate's BPE model,
//! and by that alone: no normalizer, no pre-tokenizer and no added tokens, which each have an own idea of
//! spaces and specials.

use std::collections::HashSet;

use tokenizers::Model as _;
use tokenizers::models::bpe::{BPE, Vocab};

use super::detokenize::Detokenizer;
use super::error::LoadError;
use super::origin::Origin;
use super::vocabulary::{Kind, Vocabulary};
use crate::generation::{Prompt, Segment};

/// What stands for a space in pieces.
const SPACE: &str = "▁";

/// How SentencePiece writes the unknown token.
const UNKNOWN: &[u8] = " \u{2047} ".as_bytes();

/// A tokenizer, shared by all threads.
pub(crate) struct Tokenizer {
    bpe: BPE,
    bytes_of: Vec<Vec<u8>>,
    byte_ids: [u32; 256],
    /// Special tokens by their literal text.
    specials: Vec<(String, u32)>,
    /// Ids that no text has and no reply may contain, in ascending order.
    unspeakable: Vec<u32>,
    bos: u32,
    eos: u32,
    space_prefix: bool,
}

impl Tokenizer {
    /// Builds the tables.
    ///
    /// # Errors
    /// [`LoadError::Tokenizer`] when the vocabulary contradicts itself; `origin` is for its text.
    pub(crate) fn new(vocabulary: Vocabulary, origin: &Origin) -> Result<Self, LoadError> {
        let mut vocab = Vocab::default();
        let mut bytes_of = Vec::with_capacity(vocabulary.pieces.len());
        let mut byte_ids = [vocabulary.bos; 256];
        let mut specials = Vec::new();
        let mut unspeakable = Vec::new();
        for (id, piece) in (0u32..).zip(&vocabulary.pieces) {
            let text = piece.text.as_str();
            let (bytes, speakable) = match piece.kind {
                Kind::Normal | Kind::UserDefined => (text.replace(SPACE, " ").into_bytes(), true),
                Kind::Byte(byte) => (vec![byte], true),
                Kind::Unknown => (UNKNOWN.to_vec(), false),
                Kind::Control | Kind::Unused => (Vec::new(), false),
            };
            bytes_of.push(bytes);
            match piece.kind {
                Kind::Byte(byte) => byte_ids[usize::from(byte)] = id,
                Kind::Control if !text.is_empty() => specials.push((text.to_owned(), id)),
                // Fine-tunes add their turn marks as either kind. Other added pieces are text.
                Kind::UserDefined if piece.is_mark() => {
                    specials.push((text.to_owned(), id));
                }
                _ => {}
            }
            if matches!(piece.kind, Kind::Normal | Kind::UserDefined | Kind::Byte(_)) {
                vocab.entry(text.to_owned()).or_insert(id);
            }
            if !speakable && id != vocabulary.eos {
                unspeakable.push(id);
            }
        }
        // Its cache would keep what members wrote.
        let bpe =
            BPE::builder().vocab_and_merges(vocab, vocabulary.merges).byte_fallback(true).cache_capacity(0);
        let bpe = bpe
            .build()
            .map_err(|error| LoadError::Tokenizer { origin: origin.clone(), problem: error.to_string() })?;
        let (bos, eos, space_prefix) = (vocabulary.bos, vocabulary.eos, vocabulary.space_prefix);
        Ok(Self { bpe, bytes_of, byte_ids, specials, unspeakable, bos, eos, space_prefix })
    }

    /// The same, but with control tokens that may be chosen like any other.
    pub(crate) fn with_control_tokens(mut self) -> Self {
        self.unspeakable.clear();
        self
    }

    /// Number of ids.
    pub(crate) fn len(&self) -> usize {
        self.bytes_of.len()
    }

    /// Id of the end-of-text token.
    pub(crate) fn eos(&self) -> u32 {
        self.eos
    }

    /// Ids of this tokenizer that a reply never contains: control tokens but the end of text, unknown,
    /// unused.
    pub(crate) fn unspeakable(&self) -> &[u32] {
        &self.unspeakable
    }

    /// The bytes that a token adds to a text; none for control tokens and ids that do not exist.
    pub(crate) fn bytes(&self, id: u32) -> &[u8] {
        self.bytes_of.get(id as usize).map_or(&[], Vec::as_slice)
    }

    /// The text of ids, invalid UTF-8 replaced.
    pub(crate) fn decode(&self, ids: &[u32]) -> String {
        let mut detokenizer = Detokenizer::default();
        let mut text: String = ids.iter().map(|&id| detokenizer.push(self.bytes(id))).collect();
        text.push_str(detokenizer.finish());
        text
    }

    /// The ids of a prompt: one beginning-of-text token, then the pieces. Neighbouring pieces without ids of
    /// their own are one string; special tokens are parsed in the template's pieces only.
    pub(crate) fn encode(&self, prompt: &Prompt) -> Encoded {
        let mut encoder = Encoder::new(self);
        let mut persona_end = None;
        let mut history_end = None;
        for (index, segment) in prompt.segments.iter().enumerate() {
            for (mark, place) in
                [(prompt.marks.persona_end, &mut persona_end), (prompt.marks.history_end, &mut history_end)]
            {
                if mark == index {
                    *place = Some(encoder.mark());
                }
            }
            match segment {
                Segment::Template(text) => encoder.template(text),
                Segment::Generated { ids, .. } if !ids.is_empty() => encoder.ids(ids),
                Segment::Text(text) | Segment::Generated { text, .. } => encoder.run.push_str(text),
            }
        }
        let [persona_end, history_end] =
            [persona_end, history_end].map(|place| place.unwrap_or_else(|| encoder.mark()));
        let (ids, marks) = encoder.finish();
        // A mark before everything means that there is nothing to share, not even the beginning of text.
        let end = |mark: usize, place: usize| if mark == 0 { 0 } else { marks[place] };
        let history_end = end(prompt.marks.history_end, history_end);
        Encoded { ids, persona_end: end(prompt.marks.persona_end, persona_end).min(history_end), history_end }
    }

    /// The ids of raw bytes, after a beginning-of-text token. No special token is parsed; what is not UTF-8
    /// becomes byte tokens.
    pub(crate) fn encode_bytes(&self, bytes: &[u8]) -> Vec<u32> {
        let mut encoder = Encoder::new(self);
        for chunk in bytes.utf8_chunks() {
            encoder.run.push_str(chunk.valid());
            if !chunk.invalid().is_empty() {
                encoder.flush(!bytes.is_empty());
                encoder.ids.extend(chunk.invalid().iter().map(|&byte| self.byte_ids[usize::from(byte)]));
            }
        }
        encoder.finish().0
    }

    /// The earliest special token in the text, and the longest of those that begin there.
    fn find_special(&self, text: &str) -> Option<(usize, &str, u32)> {
        let found =
            self.specials.iter().filter_map(|(special, id)| Some((text.find(special)?, special, *id)));
        found
            .min_by_key(|&(at, special, _)| (at, std::cmp::Reverse(special.len())))
            .map(|(at, special, id)| (at, special.as_str(), id))
    }
}

/// A prompt in tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Encoded {
    pub(crate) ids: Vec<u32>,
    /// So many tokens lie wholly in the persona's part.
    pub(crate) persona_end: usize,
    /// So many tokens lie wholly before the end of the transcript.
    pub(crate) history_end: usize,
}

/// The ids so far, and the text that waits to be encoded as one string.
struct Encoder<'a> {
    tokenizer: &'a Tokenizer,
    ids: Vec<u32>,
    run: String,
    at_start: bool,
    /// Numbers of tokens before the marks that were set.
    marks: Vec<usize>,
    /// Marks in the text that waits, with the bytes before them.
    waiting_marks: Vec<(usize, usize)>,
}

impl<'a> Encoder<'a> {
    fn new(tokenizer: &'a Tokenizer) -> Self {
        Self {
            tokenizer,
            ids: vec![tokenizer.bos],
            run: String::new(),
            at_start: true,
            marks: Vec::new(),
            waiting_marks: Vec::new(),
        }
    }

    /// Marks this place, and gives the number of the mark.
    fn mark(&mut self) -> usize {
        self.waiting_marks.push((self.marks.len(), self.run.len()));
        self.marks.push(self.ids.len());
        self.marks.len() - 1
    }

    fn template(&mut self, mut text: &str) {
        while let Some((at, special, id)) = self.tokenizer.find_special(text) {
            self.run.push_str(&text[..at]);
            text = &text[at + special.len()..];
            // A template that writes the beginning of text itself means the one that is there already.
            if !(id == self.tokenizer.bos && self.at_start && self.run.is_empty()) {
                self.ids(&[id]);
            }
        }
        self.run.push_str(text);
    }

    fn ids(&mut self, ids: &[u32]) {
        self.flush(false);
        self.ids.extend(ids);
    }

    /// Encodes the text that waits. `prefix_alone`: the space before the text is due even when no text
    /// follows it, because bytes do.
    fn flush(&mut self, prefix_alone: bool) {
        let prefixed = self.at_start && self.tokenizer.space_prefix && (prefix_alone || !self.run.is_empty());
        self.at_start = false;
        if self.run.is_empty() && !prefixed {
            // Marks here are right as they are.
            self.waiting_marks.clear();
            return;
        }
        let run = std::mem::take(&mut self.run);
        let prefix = if prefixed { SPACE } else { "" };
        let text = format!("{prefix}{}", run.replace(' ', SPACE));
        let start = self.ids.len();
        if let Ok(tokens) = self.tokenizer.bpe.tokenize(&text) {
            self.ids.extend(tokens.iter().map(|token| token.id));
            for (mark, before) in std::mem::take(&mut self.waiting_marks) {
                let before = prefix.len() + run[..before].replace(' ', SPACE).len();
                self.marks[mark] =
                    start + tokens.iter().take_while(|token| token.offsets.1 <= before).count();
            }
        } else {
            // The vocabulary has all bytes, so this does not happen; and if it did, bytes are always right. Marks stay
            // before them.
            let text = text.replace(SPACE, " ");
            self.ids.extend(text.bytes().map(|byte| self.tokenizer.byte_ids[usize::from(byte)]));
        }
        self.waiting_marks.clear();
    }

    fn finish(mut self) -> (Vec<u32>, Vec<usize>) {
        self.flush(false);
        (self.ids, self.marks)
    }
}

/// Which rows of an output matrix with `rows` rows may never be chosen: rows without a piece, and pieces that
/// are not text. The end-of-text token is not among them.
pub(crate) fn masked_rows(tokenizer: &Tokenizer, rows: usize) -> Vec<u32> {
    let known = u32::try_from(tokenizer.len()).unwrap_or(u32::MAX);
    let rows = u32::try_from(rows).unwrap_or(u32::MAX);
    let masked: HashSet<u32> = tokenizer.unspeakable().iter().copied().chain(known..rows).collect();
    let mut masked: Vec<u32> = masked.into_iter().filter(|&id| id < rows).collect();
    masked.sort_unstable();
    masked
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::vocabulary::Piece;
    use super::*;

    /// All bytes, and the pieces `ab`, `bc` and `abc`.
    fn tokenizer() -> Tokenizer {
        let piece = |text: &str, kind| Piece { text: text.to_owned(), kind };
        let mut pieces =
            vec![piece("<unk>", Kind::Unknown), piece("<s>", Kind::Control), piece("</s>", Kind::Control)];
        pieces.extend((0..=255).map(|byte| piece(&format!("<0x{byte:02X}>"), Kind::Byte(byte))));
        pieces.extend(["▁", "a", "b", "c", "ab", "abc", "bc"].map(|text| piece(text, Kind::Normal)));
        let merges = [("a", "b"), ("ab", "c"), ("b", "c")].map(|(a, b)| (a.to_owned(), b.to_owned()));
        let vocabulary = Vocabulary { pieces, merges: merges.to_vec(), bos: 1, eos: 2, space_prefix: true };
        Tokenizer::new(vocabulary, &Origin::Understudy).expect("it is sound")
    }

    fn prompt(persona: &str, history: &str, cue: &str) -> Prompt {
        let mut prompt = Prompt::default();
        prompt.text(persona);
        prompt.mark_persona_end();
        prompt.text(history);
        prompt.mark_history_end();
        prompt.text(cue);
        prompt
    }

    #[test]
    fn marks_stand_between_tokens() {
        let marks = |persona: &str, history: &str, cue: &str| {
            let Encoded { ids, persona_end, history_end } =
                tokenizer().encode(&prompt(persona, history, cue));
            (ids.len(), persona_end, history_end)
        };
        // The beginning of text and the space before it count.
        assert_eq!(marks("c", "b", "a"), (5, 3, 4));
        assert_eq!(marks("c\n", "abc", "\nabc"), (7, 4, 5));
        // A token that reaches over a mark belongs to what comes after.
        assert_eq!(marks("ca", "b", "c"), (4, 3, 3));
        assert_eq!(marks("", "c", ""), (3, 0, 3));
        // A space that was typed as a piece is longer than one that was not.
        assert_eq!(marks("▁▁\n", "c", "a"), (7, 5, 6));
        assert_eq!(marks("日", "日", "日"), (11, 5, 8));
    }

    proptest! {
        #[test]
        fn what_stands_before_a_mark_is_text_from_before_it(
            parts in prop::array::uniform3("[abc \\n日▁]{0,8}"),
        ) {
            let tokenizer = tokenizer();
            let [persona, history, cue] = &parts;
            let encoded = tokenizer.encode(&prompt(persona, history, cue));
            prop_assert!(encoded.persona_end <= encoded.history_end);
            let spaced = |text: &str| text.replace('▁', " ");
            let whole = spaced(&format!(" {persona}{history}{cue}"));
            for (end, longest) in [
                (encoded.persona_end, 1 + spaced(persona).len()),
                (encoded.history_end, 1 + spaced(&format!("{persona}{history}")).len()),
            ] {
                let bytes: Vec<u8> =
                    encoded.ids[..end].iter().flat_map(|&id| tokenizer.bytes(id).to_vec()).collect();
                prop_assert!(bytes.len() <= longest && whole.as_bytes().starts_with(&bytes));
            }
        }
    }
}
