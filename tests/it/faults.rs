//! What goes wrong on Discord's side, and what must not go wrong because of it.

use std::sync::Arc;
use std::time::Duration;

use mummer::bot;
use mummer::chat::history::TurnState;
use mummer::chat::notice::{self, Notice};
use mummer::generation::scripted::{Scripted, Step};
use secrecy::SecretString;
use serenity::http::HttpBuilder;
use serenity::model::gateway::GatewayIntents;
use tokio::sync::Semaphore;

use crate::discord::{Call, ChannelId, Failure, FakeDiscord, Message, MessageId, Outcome, State};
use crate::stage::{Setting, Stage};

fn reads(text: &str) -> impl Fn(&Message) -> bool {
    move |message| message.content() == text
}

/// A stage with a reply that has shown "Begun" and waits to be stopped.
async fn with_reply_in_flight() -> (Stage, ChannelId, MessageId) {
    let stage = Stage::new().await;
    let (general, alice) = (stage.discord.channel("general"), stage.discord.member("Alice"));
    let never = Arc::new(Semaphore::new(0));
    stage.script.then([Step::Say("Begun".to_owned()), Step::Hold(never)]);
    let trigger = stage.discord.post(general, alice, format!("{} go", stage.discord.mention_bot()));
    stage.discord.reply_such_that(trigger, reads("Begun")).await;
    (stage, general, trigger)
}

async fn answers_in(stage: &Stage, channel: ChannelId) {
    let alice = stage.discord.member("Alice");
    stage.script.then_say("Still here.");
    let trigger = stage.discord.post(channel, alice, format!("{} still there?", stage.discord.mention_bot()));
    stage.discord.reply_such_that(trigger, reads("Still here.")).await;
}

#[tokio::test]
async fn deleting_the_trigger_stops_the_reply_and_the_message_is_forgotten() {
    let (stage, general, trigger) = with_reply_in_flight().await;
    stage.discord.delete(trigger);
    answers_in(&stage, general).await;
    assert_eq!(stage.script.cancelled(), 1);
    let conversation = stage.conversation(general);
    assert_eq!(conversation.turns()[0].state, TurnState::Interrupted);
    assert_eq!(conversation.turns()[0].shown().text, "Begun");
    assert!(!stage.prompt(1).contains("Alice: go"), "{}", stage.prompt(1));
}

#[tokio::test]
async fn losing_the_place_stops_the_reply() {
    let lose: [fn(&FakeDiscord, ChannelId, ChannelId, MessageId); 4] = [
        |discord, _, thread, _| discord.delete_channel(thread),
        |discord, parent, _, _| discord.delete_channel(parent),
        |discord, _, _, _| discord.kick_bot(),
        |discord, _, thread, trigger| discord.delete_all(thread, &[trigger]),
    ];
    for lose in lose {
        let stage = Stage::new().await;
        let (parent, alice) = (stage.discord.channel("general"), stage.discord.member("Alice"));
        let thread = stage.discord.thread(parent, "thread");
        stage.script.then([Step::Say("Begun".to_owned()), Step::Hold(Arc::new(Semaphore::new(0)))]);
        let trigger = stage.discord.post(thread, alice, format!("{} go", stage.discord.mention_bot()));
        stage.discord.reply_such_that(trigger, reads("Begun")).await;
        lose(&stage.discord, parent, thread, trigger);
        // A direct message is out of reach of all of these.
        let direct = stage.discord.direct(alice);
        stage.script.then_say("Still here.");
        let trigger = stage.discord.post(direct, alice, "still there?");
        stage.discord.reply_such_that(trigger, reads("Still here.")).await;
        assert_eq!(stage.script.cancelled(), 1);
    }
}

#[tokio::test]
async fn an_edit_that_is_refused_is_said() {
    let stage = Stage::new().await;
    let (general, alice) = (stage.discord.channel("general"), stage.discord.member("Alice"));
    let go = Arc::new(Semaphore::new(0));
    let say = |text: &str| Step::Say(text.to_owned());
    stage.script.then([say("Begun"), Step::Hold(Arc::clone(&go)), say(" more")]);
    let trigger = stage.discord.post(general, alice, format!("{} go", stage.discord.mention_bot()));
    stage.discord.reply_such_that(trigger, reads("Begun")).await;
    stage.discord.fail_next(1, Call::EditMessage, Failure::Refused { status: 400, code: 50_035 });
    go.add_permits(1);
    let cut_off = Notice::CutOff.to_string();
    let said = |state: &State| state.world.said_by_bot(general).any(|message| message.content() == cut_off);
    stage.discord.until("it says so", said).await;
    answers_in(&stage, general).await;
    assert!(stage.prompt(1).contains("Hermes: Begun\n"), "what was shown is remembered: {}", stage.prompt(1));
}

#[tokio::test]
async fn members_who_wait_are_told_when_the_bot_leaves() {
    let (stage, general, _) = with_reply_in_flight().await;
    let bob = stage.discord.member("Bob");
    let waiting = stage.discord.post(general, bob, format!("{} and me?", stage.discord.mention_bot()));
    stage.discord.requested(Call::Typing, 2).await;
    let (discord, ended) = stage.close().await;
    ended.expect("it ends well");
    assert_eq!(discord.reply_to(waiting).await.content(), Notice::Closing.to_string());
}

#[tokio::test]
async fn a_message_deleted_before_anything_is_shown_leaves_no_trace() {
    let stage = Stage::new().await;
    let (general, alice) = (stage.discord.channel("general"), stage.discord.member("Alice"));
    stage.script.then([Step::Hold(Arc::new(Semaphore::new(0)))]);
    let trigger = stage.discord.post(general, alice, format!("{} never mind", stage.discord.mention_bot()));
    stage.script.started(1).await;
    stage.discord.delete(trigger);
    answers_in(&stage, general).await;
    assert_eq!(stage.discord.said_by_bot(general).len(), 1);
    assert!(!stage.prompt(stage.script.prompts().len() - 1).contains("never mind"));
}

#[tokio::test]
async fn too_many_requests_and_server_faults_are_tried_again() {
    let stage = Stage::new().await;
    let (general, alice) = (stage.discord.channel("general"), stage.discord.member("Alice"));
    stage.discord.fail_next(
        1,
        Call::SendMessage,
        Failure::RateLimited { retry_after: Duration::from_millis(100) },
    );
    stage.discord.fail_next(1, Call::SendMessage, Failure::Status(502));
    stage.discord.fail_next(1, Call::SendMessage, Failure::ConnectionLost);
    let trigger = stage.discord.post(general, alice, format!("{} hi", stage.discord.mention_bot()));
    stage.discord.reply_to(trigger).await;
    assert_eq!(stage.discord.count(Call::SendMessage), 4);
    assert_eq!(stage.discord.said_by_bot(general).len(), 1);
}

#[tokio::test]
async fn a_send_whose_answer_was_lost_is_not_doubled() {
    let stage = Stage::new().await;
    let (general, alice) = (stage.discord.channel("general"), stage.discord.member("Alice"));
    stage.discord.fail_next(1, Call::SendMessage, Failure::AnswerLost);
    stage.script.then_say("Once.");
    let trigger = stage.discord.post(general, alice, format!("{} hi", stage.discord.mention_bot()));
    stage.discord.requested(Call::SendMessage, 2).await;
    answers_in(&stage, general).await;
    let said = stage.discord.said_by_bot(general);
    assert_eq!(said.iter().filter(|message| message.content() == "Once.").count(), 1);
    assert_eq!(stage.conversation(general).turns()[1].parts[0].message.0, said[0].id.0);
    assert_eq!(said[0].reply.as_ref().map(|reply| reply.to), Some(trigger));
}

#[tokio::test]
async fn missing_permission_ends_one_reply_without_hammering() {
    let stage = Stage::new().await;
    let (general, alice) = (stage.discord.channel("general"), stage.discord.member("Alice"));
    stage.discord.let_bot_send(general, false);
    let trigger = stage.discord.post(general, alice, format!("{} hi", stage.discord.mention_bot()));
    stage.discord.requested(Call::Typing, 1).await;
    answers_in(&stage, stage.discord.channel("elsewhere")).await;
    stage.discord.assert_no_reply(trigger);
    assert!(stage.discord.count(Call::Typing) <= 3, "it stops asking");
    stage.discord.let_bot_send(general, true);
    answers_in(&stage, general).await;
}

#[tokio::test]
async fn a_refused_send_costs_one_reply_only() {
    let stage = Stage::new().await;
    let (general, alice) = (stage.discord.channel("general"), stage.discord.member("Alice"));
    for (status, code) in [(400, 50_035), (403, 50_013), (404, 10_003)] {
        stage.discord.fail_next(1, Call::SendMessage, Failure::Refused { status, code });
        let trigger = stage.discord.post(general, alice, format!("{} lost", stage.discord.mention_bot()));
        let before = stage.discord.count(Call::SendMessage);
        stage.discord.requested(Call::SendMessage, before + 1).await;
        if status == 403 {
            // Where it may not speak it asks no more, until the rules change.
            let asked = || {
                let there = format!("/channels/{general}/");
                stage.discord.requests().iter().filter(|request| request.path.contains(&there)).count()
            };
            let before = asked();
            let silent = stage.discord.post(general, alice, format!("{} again", stage.discord.mention_bot()));
            let other = stage.discord.channel("other");
            answers_in(&stage, other).await;
            assert_eq!(asked(), before, "{}", stage.discord.picture());
            stage.discord.assert_no_reply(silent);
            stage.discord.let_bot_send(general, true);
            stage.discord.caught_up().await;
        }
        if code == 10_003 {
            // What is said in a channel before it is known to be gone is gone with it.
            while stage.assistant.conversation(mummer::chat::ChannelId(general.0)).is_some() {
                tokio::task::yield_now().await;
            }
        }
        answers_in(&stage, general).await;
        let replies = stage.discord.replies_to(trigger);
        assert!(replies.iter().all(|reply| reply.content().starts_with(notice::MARK)), "{replies:?}");
        let last = stage.prompt(stage.script.prompts().len() - 1);
        assert!(!last.contains("lost"), "what was not answered is not remembered: {last}");
    }
}

#[tokio::test]
async fn our_message_deleted_by_a_moderator_stops_the_reply() {
    let stage = Stage::new().await;
    let (general, alice) = (stage.discord.channel("general"), stage.discord.member("Alice"));
    stage.script.then([Step::Say("Begun".to_owned()), Step::Hold(Arc::new(Semaphore::new(0)))]);
    let trigger = stage.discord.post(general, alice, format!("{} go", stage.discord.mention_bot()));
    let reply = stage.discord.reply_such_that(trigger, reads("Begun")).await;
    stage.discord.delete(reply.id);
    answers_in(&stage, general).await;
    assert_eq!(stage.script.cancelled(), 1);
    assert_eq!(stage.discord.count(Call::EditMessage), 0);
    let conversation = stage.conversation(general);
    assert!(
        conversation.turns().iter().all(|turn| turn.shown().text != "Begun"),
        "{:?}",
        conversation.turns()
    );
}

#[tokio::test]
async fn whoever_asks_where_the_bot_may_not_speak_is_told_once() {
    let stage = Stage::new().await;
    let (general, alice) = (stage.discord.channel("general"), stage.discord.member("Alice"));
    stage.discord.let_bot_send(general, false);
    let direct = stage.discord.direct(alice);
    for number in 0..3 {
        stage.discord.post(general, alice, format!("{} hello {number}", stage.discord.mention_bot()));
        let told = |state: &State| state.world.said_by_bot(direct).count() == 1;
        stage.discord.until("a word about it", told).await;
    }
    let other = stage.discord.channel("other");
    answers_in(&stage, other).await;
    let told = stage.discord.said_by_bot(direct);
    assert_eq!(told[0].content(), Notice::MayNotSpeak { channel: general.0 }.to_string());
    let refused =
        stage.discord.requests().into_iter().filter(|request| request.outcome == Outcome::Answered(403));
    assert!(refused.count() <= 3, "{}", stage.discord.picture());
}

#[tokio::test]
async fn a_dropped_gateway_resumes_and_answers() {
    let stage = Stage::new().await;
    let (general, alice) = (stage.discord.channel("general"), stage.discord.member("Alice"));
    answers_in(&stage, general).await;
    stage.discord.drop_connections();
    let missed = stage.discord.post(general, alice, format!("{} missed?", stage.discord.mention_bot()));
    stage.discord.reply_to(missed).await;
    assert_eq!((stage.discord.identifies(), stage.discord.resumes()), (1, 1));
    answers_in(&stage, general).await;
}

#[tokio::test]
async fn a_wrong_token_and_refused_intents_end_the_bot_with_a_word() {
    let check = async |discord: FakeDiscord, token: &'static str, expected: &str| {
        let script = Scripted::new(1, 1);
        let http = bot::http(&SecretString::from(token), Some(&discord.api_base()));
        let setting = Setting { message_content: true, ..Setting::default() };
        let stage = Stage::open(discord, setting, Arc::new(script.clone()), script, http);
        let (_discord, ended) = stage.ended().await;
        let error = ended.expect_err("it cannot run").to_string();
        assert!(error.contains(expected), "{error}");
    };
    check(FakeDiscord::start().await, "not.the.token", "refuses the bot token").await;
    let discord = FakeDiscord::start().await;
    let token = discord.token();
    discord.refuse_next_identify(4004);
    check(discord, token, "refuses the bot token").await;
    let discord = FakeDiscord::start().await;
    discord.forbid_intents(GatewayIntents::MESSAGE_CONTENT);
    check(discord, token, "message_content = false").await;
}

#[tokio::test]
async fn a_discord_that_is_down_at_the_start_is_waited_for() {
    let discord = FakeDiscord::start().await;
    discord.fail_next(2, Call::Gateway, Failure::Status(503));
    let stage = Stage::set(discord, Setting::default()).await;
    answers_in(&stage, stage.discord.channel("general")).await;
}

#[tokio::test]
async fn closing_shows_what_is_there() {
    let stage = Stage::new().await;
    let (general, alice) = (stage.discord.channel("general"), stage.discord.member("Alice"));
    let say = |text: &str| Step::Say(text.to_owned());
    let (go, never) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    stage.script.then([say("Begun"), Step::Hold(Arc::clone(&go)), say(" and there."), Step::Hold(never)]);
    let trigger = stage.discord.post(general, alice, format!("{} go", stage.discord.mention_bot()));
    stage.discord.reply_such_that(trigger, reads("Begun")).await;
    go.add_permits(1);
    stage.discord.reply_such_that(trigger, reads("Begun and there.")).await;
    let assistant = Arc::clone(&stage.assistant);
    let (discord, ended) = stage.close().await;
    ended.expect("it ends well");
    assert_eq!(discord.reply_to(trigger).await.content(), "Begun and there.");
    let conversation = assistant.conversation(mummer::chat::ChannelId(general.0)).expect("it is remembered");
    assert_eq!(conversation.turns()[1].state, TurnState::Interrupted);
}

#[tokio::test]
async fn closing_waits_neither_for_a_slow_typing_sign_nor_for_a_silent_discord() {
    let stage = Stage::new().await;
    let (general, alice) = (stage.discord.channel("general"), stage.discord.member("Alice"));
    stage.script.then([Step::Hold(Arc::new(Semaphore::new(0)))]);
    let gate = stage.discord.hold_next(Call::Typing);
    stage.discord.post(general, alice, format!("{} go", stage.discord.mention_bot()));
    stage.discord.requested(Call::Typing, 1).await;
    let (discord, ended) = stage.close().await;
    ended.expect("it ends although the typing sign was never answered");
    drop((gate, discord));

    let discord = FakeDiscord::start().await;
    let gate = discord.hold_next(Call::Gateway);
    let script = Scripted::new(1, 1);
    let http = bot::http(&SecretString::from(discord.token()), Some(&discord.api_base()));
    let stage = Stage::open(discord, Setting::default(), Arc::new(script.clone()), script, http);
    stage.discord.requested(Call::Gateway, 1).await;
    let (discord, ended) = stage.close().await;
    ended.expect("it ends although it was never connected");
    drop((gate, discord));
}

#[tokio::test]
async fn serenitys_own_limiter_works_where_there_is_no_proxy() {
    let discord = FakeDiscord::start_tls().await;
    discord.enforce_rate_limits(2, Duration::from_millis(700));
    let authority =
        reqwest::Certificate::from_pem(discord.tls_authority().as_bytes()).expect("a certificate");
    let client = reqwest::Client::builder()
        .resolve("discord.com", discord.tls_address())
        .add_root_certificate(authority)
        .build()
        .expect("a client");
    let http = HttpBuilder::new(discord.token()).client(client).build();
    let script = Scripted::new(16, 2);
    let stage = Stage::open(discord, Setting::default(), Arc::new(script.clone()), script, http);
    stage.discord.connected().await;
    let general = stage.discord.channel("general");
    for _ in 0..5 {
        answers_in(&stage, general).await;
    }
    assert_eq!(stage.discord.rate_limit_refusals(), 0, "the limiter waits instead of being refused");
    assert_eq!(stage.discord.count(Call::SendMessage), 5);
}
