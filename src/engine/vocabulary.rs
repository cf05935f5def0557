//! The pieces of a SentencePiece BPE vocabulary and the order of their merges, from a GGUF file or a
//! `tokenizer.json`. It encodes nothing.

use std::collections::{HashMap, HashSet};

use serde_json::Value as Json;

use super::error::LoadError;
use super::gguf::{Header, Value};
use super::origin::Origin;

/// Longest piece that a vocabulary may have, in bytes; Llama's longest has 48.
const PIECE_MAX: usize = 1_024;

/// Most pieces that a vocabulary may have.
const MAX_PIECES: usize = 1 << 20;

/// A vocabulary: the piece at index `i` has the id `i`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Vocabulary {
    /// All pieces in the order of their ids.
    pub(crate) pieces: Vec<Piece>,
    /// Pairs of pieces that join, the earliest first.
    pub(crate) merges: Vec<(String, String)>,
    /// Id of the beginning-of-text token.
    pub(crate) bos: u32,
    /// Id of the end-of-text token.
    pub(crate) eos: u32,
    /// Whether a text gets a space before its first character (SentencePiece's dummy prefix).
    pub(crate) space_prefix: bool,
}

/// One piece.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Piece {
    /// Its text, with `▁` for a space.
    pub(crate) text: String,
    /// What it is.
    pub(crate) kind: Kind,
}

/// Kinds of pieces (`llama_token_type`, which are SentencePiece's).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Normal,
    Unknown,
    Control,
    UserDefined,
    Unused,
    Byte(u8),
}

impl Piece {
    /// Whether it is written by templates only, such as `<|im_start|>`: user-defined, and between angle brackets.
    pub(crate) fn is_mark(&self) -> bool {
        self.kind == Kind::UserDefined && self.text.starts_with('<') && self.text.ends_with('>')
    }

    /// Whether text can become this piece by merging.
    fn merges(&self) -> bool {
        matches!(self.kind, Kind::Normal | Kind::UserDefined) && !self.is_mark()
    }
}

impl Vocabulary {
    /// The vocabulary in the metadata of a GGUF file.
    pub(crate) fn from_gguf(header: &Header) -> Result<Self, LoadError> {
        let kind_key = "tokenizer.ggml.model";
        let kind = header.string(kind_key)?.ok_or_else(|| header.missing(kind_key))?;
        if kind != "llama" {
            return Err(LoadError::Vocabulary { origin: header.origin.clone(), kind: kind.to_owned() });
        }
        let Some(Value::Strings(tokens)) = header.metadata.get("tokenizer.ggml.tokens") else {
            return Err(header.missing("tokenizer.ggml.tokens"));
        };
        let Some(Value::Integers(types)) = header.metadata.get("tokenizer.ggml.token_type") else {
            return Err(header.missing("tokenizer.ggml.token_type"));
        };
        if types.len() != tokens.len() {
            let problem = format!("it has {} entries for {} tokens", types.len(), tokens.len());
            return Err(header.wrong("tokenizer.ggml.token_type", problem));
        }
        let pieces: Vec<Piece> = tokens
            .iter()
            .zip(types)
            .map(|(text, &number)| Piece { text: text.clone(), kind: kind_of(number, text) })
            .collect();
        // Finding the merges takes the square of a piece's length.
        if let Some(piece) = pieces.iter().find(|piece| piece.text.len() > PIECE_MAX) {
            let problem = format!("a piece has {} bytes", piece.text.len());
            return Err(header.wrong("tokenizer.ggml.tokens", problem));
        }
        let merges = merges_in(header, &pieces)?;
        let space_prefix = match header.metadata.get("tokenizer.ggml.add_space_prefix") {
            Some(Value::Bool(add)) => *add,
            _ => true,
        };
        let (bos, eos) = bos_and_eos(header)?;
        let vocabulary = Self { pieces, merges, bos: bos.unwrap_or(1), eos: eos.unwrap_or(2), space_prefix };
        vocabulary.checked(&header.origin)
    }

    /// The vocabulary in a `tokenizer.json` of the Llama kind: its model with vocabulary and merges, and its
    /// added tokens. What else the file asks for (post-processing, templates) is not applied.
    pub(crate) fn from_json(origin: &Origin, bytes: &[u8], header: &Header) -> Result<Self, LoadError> {
        let wrong =
            |problem: &str| LoadError::Tokenizer { origin: origin.clone(), problem: problem.to_owned() };
        let json: Json = serde_json::from_slice(bytes).map_err(|error| wrong(&error.to_string()))?;
        let model = &json["model"];
        if model["type"].as_str().is_some_and(|kind| kind != "BPE")
            || model["byte_fallback"] != Json::Bool(true)
        {
            return Err(wrong("it is not a BPE tokenizer with byte fallback, as Llama-2 has"));
        }
        let vocab = model["vocab"].as_object().ok_or_else(|| wrong("it has no vocabulary"))?;
        let unknown = model["unk_token"].as_str();
        let mut found: Vec<Option<Piece>> = Vec::new();
        let mut put = |id: Option<u64>, text: &str, kind: Kind| {
            let id = id.and_then(|id| usize::try_from(id).ok()).filter(|&id| id < MAX_PIECES);
            let id = id.ok_or_else(|| wrong("an id in it is not a sensible number"))?;
            if found.len() <= id {
                found.resize(id + 1, None);
            }
            found[id] = Some(Piece { text: text.to_owned(), kind });
            Ok(())
        };
        for (text, id) in vocab {
            let kind = match byte_of(text) {
                _ if unknown == Some(text) => Kind::Unknown,
                Some(byte) => Kind::Byte(byte),
                None => Kind::Normal,
            };
            put(id.as_u64(), text, kind)?;
        }
        let added = json["added_tokens"].as_array().map_or(&[][..], Vec::as_slice);
        let mut ids = HashMap::new();
        for token in added {
            let text = token["content"].as_str().ok_or_else(|| wrong("an added token has no text"))?;
            let special = token["special"].as_bool().unwrap_or(false);
            let kind = match special {
                _ if unknown == Some(text) => Kind::Unknown,
                true => Kind::Control,
                false => Kind::UserDefined,
            };
            put(token["id"].as_u64(), text, kind)?;
            ids.insert(text, token["id"].as_u64().and_then(|id| u32::try_from(id).ok()).unwrap_or(0));
        }
        let gap = Piece { text: String::new(), kind: Kind::Unused };
        let pieces: Vec<Piece> =
            found.into_iter().map(|piece| piece.unwrap_or_else(|| gap.clone())).collect();

        let listed = model["merges"].as_array().ok_or_else(|| wrong("it has no merges"))?;
        let pairs = listed.iter().map(|merge| match merge {
            Json::String(line) => line.split_once(' ').map(|(a, b)| (a.to_owned(), b.to_owned())),
            pair => Some((pair[0].as_str()?.to_owned(), pair[1].as_str()?.to_owned())),
        });
        let merges: Option<Vec<_>> = pairs.collect();
        let (bos, eos) = bos_and_eos(header)?;
        let vocabulary = Self {
            pieces,
            merges: merges.ok_or_else(|| wrong("a merge in it is not a pair"))?,
            bos: bos.or(ids.get("<s>").copied()).ok_or_else(|| wrong("it has no token <s>"))?,
            eos: eos.or(ids.get("</s>").copied()).ok_or_else(|| wrong("it has no token </s>"))?,
            space_prefix: prepends(&json["normalizer"]) || prepends(&json["pre_tokenizer"]),
        };
        vocabulary.checked(origin)
    }

    /// Refuses what could not encode every text, and drops merges that would make a piece that text may not
    /// become.
    fn checked(mut self, origin: &Origin) -> Result<Self, LoadError> {
        let wrong = |problem: String| LoadError::Tokenizer { origin: origin.clone(), problem };
        if self.pieces.len() > MAX_PIECES {
            return Err(wrong(format!("it has {} pieces", self.pieces.len())));
        }
        for (name, id) in [("beginning", self.bos), ("end", self.eos)] {
            let piece = self.pieces.get(id as usize);
            if piece.is_none_or(|piece| !matches!(piece.kind, Kind::Control | Kind::UserDefined)) {
                return Err(wrong(format!("its {name}-of-text id {id} is not a control token")));
            }
        }
        let byte = |piece: &Piece| if let Kind::Byte(byte) = piece.kind { Some(byte) } else { None };
        let bytes: HashSet<u8> = self.pieces.iter().filter_map(byte).collect();
        if bytes.len() < 256 {
            return Err(wrong(format!("it has {} of the 256 byte tokens", bytes.len())));
        }
        let mergeable: HashSet<&str> =
            self.pieces.iter().filter(|piece| piece.merges()).map(|piece| piece.text.as_str()).collect();
        self.merges.retain(|(left, right)| {
            mergeable.contains(left.as_str())
                && mergeable.contains(right.as_str())
                && mergeable.contains(format!("{left}{right}").as_str())
        });
        Ok(self)
    }
}

/// The merges that a GGUF file lists, or else those that its scores stand for.
fn merges_in(header: &Header, pieces: &[Piece]) -> Result<Vec<(String, String)>, LoadError> {
    let (merges_key, scores_key) = ("tokenizer.ggml.merges", "tokenizer.ggml.scores");
    if let Some(Value::Strings(merges)) = header.metadata.get(merges_key) {
        let pairs = split_merges(merges.iter().map(String::as_str));
        return pairs.ok_or_else(|| header.wrong(merges_key, "an entry is not a pair"));
    }
    let Some(Value::Floats(scores)) = header.metadata.get(scores_key) else {
        return Err(header.missing(scores_key));
    };
    if scores.len() != pieces.len() {
        let problem = format!("it has {} entries for {} tokens", scores.len(), pieces.len());
        return Err(header.wrong(scores_key, problem));
    }
    Ok(merges_by_score(pieces, scores))
}

/// The merges that SentencePiece's scores stand for: each way to split a piece into two, by the score of the
/// piece from high to low, then by the ids of the halves.
pub(crate) fn merges_by_score(pieces: &[Piece], scores: &[f32]) -> Vec<(String, String)> {
    let mut ids: HashMap<&str, usize> = HashMap::with_capacity(pieces.len());
    for (id, piece) in pieces.iter().enumerate().filter(|(_, piece)| piece.merges()) {
        ids.entry(&piece.text).or_insert(id);
    }
    let mut merges = Vec::new();
    for (&text, &id) in &ids {
        for (at, _) in text.char_indices().skip(1) {
            let (left, right) = text.split_at(at);
            if let (Some(&left), Some(&right)) = (ids.get(left), ids.get(right)) {
                merges.push((scores[id], left, right));
            }
        }
    }
    merges.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then((a.1, a.2).cmp(&(b.1, b.2))));
    let text = |id: usize| pieces[id].text.clone();
    merges.into_iter().map(|(_, left, right)| (text(left), text(right))).collect()
}

/// The byte that `<0x0A>` stands for.
fn byte_of(text: &str) -> Option<u8> {
    let digits = text.strip_prefix("<0x")?.strip_suffix('>')?;
    let two_digits = digits.len() == 2 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    if two_digits { u8::from_str_radix(digits, 16).ok() } else { None }
}

fn kind_of(number: i64, text: &str) -> Kind {
    match number {
        1 => Kind::Normal,
        2 => Kind::Unknown,
        3 => Kind::Control,
        4 => Kind::UserDefined,
        6 => byte_of(text).map_or(Kind::Unused, Kind::Byte),
        _ => Kind::Unused,
    }
}

fn split_merges<'a>(lines: impl Iterator<Item = &'a str>) -> Option<Vec<(String, String)>> {
    lines.map(|line| line.split_once(' ').map(|(a, b)| (a.to_owned(), b.to_owned()))).collect()
}

fn bos_and_eos(header: &Header) -> Result<(Option<u32>, Option<u32>), LoadError> {
    let id = |key: &str| -> Result<Option<u32>, LoadError> {
        let value = header.integer(key)?;
        value.map(|id| u32::try_from(id).map_err(|_| header.wrong(key, format!("it is {id}")))).transpose()
    };
    Ok((id("tokenizer.ggml.bos_token_id")?, id("tokenizer.ggml.eos_token_id")?))
}

/// Whether this part of a `tokenizer.json` puts a space before the text: a `Prepend` normalizer, or
/// `Metaspace` with the prepend scheme `first` or `always` (in old files `add_prefix_space`).
fn prepends(part: &Json) -> bool {
    match part["type"].as_str() {
        Some("Prepend") => part["prepend"] == "▁",
        Some("Metaspace") => match part["prepend_scheme"].as_str() {
            Some(scheme) => scheme != "never",
            None => part["add_prefix_space"].as_bool().unwrap_or(true),
        },
        Some("Sequence") => ["normalizers", "pretokenizers"]
            .iter()
            .filter_map(|list| part[*list].as_array())
            .flatten()
            .any(prepends),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(text: &str) -> Piece {
        Piece { text: text.to_owned(), kind: Kind::Normal }
    }

    #[test]
    fn merges_follow_the_scores_and_then_the_ids() {
        let mut pieces: Vec<Piece> = ["a", "b", "c", "ab", "bc", "abc"].map(piece).to_vec();
        pieces.push(Piece { text: "aa".to_owned(), kind: Kind::Control });
        let scores = [0.0, 0.0, 0.0, -2.0, -1.0, -3.0, 0.0];
        let merges = merges_by_score(&pieces, &scores);
        let merges: Vec<(&str, &str)> = merges.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
        assert_eq!(merges, [("b", "c"), ("a", "b"), ("a", "bc"), ("ab", "c")]);
    }

    #[test]
    fn pieces_are_split_between_characters_only() {
        let pieces = ["▁", "é", "▁é"].map(piece);
        let merges = merges_by_score(&pieces, &[0.0, 0.0, -1.0]);
        assert_eq!(merges, [("▁".to_owned(), "é".to_owned())]);
    }

    #[test]
    fn byte_tokens_are_told_from_text_that_looks_like_them() {
        assert_eq!(byte_of("<0x0A>"), Some(10));
        assert_eq!(byte_of("<0xFF>"), Some(255));
        assert_eq!(byte_of("<0x0A"), None);
        assert_eq!(byte_of("<0x+A>"), None);
        assert_eq!(byte_of("<0x0A0>"), None);
    }

    #[test]
    fn the_space_before_the_text_is_found_in_old_and_new_files() {
        let check = |text: &str| prepends(&serde_json::from_str(text).expect("it is JSON"));
        assert!(check(
            r#"{"type":"Sequence","normalizers":[{"type":"Prepend","prepend":"▁"},{"type":"Replace"}]}"#
        ));
        assert!(check(r#"{"type":"Metaspace","replacement":"▁","prepend_scheme":"first","split":false}"#));
        assert!(check(r#"{"type":"Metaspace","replacement":"▁","add_prefix_space":true}"#));
        assert!(!check(r#"{"type":"Metaspace","replacement":"▁","prepend_scheme":"never"}"#));
        assert!(!check("null"));
    }
}
