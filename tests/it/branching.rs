//! Branches: what was said up to a line goes on in a thread of its own, which nobody sees who could not see the source.

use mummer::chat::history::Conversation;
use mummer::chat::settings::Limits;
use mummer::chat::text::{Lines, Text};
use mummer::generation::scripted::Step;
use serenity::model::Permissions;

use crate::buttons::{Scene, has};
use crate::discord::{Call, ChannelId, Failure, FakeDiscord, Message, MessageId, UserId, Whom};
use crate::memory::{PATIENCE, on_disk, open};
use crate::stage::{Setting, Stage};

const BRANCH: &str = "Branch into a thread";

fn lines(lines: Lines) -> String {
    Text::from(lines).to_string()
}

/// What is said to somebody who lets something branch off.
async fn told(stage: &Stage, message: MessageId, user: UserId) -> String {
    let answer = stage.discord.answer_to(stage.discord.use_on_message(message, user, BRANCH)).await;
    assert_eq!(answer.only_for, Some(user));
    answer.content().to_owned()
}

/// The thread in which it goes on.
async fn branched(stage: &Stage, channel: ChannelId, message: MessageId, user: UserId) -> ChannelId {
    let told = told(stage, message, user).await;
    let thread = stage.discord.threads_of(channel).pop().expect("there is a thread");
    assert_eq!(told, lines(Lines::Branched(mummer::chat::ChannelId(thread.0))));
    thread
}

fn texts(conversation: &Conversation) -> Vec<String> {
    conversation.turns().iter().map(|turn| turn.shown().text.clone()).collect()
}

impl Scene {
    /// Alice says something in a place, and this is answered there.
    async fn answered_in(&self, place: ChannelId, text: &str) -> Message {
        self.stage.script.then([Step::Say(text.to_owned())]);
        let discord = &self.stage.discord;
        discord.post(place, self.alice, format!("{} go on", discord.mention_bot()));
        let said = discord.webhook_message_such_that(place, |said| said.content() == text).await;
        self.stage.idle().await;
        said
    }

    async fn remembered_in(&self, place: ChannelId) -> Vec<String> {
        self.stage.idle().await;
        texts(&on_disk(&self.store, place).await.expect("it is there"))
    }

    /// Until this is remembered of a place.
    async fn comes_to_remember(&self, place: ChannelId, expected: &[&str]) {
        let changed = async {
            while self.remembered_in(place).await != expected {
                tokio::task::yield_now().await;
            }
        };
        let changed = tokio::time::timeout(PATIENCE, changed).await;
        assert!(changed.is_ok(), "{:?}", self.remembered_in(place).await);
    }
}

#[tokio::test]
async fn a_branch_goes_on_from_a_line_by_itself() {
    let scene = Scene::new().await;
    let (_, first) = scene.answered("One, <@1>.").await;
    scene.answered("Two.").await;
    let thread = branched(&scene.stage, scene.general, first.id, scene.alice).await;
    let discord = &scene.stage.discord;
    let head = discord.said_by_bot(thread).remove(0);
    let link = format!("https://discord.com/channels/{}/{}/{}", discord.guild_id(), scene.general, first.id);
    assert!(head.content().contains(&link) && head.content().contains("One, "), "{}", head.content());
    assert!(head.suppresses_embeds() && head.mentions.is_empty());
    assert_eq!(scene.remembered_in(thread).await, ["hello", "One, <@1>."]);
    // Each goes on with what was said in it, after a restart too.
    let scene = scene.restarted().await;
    scene.answered_in(thread, "Three.").await;
    let prompt = scene.stage.prompt(0);
    assert!(prompt.contains("One, ") && !prompt.contains("Two."), "{prompt}");
    scene.answered_in(scene.general, "Four.").await;
    let prompt = scene.stage.prompt(1);
    assert!(prompt.contains("Two.") && !prompt.contains("Three."), "{prompt}");
    // From a branch others branch off, in the same channel.
    let third = scene.stage.discord.said_by_webhook(thread).remove(0);
    let again = branched(&scene.stage, scene.general, third.id, scene.alice).await;
    assert_eq!(scene.remembered_in(again).await, ["hello", "One, <@1>.", "go on", "Three."]);
    // Who replies to the first message there does not make it a line of the persona's.
    scene.stage.script.then([Step::Say("Five.".to_owned())]);
    let head = scene.stage.discord.said_by_bot(again).remove(0);
    scene.stage.discord.post_reply(head.id, scene.alice, true, "well?");
    scene.stage.discord.webhook_message_such_that(again, |said| said.content() == "Five.").await;
    assert!(!scene.stage.prompt(2).contains("What was said before"), "{}", scene.stage.prompt(2));
}

#[tokio::test]
async fn a_branch_of_a_private_thread_is_for_whoever_made_it() {
    let scene = Scene::new().await;
    let discord = &scene.stage.discord;
    let (bob, mallory) = (discord.member("Bob"), discord.member("Mallory"));
    let secret = discord.private_thread(scene.general, "secret", (scene.alice, &[bob]));
    discord.add_to_thread(secret, discord.bot_id());
    discord.caught_up().await;
    let said = scene.answered_in(secret, "A secret.").await;
    let branch = branched(&scene.stage, scene.general, said.id, scene.alice).await;
    assert!(discord.thread_as_it_is(branch).is_private());
    // Nor can members let others in.
    let begun = discord.requests().into_iter().rfind(|request| request.call == Some(Call::StartThread));
    assert_eq!(begun.expect("it was asked for").body["invitable"], false);
    let sees = [scene.alice, bob, mallory].map(|member| discord.sees(member, branch));
    assert_eq!(sees, [true, false, false]);
    assert_eq!(scene.remembered_in(branch).await, ["go on", "A secret."]);
    // One of a thread for all is for all.
    let open = discord.thread(scene.general, "open");
    let said = scene.answered_in(open, "No secret.").await;
    let branch = branched(&scene.stage, scene.general, said.id, scene.alice).await;
    assert!(discord.sees(mallory, branch));
}

#[tokio::test]
async fn where_nothing_may_branch_off_nothing_does() {
    let scene = Scene::new().await;
    let (_, said) = scene.answered("One.").await;
    let discord = &scene.stage.discord;
    let mallory = discord.member("Mallory");
    discord.deny(scene.general, Whom::Member(mallory), Permissions::READ_MESSAGE_HISTORY);
    assert_eq!(told(&scene.stage, said.id, mallory).await, Text::NotReader.to_string());
    let unknown = discord.post(scene.general, mallory, "by the way");
    scene.shown(|message| message.id == said.id && message.components.is_empty()).await;
    assert_eq!(told(&scene.stage, unknown, scene.alice).await, lines(Lines::NoLine));
    for taken in [Permissions::CREATE_PUBLIC_THREADS, Permissions::SEND_MESSAGES_IN_THREADS] {
        discord.deny(scene.general, Whom::Member(discord.bot_id()), taken);
        discord.caught_up().await;
        assert_eq!(told(&scene.stage, said.id, scene.alice).await, lines(Lines::MayNotBranch), "{taken:?}");
        discord.allow(scene.general, Whom::Member(discord.bot_id()), taken);
    }
    // Nor does whoever may not make threads themselves have the bot make one.
    for taken in [Permissions::CREATE_PUBLIC_THREADS, Permissions::SEND_MESSAGES_IN_THREADS] {
        discord.deny(scene.general, Whom::Member(scene.alice), taken);
        let told = told(&scene.stage, said.id, scene.alice).await;
        assert_eq!(told, lines(Lines::NoThreadOfTheirs), "{taken:?}");
        discord.allow(scene.general, Whom::Member(scene.alice), taken);
    }
    let direct = discord.direct(scene.alice);
    let alone = discord.post(direct, scene.alice, "hello");
    discord.reply_to(alone).await;
    scene.stage.idle().await;
    assert_eq!(told(&scene.stage, alone, scene.alice).await, lines(Lines::NoThreads));
    let post = discord.thread(discord.forum("stories"), "A story");
    discord.caught_up().await;
    let said = scene.answered_in(post, "Once.").await;
    assert_eq!(told(&scene.stage, said.id, scene.alice).await, lines(Lines::NoThreads));
    assert_eq!(discord.count(Call::StartThread), 0);
}

#[tokio::test]
async fn where_nothing_is_written_down_nothing_branches_off() {
    let discord = FakeDiscord::start().await;
    let (general, alice) = (discord.channel("general"), discord.member("Alice"));
    let stage = Stage::set(discord, Setting::default()).await;
    let trigger = stage.discord.post(general, alice, format!("{} hello", stage.discord.mention_bot()));
    let said = stage.discord.reply_to(trigger).await;
    stage.idle().await;
    assert_eq!(told(&stage, said.id, alice).await, lines(Lines::NotKept));
}

#[tokio::test]
async fn a_branch_counts_as_a_request() {
    let directory = tempfile::tempdir().expect("there is room");
    let store = open(&directory).await;
    let discord = FakeDiscord::start().await;
    let (general, alice) = (discord.channel("general"), discord.member("Alice"));
    let limits = Limits { member_per_hour: Some(2), ..Limits::default() };
    let stage = Stage::set(discord, Setting { limits, store: Some(store), ..Setting::default() }).await;
    let trigger = stage.discord.post(general, alice, format!("{} hello", stage.discord.mention_bot()));
    let said = stage.discord.reply_to(trigger).await;
    stage.idle().await;
    branched(&stage, general, said.id, alice).await;
    let told = told(&stage, said.id, alice).await;
    assert!(told.contains("more than I may answer in an hour"), "{told}");
    assert_eq!(stage.discord.threads_of(general).len(), 1);
}

#[tokio::test]
async fn members_words_are_not_repeated_in_a_thread() {
    let scene = Scene::new().await;
    let (asked, _) = scene.answered("One.").await;
    let thread = branched(&scene.stage, scene.general, asked, scene.alice).await;
    let head = scene.stage.discord.said_by_bot(thread).remove(0);
    assert!(head.content().ends_with(&format!("/{asked}.")), "{}", head.content());
    let begun = scene.stage.discord.requests().into_iter().rfind(|made| made.call == Some(Call::StartThread));
    let name = begun.expect("it was asked for").body["name"].clone();
    assert!(
        name.as_str().is_some_and(|name| name.starts_with("Branch: ") && !name.contains("hello")),
        "{name}"
    );
}

#[tokio::test]
async fn what_is_taken_back_while_a_branch_is_made_is_not_in_it() {
    let scene = Scene::new().await;
    let discord = &scene.stage.discord;
    let bob = discord.member("Bob");
    scene.stage.script.then([Step::Say("Zero.".to_owned())]);
    discord.post(scene.general, bob, format!("{} me too", discord.mention_bot()));
    scene.shown(|message| message.content() == "Zero." && has(message, "Continue")).await;
    scene.stage.idle().await;
    let (asked, first) = scene.answered("One.").await;
    let (_, second) = scene.answered("Two.").await;
    let gate = discord.hold_next(Call::StartThread);
    let made = discord.use_on_message(second.id, scene.alice, BRANCH);
    discord.requested(Call::StartThread, 1).await;
    discord.delete(first.id);
    discord.edit(asked, &format!("{} good day", discord.mention_bot()));
    discord.caught_up().await;
    scene.stage.assistant.forget_member(mummer::chat::MemberId(bob.0)).await.expect("he is forgotten");
    drop(gate);
    discord.answer_to(made).await;
    let thread = discord.threads_of(scene.general).pop().expect("there is a thread");
    assert_eq!(scene.remembered_in(thread).await, ["good day", "hello", "Two."]);
    assert_eq!(texts(&scene.stage.conversation(thread)), ["good day", "hello", "Two."]);
}

#[tokio::test]
async fn a_branch_goes_on_though_somebody_has_spoken_there_first() {
    let scene = Scene::new().await;
    let discord = &scene.stage.discord;
    let secret = discord.private_thread(scene.general, "secret", (scene.alice, &[]));
    discord.add_to_thread(secret, discord.bot_id());
    discord.caught_up().await;
    let said = scene.answered_in(secret, "A secret.").await;
    let gate = discord.hold_next(Call::AddThreadMember);
    let made = discord.use_on_message(said.id, scene.alice, BRANCH);
    discord.requested(Call::AddThreadMember, 1).await;
    let branch = discord.threads_of(scene.general).pop().expect("there is a thread");
    discord.caught_up().await;
    discord.add_to_thread(branch, scene.alice);
    scene.answered_in(branch, "Too early.").await;
    drop(gate);
    let told = discord.answer_to(made).await;
    assert_eq!(told.content(), lines(Lines::Branched(mummer::chat::ChannelId(branch.0))));
    assert_eq!(scene.remembered_in(branch).await, ["go on", "A secret."]);
    scene.answered_in(branch, "Later.").await;
    let prompt = scene.stage.prompt(scene.stage.script.prompts().len() - 1);
    assert!(prompt.contains("A secret.") && !prompt.contains("Too early."), "{prompt}");
}

#[tokio::test]
async fn what_is_forgotten_at_the_source_by_hand_stays_in_a_branch() {
    let scene = Scene::new().await;
    let (_, first) = scene.answered("One.").await;
    let thread = branched(&scene.stage, scene.general, first.id, scene.alice).await;
    let told = scene.forgotten(first.id, scene.alice).await;
    assert_eq!(told, lines(Lines::Forgotten { lines: 1, left: 0 }));
    let discord = &scene.stage.discord;
    assert!(discord.message(first.id).deleted.is_some());
    discord.caught_up().await;
    assert_eq!(scene.remembered_in(scene.general).await, ["hello"]);
    assert_eq!(scene.remembered_in(thread).await, ["hello", "One."]);
}

#[tokio::test]
async fn a_thread_in_which_nothing_can_go_on_does_not_stay() {
    for moderates in [true, false] {
        let scene = Scene::new().await;
        let (_, said) = scene.answered("One.").await;
        let discord = &scene.stage.discord;
        if moderates {
            discord.allow(scene.general, Whom::Member(discord.bot_id()), Permissions::MANAGE_THREADS);
        }
        discord.fail_next(1, Call::SendMessage, Failure::Refused { status: 403, code: 50_013 });
        assert_eq!(told(&scene.stage, said.id, scene.alice).await, lines(Lines::MayNotBranch));
        let left = discord.threads_of(scene.general);
        assert_eq!(left.len(), usize::from(!moderates));
        assert!(left.iter().all(|thread| discord.thread_as_it_is(*thread).archived));
    }
}

#[tokio::test]
async fn what_is_deleted_or_changed_at_the_source_is_in_its_branches_too() {
    for restarts in [false, true] {
        let mut scene = Scene::new().await;
        let (asked, first) = scene.answered("One.").await;
        let (_, second) = scene.answered("Two.").await;
        let thread = branched(&scene.stage, scene.general, second.id, scene.alice).await;
        scene.answered_in(thread, "Three.").await;
        if restarts {
            // Neither of them is at hand.
            scene = scene.restarted().await;
        }
        let discord = &scene.stage.discord;
        discord.edit(asked, &format!("{} good day", discord.mention_bot()));
        discord.delete(first.id);
        discord.delete(second.id);
        discord.caught_up().await;
        scene.comes_to_remember(thread, &["good day", "hello", "go on", "Three."]).await;
        scene.answered_in(thread, "Four.").await;
        let prompt = scene.stage.prompt(scene.stage.script.prompts().len() - 1);
        assert!(prompt.contains("good day") && !prompt.contains("One."), "{prompt}");
    }
}

#[tokio::test]
async fn what_was_deleted_while_the_bot_was_away_goes_in_branches_too() {
    let scene = Scene::new().await;
    let (asked, first) = scene.answered("One.").await;
    let thread = branched(&scene.stage, scene.general, first.id, scene.alice).await;
    let Scene { directory, store, stage, general, alice } = scene;
    let (discord, ended) = stage.close().await;
    ended.expect("it ends well");
    discord.edit(asked, &format!("{} good day", discord.mention_bot()));
    discord.delete(first.id);
    let stage = Scene::on_stage(discord, &store).await;
    let scene = Scene { directory, store, stage, general, alice };
    scene.comes_to_remember(thread, &["good day"]).await;
}

#[tokio::test]
async fn what_the_bot_itself_takes_away_for_another_way_to_say_it_stays_in_a_branch() {
    let scene = Scene::new().await;
    let long = "A sentence of many that make this reply long. ".repeat(60).trim().to_owned();
    scene.stage.script.then([Step::Say(long.clone())]);
    let discord = &scene.stage.discord;
    discord.post(scene.general, scene.alice, format!("{} hello", discord.mention_bot()));
    let last = scene.shown(|message| has(message, "Regenerate")).await;
    scene.stage.idle().await;
    let thread = branched(&scene.stage, scene.general, last.id, scene.alice).await;
    // What Discord says of the thread stands after the reply, and there are no buttons under that any more.
    let notice = discord.shown(scene.general).pop().expect("there is a notice");
    scene.shown(|message| message.id == last.id && message.components.is_empty()).await;
    discord.delete(notice.id);
    discord.caught_up().await;
    scene.stage.script.then([Step::Say("Short.".to_owned())]);
    discord.use_on_message(last.id, scene.alice, "Regenerate");
    let short = scene.shown(|message| message.content() == "Short." && has(message, "Delete"));
    let short = short.await;
    discord.caught_up().await;
    assert_eq!(scene.remembered_in(thread).await, ["hello", long.as_str()]);
    // What is taken back is taken back everywhere.
    scene.press(&short, "Delete");
    discord.requested(Call::DeleteWebhookMessage, 2).await;
    assert_eq!(scene.remembered_in(thread).await, ["hello"]);
}

#[tokio::test]
async fn whoever_is_forgotten_is_forgotten_in_branches_too() {
    let scene = Scene::new().await;
    let (_, said) = scene.answered("One.").await;
    let thread = branched(&scene.stage, scene.general, said.id, scene.alice).await;
    let scene = scene.restarted().await;
    let alice = mummer::chat::MemberId(scene.alice.0);
    scene.stage.assistant.forget_member(alice).await.expect("it is written");
    let conversation = on_disk(&scene.store, thread).await;
    assert!(conversation.is_none_or(|conversation| conversation.turns().is_empty()));
}
