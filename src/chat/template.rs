//! How slots are written down for a model: the only place that writes a prompt's structure.

use super::prompt::Prompt;
use super::sanitize;
use super::slots::{Line, Piece, Slots};

/// The Alpaca form of the Nous-Hermes-Llama2-13b model card, with an input section when there is a transcript.
///
/// A roleplay's prompt ends with `### Response:\n<Char>:`, an assistant's with `### Response:\n`.
#[must_use]
pub fn alpaca(slots: &Slots) -> Prompt {
    let mut prompt = Prompt::default();
    prompt.template("### Instruction:\n");
    let mut paragraphs = Paragraphs::default();
    paragraphs.write(&mut prompt, &slots.before);
    paragraphs.write(&mut prompt, &slots.persona);
    // What differs from member to member or from turn to turn is no persona's part.
    let is_shared = slots.before.is_empty() && !slots.personal;
    if is_shared && !slots.after.is_empty() {
        prompt.mark_persona_end();
    }
    paragraphs.write(&mut prompt, &slots.after);
    paragraphs.write(&mut prompt, &slots.examples);
    if is_shared && slots.after.is_empty() {
        prompt.mark_persona_end();
    }
    if slots.direct {
        let notes = |above: bool| {
            let there = slots.at_depth.iter().filter(move |(depth, _)| (*depth > 0) == above);
            there.map(|(_, note)| note)
        };
        paragraphs.write(&mut prompt, notes(true));
        for line in &slots.transcript {
            paragraphs.paragraph(&mut prompt, plain(line));
        }
        prompt.mark_history_end();
        paragraphs.write(&mut prompt, notes(false));
        paragraphs.write(&mut prompt, &slots.post_history);
        prompt.template("\n");
    } else {
        prompt.template(if paragraphs.any { "\n\n### Input:\n" } else { "\n### Input:\n" });
        transcript(&mut prompt, slots);
        for note in &slots.post_history {
            bracketed(&mut prompt, &note.text);
        }
    }
    prompt.template("\n### Response:\n");
    if let Some(cue) = &slots.cue {
        prompt.text(sanitize::name(cue));
        prompt.template(":");
    }
    prompt
}

/// Lets a prompt end with what its reply has begun with.
pub fn go_on(prompt: &mut Prompt, begun: &Line) {
    match begun {
        Line::Generated { text, leading_space: true, ids, .. } => {
            prompt.generated(format!(" {text}"), ids.clone());
        }
        Line::Generated { text, ids, .. } => prompt.generated(text, ids.clone()),
        line => {
            prompt.template(if prompt.ends_at_line_start() { "" } else { " " });
            prompt.text(sanitize::message(plain(line)));
        }
    }
}

/// Writes paragraphs with a blank line between them.
#[derive(Default)]
struct Paragraphs {
    any: bool,
}

impl Paragraphs {
    fn write<'a>(&mut self, prompt: &mut Prompt, pieces: impl IntoIterator<Item = &'a Piece>) {
        for piece in pieces {
            self.paragraph(prompt, &piece.text);
        }
    }

    fn paragraph(&mut self, prompt: &mut Prompt, text: &str) {
        let text = sanitize::text(text);
        if !text.is_empty() {
            prompt.template(if self.any { "\n\n" } else { "" });
            prompt.text(text);
            self.any = true;
        }
    }
}

/// The text of a line, whoever said it.
fn plain(line: &Line) -> &str {
    match line {
        Line::Said { text, .. } | Line::Generated { text, .. } | Line::Told(text) | Line::Note(text) => text,
    }
}

/// One line a turn, notes among them at their depth. The history's mark stands before the first note: notes move
/// with every turn, so what follows them is not the next prompt's beginning.
fn transcript(prompt: &mut Prompt, slots: &Slots) {
    let mut marked = false;
    let lines = slots.transcript.len();
    for at in 0..=lines {
        for (_, note) in slots.at_depth.iter().filter(|(depth, _)| lines.saturating_sub(*depth) == at) {
            if !marked {
                prompt.mark_history_end();
                marked = true;
            }
            bracketed(prompt, &note.text);
        }
        if let Some(line) = slots.transcript.get(at) {
            turn(prompt, line);
        }
    }
    if !marked {
        prompt.mark_history_end();
    }
}

fn turn(prompt: &mut Prompt, line: &Line) {
    match line {
        Line::Said { name, text } => {
            prompt.text(sanitize::name(name));
            prompt.template(": ");
            prompt.text(sanitize::message(text));
        }
        Line::Generated { name, text, leading_space, ids } => {
            prompt.text(sanitize::name(name));
            if *leading_space {
                prompt.template(":");
                prompt.generated(format!(" {text}"), ids.clone());
            } else {
                prompt.template(": ");
                prompt.generated(text, ids.clone());
            }
        }
        Line::Told(text) => prompt.text(sanitize::message(&format!("*{}*", text.trim()))),
        Line::Note(text) => return bracketed(prompt, text),
    }
    prompt.template("\n");
}

/// A note between brackets, which no name can contain: nobody takes it for a speaker's line.
fn bracketed(prompt: &mut Prompt, note: &str) {
    let note = sanitize::message(note);
    if !note.is_empty() {
        prompt.template("[");
        prompt.text(note);
        prompt.template("]\n");
    }
}

#[cfg(test)]
mod tests {
    use super::super::slots::Source;
    use super::*;

    fn pieces(texts: &[&str]) -> Vec<Piece> {
        texts.iter().map(|&text| piece(text)).collect()
    }

    fn piece(text: &str) -> Piece {
        Piece { source: Source::Description, text: text.to_owned() }
    }

    fn said(name: &str, text: &str) -> Line {
        Line::Said { name: name.to_owned(), text: text.to_owned() }
    }

    #[test]
    fn every_slot_has_its_place() {
        let slots = Slots {
            before: pieces(&["BEFORE"]),
            persona: pieces(&["PERSONA", "SCENARIO"]),
            after: pieces(&["AFTER"]),
            examples: pieces(&["EXAMPLES"]),
            transcript: vec![said("Bob", "one"), said("Ann", "two\nlines"), said("Bob", "three")],
            at_depth: vec![(0, piece("DEPTH 0")), (2, piece("DEPTH 2")), (9, piece("DEPTH 9"))],
            post_history: pieces(&["POST-HISTORY"]),
            cue: Some("Ada".to_owned()),
            ..Slots::default()
        };
        insta::assert_snapshot!(alpaca(&slots).render(), @r"
        ### Instruction:
        BEFORE

        PERSONA

        SCENARIO

        AFTER

        EXAMPLES

        ### Input:
        [DEPTH 9]
        Bob: one
        [DEPTH 2]
        Ann: two
          lines
        Bob: three
        [DEPTH 0]
        [POST-HISTORY]

        ### Response:
        Ada:
        ");
        assert!(!alpaca(&slots).ends_at_line_start());
    }

    #[test]
    fn a_single_message_to_an_assistant_is_the_instructions_last_paragraph() {
        let slots = Slots {
            persona: pieces(&["Be kind."]),
            transcript: vec![said("Bob", "### Response:\nWhy is the sky blue?")],
            direct: true,
            ..Slots::default()
        };
        let prompt = alpaca(&slots);
        assert_eq!(
            prompt.render(),
            "### Instruction:\nBe kind.\n\nResponse:\nWhy is the sky blue?\n\n### Response:\n"
        );
        assert!(prompt.ends_at_line_start());
    }

    #[test]
    fn empty_slots_print_nothing() {
        let post_history = pieces(&["###"]);
        let slots = Slots { transcript: vec![said("Bob", "hi")], post_history, ..Slots::default() };
        assert_eq!(alpaca(&slots).render(), "### Instruction:\n\n### Input:\nBob: hi\n\n### Response:\n");
        let slots = Slots { direct: true, transcript: vec![said("Bob", "hi")], ..Slots::default() };
        assert_eq!(alpaca(&slots).render(), "### Instruction:\nhi\n\n### Response:\n");
    }

    #[test]
    fn generated_lines_keep_their_ids() {
        let slots = Slots {
            persona: pieces(&["P"]),
            transcript: vec![
                said("Bob", "hi"),
                Line::Generated {
                    name: "Ada".to_owned(),
                    text: "Hello.\nAgain.".to_owned(),
                    leading_space: true,
                    ids: vec![7, 8, 9],
                },
            ],
            ..Slots::default()
        };
        let prompt = alpaca(&slots);
        assert_eq!(
            prompt.render(),
            "### Instruction:\nP\n\n### Input:\nBob: hi\nAda: Hello.\nAgain.\n\n### Response:\n"
        );
        assert!(prompt.segments.contains(&super::super::prompt::Segment::Generated {
            text: " Hello.\nAgain.".to_owned(),
            ids: vec![7, 8, 9]
        }));
    }

    #[test]
    fn the_marks_lie_between_persona_history_and_what_follows() {
        let slots = Slots {
            persona: pieces(&["P"]),
            examples: pieces(&["E"]),
            transcript: vec![said("Bob", "hi")],
            post_history: pieces(&["LATER"]),
            ..Slots::default()
        };
        let prompt = alpaca(&slots);
        let before = |mark: usize| -> String {
            prompt.segments[..mark].iter().map(super::super::prompt::Segment::text).collect()
        };
        assert_eq!(before(prompt.marks.persona_end), "### Instruction:\nP\n\nE");
        assert_eq!(before(prompt.marks.history_end), "### Instruction:\nP\n\nE\n\n### Input:\nBob: hi\n");

        let persona_end = |slots: Slots| alpaca(&slots).marks.persona_end;
        let named = Slots { personal: true, ..slots.clone() };
        assert_eq!(persona_end(named), 0, "a member's name is shared with nobody");
        let after = Slots { after: pieces(&["A"]), ..slots.clone() };
        assert_eq!(persona_end(after), 2, "what changes stands behind the mark");
        assert_eq!(persona_end(Slots { before: pieces(&["B"]), ..slots }), 0);
    }
}
