//! Llama files of true shapes with random weights, for measuring: what they say is noise, and it takes as long to say
//! as sense would. It runs nothing.

use std::collections::HashMap;
use std::io::{BufWriter, Seek as _, Write};
use std::path::Path;

use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{Device, Tensor};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore as _, SeedableRng as _};

use super::vocabulary::Kind;

/// Rows of a large matrix that are made; it repeats them, and others of its width and type have the same. Making all
/// of them would take hours.
const DIFFERENT_ROWS: usize = 4_096;

/// Larger matrices share their rows.
const LARGE: usize = 1 << 20;

/// Spread of the weights, as it is about in trained models.
const SPREAD: f32 = 0.02;

/// Where tensors begin in the file.
const ALIGNMENT: u64 = 32;

/// The numbers of a shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Name of the model that has it.
    pub name: &'static str,
    /// Number of blocks.
    pub layers: usize,
    /// Width of the residual stream.
    pub embedding: usize,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads.
    pub kv_heads: usize,
    /// Width of the feed-forward network.
    pub hidden: usize,
    /// Pieces of the vocabulary.
    pub vocabulary: usize,
    /// Tokens of context.
    pub context_length: usize,
}

impl Shape {
    /// The shapes that can be asked for by name.
    pub const KNOWN: [Self; 3] = [
        Self {
            name: "llama2-13b",
            layers: 40,
            embedding: 5_120,
            heads: 40,
            kv_heads: 40,
            hidden: 13_824,
            vocabulary: 32_000,
            context_length: 4_096,
        },
        Self {
            name: "llama2-7b",
            layers: 32,
            embedding: 4_096,
            heads: 32,
            kv_heads: 32,
            hidden: 11_008,
            vocabulary: 32_000,
            context_length: 4_096,
        },
        Self {
            name: "tinyllama-1.1b",
            layers: 22,
            embedding: 2_048,
            heads: 32,
            kv_heads: 4,
            hidden: 5_632,
            vocabulary: 32_000,
            context_length: 4_096,
        },
    ];
}

/// Which tensors have which type, as llama.cpp's quantiser mixes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mixture {
    /// What files of the kind are called.
    pub name: &'static str,
    pub(crate) usual: GgmlDType,
    /// Of some of the value and down matrices.
    pub(crate) finer: GgmlDType,
    /// Of the output matrix.
    pub(crate) output: GgmlDType,
}

impl Mixture {
    /// The mixtures that can be asked for by name.
    pub const KNOWN: [Self; 6] = [
        Self { name: "q4_k_m", usual: GgmlDType::Q4K, finer: GgmlDType::Q6K, output: GgmlDType::Q6K },
        Self { name: "q5_k_m", usual: GgmlDType::Q5K, finer: GgmlDType::Q6K, output: GgmlDType::Q6K },
        Self { name: "q4_0", usual: GgmlDType::Q4_0, finer: GgmlDType::Q4_0, output: GgmlDType::Q6K },
        Self::of("q6_k", GgmlDType::Q6K),
        Self::of("q8_0", GgmlDType::Q8_0),
        Self::of("f16", GgmlDType::F16),
    ];

    /// One type for all.
    pub(crate) const fn of(name: &'static str, dtype: GgmlDType) -> Self {
        Self { name, usual: dtype, finer: dtype, output: dtype }
    }

    /// The type of a block's matrix (llama.cpp's rule for `*_K_M`: the first and last eighth of the blocks, and every third of
    /// the others).
    fn dtype(self, part: &str, layer: usize, layers: usize) -> GgmlDType {
        let eighth = layers / 8;
        let is_finer = layer < eighth || layer >= 7 * layers / 8 || (layer - eighth) % 3 == 2;
        match part {
            "attn_v" | "ffn_down" if is_finer => self.finer,
            _ => self.usual,
        }
    }
}

/// A tensor that is to be written.
struct Entry {
    name: String,
    rows: usize,
    /// Columns; a norm has one row.
    columns: usize,
    dtype: GgmlDType,
}

impl Entry {
    fn bytes(&self) -> u64 {
        (self.rows * self.columns / self.dtype.block_size() * self.dtype.type_size()) as u64
    }

    fn is_norm(&self) -> bool {
        self.name.contains("norm")
    }
}

/// Writes a model. `progress` hears of bytes written and of all bytes.
///
/// # Errors
/// When the file cannot be written, or candle cannot make the type.
pub fn write(
    path: &Path,
    shape: &Shape,
    mixture: Mixture,
    seed: u64,
    mut progress: impl FnMut(u64, u64),
) -> std::io::Result<()> {
    let entries = entries(shape, mixture);
    let total = entries.iter().map(Entry::bytes).sum();
    let mut out = BufWriter::with_capacity(1 << 20, std::fs::File::create(path)?);
    write_header(&mut out, shape, &entries)?;
    let mut weights = Weights { random: ChaCha8Rng::seed_from_u64(seed), shared: HashMap::new() };
    let mut done = 0;
    for entry in &entries {
        pad(&mut out)?;
        weights.write(&mut out, entry)?;
        done += entry.bytes();
        progress(done, total);
    }
    pad(&mut out)?;
    out.into_inner().map_err(std::io::IntoInnerError::into_error)?.sync_all()
}

fn entries(shape: &Shape, mixture: Mixture) -> Vec<Entry> {
    let kv_width = shape.embedding / shape.heads * shape.kv_heads;
    let matrix = |name: String, rows, columns, dtype| Entry { name, rows, columns, dtype };
    let norm = |name: String| Entry { name, rows: 1, columns: shape.embedding, dtype: GgmlDType::F32 };
    let mut entries = vec![
        matrix("token_embd.weight".to_owned(), shape.vocabulary, shape.embedding, mixture.usual),
        norm("output_norm.weight".to_owned()),
        matrix("output.weight".to_owned(), shape.vocabulary, shape.embedding, mixture.output),
    ];
    for layer in 0..shape.layers {
        let name = |part: &str| format!("blk.{layer}.{part}.weight");
        entries.push(norm(name("attn_norm")));
        entries.push(norm(name("ffn_norm")));
        for (part, rows, columns) in [
            ("attn_q", shape.embedding, shape.embedding),
            ("attn_k", kv_width, shape.embedding),
            ("attn_v", kv_width, shape.embedding),
            ("attn_output", shape.embedding, shape.embedding),
            ("ffn_gate", shape.hidden, shape.embedding),
            ("ffn_up", shape.hidden, shape.embedding),
            ("ffn_down", shape.embedding, shape.hidden),
        ] {
            entries.push(matrix(name(part), rows, columns, mixture.dtype(part, layer, shape.layers)));
        }
    }
    entries
}

/// The header of a GGUF file, version 3: <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>.
fn write_header(out: &mut impl Write, shape: &Shape, entries: &[Entry]) -> std::io::Result<()> {
    const U32: u32 = 4;
    const I32: u32 = 5;
    const F32: u32 = 6;
    const BOOL: u32 = 7;
    const STRING: u32 = 8;
    const ARRAY: u32 = 9;
    let pieces = pieces(shape.vocabulary);
    let number = |value: usize| u32::try_from(value).unwrap_or(u32::MAX).to_le_bytes().to_vec();
    let array = |kind: u32, values: Vec<Vec<u8>>| {
        let mut bytes = kind.to_le_bytes().to_vec();
        bytes.extend((values.len() as u64).to_le_bytes());
        bytes.extend(values.concat());
        bytes
    };
    let kind = |kind: Kind| match kind {
        Kind::Unknown => 2i32,
        Kind::Control => 3,
        Kind::Byte(_) => 6,
        _ => 1,
    };
    let texts = pieces.iter().map(|(text, _)| string(text)).collect();
    let scores = (0..pieces.len()).map(|id| (-(id as f32)).to_le_bytes().to_vec()).collect();
    let kinds = pieces.iter().map(|(_, each)| kind(*each).to_le_bytes().to_vec()).collect();
    let metadata = [
        ("general.architecture", STRING, string("llama")),
        ("general.name", STRING, string(&format!("{} with random weights", shape.name))),
        ("llama.block_count", U32, number(shape.layers)),
        ("llama.context_length", U32, number(shape.context_length)),
        ("llama.embedding_length", U32, number(shape.embedding)),
        ("llama.feed_forward_length", U32, number(shape.hidden)),
        ("llama.attention.head_count", U32, number(shape.heads)),
        ("llama.attention.head_count_kv", U32, number(shape.kv_heads)),
        ("llama.rope.dimension_count", U32, number(shape.embedding / shape.heads)),
        ("llama.attention.layer_norm_rms_epsilon", F32, 1e-5f32.to_le_bytes().to_vec()),
        ("llama.rope.freq_base", F32, 10_000f32.to_le_bytes().to_vec()),
        ("tokenizer.ggml.model", STRING, string("llama")),
        ("tokenizer.ggml.tokens", ARRAY, array(STRING, texts)),
        ("tokenizer.ggml.scores", ARRAY, array(F32, scores)),
        ("tokenizer.ggml.token_type", ARRAY, array(I32, kinds)),
        ("tokenizer.ggml.bos_token_id", U32, number(1)),
        ("tokenizer.ggml.eos_token_id", U32, number(2)),
        ("tokenizer.ggml.add_space_prefix", BOOL, vec![1]),
    ];
    out.write_all(b"GGUF")?;
    out.write_all(&3u32.to_le_bytes())?;
    out.write_all(&(entries.len() as u64).to_le_bytes())?;
    out.write_all(&(metadata.len() as u64).to_le_bytes())?;
    for (key, kind, value) in metadata {
        out.write_all(&string(key))?;
        out.write_all(&kind.to_le_bytes())?;
        out.write_all(&value)?;
    }
    let mut offset = 0u64;
    for entry in entries {
        // Lengths stand in the file with that of a row first.
        let lengths = if entry.is_norm() { vec![entry.columns] } else { vec![entry.columns, entry.rows] };
        out.write_all(&string(&entry.name))?;
        out.write_all(&u32::try_from(lengths.len()).unwrap_or(0).to_le_bytes())?;
        for length in lengths {
            out.write_all(&(length as u64).to_le_bytes())?;
        }
        out.write_all(&super::weights::type_number(entry.dtype).to_le_bytes())?;
        out.write_all(&offset.to_le_bytes())?;
        offset = (offset + entry.bytes()).next_multiple_of(ALIGNMENT);
    }
    Ok(())
}

/// The three marks, all bytes, and words for the rest.
fn pieces(count: usize) -> Vec<(String, Kind)> {
    let marks = [("<unk>", Kind::Unknown), ("<s>", Kind::Control), ("</s>", Kind::Control)];
    let marks = marks.into_iter().map(|(text, kind)| (text.to_owned(), kind));
    let bytes = (0..=255).map(|byte| (format!("<0x{byte:02X}>"), Kind::Byte(byte)));
    let words = (0..).map(|number| (format!("▁{number}"), Kind::Normal));
    marks.chain(bytes).chain(words).take(count).collect()
}

fn string(text: &str) -> Vec<u8> {
    let mut bytes = (text.len() as u64).to_le_bytes().to_vec();
    bytes.extend(text.as_bytes());
    bytes
}

fn pad(out: &mut BufWriter<std::fs::File>) -> std::io::Result<()> {
    let position = out.stream_position()?;
    let padding = position.next_multiple_of(ALIGNMENT) - position;
    out.write_all(&vec![0; usize::try_from(padding).unwrap_or(0)])
}

/// Random numbers in the types of tensors.
struct Weights {
    random: ChaCha8Rng,
    /// Rows of large matrices, by width and type.
    shared: HashMap<(usize, u32), Vec<u8>>,
}

impl Weights {
    /// Writes a tensor. Norms are ones.
    fn write(&mut self, out: &mut impl Write, entry: &Entry) -> std::io::Result<()> {
        if entry.is_norm() {
            return out.write_all(&1f32.to_le_bytes().repeat(entry.columns));
        }
        if entry.rows * entry.columns <= LARGE {
            return out.write_all(&self.rows(entry.rows, entry.columns, entry.dtype)?);
        }
        let key = (entry.columns, super::weights::type_number(entry.dtype));
        if !self.shared.contains_key(&key) {
            let rows = self.rows(DIFFERENT_ROWS, entry.columns, entry.dtype)?;
            self.shared.insert(key, rows);
        }
        let rows = &self.shared[&key];
        let mut left = usize::try_from(entry.bytes()).map_err(std::io::Error::other)?;
        while left > 0 {
            let part = left.min(rows.len());
            out.write_all(&rows[..part])?;
            left -= part;
        }
        Ok(())
    }

    fn rows(&mut self, rows: usize, columns: usize, dtype: GgmlDType) -> std::io::Result<Vec<u8>> {
        // The sum of four uniform numbers is near enough to a normal one.
        let number = |_| {
            let parts = self.random.next_u64().to_le_bytes();
            let sum: f32 =
                parts.chunks_exact(2).map(|part| f32::from(u16::from_le_bytes([part[0], part[1]]))).sum();
            (sum / 65_535.0 - 2.0) * SPREAD * 3f32.sqrt()
        };
        let numbers: Vec<f32> = (0..rows * columns).map(number).collect();
        let made = Tensor::from_vec(numbers, (rows, columns), &Device::Cpu)
            .and_then(|numbers| QTensor::quantize(&numbers, dtype))
            .map_err(std::io::Error::other)?;
        Ok(made.data().map_err(std::io::Error::other)?.into_owned())
    }
}
