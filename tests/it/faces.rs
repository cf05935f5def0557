//! Personas with faces: they speak through webhooks, under their own name and with their own picture, and as the bot where
//! that cannot be.

use std::sync::Arc;

use mummer::chat::history::{Turn, TurnKind, TurnState};
use mummer::chat::notice::Notice;
use mummer::generation::FailureKind;
use mummer::generation::scripted::Step;
use mummer::store::Store;
use serde_json::json;
use tempfile::TempDir;
use tokio::sync::Semaphore;

use crate::discord::{Call, ChannelId, Failure, FakeDiscord, Message, MessageId};
use crate::memory::{on_disk, open, settled};
use crate::stage::{Setting, Stage};

/// A bot that reads everything, may have webhooks, and plays somebody who is not called like it.
async fn began() -> (TempDir, Store, Stage) {
    let directory = tempfile::tempdir().expect("there is room");
    let store = open(&directory).await;
    let discord = FakeDiscord::start().await;
    discord.let_bot_have_webhooks(true);
    let stage = on_stage(discord, &store).await;
    (directory, store, stage)
}

async fn on_stage(discord: FakeDiscord, store: &Store) -> Stage {
    let setting = Setting {
        persona: "mizzle",
        message_content: true,
        store: Some(store.clone()),
        ..Setting::default()
    };
    Stage::set(discord, setting).await
}

fn say(text: &str) -> Step {
    Step::Say(text.to_owned())
}

/// Somebody says something to the bot in a channel.
fn ask(stage: &Stage, channel: ChannelId) -> MessageId {
    let alice = stage.discord.member("Alice");
    stage.discord.post(channel, alice, format!("{} hello", stage.discord.mention_bot()))
}

fn reads(text: &str) -> impl Fn(&Message) -> bool {
    move |message| message.content() == text
}

fn seen_as(message: &Message) -> &str {
    &message.seen_as.as_ref().expect("a webhook has posted it").0
}

/// The last thing that a persona said, as it is on disk.
fn last(conversation: &mummer::chat::history::Conversation) -> Turn {
    let said = conversation.turns().iter().rfind(|turn| turn.kind == TurnKind::Persona);
    said.expect("a persona has spoken").clone()
}

#[tokio::test]
async fn a_persona_speaks_under_its_own_name_and_with_its_own_picture() {
    let (_directory, store, stage) = began().await;
    let discord = &stage.discord;
    let general = discord.channel("general");
    let more = Arc::new(Semaphore::new(0));
    stage.script.then([say("I am"), Step::Hold(Arc::clone(&more)), say(" Mizzle.")]);
    ask(&stage, general);
    discord.webhook_message_such_that(general, reads("I am")).await;
    more.add_permits(1);
    let said = discord.webhook_message_such_that(general, reads("I am Mizzle.")).await;
    assert_eq!(said.history(), ["I am", "I am Mizzle."]);
    let (name, picture) = said.seen_as.clone().expect("a webhook has posted it");
    assert_eq!(name, "Mizzle");
    assert!(picture.expect("it has one").starts_with(&format!("{}/emojis/", discord.api_base())));
    assert!(said.suppresses_embeds());
    assert_eq!(said.allowed_mentions.as_ref().expect("it says whom it pings")["parse"], json!([]));
    let turn = last(&settled(&store, general).await);
    assert_eq!(turn.shown().text, "I am Mizzle.");
    assert_eq!((turn.parts[0].message.0, turn.parts[0].webhook), (said.id.0, Some(said.author.0)));
}

#[tokio::test]
async fn a_channel_has_one_webhook_and_its_threads_too_and_a_persona_one_picture() {
    let (directory, store, stage) = began().await;
    let discord = &stage.discord;
    let (general, aside) = (discord.channel("general"), discord.channel("aside"));
    let thread = discord.thread(general, "thread");
    for place in [general, thread, aside, general] {
        stage.script.then([say("Hello.")]);
        let before = discord.said_by_webhook(place).len();
        ask(&stage, place);
        discord
            .until("the persona to speak", |state| {
                state.world.shown(place).filter(|message| message.seen_as.is_some()).count() > before
            })
            .await;
        settled(&store, place).await;
    }
    let (discord, ended) = stage.close().await;
    ended.expect("it ends well");
    store.close().await;
    drop(store);
    let store = open(&directory).await;
    let stage = on_stage(discord, &store).await;
    stage.script.then([say("Hello again.")]);
    ask(&stage, thread);
    stage.discord.webhook_message_such_that(thread, reads("Hello again.")).await;
    let webhooks = [general, aside].map(|channel| stage.discord.webhooks_of(channel));
    assert_eq!((webhooks, stage.discord.count(Call::CreateEmoji)), ([1, 1], 1));
}

#[tokio::test]
async fn a_picture_that_is_not_taken_is_not_tried_again_and_those_of_others_are() {
    let (_directory, store, stage) = began().await;
    let discord = &stage.discord;
    let (general, admin) = (discord.channel("general"), discord.member("Admin"));
    discord.empower(admin, serenity::model::Permissions::MANAGE_GUILD);
    discord.fail_next(1, Call::CreateEmoji, Failure::Refused { status: 400, code: 50_035 });
    for (text, persona, has_picture) in
        [("One.", "mizzle", false), ("Two.", "crake", true), ("Three.", "mizzle", false)]
    {
        let chosen = discord.use_command(general, admin, "persona use", &[("persona", json!(persona))]);
        discord.answer_to(chosen).await;
        stage.script.then([say(text)]);
        ask(&stage, general);
        let said = discord.webhook_message_such_that(general, reads(text)).await;
        let (name, picture) = said.seen_as.clone().expect("a webhook has posted it");
        assert!(name.to_lowercase().ends_with(persona), "{name} and not {persona}");
        assert_eq!(picture.is_some(), has_picture, "{text}");
        settled(&store, general).await;
        stage.idle().await;
    }
    assert_eq!(discord.count(Call::CreateEmoji), 2);
}

#[tokio::test]
async fn where_it_has_no_face_its_name_stands_above() {
    let (_directory, store, stage) = began().await;
    let discord = &stage.discord;
    let general = discord.channel("general");
    discord.let_bot_have_webhooks(false);
    discord.caught_up().await;
    stage.script.then([say("Hello."), say(" And more.")]);
    let trigger = ask(&stage, general);
    discord.reply_such_that(trigger, reads("**Mizzle**\nHello. And more.")).await;
    assert_eq!(last(&settled(&store, general).await).shown().text, "Hello. And more.");
    assert_eq!(discord.count(Call::CreateWebhook), 0, "what is not allowed is not tried");
    // It gets one as soon as it may.
    discord.let_bot_have_webhooks(true);
    discord.caught_up().await;
    stage.script.then([say("Hello again.")]);
    ask(&stage, general);
    discord.webhook_message_such_that(general, reads("Hello again.")).await;
}

#[tokio::test]
async fn without_the_intent_it_speaks_as_the_bot_and_in_direct_messages_always() {
    let discord = FakeDiscord::start().await;
    discord.let_bot_have_webhooks(true);
    let stage = Stage::set(discord, Setting { persona: "mizzle", ..Setting::default() }).await;
    let discord = &stage.discord;
    let alice = discord.member("Alice");
    for (place, text) in [(discord.channel("general"), "One."), (discord.direct(alice), "Two.")] {
        stage.script.then([say(text)]);
        let trigger = discord.post(place, alice, format!("{} hello", discord.mention_bot()));
        discord.reply_such_that(trigger, reads(&format!("**Mizzle**\n{text}"))).await;
    }
    assert_eq!(discord.count(Call::ListWebhooks), 0);
}

#[tokio::test]
async fn an_admin_chooses_how_personas_speak() {
    let (_directory, _store, stage) = began().await;
    let discord = &stage.discord;
    let (general, admin) = (discord.channel("general"), discord.member("Admin"));
    discord.empower(admin, serenity::model::Permissions::MANAGE_GUILD);
    let options = [("setting", json!("style")), ("value", json!("bot"))];
    let set = discord.use_command(general, admin, "settings set", &options);
    discord.answer_such_that(set, |answer| answer.content().starts_with("`style` is bot")).await;
    stage.script.then([say("Hello.")]);
    let trigger = ask(&stage, general);
    discord.reply_such_that(trigger, reads("**Mizzle**\nHello.")).await;
}

#[tokio::test]
async fn no_persona_takes_the_name_of_a_member() {
    let (_directory, _store, stage) = began().await;
    let discord = &stage.discord;
    let (general, aside) = (discord.channel("general"), discord.channel("aside"));
    let dora = discord.member("Dora");
    discord.set_nick(dora, Some("MIZZLE"));
    discord.caught_up().await;
    stage.script.then([say("One.")]);
    ask(&stage, general);
    let said = discord.webhook_message_such_that(general, reads("One.")).await;
    assert_eq!(seen_as(&said), "Mizzle (persona)");
    // Nor that of whoever asks, whom the search does not find.
    discord.set_nick(dora, None);
    let eve = discord.member("Eve");
    discord.set_global_name(eve, "mizzle (persona)");
    discord.caught_up().await;
    stage.script.then([say("Two.")]);
    discord.post(aside, eve, format!("{} hello", discord.mention_bot()));
    let said = discord.webhook_message_such_that(aside, reads("Two.")).await;
    assert_eq!(seen_as(&said), "Mizzle (persona 2)");
}

#[tokio::test]
async fn a_webhook_that_is_gone_is_made_anew_and_nothing_is_lost() {
    let (_directory, store, stage) = began().await;
    let discord = &stage.discord;
    let general = discord.channel("general");
    stage.script.then([say("One.")]);
    ask(&stage, general);
    discord.webhook_message_such_that(general, reads("One.")).await;
    settled(&store, general).await;
    discord.delete_webhooks(general);
    let more = Arc::new(Semaphore::new(0));
    stage.script.then([say("Two,"), Step::Hold(Arc::clone(&more)), say(" three.")]);
    ask(&stage, general);
    discord.webhook_message_such_that(general, reads("Two,")).await;
    assert_eq!(discord.webhooks_of(general), 2);
    // In the middle of a reply what is there can be changed no more.
    discord.delete_webhooks(general);
    more.add_permits(1);
    discord.webhook_message_such_that(general, reads("three.")).await;
    let turn = last(&settled(&store, general).await);
    assert_eq!((turn.shown().text.as_str(), turn.parts.len()), ("Two, three.", 2));
    // Where it may have none any more, it goes on as the bot.
    discord.delete_webhooks(general);
    discord.let_bot_have_webhooks(false);
    discord.caught_up().await;
    stage.script.then([say("Four.")]);
    let trigger = ask(&stage, general);
    discord.reply_such_that(trigger, reads("**Mizzle**\nFour.")).await;
}

#[tokio::test]
async fn what_may_or_may_not_have_arrived_is_looked_for_and_never_said_twice() {
    let (_directory, store, stage) = began().await;
    let discord = &stage.discord;
    let general = discord.channel("general");
    for (failure, text) in [
        (Failure::AnswerLost, "One."),
        (Failure::ConnectionLost, "Two."),
        (Failure::Status(503), "Three."),
        (Failure::RateLimited { retry_after: std::time::Duration::from_millis(10) }, "Four."),
    ] {
        discord.fail_next(1, Call::ExecuteWebhook, failure);
        stage.script.then([say(text)]);
        ask(&stage, general);
        discord.webhook_message_such_that(general, reads(text)).await;
        settled(&store, general).await;
        stage.idle().await;
    }
    let said: Vec<String> =
        discord.said_by_webhook(general).iter().map(|message| message.content().to_owned()).collect();
    assert_eq!(said, ["One.", "Two.", "Three.", "Four."]);
}

#[tokio::test]
async fn what_cannot_be_found_out_is_uncertain_until_it_can() {
    let (_directory, store, stage) = began().await;
    let discord = &stage.discord;
    let general = discord.channel("general");
    discord.fail_next(1, Call::ExecuteWebhook, Failure::AnswerLost);
    discord.fail_next(1, Call::ListMessages, Failure::Refused { status: 403, code: 50_013 });
    stage.script.then([say("One.")]);
    ask(&stage, general);
    discord.webhook_message_such_that(general, reads("One.")).await;
    stage.idle().await;
    let turn = last(&on_disk(&store, general).await.expect("it is there"));
    assert_eq!((turn.state, turn.parts.len()), (TurnState::Uncertain, 0));
    // With the next message the channel is looked at.
    stage.script.then([say("Two.")]);
    ask(&stage, general);
    discord.webhook_message_such_that(general, reads("Two.")).await;
    stage.idle().await;
    let conversation = on_disk(&store, general).await.expect("it is there");
    let said: Vec<_> = conversation.turns().iter().filter(|turn| turn.kind == TurnKind::Persona).collect();
    assert_eq!((said.len(), said[0].parts.len(), said[0].state), (2, 1, TurnState::Interrupted));
    assert_eq!(discord.said_by_webhook(general).len(), 2);
}

#[tokio::test]
async fn what_was_posted_when_the_process_ended_is_known_by_the_next_one() {
    let (directory, store, stage) = began().await;
    let general = stage.discord.channel("general");
    stage.discord.fail_next(1, Call::ExecuteWebhook, Failure::AnswerLost);
    let gate = stage.discord.hold_next(Call::ListMessages);
    stage.script.then([say("One.")]);
    let trigger = ask(&stage, general);
    stage.discord.requested(Call::ListMessages, 1).await;
    let discord = stage.kill().await;
    drop((store, gate));
    let store = open(&directory).await;
    let stage = on_stage(discord, &store).await;
    let cut_off = Notice::Interrupted.to_string();
    stage
        .discord
        .until("it is told", |state| {
            state.world.said_by_bot(general).any(|message| message.content() == cut_off)
        })
        .await;
    stage.idle().await;
    let turn = last(&on_disk(&store, general).await.expect("it is there"));
    assert_eq!((turn.trigger.map(|it| it.0), turn.parts.len()), (Some(trigger.0), 1));
    assert!(turn.parts[0].webhook.is_some());
    assert_eq!(stage.discord.said_by_webhook(general).len(), 1);
}

#[tokio::test]
async fn the_bot_speaks_for_itself_as_itself() {
    let (_directory, _store, stage) = began().await;
    let discord = &stage.discord;
    let general = discord.channel("general");
    stage.script.then([say("Half a"), Step::Fail(FailureKind::EngineFault, true)]);
    ask(&stage, general);
    discord.webhook_message_such_that(general, reads("Half a")).await;
    let cut_off = Notice::CutOff.to_string();
    discord
        .until("it is told", |state| {
            state.world.said_by_bot(general).any(|message| message.content() == cut_off)
        })
        .await;
}

#[tokio::test]
async fn whoever_replies_to_a_persona_is_answered_without_a_ping() {
    let (_directory, _store, stage) = began().await;
    let discord = &stage.discord;
    let (general, alice) = (discord.channel("general"), discord.member("Alice"));
    stage.script.then([say("One.")]);
    ask(&stage, general);
    let said = discord.webhook_message_such_that(general, reads("One.")).await;
    stage.idle().await;
    stage.script.then([say("Two.")]);
    discord.post_reply(said.id, alice, false, "and you?");
    discord.webhook_message_such_that(general, reads("Two.")).await;
    assert!(stage.prompt(1).contains("Mizzle: One.\nAlice 2: and you?\n"), "{}", stage.prompt(1));
}

#[tokio::test]
async fn what_a_webhook_has_posted_and_a_moderator_deletes_is_forgotten() {
    let (_directory, store, stage) = began().await;
    let discord = &stage.discord;
    let general = discord.channel("general");
    stage.script.then([say("One.")]);
    ask(&stage, general);
    let said = discord.webhook_message_such_that(general, reads("One.")).await;
    settled(&store, general).await;
    stage.idle().await;
    discord.delete(said.id);
    discord.caught_up().await;
    let is_gone = async {
        while on_disk(&store, general)
            .await
            .is_some_and(|it| it.turn_of(mummer::chat::MessageId(said.id.0)).is_some())
        {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(crate::memory::PATIENCE, is_gone).await.expect("it is forgotten");
}
