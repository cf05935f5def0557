//! A bug bundle: all that decides which tokens a reply consists of, in one file that can be taken elsewhere. It names no
//! account, no message and no server; what was said is in it, because the model has read it.

use serde::{Deserialize, Serialize};

use super::{ModelInfo, Prompt, Request, Sampling, Segment};

/// The form that is written, and the newest that is read.
pub const FORMAT: u64 = 1;

/// No file with more bytes is read.
pub const MOST_BYTES: usize = 16 << 20;

/// How a reply is said to have ended that the model itself has ended.
pub const ENDED_BY_MODEL: &str = "eos";

/// A reply and how it was made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Bundle {
    /// The form in which it is written.
    pub format: u64,
    /// The program that made the reply, and on what, for people.
    pub machine: String,
    /// Id of the model that made it.
    pub model: String,
    /// Most tokens that prompt and reply may have together.
    pub context_length: usize,
    /// What should be known before anything is concluded from it.
    pub remarks: Vec<String>,
    /// What went into the prompt, for people.
    pub explanation: String,
    /// What the reply says.
    pub text: String,
    /// Its tokens, without the end of text; absent when they are not known.
    pub ids: Option<Vec<u32>>,
    /// How it ended, when it has ended by itself.
    pub finish: Option<String>,
    /// How tokens were chosen, the seed included.
    pub sampling: Sampling,
    /// The end-of-text token was not chosen before this many new tokens.
    pub min_tokens: usize,
    /// Most new tokens.
    pub max_tokens: usize,
    /// Text that ended it.
    pub stop: Vec<String>,
    /// Whether the prompt is known to be the one that the model has read.
    pub is_exact: bool,
    /// Tokens that it had then.
    pub prompt_tokens: usize,
    /// The prompt, piece by piece.
    pub prompt: Vec<Segment>,
}

/// Why a file is not read as a bug bundle, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unreadable {
    /// It is too long.
    #[error("it has more than {} MB, and no bug bundle is that large; take the file as Mummer gave it", MOST_BYTES >> 20)]
    TooLarge,
    /// It is something else.
    #[error("it is no bug bundle; take the file as Mummer gave it")]
    SomethingElse,
    /// It is one, and broken.
    #[error("it is a damaged bug bundle ({0}); fetch it again")]
    Damaged(String),
    /// It is of a newer form.
    #[error("it is a bug bundle of format {0}, and this Mummer reads {FORMAT}; take a newer one")]
    Newer(u64),
}

/// Enough to tell what it is.
#[derive(Deserialize)]
struct Form {
    format: u64,
}

impl Bundle {
    /// Reads a file.
    ///
    /// # Errors
    /// [`Unreadable`] when it is no bug bundle that can be read.
    pub fn read(bytes: &[u8]) -> Result<Self, Unreadable> {
        if bytes.len() > MOST_BYTES {
            return Err(Unreadable::TooLarge);
        }
        match serde_json::from_slice::<Form>(bytes) {
            Err(_) => Err(Unreadable::SomethingElse),
            Ok(Form { format }) if format > FORMAT => Err(Unreadable::Newer(format)),
            Ok(_) => serde_json::from_slice(bytes).map_err(|error| Unreadable::Damaged(error.to_string())),
        }
    }

    /// Its file.
    ///
    /// # Errors
    /// None that is known; the writer of JSON could have one.
    pub fn write(&self) -> serde_json::Result<Vec<u8>> {
        serde_json::to_vec_pretty(self)
    }

    /// What was asked of the generator.
    #[must_use]
    pub fn request(&self) -> Request {
        Request {
            prompt: Prompt { segments: self.prompt.clone(), ..Prompt::default() },
            min_tokens: self.min_tokens,
            max_tokens: self.max_tokens,
            sampling: self.sampling.clone(),
            stop: self.stop.clone(),
        }
    }

    /// What the model has chosen, with `eos` at the end when it has ended the reply itself. `None` when nothing is known of it.
    #[must_use]
    pub fn chosen(&self, eos: u32) -> Option<Vec<u32>> {
        let ended = self.finish.as_deref() == Some(ENDED_BY_MODEL);
        let chosen: Vec<u32> = self.ids.iter().flatten().copied().chain(ended.then_some(eos)).collect();
        (self.ids.is_some() && !chosen.is_empty()).then_some(chosen)
    }
}

/// This program, and what its model computes on, for people.
#[must_use]
pub fn machine(info: &ModelInfo) -> String {
    use std::env::consts::{ARCH, OS};
    format!("Mummer {} for {OS} {ARCH} on {}", env!("CARGO_PKG_VERSION"), info.device)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bundle() -> Bundle {
        let generated = Segment::Generated { text: " Hm.".to_owned(), ids: vec![7, 8] };
        Bundle {
            format: FORMAT,
            machine: "Mummer".to_owned(),
            model: "m".to_owned(),
            context_length: 64,
            remarks: Vec::new(),
            explanation: "     3  tokens\n".to_owned(),
            text: "Aye.".to_owned(),
            ids: Some(vec![5, 6]),
            finish: None,
            sampling: Sampling { temperature: 0.7, top_p: 0.95, seed: Some(u64::MAX), ..Sampling::default() },
            min_tokens: 1,
            max_tokens: 9,
            stop: vec!["\nBob:".to_owned()],
            is_exact: true,
            prompt_tokens: 3,
            prompt: vec![Segment::Template("###".to_owned()), Segment::Text("hi".to_owned()), generated],
        }
    }

    fn read(text: &str) -> Result<Bundle, Unreadable> {
        Bundle::read(text.as_bytes())
    }

    #[test]
    fn what_is_written_is_read() {
        let written = bundle().write().expect("it is written");
        assert_eq!(Bundle::read(&written), Ok(bundle()));
    }

    #[test]
    fn what_is_no_bundle_is_refused_and_a_newer_one_named() {
        for other in ["", "{", "[]", "7", "{}", r#"{"format": -1}"#, r#"{"format": "1"}"#, "\u{feff}{}"] {
            assert_eq!(read(other), Err(Unreadable::SomethingElse), "{other}");
        }
        assert!(matches!(read(r#"{"format": 1}"#), Err(Unreadable::Damaged(_))));
        assert_eq!(read(r#"{"format": 2, "what": "ever"}"#), Err(Unreadable::Newer(2)));
        assert_eq!(Bundle::read(&vec![b' '; MOST_BYTES + 1]), Err(Unreadable::TooLarge));
        assert!(matches!(read(&"[".repeat(10_000)), Err(Unreadable::SomethingElse)));
    }

    #[test]
    fn the_end_of_text_counts_when_the_model_has_chosen_it() {
        let mut bundle = bundle();
        assert_eq!(bundle.chosen(2), Some(vec![5, 6]));
        bundle.finish = Some(ENDED_BY_MODEL.to_owned());
        assert_eq!(bundle.chosen(2), Some(vec![5, 6, 2]));
        bundle.ids = None;
        assert_eq!(bundle.chosen(2), None);
    }

    proptest! {
        #[test]
        fn numbers_survive(temperature in 0f32..10.0, top_p in 0f32..=1.0, seed: u64, ids: Vec<u32>) {
            let sampling = Sampling { temperature, top_p, seed: Some(seed), ..Sampling::default() };
            let bundle = Bundle { sampling, ids: Some(ids), ..bundle() };
            prop_assert_eq!(Bundle::read(&bundle.write().expect("it is written")), Ok(bundle));
        }
    }
}
