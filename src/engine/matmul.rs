//! Multiplying with weights, which is all that the forward pass asks of them. Faster ways stand beside candle's without
//! the forward pass knowing.

use std::sync::Arc;

use candle_core::quantized::{QMatMul, QTensor};
use candle_core::{Module as _, Result, Tensor};

/// A matrix of weights.
pub(crate) trait Matmul: Send + Sync {
    /// `[N, columns]` to `[N, rows]`, in f32: each row of the matrix times each row of `x`.
    fn forward(&self, x: &Tensor) -> Result<Tensor>;

    /// The rows with these numbers `[N]`, as `[N, columns]` in f32.
    fn rows(&self, numbers: &Tensor) -> Result<Tensor>;
}

/// candle's own kernels, on any device.
pub(crate) struct CandleMatmul(QMatMul);

impl CandleMatmul {
    /// Matrices in 16 or 32 bits are widened to f32.
    pub(crate) fn new(weights: QTensor) -> Result<Self> {
        Ok(Self(QMatMul::from_qtensor(weights)?))
    }
}

impl Matmul for CandleMatmul {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.0.forward(x)
    }

    fn rows(&self, numbers: &Tensor) -> Result<Tensor> {
        self.0.embedding(numbers)
    }
}

/// Matrices that multiply the same rows. Those that stand behind each other in one matrix multiply at once, so that the
/// rows are prepared once, and threads wait for each other once.
pub(crate) struct Joined(Vec<Stack>);

/// Matrices behind each other in one, with the number of rows of each.
pub(crate) struct Stack {
    pub(crate) matrix: Arc<dyn Matmul>,
    pub(crate) rows: Vec<usize>,
}

impl Joined {
    pub(crate) fn new(stacks: Vec<Stack>) -> Self {
        Self(stacks)
    }

    /// `[N, columns]` to `[N, rows]` for each matrix, all in their order. Those of one stack are views of one tensor.
    pub(crate) fn forward<const MATRICES: usize>(&self, x: &Tensor) -> Result<[Tensor; MATRICES]> {
        let mut products = Vec::with_capacity(MATRICES);
        for Stack { matrix, rows } in &self.0 {
            let product = matrix.forward(x)?;
            let mut first = 0;
            for &rows in rows {
                products.push(product.narrow(1, first, rows)?);
                first += rows;
            }
        }
        let count = products.len();
        products.try_into().map_err(|_| {
            candle_core::Error::Msg(format!("{count} matrices are joined instead of {MATRICES}"))
        })
    }
}
