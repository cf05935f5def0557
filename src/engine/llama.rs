//! The model itself: Llama, computed by candle. It chooses no tokens and knows no requests.
//!
//! This version drives candle-transformers' `quantized_llama`, one sequence at a time.

use std::io::{Read, Seek, SeekFrom};

use candle_core::quantized::gguf_file::{Content, TensorInfo, Value, VersionedMagic};
use candle_core::{Device, Shape, Tensor};
use candle_transformers::models::quantized_llama::{self, ModelWeights};

use super::error::LoadError;
use super::gguf::Header;
use super::origin::ReadSeek;
use super::weights::{self, Hyperparameters};

/// Most tokens that this implementation can attend to.
pub(crate) const MAX_CONTEXT: usize = quantized_llama::MAX_SEQ_LEN;

/// A step that went wrong. The text speaks of shapes and devices, never of what members wrote.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct StepError(pub(crate) String);

impl From<candle_core::Error> for StepError {
    fn from(error: candle_core::Error) -> Self {
        Self(error.to_string())
    }
}

/// A language model with the state of one sequence.
pub(crate) trait Model {
    /// Computes the tokens at the positions from `position` on, after everything that was computed since the
    /// last [`Model::clear`], and gives the logits after the last of them: one for each row of the output
    /// matrix.
    fn forward(&mut self, ids: &[u32], position: usize) -> Result<Vec<f32>, StepError>;

    /// Forgets the sequence. Must leave a sound state even after a step that panicked.
    fn clear(&mut self);
}

/// A Llama model with its key-value cache.
pub(crate) struct Llama {
    /// The weights (shared with `weights`) with an empty cache.
    pristine: ModelWeights,
    weights: ModelWeights,
    device: Device,
}

impl Llama {
    /// Loads the weights of a file that [`weights::check`] has accepted. `progress` hears of bytes read.
    pub(crate) fn load(
        header: &Header,
        hyperparameters: &Hyperparameters,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Self, LoadError> {
        let backend = |error: candle_core::Error| LoadError::Backend {
            origin: header.origin.clone(),
            detail: error.to_string(),
        };
        let device = Device::cuda_if_available(0).map_err(backend)?;
        let mut reader = CountingReader { inner: header.origin.open()?, read: 0, progress };
        let content = content(header, hyperparameters)?;
        let pristine = ModelWeights::from_gguf(content, &mut reader, &device).map_err(backend)?;
        let mut llama = Self { weights: pristine.clone(), pristine, device };
        // candle packs weights when they are used first; the first member should not wait for that.
        let logits = llama.forward(&[0], 0).map_err(|error| LoadError::Backend {
            origin: header.origin.clone(),
            detail: error.to_string(),
        })?;
        if logits.len() != hyperparameters.vocabulary {
            return Err(LoadError::Backend {
                origin: header.origin.clone(),
                detail: format!("{} logits for {} rows", logits.len(), hyperparameters.vocabulary),
            });
        }
        llama.clear();
        Ok(llama)
    }

    fn compute(&mut self, ids: &[u32], position: usize) -> candle_core::Result<Vec<f32>> {
        let input = Tensor::new(ids, &self.device)?.unsqueeze(0)?;
        self.weights.forward(&input, position)?.squeeze(0)?.to_vec1()
    }
}

impl Model for Llama {
    fn forward(&mut self, ids: &[u32], position: usize) -> Result<Vec<f32>, StepError> {
        Ok(self.compute(ids, position)?)
    }

    /// A clone shares the weights and has nothing else: unlike `clear_kv_cache` this also drops the attention
    /// masks, which candle keeps for each pair of lengths it has met.
    fn clear(&mut self) {
        self.weights = self.pristine.clone();
    }
}

/// The header in candle's form, with the metadata that it reads, in the types that it reads them in.
fn content(header: &Header, model: &Hyperparameters) -> Result<Content, LoadError> {
    let number = |value: usize| Value::U32(u32::try_from(value).unwrap_or(u32::MAX));
    let metadata = [
        ("general.architecture", Value::String("llama".to_owned())),
        ("llama.block_count", number(model.layers)),
        ("llama.embedding_length", number(model.embedding)),
        ("llama.attention.head_count", number(model.heads)),
        ("llama.attention.head_count_kv", number(model.kv_heads)),
        ("llama.rope.dimension_count", number(model.head_dim())),
        ("llama.attention.layer_norm_rms_epsilon", Value::F32(model.rms_epsilon)),
        ("llama.rope.freq_base", Value::F32(model.rope_base)),
    ];
    let mut tensor_infos = std::collections::HashMap::new();
    for (name, tensor) in &header.tensors {
        let shape: Result<Vec<usize>, _> =
            tensor.shape.iter().map(|&length| usize::try_from(length)).collect();
        let (Ok(shape), Some(ggml_dtype)) = (shape, weights::dtype(tensor.dtype)) else {
            return Err(LoadError::Damaged {
                origin: header.origin.clone(),
                what: format!("the tensor `{name}` is too large for this machine"),
            });
        };
        let info = TensorInfo { ggml_dtype, shape: Shape::from(shape), offset: tensor.offset };
        tensor_infos.insert(name.clone(), info);
    }
    Ok(Content {
        magic: VersionedMagic::GgufV3,
        metadata: metadata.into_iter().map(|(key, value)| (key.to_owned(), value)).collect(),
        tensor_infos,
        tensor_data_offset: header.data_start,
    })
}

/// Tells how many bytes were read so far.
struct CountingReader<'a> {
    inner: Box<dyn ReadSeek>,
    read: u64,
    progress: &'a mut dyn FnMut(u64),
}

impl Read for CountingReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.read += count as u64;
        (self.progress)(self.read);
        Ok(count)
    }
}

impl Seek for CountingReader<'_> {
    fn seek(&mut self, position: SeekFrom) -> std::io::Result<u64> {
        self.inner.seek(position)
    }
}
