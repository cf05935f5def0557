//! Small Llama models with random weights as GGUF files, so that tests run the real engine in milliseconds.
//! The same seed always gives the same file.

use std::path::Path;

use candle_core::quantized::gguf_file::{self, Value};
use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{Device, Tensor};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore as _, SeedableRng as _};
use tempfile::NamedTempFile;

/// Words of which the vocabulary has all beginnings, so that merges matter.
const WORDS: &[&str] = &[
    "the",
    "and",
    "that",
    "have",
    "for",
    "not",
    "with",
    "you",
    "this",
    "but",
    "his",
    "from",
    "they",
    "say",
    "her",
    "she",
    "will",
    "one",
    "all",
    "would",
    "there",
    "their",
    "what",
    "out",
    "about",
    "who",
    "get",
    "which",
    "when",
    "make",
    "can",
    "like",
    "time",
    "just",
    "him",
    "know",
    "take",
    "people",
    "into",
    "year",
    "your",
    "good",
    "some",
    "could",
    "them",
    "see",
    "other",
    "than",
    "then",
    "now",
    "look",
    "only",
    "come",
    "over",
    "think",
    "also",
    "Hello",
    "Response",
    "Instruction",
    "Input",
    "Below",
    "is",
    "an",
    "it",
    "to",
    "of",
    "in",
    "be",
];

/// Pairs of letters that merge inside of words.
const PAIRS: &[&str] = &[
    "er",
    "in",
    "on",
    "re",
    "at",
    "en",
    "nd",
    "or",
    "es",
    "is",
    "it",
    "ou",
    "ed",
    "ing",
    "ion",
    "ter",
    "hat",
    "here",
    "##",
    "###",
    "▁▁",
    "▁▁▁▁",
    "▁###",
];

/// Letters beyond ASCII that are pieces of their own; all others are bytes.
const LETTERS: &[char] = &['é', 'ü', 'ñ', '日'];

/// A control token besides the usual three.
pub(crate) const CONTROL: &str = "<|end|>";

/// How likely the end of text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Eos {
    /// As the random weights have it.
    ByChance,
    /// Never the likeliest, by far.
    Never,
    /// Always the likeliest, by far.
    Always,
}

/// What the model is like. Start from [`TinyModel::new`] and change what matters.
#[derive(Debug, Clone)]
pub(crate) struct TinyModel {
    pub(crate) seed: u64,
    /// Type of all matrices; rows must divide into its blocks (256 for the K types).
    pub(crate) dtype: GgmlDType,
    pub(crate) embedding: usize,
    pub(crate) layers: usize,
    pub(crate) heads: usize,
    pub(crate) kv_heads: usize,
    pub(crate) feed_forward: usize,
    pub(crate) context_length: u32,
    /// Rows of the matrices beyond the vocabulary.
    pub(crate) pad_rows: usize,
    pub(crate) eos: Eos,
    /// Pieces that it says one after the other, whatever it is asked, and then ends. Each at most once. (It
    /// looks at the last token only: a prompt that ends with one of the pieces is answered from there on.)
    pub(crate) says: Option<Vec<String>>,
    /// Metadata to add or change, or with `None` to leave out.
    pub(crate) metadata: Vec<(String, Option<Value>)>,
}

impl TinyModel {
    /// Random weights in F32, context length 512; it never ends by itself.
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            seed,
            dtype: GgmlDType::F32,
            embedding: 64,
            layers: 2,
            heads: 4,
            kv_heads: 2,
            feed_forward: 128,
            context_length: 512,
            pad_rows: 5,
            eos: Eos::Never,
            says: None,
            metadata: Vec::new(),
        }
    }

    /// A model that always answers with these pieces (`▁` for a space), each of which must be in the
    /// vocabulary and may stand there once, and then ends its text.
    pub(crate) fn saying(pieces: &[&str]) -> Self {
        let says = Some(pieces.iter().map(|&piece| piece.to_owned()).collect());
        Self { says, eos: Eos::ByChance, ..Self::new(1) }
    }

    /// The same with matrices of another type, and wide enough for its blocks.
    pub(crate) fn with_dtype(self, dtype: GgmlDType) -> Self {
        let width = dtype.block_size().max(64);
        Self { dtype, embedding: width, feed_forward: width.max(128), ..self }
    }

    /// The same with a metadata value added, changed or (`None`) left out.
    pub(crate) fn with_metadata(mut self, key: &str, value: Option<Value>) -> Self {
        self.metadata.push((key.to_owned(), value));
        self
    }

    /// Rows of the output matrix.
    pub(crate) fn rows(&self) -> usize {
        vocabulary().len() + self.pad_rows
    }

    /// Writes the file; it is removed when the result is dropped.
    pub(crate) fn write(&self) -> NamedTempFile {
        let file = tempfile::Builder::new().suffix(".gguf").tempfile().expect("a file can be made");
        self.write_to(file.path());
        file
    }

    fn write_to(&self, path: &Path) {
        let metadata = self.all_metadata();
        let metadata: Vec<(&str, &Value)> =
            metadata.iter().map(|(key, value)| (key.as_str(), value)).collect();
        let tensors = self.tensors();
        let tensors: Vec<(&str, &QTensor)> =
            tensors.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
        let mut file = std::fs::File::create(path).expect("the file can be made");
        gguf_file::write(&mut file, &metadata, &tensors).expect("the model can be written");
    }

    fn all_metadata(&self) -> Vec<(String, Value)> {
        let number = |value: usize| Value::U32(u32::try_from(value).expect("it is small"));
        let pieces = vocabulary();
        let list = |values: Vec<Value>| Value::Array(values);
        let mut metadata = vec![
            ("general.architecture", Value::String("llama".to_owned())),
            ("general.name", Value::String("Tiny".to_owned())),
            ("llama.block_count", number(self.layers)),
            ("llama.context_length", Value::U32(self.context_length)),
            ("llama.embedding_length", number(self.embedding)),
            ("llama.feed_forward_length", number(self.feed_forward)),
            ("llama.attention.head_count", number(self.heads)),
            ("llama.attention.head_count_kv", number(self.kv_heads)),
            ("llama.rope.dimension_count", number(self.embedding / self.heads)),
            ("llama.attention.layer_norm_rms_epsilon", Value::F32(1e-5)),
            ("llama.rope.freq_base", Value::F32(10_000.0)),
            ("tokenizer.ggml.model", Value::String("llama".to_owned())),
            ("tokenizer.ggml.tokens", list(pieces.iter().map(|p| Value::String(p.text.clone())).collect())),
            ("tokenizer.ggml.scores", list(pieces.iter().map(|p| Value::F32(p.score)).collect())),
            ("tokenizer.ggml.token_type", list(pieces.iter().map(|p| Value::I32(p.kind)).collect())),
            ("tokenizer.ggml.bos_token_id", Value::U32(1)),
            ("tokenizer.ggml.eos_token_id", Value::U32(2)),
        ]
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect::<Vec<_>>();
        for (key, value) in &self.metadata {
            metadata.retain(|(known, _)| known != key);
            metadata.extend(value.clone().map(|value| (key.clone(), value)));
        }
        metadata
    }

    /// Dimension 0 of the residual stream is 1 for every token and no block writes to it, so a row of the
    /// output matrix that looks at nothing else gives a logit that hardly changes.
    fn tensors(&self) -> Vec<(String, QTensor)> {
        let mut random = Random(ChaCha8Rng::seed_from_u64(self.seed));
        let width = self.embedding;
        let kv_width = width / self.heads * self.kv_heads;
        let mut tensors = Vec::new();
        let mut put = |name: String, shape: &[usize], values: Vec<f32>| {
            let dtype = if shape.len() == 1 { GgmlDType::F32 } else { self.dtype };
            let tensor = Tensor::from_vec(values, shape, &Device::Cpu).expect("the shape fits");
            tensors.push((name, QTensor::quantize(&tensor, dtype).expect("it can be quantised")));
        };

        let mut embeddings = random.matrix(self.rows(), width, 1.0);
        embeddings.chunks_exact_mut(width).for_each(|row| row[0] = 1.0);
        let output = self.output(&embeddings, &mut random);
        put("token_embd.weight".to_owned(), &[self.rows(), width], embeddings);
        // A model that says its piece looks at the last token only.
        let strength = if self.says.is_some() { 0.0 } else { 1.0 };
        for layer in 0..self.layers {
            let name = |part: &str| format!("blk.{layer}.{part}.weight");
            let scale = 1.5 / float(width).sqrt();
            put(name("attn_norm"), &[width], vec![1.0; width]);
            put(name("attn_q"), &[width, width], random.matrix(width, width, scale));
            put(name("attn_k"), &[kv_width, width], random.matrix(kv_width, width, scale));
            put(name("attn_v"), &[kv_width, width], random.matrix(kv_width, width, scale));
            let mut attention = random.matrix(width, width, scale * strength);
            attention[..width].fill(0.0);
            put(name("attn_output"), &[width, width], attention);
            put(name("ffn_norm"), &[width], vec![1.0; width]);
            put(
                name("ffn_gate"),
                &[self.feed_forward, width],
                random.matrix(self.feed_forward, width, scale),
            );
            put(name("ffn_up"), &[self.feed_forward, width], random.matrix(self.feed_forward, width, scale));
            let mut down = random.matrix(width, self.feed_forward, scale * strength);
            down[..self.feed_forward].fill(0.0);
            put(name("ffn_down"), &[width, self.feed_forward], down);
        }
        put("output_norm.weight".to_owned(), &[width], vec![1.0; width]);
        put("output.weight".to_owned(), &[self.rows(), width], output);
        tensors
    }

    fn output(&self, embeddings: &[f32], random: &mut Random) -> Vec<f32> {
        let width = self.embedding;
        let row = |id: usize| id * width..(id + 1) * width;
        let mut output = random.matrix(self.rows(), width, 4.0 / float(width).sqrt());
        if let Some(says) = &self.says {
            output.fill(0.0);
            let mut chain: Vec<usize> = says.iter().map(|piece| id_of(piece) as usize).collect();
            chain.push(2);
            // The first piece follows whatever is not in the chain.
            output[row(chain[0])][0] = 0.6 * float(width);
            for pair in chain.windows(2) {
                let from = embeddings[row(pair[0])].to_vec();
                // The dimension that all tokens share would make every piece likely everywhere.
                output[row(pair[1])][1..].copy_from_slice(&from[1..]);
            }
        }
        match self.eos {
            Eos::ByChance => {}
            Eos::Never | Eos::Always => {
                output[row(2)].fill(0.0);
                output[row(2)][0] = if self.eos == Eos::Always { 100.0 } else { -100.0 };
            }
        }
        output
    }
}

/// A piece of the vocabulary: text, score and kind, as the metadata have them.
#[derive(Debug, Clone)]
pub(crate) struct Piece {
    pub(crate) text: String,
    pub(crate) score: f32,
    /// 1 normal, 2 unknown, 3 control, 6 byte.
    pub(crate) kind: i32,
}

/// The vocabulary of all tiny models: unknown, begin, end, 256 bytes, merged pieces, single letters, a
/// control token.
pub(crate) fn vocabulary() -> Vec<Piece> {
    let mut texts: Vec<String> = PAIRS.iter().map(|&pair| pair.to_owned()).collect();
    for word in WORDS {
        let word = format!("▁{word}");
        let ends = word.char_indices().map(|(at, _)| at).skip(2).chain([word.len()]);
        texts.extend(ends.map(|end| word[..end].to_owned()));
    }
    let letters = (' '..='~').skip(1).chain(['▁']).chain(LETTERS.iter().copied());
    texts.extend(letters.map(String::from));
    let mut seen = std::collections::HashSet::new();
    texts.retain(|text| seen.insert(text.clone()));

    let piece = |text: &str, score: f32, kind: i32| Piece { text: text.to_owned(), score, kind };
    let mut pieces = vec![piece("<unk>", 0.0, 2), piece("<s>", 0.0, 3), piece("</s>", 0.0, 3)];
    pieces.extend((0..=255).map(|byte| piece(&format!("<0x{byte:02X}>"), 0.0, 6)));
    pieces.extend(texts.iter().zip(0u16..).map(|(text, rank)| piece(text, -f32::from(rank), 1)));
    pieces.push(piece(CONTROL, 0.0, 3));
    pieces
}

/// Id of a piece.
pub(crate) fn id_of(text: &str) -> u32 {
    let at = vocabulary().iter().position(|piece| piece.text == text);
    let at = at.unwrap_or_else(|| panic!("`{text}` is in the vocabulary"));
    u32::try_from(at).expect("it is small")
}

struct Random(ChaCha8Rng);

impl Random {
    /// Rows of numbers with this standard deviation, nearly normal.
    fn matrix(&mut self, rows: usize, columns: usize, deviation: f32) -> Vec<f32> {
        (0..rows * columns).map(|_| self.normal() * deviation).collect()
    }

    fn normal(&mut self) -> f32 {
        let sixteen_bits = |bits: u32| f32::from(u16::try_from(bits >> 16).unwrap_or(0));
        let sum: f32 = (0..12).map(|_| sixteen_bits(self.0.next_u32()) / 65_536.0).sum();
        sum - 6.0
    }
}

fn float(width: usize) -> f32 {
    f32::from(u16::try_from(width).expect("it is small"))
}
