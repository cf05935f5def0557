//! A memory never outlives a turn that it tells of.

use std::collections::{BTreeSet, HashMap};

use proptest::prelude::*;

use super::*;
use crate::chat::MessageId;
use crate::chat::budget;
use crate::chat::history::{ConversationId, Cut, Speaker, TURNS_MAX, TurnState};
use crate::persona::PersonaId;

fn speaker() -> Speaker {
    Speaker::Persona { id: PersonaId("ada".to_owned()), version: String::new() }
}

fn ada(more: &str) -> Persona {
    let text = format!("name = 'Ada'\ndescription = '{{{{char}}}} is an engineer.'\n{more}");
    Persona::from_toml("ada", &text).expect("it parses")
}

fn empty() -> Conversation {
    Conversation::new(ConversationId(1), 0, 0, speaker(), "Ada")
}

/// A member asks, and the persona answers.
fn ask(conversation: &mut Conversation, member: u64, text: &str) {
    let message = MessageId(1_000 + conversation.next_turn().0);
    conversation.now += 1;
    conversation.hear(
        MemberId(member),
        ["Bob", "Ann", "Eve"][usize::try_from(member).expect("small")],
        text,
        Some(message),
    );
    let reply = conversation.begin_reply(speaker(), "Ada", Some(message));
    let turn = conversation.turn_mut(reply).expect("it is there");
    turn.state = TurnState::Complete;
    turn.shown_mut().text = format!("On {text}.");
}

/// Members take turns in asking.
fn talk(exchanges: u64) -> Conversation {
    let mut conversation = empty();
    for number in 0..exchanges {
        ask(&mut conversation, number % 2, &format!("herons {number}"));
    }
    conversation
}

fn cut(conversation: &mut Conversation, first_turn: u64) {
    conversation.cut = Cut { first_turn, examples_dropped: 0 };
}

fn words(prompt: &Prompt) -> usize {
    prompt.render().split_whitespace().count()
}

fn next(conversation: &Conversation) -> Option<Chapter> {
    sum(Chapter::next(&ada(""), conversation, 1_000, words)).map(|(chapter, _)| chapter)
}

/// What is to be summed up, and the prompt.
fn sum(next: Option<Next>) -> Option<(Chapter, Prompt)> {
    match next? {
        Next::Sum(chapter, prompt) => Some((chapter, prompt)),
        Next::PassOver(_) => None,
    }
}

/// Sums up all that is due, with these words and a number.
fn sum_up(conversation: &mut Conversation, text: &str) {
    for number in 0.. {
        let Some(chapter) = next(conversation) else { return };
        assert!(conversation.remember(&chapter, &format!("{text} {number}.")));
    }
}

fn told(conversation: &Conversation) -> Vec<&str> {
    conversation.told().map(|memory| memory.text.as_str()).collect()
}

fn turns(turns: impl IntoIterator<Item = u64>) -> Due {
    Due::Turns(turns.into_iter().map(TurnId).collect())
}

#[test]
fn what_is_cut_is_due_once() {
    let mut conversation = talk(5);
    assert_eq!(conversation.due(), None);
    cut(&mut conversation, 4);
    assert_eq!(conversation.due(), Some(turns(0..4)));
    sum_up(&mut conversation, "They met");
    assert_eq!((told(&conversation), conversation.due()), (vec!["They met 0."], None));
    cut(&mut conversation, 6);
    assert_eq!(conversation.due(), Some(turns(4..6)));
    let links = &conversation.memories()[0].links;
    let whose: Vec<Option<MemberId>> = links.iter().map(|link| link.member).collect();
    let (bob, ann) = (Some(MemberId(0)), Some(MemberId(1)));
    assert_eq!(whose, [bob, bob, ann, ann], "an answer belongs to whoever had asked");
}

#[test]
fn a_memory_goes_with_a_turn_and_what_is_left_is_due_again() {
    let changes: [&dyn Fn(&mut Conversation); 4] = [
        &|conversation| conversation.forget(TurnId(2)),
        &|conversation| assert!(conversation.forget_all(|turn| turn.id == TurnId(2))),
        &|conversation| assert!(conversation.unsay(MessageId(1_002))),
        &|conversation| assert!(conversation.forget_member(MemberId(1), &BTreeSet::new())),
    ];
    for (number, change) in changes.iter().enumerate() {
        let mut conversation = talk(4);
        cut(&mut conversation, 4);
        sum_up(&mut conversation, "They met");
        drop(conversation.take_changes());
        change(&mut conversation);
        assert_eq!(conversation.told().count(), 0, "{number}");
        assert_eq!(conversation.take_changes().memories, Some(Vec::new()), "{number}");
        let left = if number == 3 { turns(0..2) } else { turns([0, 1, 3]) };
        assert_eq!(conversation.due(), Some(left), "{number}");
    }
    let mut conversation = talk(4);
    cut(&mut conversation, 4);
    sum_up(&mut conversation, "They met");
    assert!(conversation.restate(MessageId(1_002), "egrets"));
    assert_eq!((conversation.told().count(), conversation.due()), (0, Some(turns(0..4))));
}

#[test]
fn nothing_is_remembered_that_has_changed_meanwhile() {
    let mut conversation = talk(4);
    cut(&mut conversation, 4);
    let chapter = next(&conversation).expect("something is due");
    conversation.hear(MemberId(2), "Eve", "meanwhile", None);
    let mut changed = conversation.clone();
    assert!(changed.restate(MessageId(1_002), "egrets"));
    assert!(!changed.remember(&chapter, "They met."));
    assert!(!conversation.clone().remember(&chapter, ""));
    assert!(conversation.remember(&chapter, "They met."), "what was said since is no hindrance");
    assert!(conversation.take_changes().memories.is_some_and(|memories| memories.len() == 1));
}

#[test]
fn of_many_the_oldest_become_one_and_what_members_wrote_stays() {
    let mut conversation = talk(20);
    for exchanges in 1..=7 {
        cut(&mut conversation, exchanges * 2);
        if exchanges <= 6 {
            sum_up(&mut conversation, "Told");
        }
    }
    assert!(conversation.reword(TurnId(3), "As Ann wrote it.", MemberId(1)));
    sum_up(&mut conversation, "Told");
    assert_eq!(conversation.told().count(), 7, "six of them are the model's");
    cut(&mut conversation, 16);
    let chapter = next(&conversation).expect("turns are due");
    assert!(conversation.remember(&chapter, "Told last."));
    assert_eq!(conversation.due(), Some(Due::Memories([TurnId(1), TurnId(5)])));
    sum_up(&mut conversation, "Both");
    assert_eq!(told(&conversation)[..2], ["As Ann wrote it.", "Both 0."]);
    let joined = conversation.memory(TurnId(5)).expect("it is there");
    let linked: Vec<u64> = joined.links.iter().map(|link| link.turn.0).collect();
    assert_eq!(linked, [0, 1, 4, 5]);
    // What Ann wrote goes with her, though it tells of Bob too.
    assert!(conversation.forget_member(MemberId(1), &BTreeSet::new()));
    assert!(!told(&conversation).contains(&"As Ann wrote it."));
}

#[test]
fn what_nobody_wants_told_is_not_told_again() {
    let mut conversation = talk(4);
    cut(&mut conversation, 4);
    sum_up(&mut conversation, "They met");
    assert!(conversation.dismiss(TurnId(3)));
    assert!(!conversation.dismiss(TurnId(3)) && conversation.memory(TurnId(3)).is_none());
    assert_eq!((conversation.told().count(), conversation.due()), (0, None));
    // It has nothing of a member who is forgotten.
    assert!(conversation.forget_member(MemberId(0), &BTreeSet::new()));
    let links = conversation.memories().iter().flat_map(|memory| &memory.links);
    assert!(links.clone().count() == 2 && links.into_iter().all(|link| link.member == Some(MemberId(1))));
}

#[test]
fn members_and_times_count_when_the_turns_are_not_kept_any_more() {
    let mut conversation = talk(4);
    cut(&mut conversation, 4);
    sum_up(&mut conversation, "They met");
    for _ in 0..TURNS_MAX {
        conversation.hear(MemberId(2), "Eve", "and on", None);
    }
    assert_eq!(told(&conversation), ["They met 0."]);
    assert!(!conversation.clone().forget_memories(|link| link.said < 1));
    assert!(conversation.clone().forget_memories(|link| link.said < 2));
    assert!(conversation.forget_member(MemberId(1), &BTreeSet::new()));
    assert_eq!(conversation.memories(), []);
}

#[test]
fn of_turns_that_are_not_kept_one_of_each_member_is_linked() {
    let link = |turn, member| Link { turn: TurnId(turn), member: Some(MemberId(member)), said: turn };
    let links = vec![link(0, 1), link(1, 2), link(2, 1), link(5, 1), link(6, 1)];
    let kept = |first| thinned(links.clone(), first).iter().map(|link| link.turn.0).collect::<Vec<_>>();
    assert_eq!(kept(Some(TurnId(5))), [0, 1, 5, 6]);
    assert_eq!(kept(None), [0, 1]);
}

#[test]
fn a_chapter_is_no_longer_than_its_room() {
    let mut conversation = talk(10);
    cut(&mut conversation, 20);
    conversation.restate(MessageId(1_000), &"long ".repeat(500));
    let next = |conversation: &Conversation, room| Chapter::next(&ada(""), conversation, room, words);
    let Some(Next::PassOver(first)) = next(&conversation, 80) else {
        panic!("what never fits is passed over")
    };
    assert_eq!(first.due, turns([0]));
    assert!(conversation.pass_over(&first));
    assert_eq!((conversation.told().count(), conversation.memories().len()), (0, 1));
    let (chapter, prompt) = sum(next(&conversation, 80)).expect("something fits");
    assert!(words(&prompt) <= 80);
    assert_eq!(chapter.links.first().map(|link| link.turn), Some(TurnId(1)));
    assert!((3..19).contains(&chapter.links.len()), "{}", chapter.links.len());
    assert!(next(&conversation, 10).is_none());
    // Once it is shorter it is told.
    assert!(conversation.restate(MessageId(1_000), "short"));
    assert_eq!(conversation.due(), Some(turns(0..20)));
}

#[test]
fn one_turn_that_is_too_long_does_not_end_it_all() {
    let mut conversation = talk(10);
    conversation.restate(MessageId(1_008), &"long ".repeat(500));
    cut(&mut conversation, 20);
    let mut steps = 0;
    while let Some(next) = Chapter::next(&ada(""), &conversation, 80, words) {
        assert!(match next {
            Next::Sum(chapter, _) => conversation.remember(&chapter, "They met."),
            Next::PassOver(chapter) => conversation.pass_over(&chapter),
        });
        steps += 1;
        assert!(steps < 40, "it comes to an end");
    }
    assert_eq!(conversation.due(), None);
    let linked = conversation.told().flat_map(|memory| &memory.links).count();
    assert_eq!(linked, 19, "all of the others are told");
}

#[test]
fn an_instruction_that_leaves_no_room_is_not_used() {
    let mut conversation = talk(10);
    cut(&mut conversation, 20);
    let persona = ada(&format!("summary_prompt = '{}'", "endless ".repeat(500)));
    let counted = std::cell::Cell::new(0);
    let count = |prompt: &Prompt| {
        counted.set(counted.get() + 1);
        words(prompt)
    };
    let (_, prompt) = sum(Chapter::next(&persona, &conversation, 200, count)).expect("it fits");
    assert!(prompt.render().contains("Sum up what happened"), "{}", prompt.render());
    assert!(counted.get() < 12, "{} times", counted.get());
}

#[test]
fn memories_give_way_to_the_newest_message() {
    let mut conversation = talk(6);
    for exchanges in 1..=6 {
        cut(&mut conversation, exchanges * 2);
        sum_up(&mut conversation, "They met");
    }
    conversation.hear(MemberId(0), "Bob", &"word ".repeat(40), None);
    let newest = conversation.turns().last().expect("it is there").id;
    let mut fit = |room| budget::fit(&ada(""), &mut conversation, "", room, newest, words);
    let told = |rendered: String| rendered.matches("What happened before:").count();
    let all = fit(1_000).expect("it fits");
    assert_eq!(told(all.prompt.render()), 6);
    let bare = all.tokens - 6 * 6;
    let fitted = fit(bare).expect("it fits without them");
    assert!(told(fitted.prompt.render()) == 0 && fitted.tokens <= bare);
    assert!(fit(bare - 1).is_err());
}

#[test]
fn who_may_see_a_memory_and_who_may_change_it() {
    let mut conversation = empty();
    ask(&mut conversation, 0, "herons");
    cut(&mut conversation, 2);
    sum_up(&mut conversation, "Bob's");
    ask(&mut conversation, 1, "newts");
    ask(&mut conversation, 0, "toads");
    cut(&mut conversation, 6);
    sum_up(&mut conversation, "Both");
    let may = |number: usize, member| {
        conversation.may_change_memory(&conversation.memories()[number], MemberId(member))
    };
    assert_eq!([0, 1, 2].map(|member| may(0, member)), [true, false, false]);
    assert_eq!([0, 1, 2].map(|member| may(1, member)), [false, false, false]);
    assert_eq!([0, 1, 2].map(|member| conversation.may_see_memories(MemberId(member))), [true, true, false]);
    let mut scene = conversation.clone();
    scene.stage(crate::chat::scene::Scene::new("A scene", MemberId(2), 0));
    assert!(
        scene.may_change_memory(&scene.memories()[1], MemberId(2)) && scene.may_see_memories(MemberId(2))
    );
}

#[test]
fn summaries_are_one_paragraph_and_end_with_a_whole_sentence() {
    assert_eq!(condensed(" They met.\n\n### And ", false), "They met. ### And");
    assert_eq!(condensed("They met. Then th", true), "They met.");
    assert_eq!(condensed("They m", true), "They m");
    let long = condensed(&"Aye. ".repeat(MEMORY_MAX), false);
    assert!(long.chars().count() <= MEMORY_MAX && long.ends_with("Aye."));
    assert_eq!([100, 3_600, 100_000].map(summary_tokens), [48, 112, 200]);
}

#[test]
fn what_happened_is_told_behind_the_persona_and_explained() {
    let persona = ada("system_prompt = 'You are {{char}}.'\n");
    let mut conversation = talk(3);
    cut(&mut conversation, 4);
    sum_up(&mut conversation, "### They met");
    conversation.hear(MemberId(0), "Bob", "And now?", None);
    let newest = conversation.turns().last().expect("it is there").id;
    let fitted = budget::fit(&persona, &mut conversation, "", 1_000, newest, words).expect("it fits");
    insta::assert_snapshot!(fitted.prompt.render(), @r"
    ### Instruction:
    You are Ada.

    Ada is an engineer.

    What happened before: ### They met 0.

    ### Input:
    Bob: herons 2
    Ada: On herons 2.
    Bob: And now?

    ### Response:
    Ada:
    ");
    let shared = &fitted.prompt.segments[..fitted.prompt.marks.persona_end];
    let shared: String = shared.iter().map(crate::chat::prompt::Segment::text).collect();
    assert_eq!(shared, "### Instruction:\nYou are Ada.\n\nAda is an engineer.");
    insta::assert_snapshot!(fitted.explanation, @r"
        31  tokens
         3  instruction
         4  description
         7  memory 1
        10  turns 4 to 6
            earlier turns left out: 4
    ");
    // Where there is no room for more than the newest ones.
    for exchanges in 3..=4 {
        ask(&mut conversation, 0, "newts");
        cut(&mut conversation, exchanges * 2);
        sum_up(&mut conversation, "And then they parted");
    }
    let newest = conversation.turns().last().expect("it is there").id;
    let fitted = budget::fit(&persona, &mut conversation, "", 48, newest, words).expect("it fits");
    let rendered = fitted.prompt.render();
    assert_eq!(rendered.matches("What happened before:").count(), 2, "{rendered}");
    assert!(!rendered.contains("They met"), "{rendered}");
}

#[test]
fn a_persona_sums_up_in_its_own_manner() {
    let mut conversation = talk(1);
    cut(&mut conversation, 2);
    let prompt = |more: &str| {
        let (_, prompt) =
            sum(Chapter::next(&ada(more), &conversation, 1_000, words)).expect("something is due");
        assert_eq!(prompt.marks.persona_end, 0, "nothing of it is shared");
        prompt.render()
    };
    insta::assert_snapshot!(prompt(""), @r"
    ### Instruction:
    Sum up what happened in the conversation below in a few short sentences, in the past tense and with names: what was done, which facts were told, what was promised. Add nothing new.

    ### Input:
    Bob: herons 0
    Ada: On herons 0.

    ### Response:
    ");
    let own = prompt("summary_prompt = 'As {{char}} would put it in her diary. {{original}}'");
    assert!(own.contains("As Ada would put it in her diary. Sum up what happened"), "{own}");
}

#[derive(Debug, Clone)]
enum Act {
    Ask(u64),
    Cut(u64),
    SumUp,
    Change(usize),
    Restate(usize),
    Forget(usize),
    Unsay(usize),
    ForgetMember(u64),
    Expire(u64),
    Reword(usize, u64),
    Dismiss(usize),
    Interrupt,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        6 => (0..3u64).prop_map(Act::Ask),
        4 => (0..40u64).prop_map(Act::Cut),
        6 => Just(Act::SumUp),
        1 => any::<usize>().prop_map(Act::Change),
        1 => any::<usize>().prop_map(Act::Restate),
        1 => any::<usize>().prop_map(Act::Forget),
        1 => any::<usize>().prop_map(Act::Unsay),
        1 => (0..3u64).prop_map(Act::ForgetMember),
        1 => (0..20u64).prop_map(Act::Expire),
        1 => (any::<usize>(), 0..3u64).prop_map(|(memory, member)| Act::Reword(memory, member)),
        1 => any::<usize>().prop_map(Act::Dismiss),
        1 => Just(Act::Interrupt),
    ]
}

/// The one of these that a number means.
fn one<T: Copy>(all: &[T], number: usize) -> Option<T> {
    all.get(number.checked_rem(all.len())?).copied()
}

proptest! {
    #[test]
    fn a_memory_never_outlives_what_it_tells_of(acts in prop::collection::vec(act(), 1..60)) {
        let mut conversation = empty();
        // What was said when it was summed up.
        let mut said: HashMap<TurnId, String> = HashMap::new();
        let mut forgotten: BTreeSet<MemberId> = BTreeSet::new();
        for act in acts {
            let ids: Vec<TurnId> = conversation.turns().iter().map(|turn| turn.id).collect();
            let messages: Vec<MessageId> =
                conversation.turns().iter().flat_map(|turn| &turn.parts).map(|part| part.message).collect();
            let memories: Vec<TurnId> = conversation.told().map(|memory| memory.until).collect();
            match act {
                Act::Ask(member) => {
                    forgotten.remove(&MemberId(member));
                    ask(&mut conversation, member, "herons");
                }
                Act::Cut(first_turn) => {
                    let first_turn = first_turn.max(conversation.cut.first_turn);
                    cut(&mut conversation, first_turn);
                }
                Act::SumUp => {
                    for turn in conversation.turns() {
                        said.entry(turn.id).or_insert_with(|| turn.shown().text.clone());
                    }
                    sum_up(&mut conversation, "So it was");
                }
                Act::Change(number) => {
                    if let Some(turn) = one(&ids, number).and_then(|turn| conversation.turn_mut(turn)) {
                        turn.shown_mut().text += " and more";
                        said.remove(&turn.id);
                    }
                }
                Act::Restate(number) => {
                    if let Some(message) = one(&messages, number) {
                        let text = format!("newts {number}");
                        let turn = conversation.turn_of(message).map(|turn| turn.id);
                        if conversation.restate(message, &text) {
                            said.remove(&turn.expect("it was there"));
                        }
                    }
                }
                Act::Forget(number) => {
                    if let Some(turn) = one(&ids, number) {
                        conversation.forget(turn);
                    }
                }
                Act::Unsay(number) => {
                    if let Some(message) = one(&messages, number) {
                        conversation.unsay(message);
                    }
                }
                Act::ForgetMember(member) => {
                    forgotten.insert(MemberId(member));
                    conversation.forget_member(MemberId(member), &BTreeSet::new());
                }
                Act::Expire(before) => {
                    conversation.forget_memories(|link| link.said < before);
                    conversation.forget_all(|turn| turn.said < before);
                }
                Act::Reword(number, member) => {
                    if let Some(memory) = one(&memories, number) {
                        forgotten.remove(&MemberId(member));
                        conversation.reword(memory, "As they wrote it.", MemberId(member));
                    }
                }
                Act::Dismiss(number) => {
                    if let Some(memory) = one(&memories, number) {
                        conversation.dismiss(memory);
                    }
                }
                Act::Interrupt => {
                    conversation.interrupt(|_| false);
                }
            }
            let mut linked = BTreeSet::new();
            for memory in conversation.told() {
                for link in &memory.links {
                    let turn = conversation.turn(link.turn);
                    prop_assert!(turn.is_some(), "{:?} is gone and told in {memory:?}", link.turn);
                    prop_assert!(linked.insert(link.turn), "{:?} is told twice", link.turn);
                    let text = turn.map(|turn| &turn.shown().text);
                    prop_assert_eq!(said.get(&link.turn), text, "{:?} was changed", link.turn);
                    prop_assert!(link.member.is_none_or(|member| !forgotten.contains(&member)));
                }
                prop_assert!(memory.editor.is_none_or(|editor| !forgotten.contains(&editor)));
            }
            let made = conversation.told().filter(|memory| memory.editor.is_none()).count();
            prop_assert!(made <= MEMORIES_MAX + 1 && conversation.told().count() <= MEMORIES_KEPT);
        }
    }
}
