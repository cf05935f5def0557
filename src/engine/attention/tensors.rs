//! Attention made of candle's operations, on any device.

use candle_core::{D, DType, Device, Result, Tensor, bail};

use super::super::pages::PAGE;
use super::super::scheduler::{PageCopy, Span};
use super::{Attention, KvShape};

/// Tensors `[pages * PAGE, kv_heads * width]` for each layer, on any device.
pub(crate) struct Tensors {
    shape: KvShape,
    keys: Vec<Tensor>,
    values: Vec<Tensor>,
    device: Device,
    /// Where the step's new keys and values go, `[N, kv_heads * width]`.
    new_slots: Option<Tensor>,
    /// For each span where all of its keys and values lie, `[end]`, and which of them its tokens do not see,
    /// `[count, end]`.
    views: Vec<(Tensor, Tensor)>,
}

impl Tensors {
    pub(crate) fn new(shape: KvShape, device: &Device) -> Result<Self> {
        let slab = || Tensor::zeros((shape.pages * PAGE, shape.kv_heads * shape.width), DType::F16, device);
        let slabs = || (0..shape.layers).map(|_| slab()).collect::<Result<Vec<_>>>();
        let (device, new_slots, views) = (device.clone(), None, Vec::new());
        Ok(Self { shape, keys: slabs()?, values: slabs()?, device, new_slots, views })
    }

    /// The rows of the first `count` tokens of a span.
    fn slots(span: &Span, count: usize) -> Result<Vec<u32>> {
        let slot = |position: usize| span.pages[position / PAGE].index() * PAGE + position % PAGE;
        let slots = (0..count).map(|position| u32::try_from(slot(position)));
        slots.collect::<std::result::Result<_, _>>().map_err(candle_core::Error::wrap)
    }

    /// What a span's queries `[count, heads, width]` see, as `[count, heads * width]`.
    fn attend_span(&self, layer: usize, q: &Tensor, (slots, mask): &(Tensor, Tensor)) -> Result<Tensor> {
        let KvShape { heads, kv_heads, width, .. } = self.shape;
        let (group, (count, end)) = (self.shape.group(), mask.dims2()?);
        // `[kv_heads, end, width]`
        let gather = |slab: &Tensor| {
            slab.index_select(slots, 0)?
                .to_dtype(DType::F32)?
                .reshape((end, kv_heads, width))?
                .transpose(0, 1)?
                .contiguous()
        };
        let (keys, values) = (gather(&self.keys[layer])?, gather(&self.values[layer])?);
        let q = q.reshape((count, kv_heads, group, width))?.permute((1, 2, 0, 3))?;
        let q = q.reshape((kv_heads, group * count, width))?;
        // Each is as large as all scores, so it goes when the next one is there.
        let weights = {
            let scores = (q.matmul(&keys.transpose(1, 2)?.contiguous()?)? * f64::from(self.shape.scale()))?;
            scores.reshape((kv_heads, group, count, end))?.broadcast_add(mask)?
        };
        let weights =
            candle_nn::ops::softmax(&weights, D::Minus1)?.reshape((kv_heads, group * count, end))?;
        let seen = weights.matmul(&values)?.reshape((kv_heads, group, count, width))?;
        seen.permute((2, 0, 1, 3))?.reshape((count, heads * width))
    }
}

impl Attention for Tensors {
    fn begin(&mut self, spans: &[Span]) -> Result<()> {
        let columns = self.shape.kv_heads * self.shape.width;
        let mut new_slots = Vec::new();
        self.views.clear();
        for span in spans {
            let (count, end) = (span.ids.len(), span.end());
            let slots = Self::slots(span, end)?;
            new_slots.extend_from_slice(&slots[span.start..]);
            let hidden = |row: usize, position: usize| {
                if position <= span.start + row { 0.0 } else { f32::NEG_INFINITY }
            };
            let mask = (0..count).flat_map(|row| (0..end).map(move |position| hidden(row, position)));
            let mask = Tensor::from_vec(mask.collect::<Vec<f32>>(), (count, end), &self.device)?;
            self.views.push((Tensor::from_vec(slots, end, &self.device)?, mask));
        }
        let rows = new_slots.len();
        let new_slots = Tensor::from_vec(new_slots, (rows, 1), &self.device)?;
        self.new_slots = Some(new_slots.broadcast_as((rows, columns))?.contiguous()?);
        Ok(())
    }

    fn attend(
        &mut self,
        layer: usize,
        q: &Tensor,
        k: &Tensor,
        v: &Tensor,
        _spans: &[Span],
    ) -> Result<Tensor> {
        let Some(new_slots) = &self.new_slots else { bail!("the step was not begun") };
        for (slab, new) in [(&self.keys[layer], k), (&self.values[layer], v)] {
            slab.scatter_set(new_slots, &new.reshape(new_slots.dims())?.to_dtype(DType::F16)?, 0)?;
        }
        let mut first = 0;
        let mut seen = Vec::with_capacity(self.views.len());
        for view in &self.views {
            let count = view.1.dim(0)?;
            seen.push(self.attend_span(layer, &q.narrow(0, first, count)?, view)?);
            first += count;
        }
        Tensor::cat(&seen, 0)
    }

    fn copy(&mut self, copy: PageCopy) -> Result<()> {
        for slab in self.keys.iter().chain(&self.values) {
            let rows = slab.narrow(0, copy.from.index() * PAGE, copy.tokens)?.force_contiguous()?;
            slab.slice_set(&rows, 0, copy.to.index() * PAGE)?;
        }
        Ok(())
    }
}
