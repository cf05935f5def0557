//! The prompt as data: which piece of text was written by whom. It knows nothing of tokens but their ids.

use serde::{Deserialize, Serialize};

/// One piece of a prompt. Who wrote it decides how it may be tokenised.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Segment {
    /// Structure written by the template. The only place where special tokens are parsed.
    Template(String),
    /// Text by members or persona authors. Never yields a special token.
    Text(String),
    /// What a model wrote, with the token ids it wrote it in; the ids stand in the prompt as they are.
    Generated {
        /// The exact text that `ids` decode to.
        text: String,
        /// Token ids of the model that will read the prompt.
        ids: Vec<u32>,
    },
}

impl Segment {
    /// The text of the segment, whoever wrote it.
    #[must_use]
    pub fn text(&self) -> &str {
        match self {
            Self::Template(text) | Self::Text(text) | Self::Generated { text, .. } => text,
        }
    }
}

/// Places in a prompt up to which an engine may share or reuse computed state, as counts of segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Marks {
    /// The segments before this index are the persona's part: the same for every conversation with it.
    pub persona_end: usize,
    /// The segments before this index reach to the end of the transcript: the next prompt of the conversation
    /// begins with them, unless the history is cut.
    pub history_end: usize,
}

/// A whole prompt: segments in order, and the marks for reuse.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Prompt {
    /// The pieces, in order; neighbours without ids are tokenised as one string.
    pub segments: Vec<Segment>,
    /// Where reuse may end.
    pub marks: Marks,
}

impl Prompt {
    /// The prompt as one string, as a person would read it.
    #[must_use]
    pub fn render(&self) -> String {
        self.segments.iter().map(Segment::text).collect()
    }

    /// Whether what follows the prompt stands at the start of a line.
    #[must_use]
    pub fn ends_at_line_start(&self) -> bool {
        self.segments
            .iter()
            .rev()
            .map(Segment::text)
            .find(|text| !text.is_empty())
            .is_none_or(|text| text.ends_with('\n'))
    }

    /// A number that tells this prompt from others: every piece counts, with whoever wrote it. It is FNV-1a, which every
    /// version computes alike, and no secret.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        let bytes = self.segments.iter().flat_map(|segment| {
            let (writer, ids): (u8, &[u32]) = match segment {
                Segment::Template(_) => (0, &[]),
                Segment::Text(_) => (1, &[]),
                Segment::Generated { ids, .. } => (2, ids),
            };
            let text = segment.text().bytes().chain([0xff, writer]);
            text.chain(ids.iter().flat_map(|id| id.to_le_bytes()))
        });
        bytes
            .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
    }

    /// Appends structure. Empty pieces are left out; structure after structure becomes one piece.
    pub fn template(&mut self, text: &str) {
        // A mark after the last piece would come to lie inside of it, were it to grow.
        let end = self.segments.len();
        let marked = self.marks.persona_end == end || self.marks.history_end == end;
        match self.segments.last_mut() {
            _ if text.is_empty() => {}
            Some(Segment::Template(last)) if !marked => last.push_str(text),
            _ => self.segments.push(Segment::Template(text.to_owned())),
        }
    }

    /// Appends text by a member or a persona author; empty text is left out.
    pub fn text(&mut self, text: impl Into<String>) {
        let text = text.into();
        if !text.is_empty() {
            self.segments.push(Segment::Text(text));
        }
    }

    /// Appends what the model wrote, with its ids.
    pub fn generated(&mut self, text: impl Into<String>, ids: Vec<u32>) {
        self.segments.push(Segment::Generated { text: text.into(), ids });
    }

    /// Marks the end of the persona's part here.
    pub fn mark_persona_end(&mut self) {
        self.marks.persona_end = self.segments.len();
    }

    /// Marks the end of the transcript here.
    pub fn mark_history_end(&mut self) {
        self.marks.history_end = self.segments.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_tells_who_wrote_what() {
        let prompt =
            |segments: &[Segment]| Prompt { segments: segments.to_vec(), ..Prompt::default() }.fingerprint();
        let (template, text) = (Segment::Template("a".to_owned()), Segment::Text("a".to_owned()));
        let generated = |ids: &[u32]| Segment::Generated { text: "a".to_owned(), ids: ids.to_vec() };
        let mut all = [
            prompt(&[]),
            prompt(std::slice::from_ref(&template)),
            prompt(std::slice::from_ref(&text)),
            prompt(&[text.clone(), text]),
            prompt(&[generated(&[1])]),
            prompt(&[generated(&[2])]),
            prompt(&[generated(&[])]),
        ];
        assert_eq!(all[1], prompt(&[template]));
        all.sort_unstable();
        assert!(all.windows(2).all(|pair| pair[0] != pair[1]), "{all:?}");
    }
}
