//! Steps as a machine would take them, which sees every wrong token.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::super::cost::Load;
use super::super::pages::PAGE;
use super::prompts::PATIENCE;
use super::*;

/// A model whose keys and values are a digest of all tokens up to theirs, so that a wrong one shows.
struct Machine {
    scheduler: Scheduler,
    cells: Vec<[u64; PAGE]>,
    texts: BTreeMap<u64, Text>,
    next_key: u64,
    computed_tokens: usize,
}

struct Text {
    tokens: Vec<u32>,
    prompt: usize,
    most: usize,
    cached: Option<usize>,
    waits: bool,
}

fn digest(before: u64, token: u32) -> u64 {
    (before ^ u64::from(token)).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(23) | 1
}

impl Machine {
    fn new(pages: usize) -> Self {
        Self {
            scheduler: Scheduler::new(pages, Grain::FINE, 8),
            cells: vec![[0; PAGE]; pages],
            texts: BTreeMap::new(),
            next_key: 0,
            computed_tokens: 0,
        }
    }

    /// A task whose whole prompt but the last token belongs to the history.
    fn add(
        &mut self,
        conversation: u64,
        class: Class,
        tokens: Vec<u32>,
        persona_end: usize,
        most: usize,
    ) -> u64 {
        self.next_key += 1;
        let key = self.next_key;
        let speaks = most > 0;
        let history_end = tokens.len() - usize::from(speaks);
        let persona_end = persona_end.min(history_end);
        let prompt = tokens.len();
        self.scheduler.add(Task {
            key,
            conversation,
            // Hints are nobody's.
            member: if speaks { conversation / 100 + conversation % 2 } else { 0 },
            class,
            tokens: tokens.clone(),
            persona_end,
            history_end,
            speaks,
        });
        self.texts.insert(key, Text { tokens, prompt, most, cached: None, waits: false });
        self.drop_hints_that_are_gone();
        key
    }

    fn remove(&mut self, key: u64) {
        self.scheduler.remove(key);
        self.texts.remove(&key);
    }

    /// Takes a step, which takes so long for each token, and checks what the model would see.
    fn step(&mut self, fails: bool) -> Step {
        let step = self.scheduler.plan();
        for news in &step.news {
            match *news {
                News::Admitted { key, cached } => {
                    let text = self.texts.get_mut(&key).expect("it is known");
                    assert!(text.cached.replace(cached).is_none(), "it is admitted once");
                }
                News::Waits { key, .. } => self.texts.get_mut(&key).expect("it is known").waits = true,
            }
        }
        if fails {
            self.scheduler.reset();
            self.cells.fill([0; PAGE]);
            step.spans.iter().for_each(|span| self.remove(span.key));
            return step;
        }
        for copy in &step.copies {
            let from = self.cells[copy.from.index()];
            self.cells[copy.to.index()][..copy.tokens].copy_from_slice(&from[..copy.tokens]);
        }
        for span in &step.spans {
            let text = &self.texts[&span.key];
            let mut before = 0;
            for (position, &token) in text.tokens[..span.end()].iter().enumerate() {
                before = digest(before, token);
                let cell = &mut self.cells[span.pages[position / PAGE].index()][position % PAGE];
                if position >= span.start {
                    *cell = before;
                }
                assert_eq!(*cell, before, "task {} at {position}", span.key);
            }
            assert_eq!(span.chooses, text.most > 0 && span.end() == text.tokens.len());
            assert_eq!(span.ids, text.tokens[span.start..span.end()]);
            self.computed_tokens += span.ids.len();
        }
        // Nobody has written over what another relies on.
        for span in &step.spans {
            let text = &self.texts[&span.key];
            let mut before = 0;
            for (position, &token) in text.tokens[..span.end()].iter().enumerate() {
                before = digest(before, token);
                assert_eq!(self.cells[span.pages[position / PAGE].index()][position % PAGE], before);
            }
        }
        let tokens: usize = step.spans.iter().map(|span| span.ids.len()).sum();
        self.scheduler.computed(&step, Duration::from_millis(10 + 2 * tokens as u64));
        for span in step.spans.iter().filter(|span| span.chooses) {
            let text = self.texts.get_mut(&span.key).expect("it is known");
            let token = text.tokens.iter().fold(7, |sum: u32, token| sum.wrapping_mul(31) ^ token) % 50;
            text.tokens.push(token);
            if text.tokens.len() - text.prompt >= text.most {
                self.remove(span.key);
            } else {
                self.scheduler.grow(span.key, token);
            }
        }
        self.drop_hints_that_are_gone();
        step
    }

    fn drop_hints_that_are_gone(&mut self) {
        self.texts.retain(|&key, text| text.most > 0 || self.scheduler.index(key).is_some());
    }

    /// Steps until nothing is left to do.
    fn run(&mut self) {
        let mut steps = 0;
        while !self.scheduler.is_empty() {
            assert!(!self.step(false).spans.is_empty(), "a step gets on");
            steps += 1;
            assert!(steps < 100_000, "it ends");
        }
    }

    fn no_page_is_lost(&mut self) {
        assert!(self.scheduler.is_empty() && self.texts.is_empty() && self.scheduler.has_all_pages());
        self.scheduler.prefixes.clear(&mut self.scheduler.pages);
        assert_eq!(self.scheduler.pages.free(), self.scheduler.pages.total());
    }
}

/// A persona's text and a conversation's after it.
fn text(persona: u32, persona_length: usize, conversation: u32, length: usize) -> Vec<u32> {
    let persona = (0..).map(|at| 100_000 + persona * 1_000 + at).take(persona_length);
    persona
        .chain((0..).map(|at| 200_000 + conversation * 10_000 + at))
        .take(persona_length + length)
        .collect()
}

#[test]
fn replies_grow_together_and_prompts_are_read_beside_them() {
    let mut machine = Machine::new(64);
    let first = machine.add(1, Class::Interactive, text(1, 40, 1, 10), 40, 20);
    machine.step(false);
    machine.step(false);
    machine.step(false);
    let second = machine.add(2, Class::Interactive, text(2, 400, 2, 10), 400, 20);
    let step = machine.step(false);
    let counts: Vec<(u64, bool)> = step.spans.iter().map(|span| (span.key, span.ids.len() > 1)).collect();
    assert_eq!(counts, [(first, false), (second, true)]);
    machine.run();
    machine.no_page_is_lost();
}

#[test]
fn a_step_with_prompts_takes_at_most_so_many_times_as_long() {
    let mut machine = Machine::new(256);
    machine.add(1, Class::Interactive, text(1, 40, 1, 200), 40, 500);
    for _ in 0..40 {
        machine.step(false);
    }
    machine.add(2, Class::Interactive, text(2, 3_000, 2, 10), 3_000, 1);
    for _ in 0..40 {
        let step = machine.step(false);
        let tokens: usize = step.spans.iter().map(|span| span.ids.len()).sum();
        let (with, without) = ((10 + 2 * tokens) as f64, 12.0);
        assert!(with <= PATIENCE * without * 1.1, "{tokens} tokens");
        assert!(with >= PATIENCE * without * 0.7, "{tokens} tokens");
    }
}

#[test]
fn prompts_that_are_read_together_keep_to_the_time_too() {
    // On this machine attention is what takes time, so that a late token costs many times an early one.
    let time = |load: Load| 20e-3 + 1e-6 * load.pairs as f64;
    let mut scheduler = Scheduler::new(512, Grain::FINE, 8);
    let mut step = |new: Option<(u64, usize)>| {
        if let Some((key, length)) = new {
            scheduler.add(asked(key, length));
        }
        let step = scheduler.plan();
        scheduler.computed(&step, Duration::from_secs_f64(time(load(&step.spans))));
        step.spans.iter().filter(|span| span.chooses).for_each(|span| scheduler.grow(span.key, 1));
        step
    };
    step(Some((1, 300)));
    while !step(None).spans[0].chooses {}
    step(Some((2, 4_000)));
    while step(None).spans[1].end() < 3_000 {}
    step(Some((3, 4_000)));
    for _ in 0..3 {
        let step = step(None);
        assert_eq!(step.spans.len(), 3);
        let alone = time(load(&step.spans[..1]));
        assert!(time(load(&step.spans)) < PATIENCE * alone * 1.2, "{:?}", step.spans);
    }
}

/// A prompt of this length that shares nothing with others, of a member of its own.
fn asked(key: u64, length: usize) -> Task {
    Task {
        key,
        conversation: key,
        member: key,
        class: Class::Interactive,
        tokens: text(0, 0, u32::try_from(key).expect("small"), length),
        persona_end: 0,
        history_end: length - 1,
        speaks: true,
    }
}

#[test]
fn steps_that_read_have_whole_grains() {
    let mut scheduler = Scheduler::new(512, Grain { few: 1, blocks: Some((32, 2)) }, 8);
    let mut step = |new: Option<(u64, usize)>| {
        if let Some((key, length)) = new {
            scheduler.add(asked(key, length));
        }
        let step = scheduler.plan();
        // Slow enough that no step takes all of it.
        let took = 20e-3 + 5e-3 * load(&step.spans).tokens as f64;
        scheduler.computed(&step, Duration::from_secs_f64(took));
        step.spans.iter().filter(|span| span.chooses).for_each(|span| scheduler.grow(span.key, 1));
        load(&step.spans).tokens
    };
    let mut sizes = vec![step(Some((1, 1_000)))];
    while sizes.iter().sum::<usize>() < 1_000 {
        sizes.push(step(None));
    }
    let last = sizes.pop().expect("there is one");
    assert!(last < 32, "the rest is a step of its own: {sizes:?} {last}");
    assert!(sizes.iter().all(|size| *size < 32 || size % 64 == 0), "{sizes:?}");
    assert!(sizes.contains(&64), "{sizes:?}");
    // Beside a reply that grows, the reply's token counts too.
    step(Some((2, 3_000)));
    let beside: Vec<usize> = (0..10).map(|_| step(None)).collect();
    assert!(beside.iter().all(|size| *size < 32 || size % 64 == 0), "{beside:?}");
}

#[test]
fn pages_are_given_to_members_in_turns() {
    // Room for two.
    let mut machine = Machine::new(20);
    let texts = |conversation: u64| text(u32::try_from(conversation).expect("small"), 200, 1, 50);
    let rooms = (100..112).step_by(2);
    let first: Vec<u64> =
        rooms.map(|room| machine.add(room, Class::Interactive, texts(room), 0, 20)).collect();
    machine.step(false);
    let late = machine.add(200, Class::Interactive, texts(200), 0, 20);
    let admitted =
        |machine: &Machine, key: &u64| machine.texts.get(key).is_none_or(|text| text.cached.is_some());
    while machine.texts.contains_key(&late) {
        machine.step(false);
    }
    assert!(
        first.iter().filter(|key| admitted(&machine, key)).count() <= 3,
        "one more of the first member's at most"
    );
    machine.run();
    machine.no_page_is_lost();
}

#[test]
fn a_newcomer_waits_for_no_reply_that_was_set_back_but_the_one_that_runs() {
    let mut machine = Machine::new(12);
    let texts = |conversation: u64| text(u32::try_from(conversation).expect("small"), 60, 1, 4);
    let first: Vec<u64> =
        [100, 102, 104].map(|room| machine.add(room, Class::Interactive, texts(room), 0, 150)).to_vec();
    let running =
        |machine: &Machine| machine.scheduler.entries.iter().filter(|entry| entry.running.is_some()).count();
    while running(&machine) != 3 {
        machine.step(false);
    }
    while running(&machine) > 1 {
        machine.step(false);
    }
    // So long that it has no room beside another of the first member's.
    let late = machine.add(200, Class::Interactive, text(200, 250, 1, 4), 0, 1);
    while machine.texts.contains_key(&late) {
        machine.step(false);
    }
    let ended = first.iter().filter(|key| !machine.texts.contains_key(key)).count();
    assert!(ended <= 1, "{ended} of the first member's replies ended before the newcomer's");
    machine.run();
    machine.no_page_is_lost();
}

#[test]
fn no_more_replies_speak_at_a_time_than_may() {
    let mut machine = Machine::new(200);
    for room in (100..140).step_by(2) {
        machine.add(room, Class::Interactive, text(1, 10, u32::try_from(room).expect("small"), 4), 0, 20);
    }
    while !machine.scheduler.is_empty() {
        machine.step(false);
        assert!(machine.scheduler.having_pages() <= 8);
    }
    machine.no_page_is_lost();
}

#[test]
fn a_step_for_which_there_is_no_memory_costs_nothing_but_time() {
    let mut machine = Machine::new(64);
    let reply = machine.add(1, Class::Interactive, text(1, 40, 1, 10), 40, 20);
    (0..5).for_each(|_| drop(machine.step(false)));
    machine.add(2, Class::Interactive, text(1, 40, 2, 300), 40, 20);
    let step = machine.scheduler.plan();
    let read = load(&step.spans).tokens - 1;
    assert_eq!(machine.scheduler.short_of_memory(&step), None);
    // What was written before memory ran out is lost.
    machine.cells.fill([0; PAGE]);
    assert!(load(&machine.step(false).spans).tokens <= read / 2);
    // A step that reads nothing cannot be smaller, and the youngest has to end.
    machine.scheduler.most = 1;
    let step = Step {
        spans: vec![Span { key: reply, start: 9, ids: vec![1], pages: vec![], chooses: true }],
        ..Step::default()
    };
    assert_eq!(machine.scheduler.short_of_memory(&step), Some(reply));
    machine.cells.fill([0; PAGE]);
    for _ in 0..10 * TRUST {
        machine.add(3, Class::Interactive, text(3, 40, 3, 10), 40, 1);
        machine.step(false);
        machine.run();
    }
    assert_eq!(machine.scheduler.most, LARGEST_CHUNK);
    machine.no_page_is_lost();
}

#[test]
fn a_member_s_prompts_are_read_one_after_the_other_and_those_of_others_beside_them() {
    let mut machine = Machine::new(256);
    let texts = |conversation: u64| text(u32::try_from(conversation).expect("small"), 400, 1, 50);
    let [first, second] = [100, 102].map(|room| machine.add(room, Class::Interactive, texts(room), 0, 1));
    let other = machine.add(200, Class::Interactive, texts(200), 0, 1);
    let step = machine.step(false);
    let keys: Vec<u64> = step.spans.iter().map(|span| span.key).collect();
    assert_eq!(keys, [first, other]);
    while machine.texts.contains_key(&first) {
        let step = machine.step(false);
        assert!(step.spans.iter().all(|span| span.key != second), "it waits for the member's first");
    }
    machine.run();
    machine.no_page_is_lost();
}

#[test]
fn a_machine_whose_shortest_step_is_long_reads_in_chunks_too() {
    // A model of many gigabytes on a few cores.
    let time = |load: Load| 1.2 + 0.1 * load.tokens as f64;
    let mut scheduler = Scheduler::new(512, Grain::FINE, 8);
    scheduler.add(Task {
        key: 1,
        conversation: 1,
        member: 1,
        class: Class::Interactive,
        tokens: text(0, 0, 1, 1_000),
        persona_end: 0,
        history_end: 999,
        speaks: true,
    });
    let mut sizes = Vec::new();
    while sizes.iter().sum::<usize>() < 1_000 {
        let step = scheduler.plan();
        scheduler.computed(&step, Duration::from_secs_f64(time(load(&step.spans))));
        sizes.push(load(&step.spans).tokens);
    }
    assert!(sizes.len() < 40, "{sizes:?}");
}

#[test]
fn the_next_turn_computes_what_is_new() {
    let mut machine = Machine::new(64);
    let mut prompt = text(1, 50, 1, 100);
    machine.add(1, Class::Interactive, prompt.clone(), 50, 5);
    machine.run();
    // The last token of the prompt was a cue that the next prompt does not have there.
    prompt.pop();
    let known = prompt.len();
    prompt.extend(text(9, 30, 9, 0));
    let before = machine.computed_tokens;
    let key = machine.add(1, Class::Interactive, prompt.clone(), 50, 1);
    machine.step(false);
    assert_eq!(machine.texts.get(&key).map_or(Some(known), |text| text.cached), Some(known));
    machine.run();
    assert_eq!(machine.computed_tokens - before, 30);
    machine.no_page_is_lost();
}

#[test]
fn another_conversation_with_the_same_persona_computes_none_of_it() {
    for persona_length in [64, 50, 20, 33] {
        let mut machine = Machine::new(64);
        machine.add(1, Class::Interactive, text(1, persona_length, 1, 100), persona_length, 5);
        machine.run();
        // Not even when the first conversation is forgotten.
        machine.scheduler.forget(1);
        let before = machine.computed_tokens;
        machine.add(2, Class::Interactive, text(1, persona_length, 2, 10), persona_length, 1);
        machine.run();
        assert_eq!(machine.computed_tokens - before, 10, "{persona_length}");
        machine.no_page_is_lost();
    }
}

#[test]
fn two_that_begin_together_share_what_the_first_has_read() {
    let mut machine = Machine::new(64);
    for conversation in 1..=2 {
        machine.add(conversation, Class::Interactive, text(1, 320, 1, 5), 320, 1);
    }
    machine.run();
    // The one token that is chosen from, and what stands behind the last whole page.
    assert_eq!(machine.computed_tokens, 325 + 5);
    machine.no_page_is_lost();
}

#[test]
fn the_end_of_a_persona_is_kept_though_the_memory_is_full() {
    let mut machine = Machine::new(12);
    machine.add(1, Class::Interactive, text(1, 0, 1, 330), 0, 1);
    machine.run();
    assert_eq!(machine.scheduler.pages.free(), 12 - 11);
    for conversation in 2..4 {
        machine.add(
            conversation,
            Class::Interactive,
            text(2, 50, u32::try_from(conversation).expect("small"), 200),
            50,
            1,
        );
        machine.run();
    }
    machine.scheduler.forget(2);
    machine.scheduler.forget(3);
    let before = machine.computed_tokens;
    machine.add(4, Class::Interactive, text(2, 50, 4, 5), 50, 1);
    machine.run();
    assert_eq!(machine.computed_tokens - before, 5);
    machine.no_page_is_lost();
}

#[test]
fn the_urgent_read_before_the_others_and_hints_one_after_the_other() {
    let mut machine = Machine::new(64);
    let hints = [1, 2].map(|number| {
        machine.add(number, Class::Idle, text(1, 0, u32::try_from(number).expect("small"), 200), 0, 0)
    });
    let readers = |step: &Step| step.spans.iter().map(|span| span.key).collect::<Vec<u64>>();
    assert_eq!(readers(&machine.step(false)), [hints[0]]);
    let background = machine.add(3, Class::Background, text(1, 0, 3, 200), 0, 1);
    let urgent = machine.add(4, Class::Interactive, text(1, 0, 4, 20), 0, 1);
    assert_eq!(readers(&machine.step(false)), [urgent]);
    machine.step(false);
    assert_eq!(readers(&machine.step(false)), [background]);
    machine.run();
    machine.no_page_is_lost();
}

#[test]
fn hints_are_computed_when_there_is_nothing_else_and_give_way_at_once() {
    let mut machine = Machine::new(64);
    let hint = machine.add(1, Class::Idle, text(1, 50, 1, 800), 50, 0);
    machine.step(false);
    assert!(machine.texts.contains_key(&hint));
    let urgent = machine.add(2, Class::Interactive, text(1, 50, 2, 10), 50, 3);
    while machine.texts.contains_key(&urgent) {
        assert!(machine.step(false).spans.iter().all(|span| span.key == urgent));
    }
    machine.run();
    let before = machine.computed_tokens;
    machine.add(1, Class::Interactive, text(1, 50, 1, 810), 50, 1);
    machine.run();
    assert_eq!(machine.computed_tokens - before, 10);
    machine.no_page_is_lost();
}

#[test]
fn a_conversation_has_one_hint_and_its_message_takes_the_hint_s_place() {
    let mut machine = Machine::new(64);
    machine.add(1, Class::Idle, text(1, 10, 1, 500), 10, 0);
    machine.step(false);
    machine.add(1, Class::Idle, text(1, 10, 1, 510), 10, 0);
    machine.add(1, Class::Interactive, text(1, 10, 1, 520), 10, 1);
    assert_eq!(machine.scheduler.entries.len(), 1);
    for conversation in 2..100 {
        machine.add(conversation, Class::Idle, text(1, 10, 2, 10), 10, 0);
    }
    assert_eq!(machine.scheduler.entries.len(), 1 + MOST_HINTS);
}

#[test]
fn the_less_urgent_leave_their_pages_to_whoever_needs_them() {
    for (class, most) in [(Class::Idle, 0), (Class::Idle, 3), (Class::Background, 3)] {
        let mut machine = Machine::new(16);
        machine.add(1, class, text(1, 0, 1, 450), 0, most);
        machine.step(false);
        let urgent = machine.add(2, Class::Interactive, text(2, 0, 2, 450), 0, 3);
        machine.step(false);
        assert!(machine.texts[&urgent].cached.is_some(), "{class:?}");
        machine.run();
        machine.no_page_is_lost();
    }
}

#[test]
fn a_reply_gives_way_in_the_midst_of_a_step_and_only_if_that_helps() {
    let mut machine = Machine::new(16);
    let background = machine.add(1, Class::Background, text(1, 0, 1, 60), 0, 400);
    while machine.texts[&background].tokens.len() < 250 {
        machine.step(false);
    }
    let urgent = machine.add(2, Class::Interactive, text(2, 0, 2, 400), 0, 3);
    let step = machine.step(false);
    assert!(step.spans.iter().all(|span| span.key == urgent), "{:?}", step.spans);

    let keys = |step: Step| step.spans.iter().map(|span| span.key).collect::<Vec<_>>();
    let mut machine = Machine::new(16);
    let first = machine.add(1, Class::Interactive, text(1, 0, 1, 250), 0, 30);
    let background = machine.add(2, Class::Background, text(2, 0, 2, 100), 0, 60);
    while machine.texts[&background].tokens.len() < 105 {
        machine.step(false);
    }
    machine.add(3, Class::Interactive, text(3, 0, 3, 320), 0, 3);
    assert_eq!(keys(machine.step(false)), [first, background], "there would be no room all the same");
    machine.run();
    machine.no_page_is_lost();
}

#[test]
fn when_pages_run_out_the_last_reply_waits_and_begins_again() {
    let mut machine = Machine::new(12);
    let long = |conversation: u32| text(conversation, 0, conversation, 100);
    let first = machine.add(1, Class::Interactive, long(1), 0, 150);
    let second = machine.add(2, Class::Interactive, long(2), 0, 150);
    while machine.texts.contains_key(&first) {
        machine.step(false);
    }
    assert!(machine.texts[&second].waits, "it had to wait");
    assert!(machine.texts[&second].tokens.len() > 100, "it had begun");
    machine.run();
    machine.no_page_is_lost();
}

#[test]
fn those_who_wait_for_pages_are_told_where_they_stand() {
    let mut machine = Machine::new(4);
    let keys = [1, 2, 3].map(|number| machine.add(number, Class::Interactive, text(0, 0, 1, 90), 0, 1));
    let news = machine.step(false).news;
    let expected = [
        News::Admitted { key: keys[0], cached: 0 },
        News::Waits { key: keys[1], place: 1 },
        News::Waits { key: keys[2], place: 2 },
    ];
    assert_eq!(news, expected);
    machine.run();
    machine.no_page_is_lost();
}

#[test]
fn what_is_forgotten_while_it_is_computed_leaves_nothing_behind() {
    let mut machine = Machine::new(64);
    machine.add(1, Class::Interactive, text(1, 0, 1, 300), 0, 5);
    machine.step(false);
    machine.scheduler.forget(1);
    machine.run();
    assert_eq!(machine.scheduler.prefixes.len(), 0);
    machine.no_page_is_lost();
}

#[derive(Debug, Clone)]
enum Act {
    Add { conversation: u64, class: Class, persona: u32, persona_length: usize, length: usize, most: usize },
    Steps(u8),
    Cancel(usize),
    Forget(u64),
    Fail,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let class = prop::sample::select(vec![Class::Interactive, Class::Background, Class::Idle]);
    let add =
        (1u64..5, class, 1u32..3, prop::sample::select(vec![0, 20, 32, 45, 96]), 1usize..150, 0usize..60);
    let add = add.prop_map(|(conversation, class, persona, persona_length, length, most)| {
        let class = if most == 0 { Class::Idle } else { class };
        Act::Add { conversation, class, persona, persona_length, length, most }
    });
    let act = prop_oneof![
        5 => add,
        8 => (1u8..20).prop_map(Act::Steps),
        1 => any::<usize>().prop_map(Act::Cancel),
        1 => (1u64..5).prop_map(Act::Forget),
        1 => Just(Act::Fail),
    ];
    prop::collection::vec(act, 1..40)
}

proptest! {
    #[test]
    fn whatever_happens_every_token_sees_its_own_text_and_no_page_is_lost(
        acts in acts(),
        pages in 10usize..60,
    ) {
        let mut machine = Machine::new(pages);
        for act in acts {
            match act {
                Act::Add { conversation, class, persona, persona_length, length, most } => {
                    let tokens = text(persona, persona_length, u32::try_from(conversation).expect("small"), length);
                    machine.add(conversation, class, tokens, persona_length, most);
                    machine.drop_hints_that_are_gone();
                }
                Act::Steps(count) => {
                    for _ in 0..count {
                        machine.step(false);
                    }
                }
                Act::Cancel(number) => {
                    let keys: Vec<u64> = machine.texts.keys().copied().collect();
                    if !keys.is_empty() {
                        machine.remove(keys[number % keys.len()]);
                    }
                }
                Act::Forget(conversation) => {
                    machine.scheduler.forget(conversation);
                    machine.drop_hints_that_are_gone();
                }
                Act::Fail => drop(machine.step(true)),
            }
        }
        machine.run();
        machine.no_page_is_lost();
    }
}
