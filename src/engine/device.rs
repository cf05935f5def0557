//! Where the model computes, and the memory that it has there.

use candle_core::Device;

use super::error::LoadError;
use super::weights::{Hyperparameters, Processor};

/// The graphics card that this program was built for, or the processor.
pub(crate) fn open() -> Result<Device, LoadError> {
    Device::cuda_if_available(0).map_err(|error| LoadError::Device { detail: error.to_string() })
}

/// What it is, for people.
pub(crate) fn name() -> String {
    #[cfg(feature = "cuda")]
    if let Ok(Device::Cuda(card)) = open() {
        return card.cuda_stream().context().name().unwrap_or_else(|_| "a graphics card".to_owned());
    }
    format!("a processor{}", Processor::here())
}

/// Bytes that weights and cache may take there, if that is known. On a graphics card a step has room beside them for what it
/// computes on the way.
pub(crate) fn memory(model: &Hyperparameters, context_length: usize) -> Option<u64> {
    #[cfg(feature = "cuda")]
    if let Ok(Device::Cuda(card)) = open() {
        let (free, _) = card.cuda_stream().context().mem_get_info().ok()?;
        return Some((free as u64).saturating_sub(working_bytes(model, context_length)));
    }
    let _ = (model, context_length);
    super::memory::limit()
}

/// Bytes that the largest step takes on a graphics card beside weights and cache: the portable attention has up to four tensors
/// of all scores at a time, and everything else is small beside that and half a gigabyte.
#[cfg(any(feature = "cuda", test))]
fn working_bytes(model: &Hyperparameters, context_length: usize) -> u64 {
    let tokens = super::scheduler::LARGEST_CHUNK.min(context_length);
    let scores = model.heads * tokens * context_length * size_of::<f32>();
    4 * scores as u64 + (512 << 20)
}

/// What decides how weights are kept there: on a graphics card they stay as they are in the file.
pub(crate) fn processor() -> Processor {
    if cfg!(feature = "cuda") { Processor::default() } else { Processor::here() }
}

/// Whether the graphics card had no memory left. candle passes on what the driver says, in the driver's words.
pub(crate) fn is_out_of_memory(error: &candle_core::Error) -> bool {
    let text = error.to_string();
    ["CUDA_ERROR_OUT_OF_MEMORY", "CUBLAS_STATUS_ALLOC_FAILED"].iter().any(|word| text.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drivers_words_for_a_lack_of_memory_are_known() {
        let of = |text: &str| is_out_of_memory(&candle_core::Error::Msg(text.to_owned()));
        assert!(of("DriverError(CUDA_ERROR_OUT_OF_MEMORY, \"out of memory\")"));
        assert!(of("CublasError(CUBLAS_STATUS_ALLOC_FAILED)"));
        assert!(!of("DriverError(CUDA_ERROR_ILLEGAL_ADDRESS, \"an illegal memory access was encountered\")"));
    }

    #[test]
    fn a_long_prompt_of_a_large_model_needs_room() {
        let model = Hyperparameters {
            layers: 40,
            embedding: 5_120,
            heads: 40,
            kv_heads: 40,
            vocabulary: 32_000,
            context_length: 4_096,
            rms_epsilon: 1e-5,
            rope_base: 1e4,
        };
        assert_eq!(working_bytes(&model, 4_096) >> 20, 4 * 320 + 512);
    }
}
