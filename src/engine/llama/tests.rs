//! Logits and replies of small random models, compared with candle's own loop.

use std::collections::BTreeMap;
use std::time::Duration;

use candle_core::quantized::{GgmlDType, gguf_file};
use candle_transformers::models::quantized_llama::ModelWeights;
use proptest::prelude::*;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore as _, SeedableRng as _};
use tempfile::NamedTempFile;

use super::super::cost::Grain;
use super::super::pages::{PAGE, pages_for};
use super::super::random_model::{self, Mixture, Shape};
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

/// Where the two likeliest tokens are nearer than this, sums in another order may choose otherwise. Matrices in whole
/// numbers of bits leave only the keys and values in f16 to differ by; kernels for quantised ones quantise what they
/// multiply too, and round a little otherwise each time.
fn margin(dtype: GgmlDType) -> f32 {
    if is_exact(dtype) { 0.005 } else { 0.1 }
}

fn is_exact(dtype: GgmlDType) -> bool {
    matches!(dtype, GgmlDType::F32 | GgmlDType::F16 | GgmlDType::BF16)
}

fn file(dtype: GgmlDType) -> NamedTempFile {
    let file = NamedTempFile::new().expect("there is room");
    random_model::write(file.path(), &TINY, Mixture::of("", dtype), 7, |_, _| {}).expect("it can be written");
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

    /// What it would choose at each place of a text from `start` on, knowing all before; nothing where two are near.
    fn choices(&self, text: &[u32], start: usize, margin: f32) -> Vec<Option<u32>> {
        let mut weights = self.0.clone();
        let mut computed = 0;
        let choice = |end: usize| {
            let (token, lead) = likeliest(&Self::step(&mut weights, &text[computed..end], computed));
            computed = end;
            (lead >= margin).then_some(token)
        };
        (start..text.len()).map(choice).collect()
    }

    fn step(weights: &mut ModelWeights, ids: &[u32], position: usize) -> Vec<f32> {
        let input = Tensor::new(ids, &Device::Cpu).and_then(|ids| ids.unsqueeze(0)).expect("ids");
        let logits = weights.forward(&input, position).and_then(|logits| logits.squeeze(0)).expect("a step");
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

/// Whether the choice was clear enough to be compared.
fn agree(ours: &[f32], reference: &[f32], dtype: GgmlDType, what: &str) -> bool {
    let (error, most) = (relative_error(ours, reference), if is_exact(dtype) { 0.003 } else { 0.03 });
    assert!(error < most, "{what}: {error}");
    let (token, lead) = likeliest(reference);
    let clear = lead >= margin(dtype);
    assert!(!clear || likeliest(ours).0 == token, "{what}: another token by {lead}");
    clear
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
        let mut clear = usize::from(agree(&at_once[0], &expected, dtype, &name("at once")));
        for (start, end) in [(0, 33), (33, 34), (34, 99)] {
            forward(&mut llama, vec![], vec![span(start, &long[start..end], other, false)]);
        }
        let in_chunks = forward(&mut llama, vec![], vec![span(99, &long[99..], other, true)]);
        clear += usize::from(agree(&in_chunks[0], &expected, dtype, &name("in chunks")));

        // Beside another text, and from pages that hold the beginning already, one of them as a copy.
        let copy = PageCopy { from: mine[1], to: other[1], tokens: 20 };
        let reused = [mine[0], other[1], other[2], other[3]];
        let spans =
            vec![span(0, &short, &mine[4..], true), span(PAGE + 20, &long[PAGE + 20..], &reused, true)];
        let together = forward(&mut llama, vec![copy], spans);
        clear += usize::from(agree(&together[0], &oracle.logits(&short), dtype, &name("beside another")));
        clear += usize::from(agree(&together[1], &expected, dtype, &name("reused")));

        // A batch of many texts, so that some choices are clear whatever the type.
        let texts: Vec<Vec<u32>> = (0..16).map(|seed| text(100 + seed, 20)).collect();
        let one_each = mine.iter().chain(other).copied();
        let spans = texts.iter().zip(one_each).map(|(text, page)| span(0, text, &[page], true)).collect();
        for (text, ours) in texts.iter().zip(forward(&mut llama, vec![], spans)) {
            clear += usize::from(agree(&ours, &oracle.logits(text), dtype, &name("in a batch")));
        }
        assert!(clear >= 5, "{dtype:?}: {clear} clear choices");

        // Two conversations at a time on too few pages, and one of them goes on after a cut.
        let mut compared = Compared::default();
        for first in [1, 3, 5] {
            let mut machine = Machine::new(&file, 7);
            for conversation in [first, first + 1] {
                machine.add(conversation, Class::Interactive, text(conversation, 50), 90);
            }
            compared = compared.and(machine.finish(&oracle, margin(dtype)));
            machine.act(&Act::GoOn { conversation: first + 1, cut: true, most: 20 });
            compared = compared.and(machine.finish(&oracle, margin(dtype)));
        }
        let Compared { after_set_backs, after_cuts, with_reuse, .. } = compared;
        assert!(after_set_backs.min(after_cuts).min(with_reuse) > 0, "{dtype:?}: {compared:?}");
    }
}

/// Requests on one model, by whatever schedule.
struct Machine {
    llama: Llama,
    scheduler: Scheduler,
    asked: BTreeMap<u64, Asked>,
    /// What each conversation has said last, its prompt included.
    said: BTreeMap<u64, Vec<u32>>,
    next_key: u64,
    /// Parts of pages that were copied.
    copies: usize,
}

struct Asked {
    conversation: u64,
    prompt: Vec<u32>,
    most: usize,
    tokens: Vec<u32>,
    /// Whether its history had been cut.
    cut: bool,
    /// How many tokens of its prompt were computed before.
    cached: usize,
    /// How many tokens it had when it lost its pages first.
    set_back: Option<usize>,
}

impl Asked {
    fn is_done(&self) -> bool {
        self.tokens.len() == self.prompt.len() + self.most
    }
}

/// How many steps could be compared with what each request gets alone, and what happened on the way.
#[derive(Debug, Clone, Copy, Default)]
struct Compared {
    steps: usize,
    /// Of requests that had lost their pages, since then.
    after_set_backs: usize,
    /// Of requests whose history had been cut.
    after_cuts: usize,
    /// Of requests that found a part of their prompt computed.
    with_reuse: usize,
    /// Parts of pages that were copied.
    copies: usize,
    /// Pages that were taken from the tree for others.
    evictions: usize,
}

impl Compared {
    fn and(self, other: Self) -> Self {
        Self {
            steps: self.steps + other.steps,
            after_set_backs: self.after_set_backs + other.after_set_backs,
            after_cuts: self.after_cuts + other.after_cuts,
            with_reuse: self.with_reuse + other.with_reuse,
            copies: self.copies + other.copies,
            evictions: self.evictions + other.evictions,
        }
    }
}

impl Machine {
    fn new(file: &NamedTempFile, pages: usize) -> Self {
        let (llama, scheduler) = (load(file, pages), Scheduler::new(pages, Grain::FINE, 8));
        let (asked, said) = (BTreeMap::new(), BTreeMap::new());
        Self { llama, scheduler, asked, said, next_key: 0, copies: 0 }
    }

    /// Asks for so many tokens; for none it is a hint.
    fn add(&mut self, conversation: u64, class: Class, prompt: Vec<u32>, most: usize) {
        self.next_key += 1;
        // The first two conversations are one member's.
        let (key, member, speaks) = (self.next_key, conversation.max(2), most > 0);
        let class = if speaks { class } else { Class::Idle };
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
            let tokens = prompt.clone();
            let asked = Asked { conversation, tokens, prompt, most, cut: false, cached: 0, set_back: None };
            self.asked.insert(key, asked);
        }
    }

    /// What a conversation begins its next prompt with.
    fn history(&self, conversation: u64) -> Vec<u32> {
        self.said.get(&conversation).cloned().unwrap_or_else(|| text(99, 60))
    }

    fn step(&mut self) {
        let step = self.scheduler.plan();
        self.copies += step.copies.len();
        for news in &step.news {
            let (News::Waits { key, .. } | News::Admitted { key, .. }) = news;
            let Some(asked) = self.asked.get_mut(key) else { continue };
            match *news {
                News::Admitted { cached, .. } => asked.cached = cached,
                News::Waits { .. } if asked.tokens.len() > asked.prompt.len() => {
                    asked.set_back.get_or_insert(asked.tokens.len());
                }
                News::Waits { .. } => {}
            }
        }
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
            Act::Ask { conversation, class, shared, length, most } => {
                // Conversations begin alike and go on differently.
                let mut prompt = text(99, shared);
                prompt.extend(text(conversation, length));
                self.add(conversation, class, prompt, most);
            }
            Act::GoOn { conversation, cut, most } => {
                let mut prompt = self.history(conversation);
                // The persona's part stays, and what comes after it goes when there would not be room.
                let cut = cut || prompt.len() > 150;
                let from = if cut { 40.max(prompt.len().saturating_sub(25)) } else { 40 };
                prompt.drain(40.min(prompt.len())..from.min(prompt.len()));
                prompt.extend(text(conversation + 7, 9));
                self.add(conversation, Class::Interactive, prompt, most);
                if let Some(asked) = self.asked.get_mut(&self.next_key) {
                    asked.cut = cut;
                }
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

    /// Steps to the end, and compares what is clear by this margin.
    fn finish(&mut self, oracle: &Oracle, margin: f32) -> Compared {
        for step in 0.. {
            assert!(step < 10_000, "it ends");
            if self.scheduler.is_empty() {
                break;
            }
            self.step();
        }
        assert!(self.scheduler.has_all_pages(), "no page is lost");
        let (copies, evictions) = (std::mem::take(&mut self.copies), self.scheduler.evicted());
        let mut compared = Compared { copies, evictions, ..Compared::default() };
        for Asked { prompt, most, tokens, cut, cached, set_back, .. } in
            std::mem::take(&mut self.asked).into_values()
        {
            assert_eq!(tokens.len(), prompt.len() + most, "it is done");
            for (place, choice) in (prompt.len()..).zip(oracle.choices(&tokens, prompt.len(), margin)) {
                let Some(choice) = choice else { continue };
                assert_eq!(tokens[place], choice, "at {place} of {tokens:?}");
                compared.steps += 1;
                compared.after_set_backs += usize::from(set_back.is_some_and(|length| place >= length));
                compared.after_cuts += usize::from(cut);
                compared.with_reuse += usize::from(cached > 0);
            }
        }
        compared
    }
}

#[derive(Debug, Clone)]
enum Act {
    Ask { conversation: u64, class: Class, shared: usize, length: usize, most: usize },
    GoOn { conversation: u64, cut: bool, most: usize },
    Steps(u8),
    Cancel(usize),
    Forget(u64),
    Reset,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let class =
        prop::sample::select(vec![Class::Interactive, Class::Interactive, Class::Background, Class::Idle]);
    let ask = (1u64..4, class, 0usize..120, 2usize..60, 1usize..20).prop_map(
        |(conversation, class, shared, length, most)| Act::Ask { conversation, class, shared, length, most },
    );
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
    let compared = std::cell::Cell::new(Compared::default());
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(16));
    let strategy = (acts(), pages_for(200)..20usize);
    let outcome = runner.run(&strategy, |(acts, pages)| {
        let mut machine = Machine::new(&file, pages);
        for act in &acts {
            machine.act(act);
        }
        compared.set(compared.get().and(machine.finish(&oracle, margin(GgmlDType::F32))));
        Ok(())
    });
    outcome.expect("every request gets its own");
    let Compared { steps, after_cuts, with_reuse, copies, evictions, .. } = compared.get();
    assert!(steps > 50 && after_cuts > 0 && with_reuse > 0, "{:?}", compared.get());
    assert!(copies > 0 && evictions > 0, "{:?}", compared.get());
}

#[test]
fn a_reply_that_was_set_back_goes_on_as_if_it_had_not_been() {
    let file = file(GgmlDType::F32);
    let mut machine = Machine::new(&file, 7);
    for conversation in 1..=2 {
        machine.add(conversation, Class::Interactive, text(conversation, 50), 120);
    }
    let compared = machine.finish(&Oracle::new(&file), margin(GgmlDType::F32));
    assert!(compared.after_set_backs > 10, "{} steps", compared.after_set_backs);
}
