//! Multiplying with weights: the one thing that the forward pass asks of them. Faster ways stand beside candle's
//! without the forward pass knowing.

use std::sync::Arc;

use candle_core::quantized::{QMatMul, QTensor};
use candle_core::{Module as _, Result, Tensor};

/// A matrix of weights.
pub(crate) trait Matmul: Send {
    /// `[N, columns]` to `[N, rows]`, in f32: each row of the matrix times each row of `x`.
    fn forward(&self, x: &Tensor) -> Result<Tensor>;
}

/// candle's own kernels, on any device.
pub(crate) struct CandleMatmul(QMatMul);

impl CandleMatmul {
    /// Matrices in 16 or 32 bits are widened to f32.
    pub(crate) fn new(weights: Arc<QTensor>) -> Result<Self> {
        Ok(Self(QMatMul::from_arc(weights)?))
    }
}

impl Matmul for CandleMatmul {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.0.forward(x)
    }
}
