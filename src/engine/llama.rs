//! The model itself: Llama on candle, for one flat batch of tokens of many texts. It chooses no tokens and knows no
//! requests.

use std::borrow::Cow;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::sync::Arc;

use candle_core::quantized::{GgmlDType, QStorage, QTensor};
use candle_core::{Device, Tensor};
use candle_nn::ops::rms_norm;
use candle_nn::rotary_emb::rope_i;

use super::attention::{Attention, KvShape, Slabs, Tensors};
use super::cost::Grain;
use super::device;
use super::error::LoadError;
use super::gate::swiglu;
use super::gguf::Header;
use super::matmul::{CandleMatmul, Joined, Matmul, Stack};
use super::origin::ReadSeek;
use super::pages::{PAGE, Page, Pages, pages_for};
use super::scheduler::{Span, Step};
use super::weights::{self, Hyperparameters, Processor};

/// Names the step that panics on purpose. Only debug builds look at it.
#[cfg(debug_assertions)]
pub const PANIC_VARIABLE: &str = "MUMMER_PANIC_AT_STEP";

/// A step that went wrong. The text speaks of shapes and devices, never of what members wrote.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StepError {
    /// A smaller step may go well.
    #[error(
        "the graphics card has no memory left: set model.cache_tokens lower, or end other programs that use it"
    )]
    OutOfMemory,
    #[error("{0}")]
    Other(String),
}

impl From<candle_core::Error> for StepError {
    fn from(error: candle_core::Error) -> Self {
        if device::is_out_of_memory(&error) { Self::OutOfMemory } else { Self::Other(error.to_string()) }
    }
}

/// A language model with the keys and values of many texts.
pub(crate) trait Model {
    /// Makes the copies, computes the tokens of all spans, and gives the logits after the last token of every span
    /// that chooses: one for each row of the output matrix.
    fn forward(&mut self, step: &Step) -> Result<Vec<Vec<f32>>, StepError>;

    /// Computes something small, to see whether it can. Spoils what the first page holds.
    fn probe(&mut self) -> Result<(), StepError>;

    /// How large steps should be.
    fn grain(&self) -> Grain {
        Grain::FINE
    }
}

/// So many rows at a time go through candle's usual kernels on x86, and through those for AMX, which are there for `Q4_K` and
/// take steps from one block on (candle-core 0.11, `quantized/repack_x86.rs`).
const ROWS_OF_A_TILE: usize = 4;
const ROWS_OF_A_BLOCK: usize = 32;

/// A Llama model. N is the number of tokens of a step.
pub(crate) struct Llama {
    device: Device,
    shape: Hyperparameters,
    embedding: Arc<dyn Matmul>,
    blocks: Vec<Block>,
    norm: Tensor,
    output: Arc<dyn Matmul>,
    /// Cosines and sines `[context, width of a head / 2]` of the angles by which pairs are turned.
    cos: Tensor,
    sin: Tensor,
    attention: Box<dyn Attention>,
    grain: Grain,
    #[cfg(debug_assertions)]
    steps: u64,
}

/// The weights of a block. Norms are `[embedding]`.
struct Block {
    attention_norm: Tensor,
    qkv: Joined,
    output: Arc<dyn Matmul>,
    ffn_norm: Tensor,
    gate_up: Joined,
    down: Arc<dyn Matmul>,
}

impl Llama {
    /// Loads the weights of a file that [`weights::check`] has accepted, with room for so many pages of keys and
    /// values. `progress` hears of bytes read.
    pub(crate) fn load(
        header: &Header,
        shape: &Hyperparameters,
        device: Device,
        context_length: usize,
        pages: usize,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Self, LoadError> {
        let failed = |error: StepError| failed(header, error);
        let candle = |error: candle_core::Error| failed(error.into());
        let mut loader = Loader { header, device: &device, reader: header.origin.open()?, read: 0, progress };
        let embedding = loader.matrix("token_embd.weight")?;
        let tied = !header.tensors.contains_key("output.weight");
        let output = if tied { Arc::clone(&embedding) } else { loader.matrix("output.weight")? };
        let norm = loader.vector("output_norm.weight")?;
        let blocks: Result<_, _> = (0..shape.layers).map(|layer| loader.block(layer)).collect();
        let (cos, sin) = rotations(shape, context_length, &device).map_err(candle)?;
        let kv = KvShape {
            layers: shape.layers,
            heads: shape.heads,
            kv_heads: shape.kv_heads,
            width: shape.head_dim(),
            pages,
        };
        let attention: Box<dyn Attention> = if device.is_cpu() {
            Box::new(Slabs::new(kv))
        } else {
            Box::new(Tensors::new(kv, &device).map_err(candle)?)
        };
        let shape = shape.clone();
        let grain = if device.is_cpu() { grain(header) } else { Grain::FINE };
        let mut llama = Self {
            grain,
            device,
            shape,
            embedding,
            blocks: blocks?,
            norm,
            output,
            cos,
            sin,
            attention,
            #[cfg(debug_assertions)]
            steps: 0,
        };
        // candle packs weights when they are used first; the first member should not wait for that.
        llama.probe().map_err(failed)?;
        llama.warm(pages).map_err(candle)?;
        Ok(llama)
    }

    fn compute(&mut self, step: &Step) -> candle_core::Result<Vec<Vec<f32>>> {
        for copy in &step.copies {
            self.attention.copy(*copy)?;
        }
        let Hyperparameters { heads, kv_heads, rms_epsilon, .. } = self.shape;
        let ids: Vec<u32> = step.spans.iter().flat_map(|span| span.ids.iter().copied()).collect();
        let (count, width) = (ids.len(), self.shape.head_dim());
        if count == 0 {
            return Ok(Vec::new());
        }
        let (positions, chosen) = self.places(&step.spans)?;
        let cos = self.cos.index_select(&positions, 0)?.unsqueeze(1)?;
        let sin = self.sin.index_select(&positions, 0)?.unsqueeze(1)?;
        let mut x = self.embedding.rows(&Tensor::from_vec(ids, count, &self.device)?)?;
        self.attention.begin(&step.spans)?;
        let last = self.blocks.len() - 1;
        for (layer, block) in self.blocks.iter().enumerate() {
            let normed = rms_norm(&x, &block.attention_norm, rms_epsilon)?;
            let [q, k, v] = block.qkv.forward(&normed)?;
            let q = rope_i(&q.reshape((count, heads, 1, width))?, &cos, &sin)?;
            let k = rope_i(&k.reshape((count, kv_heads, 1, width))?, &cos, &sin)?;
            let mut seen = self.attention.attend(layer, &q, &k, &v, &step.spans)?;
            if layer == last {
                // From here on only those rows matter that a token is chosen from.
                let Some(chosen) = &chosen else { return Ok(Vec::new()) };
                seen = seen.index_select(chosen, 0)?;
                x = x.index_select(chosen, 0)?;
            }
            x = (x + block.output.forward(&seen)?)?;
            let normed = rms_norm(&x, &block.ffn_norm, rms_epsilon)?;
            let [gate, up] = block.gate_up.forward(&normed)?;
            x = (x + block.down.forward(&swiglu(&gate, &up)?)?)?;
        }
        self.output.forward(&rms_norm(&x, &self.norm, rms_epsilon)?)?.to_vec2()
    }

    /// For tests of what happens then: a step panics inside of candle's own threads, if a variable says which.
    #[cfg(debug_assertions)]
    fn panic_on_purpose(&mut self) {
        self.steps += 1;
        if std::env::var(PANIC_VARIABLE).is_ok_and(|step| step == self.steps.to_string()) {
            candle_core::utils::barrier_pool().execute(|_| panic!("on purpose"));
        }
    }

    /// Computes what makes candle arrange the weights for its kernels: it does so when more rows come than ever before, and
    /// whoever came first would wait for it. Spoils what the first pages hold.
    fn warm(&mut self, pages: usize) -> candle_core::Result<()> {
        if !self.device.is_cpu() {
            return Ok(());
        }
        let longest = self.cos.dim(0)?.min(ROWS_OF_A_BLOCK).min(pages * PAGE);
        let mut all = Pages::new(pages_for(longest));
        let pages: Vec<Page> = std::iter::from_fn(|| all.take()).collect();
        for rows in [2, longest] {
            let ids = vec![0; rows.min(longest)];
            let span = Span { key: 0, start: 0, ids, pages: pages.clone(), chooses: true };
            self.compute(&Step { spans: vec![span], ..Step::default() })?;
        }
        Ok(())
    }

    /// The position of every token, and the rows from which tokens are chosen, if there are any.
    fn places(&self, spans: &[Span]) -> candle_core::Result<(Tensor, Option<Tensor>)> {
        let number = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let positions = spans.iter().flat_map(|span| span.start..span.end());
        let positions = Tensor::from_iter(positions.map(number), &self.device)?;
        let ends = spans.iter().scan(0, |row, span| {
            *row += span.ids.len();
            Some((span.chooses, *row - 1))
        });
        let chosen: Vec<u32> = ends.filter(|(chooses, _)| *chooses).map(|(_, row)| number(row)).collect();
        let chosen =
            if chosen.is_empty() { None } else { Some(Tensor::new(chosen.as_slice(), &self.device)?) };
        Ok((positions, chosen))
    }
}

impl Model for Llama {
    fn grain(&self) -> Grain {
        self.grain
    }

    fn probe(&mut self) -> Result<(), StepError> {
        if self.device.is_cpu() {
            // Small products do not need its threads; large ones do.
            candle_core::utils::barrier_pool().execute(|_| {});
        }
        let pages: Vec<Page> = Pages::new(1).take().into_iter().collect();
        let span = Span { key: 0, start: 0, ids: vec![0], pages, chooses: true };
        let logits = self.compute(&Step { spans: vec![span], ..Step::default() })?;
        let rows = logits.first().map_or(0, Vec::len);
        if rows == self.shape.vocabulary {
            return Ok(());
        }
        Err(StepError::Other(format!("{rows} logits for {} rows", self.shape.vocabulary)))
    }

    fn forward(&mut self, step: &Step) -> Result<Vec<Vec<f32>>, StepError> {
        #[cfg(debug_assertions)]
        self.panic_on_purpose();
        Ok(self.compute(step)?)
    }
}

/// How large steps on this processor should be.
fn grain(header: &Header) -> Grain {
    let in_blocks = Processor::here().has_amx()
        && header.tensors.values().any(|tensor| weights::dtype(tensor.dtype) == Some(GgmlDType::Q4K));
    let blocks = in_blocks.then(|| (ROWS_OF_A_BLOCK, candle_core::utils::get_num_threads()));
    Grain { few: ROWS_OF_A_TILE, blocks }
}

/// The cosines and sines of the angles: pair i of a head at position p turns by p / base^(2i / width).
fn rotations(
    shape: &Hyperparameters,
    context_length: usize,
    device: &Device,
) -> candle_core::Result<(Tensor, Tensor)> {
    let width = shape.head_dim();
    let frequency = |pair: usize| 1.0 / shape.rope_base.powf(2.0 * pair as f32 / width as f32);
    let frequencies: Vec<f32> = (0..width / 2).map(frequency).collect();
    let angles =
        (0..context_length).flat_map(|p| frequencies.iter().map(move |frequency| p as f32 * frequency));
    let angles = Tensor::from_iter(angles, device)?.reshape((context_length, width / 2))?;
    Ok((angles.cos()?, angles.sin()?))
}

/// Reads tensors one after the other.
struct Loader<'a> {
    header: &'a Header,
    device: &'a Device,
    reader: Box<dyn ReadSeek>,
    read: u64,
    progress: &'a mut dyn FnMut(u64),
}

/// A tensor as it stands in the file.
struct Read {
    bytes: Vec<u8>,
    shape: Vec<usize>,
    dtype: GgmlDType,
}

impl Loader<'_> {
    fn block(&mut self, layer: usize) -> Result<Block, LoadError> {
        let name = |part: &str| format!("blk.{layer}.{part}.weight");
        Ok(Block {
            attention_norm: self.vector(&name("attn_norm"))?,
            qkv: self.joined(&["attn_q", "attn_k", "attn_v"].map(name))?,
            output: self.matrix(&name("attn_output"))?,
            ffn_norm: self.vector(&name("ffn_norm"))?,
            gate_up: self.joined(&["ffn_gate", "ffn_up"].map(name))?,
            down: self.matrix(&name("ffn_down"))?,
        })
    }

    fn vector(&mut self, name: &str) -> Result<Tensor, LoadError> {
        let Read { bytes, shape, dtype } = self.read(name)?;
        let tensor = self.tensor(bytes, &shape, dtype)?;
        tensor.dequantize(self.device).map_err(|error| failed(self.header, error.into()))
    }

    fn matrix(&mut self, name: &str) -> Result<Arc<dyn Matmul>, LoadError> {
        let Read { bytes, shape, dtype } = self.read(name)?;
        self.multiply(bytes, &shape, dtype)
    }

    /// Matrices with the same input. Neighbours of one type become one, the rows of one behind those of the other.
    fn joined(&mut self, names: &[String]) -> Result<Joined, LoadError> {
        let mut stacks: Vec<(Read, Vec<usize>)> = Vec::new();
        for name in names {
            let next = self.read(name)?;
            let rows = next.shape[0];
            match stacks.last_mut() {
                Some((last, parts)) if (last.dtype, last.shape[1]) == (next.dtype, next.shape[1]) => {
                    last.bytes.extend(next.bytes);
                    last.shape[0] += rows;
                    parts.push(rows);
                }
                _ => stacks.push((next, vec![rows])),
            }
        }
        let stacks = stacks.into_iter().map(|(Read { bytes, shape, dtype }, rows)| {
            Ok(Stack { matrix: self.multiply(bytes, &shape, dtype)?, rows })
        });
        Ok(Joined::new(stacks.collect::<Result<_, LoadError>>()?))
    }

    /// The one place that chooses how matrices multiply.
    fn multiply(
        &self,
        bytes: Vec<u8>,
        shape: &[usize],
        dtype: GgmlDType,
    ) -> Result<Arc<dyn Matmul>, LoadError> {
        let matrix = CandleMatmul::new(self.tensor(bytes, shape, dtype)?);
        Ok(Arc::new(matrix.map_err(|error| failed(self.header, error.into()))?))
    }

    fn tensor(&self, bytes: Vec<u8>, shape: &[usize], dtype: GgmlDType) -> Result<QTensor, LoadError> {
        let storage = QStorage::from_data(Cow::Owned(bytes), self.device, dtype);
        let tensor = storage.and_then(|storage| QTensor::new(storage, shape));
        tensor.map_err(|error| failed(self.header, error.into()))
    }

    fn read(&mut self, name: &str) -> Result<Read, LoadError> {
        let damaged = || LoadError::Damaged {
            origin: self.header.origin.clone(),
            what: format!("the tensor `{name}` is not there or too large for this machine"),
        };
        let entry = self.header.tensors.get(name).ok_or_else(damaged)?;
        let length = weights::byte_length(entry).ok().and_then(|length| usize::try_from(length).ok());
        let shape: Result<Vec<usize>, _> =
            entry.shape.iter().map(|&length| usize::try_from(length)).collect();
        let (Some(length), Ok(shape), Some(dtype)) = (length, shape, weights::dtype(entry.dtype)) else {
            return Err(damaged());
        };
        let mut bytes = vec![0; length];
        let unreadable = |source| self.header.origin.unreadable(source);
        self.reader.seek(SeekFrom::Start(self.header.data_start + entry.offset)).map_err(unreadable)?;
        self.reader.read_exact(&mut bytes).map_err(unreadable)?;
        self.read += length as u64;
        (self.progress)(self.read);
        Ok(Read { bytes, shape, dtype })
    }
}

/// What is said of a model that cannot be loaded because of this.
fn failed(header: &Header, error: StepError) -> LoadError {
    let origin = header.origin.clone();
    match error {
        StepError::OutOfMemory => LoadError::OutOfMemory { origin },
        StepError::Other(detail) => LoadError::Backend { origin, detail },
    }
}

#[cfg(test)]
mod tests;
