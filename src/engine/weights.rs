//! Checks that a GGUF file holds a Llama model that can be computed, before anything large is read, and gives
//! it its id. It computes nothing.

use std::io::{Read as _, Seek as _, SeekFrom};

use candle_core::quantized::GgmlDType;
use sha2::Digest as _;

use super::error::LoadError;
use super::gguf::{Header, TensorEntry};

/// The types of weights that run, as their files are named.
const SUPPORTED: &str = "F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q2_K, Q3_K, Q4_K, Q5_K, Q6_K";

/// The matrices and norms of a block.
const BLOCK_PARTS: [&str; 9] =
    ["attn_norm", "attn_q", "attn_k", "attn_v", "attn_output", "ffn_norm", "ffn_gate", "ffn_up", "ffn_down"];

/// Where the data of tensors is looked at for the model's id: this many places, so many bytes each.
const SAMPLES: u64 = 64;
const SAMPLE_BYTES: u64 = 4096;

/// The numbers that make a Llama model. All are checked: they divide as they must, and the tensors have these
/// shapes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Hyperparameters {
    /// Number of blocks.
    pub(crate) layers: usize,
    /// Width of the residual stream.
    pub(crate) embedding: usize,
    /// Query heads.
    pub(crate) heads: usize,
    /// Key and value heads; divides `heads`.
    pub(crate) kv_heads: usize,
    /// Rows of the output matrix.
    pub(crate) vocabulary: usize,
    /// Tokens that the model was trained for.
    pub(crate) context_length: usize,
    /// Epsilon of the RMS norm.
    pub(crate) rms_epsilon: f32,
    /// Base of the rotary position frequencies.
    pub(crate) rope_base: f32,
}

impl Hyperparameters {
    /// Width of a head.
    pub(crate) fn head_dim(&self) -> usize {
        self.embedding / self.heads
    }
}

/// Refuses models of another architecture.
pub(crate) fn check_architecture(header: &Header) -> Result<(), LoadError> {
    let key = "general.architecture";
    let architecture = header.string(key)?.ok_or_else(|| header.missing(key))?;
    if architecture == "llama" {
        return Ok(());
    }
    Err(LoadError::Architecture { origin: header.origin.clone(), architecture: architecture.to_owned() })
}

/// Checks everything about a Llama file that can be checked without computing.
pub(crate) fn check(header: &Header) -> Result<Hyperparameters, LoadError> {
    check_extents(header)?;
    let hyperparameters = read_hyperparameters(header)?;
    check_tensors(header, &hyperparameters)?;
    Ok(hyperparameters)
}

/// The id of the model: SHA-256, shortened to 128 bits, over the header's bytes (all metadata, names, shapes
/// and types), the length of the file, 64 samples of 4 KiB spread evenly over the tensors' data, and
/// `tokenizer`, the bytes of a tokenizer file that replaces the model's own. Two fine-tunes with equal
/// headers differ in the samples; the whole file, of many gigabytes, is not read at each start.
pub(crate) fn model_id(header: &Header, tokenizer: Option<&[u8]>) -> Result<String, LoadError> {
    let mut digest = header.digest.clone();
    digest.update(header.file_length.to_le_bytes());
    let mut file = header.origin.open()?;
    let data = header.file_length.saturating_sub(header.data_start);
    let io = |source| header.origin.unreadable(source);
    for sample in 0..SAMPLES {
        let start = header.data_start.saturating_add(data / SAMPLES * sample);
        file.seek(SeekFrom::Start(start)).map_err(io)?;
        let mut bytes = Vec::new();
        (&mut file).take(SAMPLE_BYTES).read_to_end(&mut bytes).map_err(io)?;
        digest.update(&bytes);
    }
    if let Some(tokenizer) = tokenizer {
        digest.update(tokenizer);
    }
    Ok(format!("{:x}", digest.finalize()).chars().take(32).collect())
}

/// Bytes that the tensors take in the file.
pub(crate) fn total_bytes(header: &Header) -> u64 {
    header.tensors.values().filter_map(|tensor| byte_length(tensor).ok()).sum()
}

/// Bytes of the weights that a step reads: all but an embedding that only looks up.
pub(crate) fn step_bytes(header: &Header) -> u64 {
    let embedding =
        header.tensors.get("token_embd.weight").filter(|_| header.tensors.contains_key("output.weight"));
    total_bytes(header) - embedding.and_then(|tensor| byte_length(tensor).ok()).unwrap_or(0)
}

/// Bytes that the weights take once they are computed with: beside those of some types candle keeps a copy in an order that
/// suits the processor, and what is of 16 bits it widens. (candle-core 0.11, `quantized/repack_x86.rs`: tiles of 16 rows.)
pub(crate) fn resident_bytes(header: &Header, processor: Processor) -> u64 {
    let copies = |(name, tensor): (&String, &TensorEntry)| {
        let elements: u64 = tensor.shape.iter().product();
        let looks_up = name == "token_embd.weight" && header.tensors.contains_key("output.weight");
        let bits_of_a_pair = match dtype(tensor.dtype) {
            Some(GgmlDType::F16 | GgmlDType::BF16) => 32,
            // Norms are not multiplied with, and embeddings that only look up are not either.
            _ if tensor.shape.len() < 2 || looks_up => 0,
            Some(GgmlDType::Q4K) => 12 * u64::from(processor.avx2) + 20 * u64::from(processor.amx),
            Some(GgmlDType::Q6K) => 20 * u64::from(processor.avx2),
            Some(GgmlDType::Q8_0) => 17 * u64::from(processor.vnni),
            _ => 0,
        };
        elements / 2 * bits_of_a_pair / 8
    };
    total_bytes(header) + header.tensors.iter().map(copies).sum::<u64>()
}

/// What a processor can do, as far as it decides how weights are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Processor {
    avx2: bool,
    vnni: bool,
    amx: bool,
}

impl Processor {
    /// Whether it multiplies whole tiles.
    pub(crate) fn has_amx(self) -> bool {
        self.amx
    }

    /// This machine's. Whether there is AMX only Linux tells.
    pub(crate) fn here() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            let flags = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
            let has = |flag: &str| {
                flags
                    .lines()
                    .any(|line| line.starts_with("flags") && line.split_whitespace().any(|word| word == flag))
            };
            let wide = is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vnni");
            Self {
                avx2: is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
                vnni: wide || is_x86_feature_detected!("avxvnni"),
                amx: wide && has("amx_int8") && has("amx_tile"),
            }
        }
        #[cfg(not(target_arch = "x86_64"))]
        Self::default()
    }
}

/// What of it decides how numbers are added up, as the end of a sentence.
impl std::fmt::Display for Processor {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let parts = [(self.avx2, "AVX2"), (self.vnni, "VNNI"), (self.amx, "AMX")];
        let parts: Vec<&str> = parts.into_iter().filter(|(has, _)| *has).map(|(_, name)| name).collect();
        if parts.is_empty() { Ok(()) } else { write!(formatter, " with {}", parts.join(", ")) }
    }
}

/// The candle type of a ggml type number, if it runs.
pub(crate) fn dtype(number: u32) -> Option<GgmlDType> {
    Some(match number {
        0 => GgmlDType::F32,
        1 => GgmlDType::F16,
        2 => GgmlDType::Q4_0,
        3 => GgmlDType::Q4_1,
        6 => GgmlDType::Q5_0,
        7 => GgmlDType::Q5_1,
        8 => GgmlDType::Q8_0,
        10 => GgmlDType::Q2K,
        11 => GgmlDType::Q3K,
        12 => GgmlDType::Q4K,
        13 => GgmlDType::Q5K,
        14 => GgmlDType::Q6K,
        30 => GgmlDType::BF16,
        _ => return None,
    })
}

/// The ggml type number of a candle type that runs.
pub(crate) fn type_number(wanted: GgmlDType) -> u32 {
    (0..=30).find(|&number| dtype(number) == Some(wanted)).unwrap_or(u32::MAX)
}

/// ggml's name of a type number (`enum ggml_type` in ggml.h) that does not run here.
fn dtype_name(number: u32) -> String {
    let name = match number {
        9 => "Q8_1",
        15 => "Q8_K",
        16 => "IQ2_XXS",
        17 => "IQ2_XS",
        18 => "IQ3_XXS",
        19 => "IQ1_S",
        20 => "IQ4_NL",
        21 => "IQ3_S",
        22 => "IQ2_S",
        23 => "IQ4_XS",
        24 => "I8",
        25 => "I16",
        26 => "I32",
        27 => "I64",
        28 => "F64",
        29 => "IQ1_M",
        31 => "Q4_0_4_4",
        32 => "Q4_0_4_8",
        33 => "Q4_0_8_8",
        34 => "TQ1_0",
        35 => "TQ2_0",
        39 => "MXFP4",
        _ => return format!("number {number}"),
    };
    name.to_owned()
}

/// Every tensor has a known type, and lies in the file as a whole.
fn check_extents(header: &Header) -> Result<(), LoadError> {
    let mut end = header.data_start;
    let mut total = 0u64;
    for (name, tensor) in &header.tensors {
        if dtype(tensor.dtype).is_none() {
            return Err(LoadError::Quantisation {
                origin: header.origin.clone(),
                name: dtype_name(tensor.dtype),
                supported: SUPPORTED,
            });
        }
        let length = byte_length(tensor).map_err(|problem| wrong(header, name, problem))?;
        let tensor_end =
            header.data_start.checked_add(tensor.offset).and_then(|start| start.checked_add(length));
        let Some(tensor_end) = tensor_end else {
            return Err(wrong(header, name, "it lies beyond any file".to_owned()));
        };
        end = end.max(tensor_end);
        total = total.saturating_add(length);
    }
    if end > header.file_length {
        return Err(LoadError::Truncated {
            origin: header.origin.clone(),
            missing: end - header.file_length,
        });
    }
    // A small file could otherwise claim the same bytes many times over, and fill the memory.
    if total > header.file_length - header.data_start {
        return Err(LoadError::Damaged {
            origin: header.origin.clone(),
            what: "its tensors overlap".to_owned(),
        });
    }
    Ok(())
}

/// Bytes of a tensor whose type runs.
pub(crate) fn byte_length(tensor: &TensorEntry) -> Result<u64, String> {
    let dtype = dtype(tensor.dtype).ok_or("its type is unknown")?;
    let (block, block_bytes) = (dtype.block_size() as u64, dtype.type_size() as u64);
    let row = tensor.shape.last().copied().unwrap_or(0);
    if row == 0 || !row.is_multiple_of(block) {
        return Err(format!("a row of {row} elements does not divide into blocks of {block}"));
    }
    let elements = tensor.shape.iter().try_fold(1u64, |product, &length| product.checked_mul(length));
    let bytes = elements.and_then(|elements| (elements / block).checked_mul(block_bytes));
    bytes.filter(|&bytes| bytes > 0).ok_or_else(|| format!("its shape {:?} is impossible", tensor.shape))
}

fn read_hyperparameters(header: &Header) -> Result<Hyperparameters, LoadError> {
    // Limits that no model reaches, so that products of these numbers cannot overflow.
    let number = |key: &str, limit: u64| -> Result<usize, LoadError> {
        let value = header.integer(key)?.ok_or_else(|| header.missing(key))?;
        match usize::try_from(value) {
            Ok(number) if value > 0 && value <= limit => Ok(number),
            _ => Err(header.wrong(key, format!("it is {value}"))),
        }
    };
    let layers = number("llama.block_count", 4096)?;
    let embedding = number("llama.embedding_length", 1 << 20)?;
    let heads = number("llama.attention.head_count", 1 << 16)?;
    let kv_key = "llama.attention.head_count_kv";
    let kv_heads = if header.metadata.contains_key(kv_key) { number(kv_key, 1 << 16)? } else { heads };
    if embedding % heads != 0 || !(embedding / heads).is_multiple_of(2) {
        let problem = format!("{heads} heads do not share a width of {embedding}");
        return Err(header.wrong("llama.attention.head_count", problem));
    }
    if heads % kv_heads != 0 {
        let problem = format!("{kv_heads} do not divide {heads} heads");
        return Err(header.wrong("llama.attention.head_count_kv", problem));
    }
    let rope_key = "llama.rope.dimension_count";
    if header.metadata.contains_key(rope_key) && number(rope_key, 1 << 20)? != embedding / heads {
        return Err(header.wrong(rope_key, "it is not the width of a head"));
    }
    refuse_what_is_not_computed(header)?;

    let eps_key = "llama.attention.layer_norm_rms_epsilon";
    let epsilon = header.float(eps_key)?.ok_or_else(|| header.missing(eps_key))?;
    let rope_base = header.float("llama.rope.freq_base")?.unwrap_or(10_000.0);
    for (key, value) in [(eps_key, epsilon), ("llama.rope.freq_base", rope_base)] {
        if !(value > 0.0 && value < 1e12) {
            return Err(header.wrong(key, format!("it is {value}")));
        }
    }
    let rows = header.tensors.get("output.weight").or_else(|| header.tensors.get("token_embd.weight"));
    let rows = rows.and_then(|tensor| tensor.shape.first()).copied().unwrap_or(0);
    #[expect(clippy::cast_possible_truncation, reason = "the model computes in f32")]
    Ok(Hyperparameters {
        layers,
        embedding,
        heads,
        kv_heads,
        vocabulary: usize::try_from(rows.min(1 << 24)).unwrap_or(0),
        context_length: number("llama.context_length", 1 << 30)?,
        rms_epsilon: epsilon as f32,
        rope_base: rope_base as f32,
    })
}

/// What would be left out silently, and so would give fluent nonsense, is an error.
fn refuse_what_is_not_computed(header: &Header) -> Result<(), LoadError> {
    let unsupported = |what: String| LoadError::Unsupported { origin: header.origin.clone(), what };
    if header.integer("llama.expert_count")?.unwrap_or(0) > 1 {
        return Err(unsupported("a mixture of experts".to_owned()));
    }
    let scaling = header.string("llama.rope.scaling.type")?.unwrap_or("none");
    let factor = header.float("llama.rope.scaling.factor")?.unwrap_or(1.0);
    let linear = header.float("llama.rope.scale_linear")?.unwrap_or(1.0);
    #[expect(clippy::float_cmp, reason = "exactly 1 means off")]
    if !matches!(scaling, "none" | "") && factor != 1.0 || linear != 1.0 {
        return Err(unsupported(format!("rope scaling ({scaling})")));
    }
    Ok(())
}

/// Every tensor that the model needs is there in its shape, and there is none besides.
fn check_tensors(header: &Header, model: &Hyperparameters) -> Result<(), LoadError> {
    let width = model.embedding as u64;
    let kv_width = (model.kv_heads * model.head_dim()) as u64;
    let vocabulary = model.vocabulary as u64;
    let mut used = 0;
    let mut expect = |name: String, shape: &[u64]| match header.tensors.get(&name) {
        None => Err(wrong(header, &name, "it is not there".to_owned())),
        Some(tensor) if tensor.shape != shape => {
            Err(wrong(header, &name, format!("its shape is {:?} instead of {shape:?}", tensor.shape)))
        }
        Some(_) => {
            used += 1;
            Ok(())
        }
    };
    expect("token_embd.weight".to_owned(), &[vocabulary, width])?;
    expect("output_norm.weight".to_owned(), &[width])?;
    if header.tensors.contains_key("output.weight") {
        expect("output.weight".to_owned(), &[vocabulary, width])?;
    }
    for layer in 0..model.layers {
        let name = |part: &str| format!("blk.{layer}.{part}.weight");
        let hidden = header.tensors.get(&name("ffn_gate")).and_then(|gate| gate.shape.first());
        let hidden = hidden.copied().unwrap_or(0);
        expect(name("attn_norm"), &[width])?;
        expect(name("attn_q"), &[width, width])?;
        expect(name("attn_k"), &[kv_width, width])?;
        expect(name("attn_v"), &[kv_width, width])?;
        expect(name("attn_output"), &[width, width])?;
        expect(name("ffn_norm"), &[width])?;
        expect(name("ffn_gate"), &[hidden, width])?;
        expect(name("ffn_up"), &[hidden, width])?;
        expect(name("ffn_down"), &[width, hidden])?;
    }
    if used < header.tensors.len() {
        let known = |name: &str| {
            let plain = ["token_embd.weight", "output_norm.weight", "output.weight"];
            plain.contains(&name) || is_block_tensor(name, model.layers)
        };
        let stranger = header.tensors.keys().find(|name| !known(name)).cloned().unwrap_or_default();
        return Err(LoadError::Unsupported {
            origin: header.origin.clone(),
            what: format!("the tensor `{stranger}`"),
        });
    }
    Ok(())
}

/// Whether the name is one of the nine of a block that exists.
fn is_block_tensor(name: &str, layers: usize) -> bool {
    let parts: Vec<&str> = name.split('.').collect();
    let &["blk", layer, part, "weight"] = parts.as_slice() else { return false };
    BLOCK_PARTS.contains(&part) && layer.parse().is_ok_and(|layer: usize| layer < layers)
}

fn wrong(header: &Header, tensor: &str, problem: String) -> LoadError {
    LoadError::Tensor { origin: header.origin.clone(), tensor: tensor.to_owned(), problem }
}
