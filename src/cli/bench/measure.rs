//! What is asked of the engine, and how long it takes.

use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::future::join_all;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore as _, SeedableRng as _};
use serde_json::json;

use super::talk::{self, Talk, Words};
use super::{Arguments, machine};
use crate::cli::Mistake;
use crate::engine::{Engine, Meter, memory};
use crate::generation::{
    Class, Event, Finished, Generation, Generator as _, Meta, Prompt, Request, Sampling,
};

/// Tokens of the parts of a conversation's turns.
const PERSONA: usize = 600;
const REPLY: usize = 200;
const MESSAGE: usize = 50;
/// Tokens before this are marks and bytes.
const FIRST_WORD: u32 = 259;
/// Tokens before the replies of channels that speak together or beside a long prompt.
const BESIDE: usize = 256;
/// So often one channel is measured alone, where all is measured; the middle counts.
const ROUNDS: usize = 3;
/// The shortest history with a persona and a message in it.
const LEAST_HISTORY: usize = 4 * MESSAGE;
/// Tokens that the template needs beside them, at most.
const TEMPLATE: usize = 100;

/// Sees whether all that is to be measured fits into a model's context. Gives the tokens of the long conversation.
pub(super) fn sizes(arguments: &Arguments, context: usize) -> Result<usize, Mistake> {
    let Arguments { prompt, before, generate, history, only_rates, .. } = *arguments;
    let most = prompt.max(before).max(BESIDE + 1).saturating_add(generate);
    if most > context {
        let rule = "choose a lower --prompt, --before or --generate";
        return Err(Mistake(format!(
            "{most} tokens do not fit into the model's context of {context}; {rule}"
        )));
    }
    let growth = 3 * (REPLY + MESSAGE) + TEMPLATE;
    let history = history.min(context.saturating_sub(growth));
    if history < LEAST_HISTORY && !only_rates {
        let rule = format!("it needs {LEAST_HISTORY} at least, and a context of {growth} more");
        return Err(Mistake(format!("a history of {history} tokens is too short to measure turns; {rule}")));
    }
    Ok(history)
}

/// The engine, and what is asked of it.
pub(super) struct Bench<'a> {
    engine: Engine,
    arguments: &'a Arguments,
    /// Tokens of the long conversation, its last message included.
    history: usize,
    random: ChaCha8Rng,
    conversations: u64,
}

/// When the tokens of a reply came.
struct Reply {
    asked: Instant,
    tokens: Vec<Instant>,
    end: Finished,
}

impl Reply {
    fn first_token(&self) -> f64 {
        self.tokens.first().map_or(0.0, |first| (*first - self.asked).as_secs_f64())
    }

    /// Milliseconds between neighbouring tokens.
    fn gaps(&self) -> Vec<f64> {
        self.tokens.windows(2).map(|pair| (pair[1] - pair[0]).as_secs_f64() * 1e3).collect()
    }
}

impl<'a> Bench<'a> {
    pub(super) fn new(engine: Engine, arguments: &'a Arguments) -> Result<Self, Mistake> {
        let history = sizes(arguments, engine.info().context_length)?;
        Ok(Self { engine, arguments, history, random: ChaCha8Rng::seed_from_u64(1), conversations: 0 })
    }

    /// The figures, by name.
    pub(super) async fn measure(mut self) -> anyhow::Result<serde_json::Value> {
        let Arguments { prompt, generate, channels, before, .. } = *self.arguments;
        // The first steps also warm caches and the estimate of costs.
        self.alone(before, 4).await?;
        let (mut prefill, mut decode) = (Vec::new(), Vec::new());
        for _ in 0..if self.arguments.only_rates { 1 } else { ROUNDS } {
            let read = self.alone(prompt, 1).await?;
            prefill.push(rate(prompt, read.end.timings.prefill));
            let single = self.alone(before, generate).await?;
            decode.push(rate(generate - 1, single.end.timings.decode));
        }
        let (prefill, decode) = (middle(prefill), middle(decode));
        if self.arguments.only_rates {
            return Ok(json!({
                "model": self.engine.info().name,
                "prefill_tokens_per_second": prefill,
                "decode_tokens_per_second": decode,
            }));
        }
        let (total, overhead) = self.together(channels, generate).await?;
        let turns = self.turns().await?;
        let (alone, beside, slowed) = self.beside_a_long_prompt().await?;
        // Before the bandwidth takes memory of its own.
        let peak = memory::peak();
        let (one_thread, all_threads) = machine::bandwidth();
        let footprint = self.engine.footprint();
        let read = footprint.weight_bytes + footprint.kv_bytes_per_token * (before + generate / 2) as u64;
        let share = read as f64 * decode / 1e9 / all_threads;
        Ok(json!({
            "model": self.engine.info().name,
            "context_length": self.engine.info().context_length,
            "prompt": prompt, "generate": generate, "channels": channels, "before": before,
            "history": self.history,
            "prefill_tokens_per_second": prefill,
            "decode_tokens_per_second": decode,
            "decode_tokens_per_second_total": total,
            "ttft_seconds": turns.seconds,
            "same_persona_computed_tokens": turns.same_persona_computed,
            "inter_token_ms": { "alone": percentiles(alone), "during_prefill": percentiles(beside) },
            "prefill_rate_kept": slowed,
            "peak_memory_bytes": peak,
            "overhead_share": overhead,
            "read_bandwidth_gb_per_second": { "one_thread": one_thread, "all_threads": all_threads },
            "bandwidth_share": share,
        }))
    }

    /// One reply to a prompt of so many tokens that nobody has seen before.
    async fn alone(&mut self, prompt: usize, generate: usize) -> anyhow::Result<Reply> {
        let id = self.conversation();
        let prompt = self.random_prompt(prompt - 1);
        self.ask(id, prompt, generate).await
    }

    /// Tokens per second of all channels together, while all of them speak, and the share of the worker's time that was
    /// spent outside of the model.
    async fn together(&mut self, channels: usize, generate: usize) -> anyhow::Result<(f64, f64)> {
        let prompts: Vec<(u64, Prompt)> =
            (0..channels).map(|_| (self.conversation(), self.random_prompt(BESIDE))).collect();
        // Prompts are read first, so that all speak at the same time.
        for (id, prompt) in &prompts {
            self.ask(*id, prompt.clone(), 1).await?;
        }
        let before = self.rested().await;
        let replies = join_all(prompts.into_iter().map(|(id, prompt)| self.ask(id, prompt, generate))).await;
        let replies = replies.into_iter().collect::<anyhow::Result<Vec<Reply>>>()?;
        let after = self.rested().await;
        // While all of them speak; where they take turns too quickly for that, all of the time.
        let firsts = replies.iter().filter_map(|reply| reply.tokens.first());
        let lasts = replies.iter().filter_map(|reply| reply.tokens.last());
        let together = (firsts.clone().max(), lasts.clone().min());
        let (start, end) = match (together, (firsts.min(), lasts.max())) {
            ((Some(&start), Some(&end)), _) if start < end => (start, end),
            (_, (Some(&start), Some(&end))) => (start, end),
            _ => anyhow::bail!("a channel said nothing"),
        };
        let within = |time: &&Instant| **time > start && **time <= end;
        let tokens: usize = replies.iter().map(|reply| reply.tokens.iter().filter(within).count()).sum();
        let Meter { worked, computed, .. } = after;
        let (worked, computed) =
            (worked.saturating_sub(before.worked), computed.saturating_sub(before.computed));
        let overhead = 1.0 - computed.as_secs_f64() / worked.as_secs_f64();
        Ok((rate(tokens, end - start), overhead))
    }

    /// Times to the first token in the turns of a long conversation.
    async fn turns(&mut self) -> anyhow::Result<Turns> {
        let engine = self.engine.clone();
        let mut words = Words::new(engine.clone());
        // As long a prompt as that of the next turn, of which nobody has computed anything.
        let stranger = talk::persona(&mut words, PERSONA.min(self.history / 2))?;
        let mut unknown = Talk::new(&engine, &stranger, self.conversation());
        unknown.go_on(&mut words, self.history, REPLY, MESSAGE);
        unknown.say(&words.text(REPLY));
        unknown.hear(&words.text(MESSAGE));
        let cold = self.ask(unknown.id(), unknown.prompt(), 1).await?.first_token();
        let persona = talk::persona(&mut words, PERSONA.min(self.history / 2))?;
        let mut talk = Talk::new(&engine, &persona, self.conversation());
        talk.go_on(&mut words, self.history, REPLY, MESSAGE);
        self.ask(talk.id(), talk.prompt(), 1).await?;
        talk.say(&words.text(REPLY));
        talk.hear(&words.text(MESSAGE));
        let warm = self.ask(talk.id(), talk.prompt(), 1).await?.first_token();
        // The same again, with the known part read while nothing else happens.
        talk.say(&words.text(REPLY));
        self.read_ahead(&talk).await?;
        talk.hear(&words.text(MESSAGE));
        let prefilled = self.ask(talk.id(), talk.prompt(), 1).await?.first_token();
        let mut other = Talk::new(&engine, &persona, self.conversation());
        other.hear(&words.text(MESSAGE));
        let same_persona = self.ask(other.id(), other.prompt(), 1).await?;
        let same_persona_computed =
            other.persona_tokens().saturating_sub(same_persona.end.usage.cached_tokens);
        talk.say(&words.text(REPLY));
        talk.cut()?;
        self.read_ahead(&talk).await?;
        talk.hear(&words.text(MESSAGE));
        let after_cut = self.ask(talk.id(), talk.prompt(), 1).await?.first_token();
        Ok(Turns {
            seconds: json!({
                "cold": cold,
                "warm_turn": warm,
                "warm_turn_prefilled": prefilled,
                "same_persona": same_persona.first_token(),
                "after_cut": after_cut,
            }),
            same_persona_computed,
        })
    }

    /// Milliseconds between the tokens of a reply, alone and while another channel's long prompt is read, and how much
    /// of its rate that reading keeps.
    async fn beside_a_long_prompt(&mut self) -> anyhow::Result<(Vec<f64>, Vec<f64>, f64)> {
        let (first, second) = (self.random_prompt(self.history), self.random_prompt(self.history));
        let (one, other, speaking) = (self.conversation(), self.conversation(), self.conversation());
        let undisturbed = self.ask(one, first, 1).await?.first_token();
        let prompt = self.random_prompt(BESIDE);
        let most = self.engine.info().context_length - BESIDE - 1;
        let alone = self.ask(speaking, prompt.clone(), most.min(64)).await?.gaps();
        let mut generation = self.start(speaking, prompt, most).await?;
        let mut reading = std::pin::pin!(self.ask(other, second, 1));
        let mut came = Vec::new();
        let read = loop {
            tokio::select! {
                read = &mut reading => break read?,
                event = generation.next() => match event {
                    Some(Event::Delta { ids, .. }) => came.extend(ids.iter().map(|_| Instant::now())),
                    Some(Event::Failed(failure)) => return Err(failure.into()),
                    Some(_) => {}
                    None => anyhow::bail!("the reply ended before the long prompt was read"),
                },
            }
        };
        let gaps = came.windows(2).map(|pair| (pair[1] - pair[0]).as_secs_f64() * 1e3).collect();
        Ok((alone, gaps, undisturbed / read.first_token()))
    }

    /// Number of a conversation that there was not yet.
    fn conversation(&mut self) -> u64 {
        self.conversations += 1;
        self.conversations
    }

    /// A prompt of so many random tokens that are text, the beginning-of-text token not counted.
    fn random_prompt(&mut self, count: usize) -> Prompt {
        let rows = u32::try_from(self.engine.info().vocabulary).unwrap_or(u32::MAX);
        let words = rows.saturating_sub(FIRST_WORD).max(1);
        let ids = (0..count).map(|_| (FIRST_WORD + self.random.next_u32() % words).min(rows - 1)).collect();
        let mut prompt = Prompt::default();
        prompt.generated("", ids);
        prompt.mark_history_end();
        prompt
    }

    /// Has the beginning of the next prompt read, and waits for it.
    async fn read_ahead(&self, talk: &Talk<'_>) -> anyhow::Result<()> {
        let before = self.rested().await.steps;
        self.engine.prefill(talk.id(), talk.prompt());
        let begin = Instant::now();
        while self.rested().await.steps == before && !self.engine.is_broken() {
            anyhow::ensure!(begin.elapsed() < Duration::from_mins(1), "the engine does not read ahead");
        }
        Ok(())
    }

    /// What the engine has done, once it has nothing to do.
    async fn rested(&self) -> Meter {
        loop {
            tokio::time::sleep(Duration::from_millis(2)).await;
            let meter = self.engine.meter();
            if meter.idle || self.engine.is_broken() {
                return meter;
            }
        }
    }

    async fn ask(&self, conversation: u64, prompt: Prompt, generate: usize) -> anyhow::Result<Reply> {
        let asked = Instant::now();
        let mut generation = self.start(conversation, prompt, generate).await?;
        let mut tokens = Vec::new();
        while let Some(event) = generation.next().await {
            match event {
                // Those that were not read in time come together.
                Event::Delta { ids, .. } => tokens.extend(ids.iter().map(|_| Instant::now())),
                Event::Finished(end) => return Ok(Reply { asked, tokens, end }),
                Event::Failed(failure) => return Err(failure.into()),
                _ => {}
            }
        }
        anyhow::bail!("the generation ended without an end")
    }

    async fn start(&self, conversation: u64, prompt: Prompt, generate: usize) -> anyhow::Result<Generation> {
        let meta = Meta {
            request: conversation,
            conversation,
            member: conversation,
            server: 0,
            class: Class::Interactive,
            deadline: None,
            estimated_tokens: generate,
        };
        // Bytes may wait for the rest of their character; every other token is heard of at once.
        let sampling = Sampling { banned: (0..FIRST_WORD).collect(), ..Sampling::default() };
        let request =
            Request { prompt, min_tokens: generate, max_tokens: generate, sampling, stop: Vec::new() };
        let mut ticket = self.engine.reserve(meta)?;
        ticket.turn().await?;
        Ok(ticket.start(request))
    }
}

/// What the turns of a conversation took.
struct Turns {
    seconds: serde_json::Value,
    same_persona_computed: usize,
}

fn rate(tokens: usize, time: Duration) -> f64 {
    tokens as f64 / time.as_secs_f64()
}

fn middle(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

/// The middle one and that which 95 in a hundred do not pass.
fn percentiles(mut values: Vec<f64>) -> serde_json::Value {
    values.sort_by(f64::total_cmp);
    let at = |share: usize| values.get((values.len() * share / 100).min(values.len().saturating_sub(1)));
    json!({ "p50": at(50), "p95": at(95) })
}
