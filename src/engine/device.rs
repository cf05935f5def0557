//! Where the model computes, and the memory that it has there.

use candle_core::Device;

use super::error::LoadError;
use super::weights::Processor;

/// Bytes of a graphics card that are left for what a step computes on the way.
#[cfg(feature = "cuda")]
const WORKING_BYTES: u64 = 1 << 30;

/// The graphics card that this program was built for, or the processor.
pub(crate) fn open() -> Result<Device, LoadError> {
    Device::cuda_if_available(0).map_err(|error| LoadError::Device { detail: error.to_string() })
}

/// Bytes that weights and cache may take there, if that is known.
pub(crate) fn memory() -> Option<u64> {
    #[cfg(feature = "cuda")]
    if let Ok(Device::Cuda(card)) = open() {
        let (free, _) = card.cuda_stream().context().mem_get_info().ok()?;
        return Some((free as u64).saturating_sub(WORKING_BYTES));
    }
    super::memory::limit()
}

/// What decides how weights are kept there: on a graphics card they stay as they are in the file.
pub(crate) fn processor() -> Processor {
    if cfg!(feature = "cuda") { Processor::default() } else { Processor::here() }
}

/// Whether the graphics card had no memory left. candle passes on what the driver says, in the driver's words.
pub(crate) fn is_out_of_memory(error: &candle_core::Error) -> bool {
    error.to_string().contains("CUDA_ERROR_OUT_OF_MEMORY")
}
