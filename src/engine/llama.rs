//! The model itself: Llama on candle, for one flat batch of tokens of many texts. It chooses no tokens and knows no
//! requests.

use std::borrow::Cow;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::sync::Arc;

use candle_core::quantized::{QStorage, QTensor};
use candle_core::{Device, Tensor};
use candle_nn::ops::{rms_norm, silu};
use candle_nn::rotary_emb::rope_i;

use super::attention::{Attention, KvShape, Slabs, Tensors};
use super::error::LoadError;
use super::gguf::Header;
use super::matmul::{CandleMatmul, Matmul};
use super::origin::ReadSeek;
use super::pages::{Page, Pages};
use super::scheduler::{Span, Step};
use super::weights::{self, Hyperparameters};

/// Names the step that panics on purpose. Only debug builds look at it.
#[cfg(debug_assertions)]
pub const PANIC_VARIABLE: &str = "MUMMER_PANIC_AT_STEP";

/// A step that went wrong. The text speaks of shapes and devices, never of what members wrote.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct StepError(pub(crate) String);

impl From<candle_core::Error> for StepError {
    fn from(error: candle_core::Error) -> Self {
        Self(error.to_string())
    }
}

/// A language model with the keys and values of many texts.
pub(crate) trait Model {
    /// Makes the copies, computes the tokens of all spans, and gives the logits after the last token of every span
    /// that chooses: one for each row of the output matrix.
    fn forward(&mut self, step: &Step) -> Result<Vec<Vec<f32>>, StepError>;

    /// Computes something small, to see whether it can. Spoils what the first page holds.
    fn probe(&mut self) -> Result<(), StepError>;
}

/// A Llama model. N is the number of tokens of a step.
pub(crate) struct Llama {
    device: Device,
    shape: Hyperparameters,
    embedding: Arc<QTensor>,
    blocks: Vec<Block>,
    norm: Tensor,
    output: Box<dyn Matmul>,
    /// Cosines and sines `[context, width of a head / 2]` of the angles by which pairs are turned.
    cos: Tensor,
    sin: Tensor,
    attention: Box<dyn Attention>,
    #[cfg(debug_assertions)]
    steps: u64,
}

/// The weights of a block. Norms are `[embedding]`.
struct Block {
    attention_norm: Tensor,
    q: Box<dyn Matmul>,
    k: Box<dyn Matmul>,
    v: Box<dyn Matmul>,
    output: Box<dyn Matmul>,
    ffn_norm: Tensor,
    gate: Box<dyn Matmul>,
    up: Box<dyn Matmul>,
    down: Box<dyn Matmul>,
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
        let backend = |detail: String| LoadError::Backend { origin: header.origin.clone(), detail };
        let candle = |error: candle_core::Error| backend(error.to_string());
        let mut loader = Loader { header, device: &device, reader: header.origin.open()?, read: 0, progress };
        let embedding = loader.tensor("token_embd.weight")?;
        let tied = !header.tensors.contains_key("output.weight");
        let output = if tied { Arc::clone(&embedding) } else { loader.tensor("output.weight")? };
        let output = loader.multiply(output)?;
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
        let mut llama = Self {
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
        llama.probe().map_err(|error| backend(error.to_string()))?;
        Ok(llama)
    }

    fn compute(&mut self, step: &Step) -> candle_core::Result<Vec<Vec<f32>>> {
        #[cfg(debug_assertions)]
        self.panic_on_purpose();
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
        let mut x = self.embedding.embedding(&Tensor::from_vec(ids, count, &self.device)?)?;
        self.attention.begin(&step.spans)?;
        let last = self.blocks.len() - 1;
        for (layer, block) in self.blocks.iter().enumerate() {
            let normed = rms_norm(&x, &block.attention_norm, rms_epsilon)?;
            let q = rope_i(&block.q.forward(&normed)?.reshape((count, heads, 1, width))?, &cos, &sin)?;
            let k = rope_i(&block.k.forward(&normed)?.reshape((count, kv_heads, 1, width))?, &cos, &sin)?;
            let v = block.v.forward(&normed)?;
            let mut seen = self.attention.attend(layer, &q, &k, &v, &step.spans)?;
            if layer == last {
                // From here on only those rows matter that a token is chosen from.
                let Some(chosen) = &chosen else { return Ok(Vec::new()) };
                seen = seen.index_select(chosen, 0)?;
                x = x.index_select(chosen, 0)?;
            }
            x = (x + block.output.forward(&seen)?)?;
            let normed = rms_norm(&x, &block.ffn_norm, rms_epsilon)?;
            let gated = (silu(&block.gate.forward(&normed)?)? * block.up.forward(&normed)?)?;
            x = (x + block.down.forward(&gated)?)?;
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
        Err(StepError(format!("{rows} logits for {} rows", self.shape.vocabulary)))
    }

    fn forward(&mut self, step: &Step) -> Result<Vec<Vec<f32>>, StepError> {
        Ok(self.compute(step)?)
    }
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

impl Loader<'_> {
    fn block(&mut self, layer: usize) -> Result<Block, LoadError> {
        let name = |part: &str| format!("blk.{layer}.{part}.weight");
        Ok(Block {
            attention_norm: self.vector(&name("attn_norm"))?,
            q: self.matrix(&name("attn_q"))?,
            k: self.matrix(&name("attn_k"))?,
            v: self.matrix(&name("attn_v"))?,
            output: self.matrix(&name("attn_output"))?,
            ffn_norm: self.vector(&name("ffn_norm"))?,
            gate: self.matrix(&name("ffn_gate"))?,
            up: self.matrix(&name("ffn_up"))?,
            down: self.matrix(&name("ffn_down"))?,
        })
    }

    fn matrix(&mut self, name: &str) -> Result<Box<dyn Matmul>, LoadError> {
        let tensor = self.tensor(name)?;
        self.multiply(tensor)
    }

    fn multiply(&self, tensor: Arc<QTensor>) -> Result<Box<dyn Matmul>, LoadError> {
        Ok(Box::new(CandleMatmul::new(tensor).map_err(|error| self.failed(&error))?))
    }

    fn vector(&mut self, name: &str) -> Result<Tensor, LoadError> {
        let tensor = self.tensor(name)?;
        tensor.dequantize(self.device).map_err(|error| self.failed(&error))
    }

    fn tensor(&mut self, name: &str) -> Result<Arc<QTensor>, LoadError> {
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
        let storage = QStorage::from_data(Cow::Owned(bytes), self.device, dtype);
        let tensor = storage.and_then(|storage| QTensor::new(storage, shape));
        tensor.map(Arc::new).map_err(|error| self.failed(&error))
    }

    fn failed(&self, error: &candle_core::Error) -> LoadError {
        LoadError::Backend { origin: self.header.origin.clone(), detail: error.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use candle_core::quantized::{GgmlDType, gguf_file};
    use candle_transformers::models::quantized_llama::ModelWeights;
    use proptest::prelude::*;
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::{RngCore as _, SeedableRng as _};
    use tempfile::NamedTempFile;

    use super::super::pages::{PAGE, pages_for};
    use super::super::random::{self, Mixture, Shape};
    use super::super::scheduler::{News, PageCopy, Scheduler, Task};
    use super::*;
    use crate::generation::Class;

    const TINY: Shape = Shape {
        name: "tiny",
        layers: 3,
        embedding: 256,
        heads: 4,
        kv_heads: 2,
        hidden: 512,
        vocabulary: 400,
        context_length: 512,
    };

    /// Where the two likeliest tokens are nearer than this, sums in another order may choose otherwise.
    const MARGIN: f32 = 0.1;

    fn file(dtype: GgmlDType) -> NamedTempFile {
        let file = NamedTempFile::new().expect("there is room");
        let mixture = Mixture { name: "", usual: dtype, finer: dtype };
        random::write(file.path(), &TINY, mixture, 7, |_, _| {}).expect("it can be written");
        file
    }

    fn load(file: &NamedTempFile, pages: usize) -> Llama {
        let header = Header::read(file.path().into()).expect("it is a GGUF file");
        let shape = weights::check(&header).expect("it is a Llama");
        Llama::load(&header, &shape, Device::Cpu, TINY.context_length, pages, &mut |_| {}).expect("it loads")
    }

    /// candle's own loop.
    struct Oracle(ModelWeights);

    impl Oracle {
        fn new(file: &NamedTempFile) -> Self {
            let mut reader = std::fs::File::open(file.path()).expect("it is there");
            let content = gguf_file::Content::read(&mut reader).expect("candle reads it");
            Self(ModelWeights::from_gguf(content, &mut reader, &Device::Cpu).expect("candle loads it"))
        }

        /// The logits after the last token of a text.
        fn logits(&self, ids: &[u32]) -> Vec<f32> {
            Self::step(&mut self.0.clone(), ids, 0)
        }

        /// The greedy continuation, up to the first step that is not clear.
        fn continuation(&self, prompt: &[u32], most: usize, margin: f32) -> Vec<u32> {
            let mut weights = self.0.clone();
            let mut tokens = prompt.to_vec();
            let mut computed = 0;
            while tokens.len() < prompt.len() + most {
                let (token, lead) = likeliest(&Self::step(&mut weights, &tokens[computed..], computed));
                if lead < margin {
                    break;
                }
                computed = tokens.len();
                tokens.push(token);
            }
            tokens
        }

        fn step(weights: &mut ModelWeights, ids: &[u32], position: usize) -> Vec<f32> {
            let input = Tensor::new(ids, &Device::Cpu).and_then(|ids| ids.unsqueeze(0)).expect("ids");
            let logits =
                weights.forward(&input, position).and_then(|logits| logits.squeeze(0)).expect("a step");
            logits.to_vec1().expect("numbers")
        }
    }

    fn text(seed: u64, length: usize) -> Vec<u32> {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        (0..length).map(|_| 259 + random.next_u32() % 141).collect()
    }

    fn span(start: usize, ids: &[u32], pages: &[Page], chooses: bool) -> Span {
        Span { key: 0, start, ids: ids.to_vec(), pages: pages.to_vec(), chooses }
    }

    fn forward(llama: &mut Llama, copies: Vec<PageCopy>, spans: Vec<Span>) -> Vec<Vec<f32>> {
        llama.forward(&Step { copies, spans, news: Vec::new() }).expect("a step")
    }

    /// The likeliest token and by how much it leads.
    fn likeliest(logits: &[f32]) -> (u32, f32) {
        let mut ranking: Vec<(u32, f32)> = (0..).zip(logits.iter().copied()).collect();
        ranking.sort_by(|(_, a), (_, b)| b.total_cmp(a));
        (ranking[0].0, ranking[0].1 - ranking[1].1)
    }

    /// The distance of two rows of logits as a share of the length of one.
    fn relative_error(ours: &[f32], reference: &[f32]) -> f32 {
        let length =
            |values: &mut dyn Iterator<Item = f32>| values.map(|value| value * value).sum::<f32>().sqrt();
        length(&mut ours.iter().zip(reference).map(|(a, b)| a - b)) / length(&mut reference.iter().copied())
    }

    fn agree(ours: &[f32], reference: &[f32], dtype: GgmlDType, what: &str) {
        // Kernels for quantised matrices quantise what they multiply too, and round a little otherwise each time.
        let exact = matches!(dtype, GgmlDType::F32 | GgmlDType::F16 | GgmlDType::BF16);
        let (error, most) = (relative_error(ours, reference), if exact { 0.003 } else { 0.03 });
        assert!(error < most, "{what}: {error}");
        let (token, margin) = likeliest(reference);
        assert!(margin < MARGIN || likeliest(ours).0 == token, "{what}: another token by {margin}");
    }

    #[test]
    fn logits_are_those_of_candles_own_model_for_every_type() {
        let types = [
            GgmlDType::F32,
            GgmlDType::F16,
            GgmlDType::BF16,
            GgmlDType::Q4_0,
            GgmlDType::Q4_1,
            GgmlDType::Q5_0,
            GgmlDType::Q5_1,
            GgmlDType::Q8_0,
            GgmlDType::Q2K,
            GgmlDType::Q3K,
            GgmlDType::Q4K,
            GgmlDType::Q5K,
            GgmlDType::Q6K,
        ];
        for dtype in types {
            let file = file(dtype);
            let (oracle, mut llama) = (Oracle::new(&file), load(&file, 16));
            let mut pages = Pages::new(16);
            let pages: Vec<Page> = std::iter::from_fn(|| pages.take()).collect();
            let (mine, other) = pages.split_at(8);
            let (long, short) = (text(1, 100), text(2, 40));
            let expected = oracle.logits(&long);
            let name = |what: &str| format!("{dtype:?}, {what}");

            let at_once = forward(&mut llama, vec![], vec![span(0, &long, mine, true)]);
            agree(&at_once[0], &expected, dtype, &name("at once"));
            for (start, end) in [(0, 33), (33, 34), (34, 99)] {
                forward(&mut llama, vec![], vec![span(start, &long[start..end], other, false)]);
            }
            let in_chunks = forward(&mut llama, vec![], vec![span(99, &long[99..], other, true)]);
            agree(&in_chunks[0], &expected, dtype, &name("in chunks"));

            // Beside another text, and from pages that hold the beginning already, one of them as a copy.
            let copy = PageCopy { from: mine[1], to: other[1], tokens: 20 };
            let reused = [mine[0], other[1], other[2], other[3]];
            let spans =
                vec![span(0, &short, &mine[4..], true), span(PAGE + 20, &long[PAGE + 20..], &reused, true)];
            let together = forward(&mut llama, vec![copy], spans);
            agree(&together[0], &oracle.logits(&short), dtype, &name("beside another"));
            agree(&together[1], &expected, dtype, &name("reused"));
        }
    }

    /// Requests on one model, by whatever schedule.
    struct Machine {
        llama: Llama,
        scheduler: Scheduler,
        asked: BTreeMap<u64, Asked>,
        /// What each conversation has said last, its prompt included.
        said: BTreeMap<u64, Vec<u32>>,
        set_back: usize,
        next_key: u64,
    }

    struct Asked {
        conversation: u64,
        prompt: Vec<u32>,
        most: usize,
        tokens: Vec<u32>,
    }

    impl Asked {
        fn is_done(&self) -> bool {
            self.tokens.len() == self.prompt.len() + self.most
        }
    }

    impl Machine {
        fn new(file: &NamedTempFile, pages: usize) -> Self {
            let (llama, scheduler) = (load(file, pages), Scheduler::new(pages));
            let (asked, said) = (BTreeMap::new(), BTreeMap::new());
            Self { llama, scheduler, asked, said, set_back: 0, next_key: 0 }
        }

        /// Asks for so many tokens; for none it is a hint.
        fn add(&mut self, conversation: u64, prompt: Vec<u32>, most: usize) {
            self.next_key += 1;
            let (key, member, speaks) = (self.next_key, conversation, most > 0);
            let class = if speaks { Class::Interactive } else { Class::Idle };
            let (tokens, history_end) = (prompt.clone(), prompt.len() - usize::from(speaks));
            let persona_end = history_end.min(40);
            self.scheduler.add(Task {
                key,
                conversation,
                member,
                class,
                tokens,
                persona_end,
                history_end,
                speaks,
            });
            if speaks {
                self.asked.insert(key, Asked { conversation, tokens: prompt.clone(), prompt, most });
            }
        }

        /// What a conversation begins its next prompt with.
        fn history(&self, conversation: u64) -> Vec<u32> {
            self.said.get(&conversation).cloned().unwrap_or_else(|| text(99, 60))
        }

        fn step(&mut self) {
            let step = self.scheduler.plan();
            let began = |asked: &&Asked| asked.tokens.len() > asked.prompt.len();
            let waits = step.news.iter().filter_map(|news| match news {
                News::Waits { key, .. } => self.asked.get(key).filter(began),
                News::Admitted { .. } => None,
            });
            self.set_back += waits.count();
            let logits = self.llama.forward(&step).expect("a step");
            self.scheduler.computed(&step, Duration::from_millis(1));
            for (span, logits) in step.spans.iter().filter(|span| span.chooses).zip(logits) {
                let asked = self.asked.get_mut(&span.key).expect("it is known");
                let token = likeliest(&logits).0;
                asked.tokens.push(token);
                if asked.is_done() {
                    self.said.insert(asked.conversation, asked.tokens.clone());
                    self.scheduler.remove(span.key);
                } else {
                    self.scheduler.grow(span.key, token);
                }
            }
        }

        fn act(&mut self, act: &Act) {
            match *act {
                Act::Ask { conversation, shared, length, most } => {
                    // Conversations begin alike and go on differently.
                    let mut prompt = text(99, shared);
                    prompt.extend(text(conversation, length));
                    self.add(conversation, prompt, most);
                }
                Act::GoOn { conversation, cut, most } => {
                    let mut prompt = self.history(conversation);
                    // The persona's part stays, and what comes after it goes when there would not be room.
                    let cut = cut || prompt.len() > 150;
                    let from = if cut { 40.max(prompt.len().saturating_sub(25)) } else { 40 };
                    prompt.drain(40.min(prompt.len())..from.min(prompt.len()));
                    prompt.extend(text(conversation + 7, 9));
                    self.add(conversation, prompt, most);
                }
                Act::Steps(count) => (0..count).for_each(|_| self.step()),
                Act::Cancel(number) => {
                    let running = self.asked.iter().filter(|(_, asked)| !asked.is_done());
                    let keys: Vec<u64> = running.map(|(&key, _)| key).collect();
                    if !keys.is_empty() {
                        let key = keys[number % keys.len()];
                        self.scheduler.remove(key);
                        self.asked.remove(&key);
                    }
                }
                Act::Forget(conversation) => self.scheduler.forget(conversation),
                Act::Reset => self.scheduler.reset(),
            }
        }

        /// Steps to the end, and gives the number of tokens that could be compared with what each request gets alone.
        fn finish(&mut self, oracle: &Oracle) -> usize {
            // Matrices in f32 leave only the keys and values in f16 to differ by.
            const CLEAR: f32 = 0.005;
            for step in 0.. {
                assert!(step < 10_000, "it ends");
                if self.scheduler.is_empty() {
                    break;
                }
                self.step();
            }
            assert!(self.scheduler.has_all_pages(), "no page is lost");
            let mut compared = 0;
            for Asked { prompt, most, tokens, .. } in self.asked.values() {
                assert_eq!(tokens.len(), prompt.len() + most, "it is done");
                let expected = oracle.continuation(prompt, *most, CLEAR);
                assert_eq!(tokens[..expected.len()], expected[..]);
                compared += expected.len() - prompt.len();
            }
            compared
        }
    }

    #[derive(Debug, Clone)]
    enum Act {
        Ask { conversation: u64, shared: usize, length: usize, most: usize },
        GoOn { conversation: u64, cut: bool, most: usize },
        Steps(u8),
        Cancel(usize),
        Forget(u64),
        Reset,
    }

    fn acts() -> impl Strategy<Value = Vec<Act>> {
        let ask = (1u64..4, 0usize..120, 2usize..60, 1usize..20);
        let ask = ask.prop_map(|(conversation, shared, length, most)| Act::Ask {
            conversation,
            shared,
            length,
            most,
        });
        let go_on = (1u64..4, any::<bool>(), prop::sample::select(vec![0usize, 1, 8, 20]));
        let go_on = go_on.prop_map(|(conversation, cut, most)| Act::GoOn { conversation, cut, most });
        let act = prop_oneof![
            3 => ask,
            4 => go_on,
            5 => (1u8..12).prop_map(Act::Steps),
            1 => any::<usize>().prop_map(Act::Cancel),
            1 => (1u64..4).prop_map(Act::Forget),
            1 => Just(Act::Reset),
        ];
        prop::collection::vec(act, 1..20)
    }

    #[test]
    fn any_interleaving_gives_each_request_what_it_gets_alone() {
        let file = file(GgmlDType::F32);
        let oracle = Oracle::new(&file);
        let compared = std::cell::Cell::new(0);
        let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(16));
        let strategy = (acts(), pages_for(200)..20usize);
        let outcome = runner.run(&strategy, |(acts, pages)| {
            let mut machine = Machine::new(&file, pages);
            for act in &acts {
                machine.act(act);
            }
            compared.set(compared.get() + machine.finish(&oracle));
            Ok(())
        });
        outcome.expect("every request gets its own");
        assert!(compared.get() > 50, "only {} tokens were clear", compared.get());
    }

    #[test]
    fn a_reply_that_was_set_back_goes_on_as_if_it_had_not_been() {
        let file = file(GgmlDType::F32);
        let mut machine = Machine::new(&file, 7);
        for conversation in 1..=2 {
            machine.add(conversation, text(conversation, 50), 120);
        }
        let compared = machine.finish(&Oracle::new(&file));
        assert!(machine.set_back > 0 && compared > 0, "{} {compared}", machine.set_back);
    }
}
