//! The settings that say who is answered, how replies are shown, and what is heard: set in Discord, and what follows.

use std::sync::Arc;

use mummer::chat::history::Conversation;
use mummer::chat::notice::{Notice, is_notice};
use mummer::chat::settings::{Decision, Setting};
use mummer::chat::text::{Label, Text};
use mummer::chat::{ChannelId as Ours, MemberId, Place, ServerId};
use mummer::generation::scripted::Step;
use mummer::persona::Library;
use mummer::store::Store;
use serde_json::{Value, json};
use serenity::model::Permissions;
use tempfile::TempDir;
use tokio::sync::Semaphore;

use crate::discord::{Call, ChannelId, FakeDiscord, Message, MessageId, UserId};
use crate::memory::{PATIENCE, on_disk, on_stage, open, restarted, settled};
use crate::stage::{Setting as Scene, Stage};

/// The application of `PluralKit`.
const PLURALKIT: UserId = UserId(466_378_653_216_014_359);

/// A bot that reads everything, an admin, and a channel.
struct House {
    _directory: TempDir,
    store: Store,
    stage: Stage,
    admin: UserId,
    general: ChannelId,
}

impl House {
    async fn new() -> Self {
        let directory = tempfile::tempdir().expect("there is room");
        let store = open(&directory).await;
        let scene = Scene { store: Some(store.clone()), message_content: true, ..Scene::default() };
        let stage = Stage::set(FakeDiscord::start().await, scene).await;
        let (admin, general) = (stage.discord.member("Admin"), stage.discord.channel("general"));
        stage.discord.empower(admin, Permissions::MANAGE_GUILD);
        Self { _directory: directory, store, stage, admin, general }
    }

    /// Sets something, in a channel or everywhere, and returns what the bot says.
    async fn set(&self, setting: &str, value: &str, at: Option<ChannelId>) -> String {
        set(&self.stage, self.admin, setting, value, at).await.content().to_owned()
    }

    /// A member mentions the bot.
    fn mention(&self, who: UserId, text: &str) -> MessageId {
        self.mention_in(self.general, who, text)
    }

    fn mention_in(&self, channel: ChannelId, who: UserId, text: &str) -> MessageId {
        self.stage.discord.post(channel, who, format!("{} {text}", self.stage.discord.mention_bot()))
    }

    /// What the bot says to a message, once that is over.
    async fn reply(&self, to: MessageId) -> String {
        self.stage.discord.reply_to(to).await;
        self.stage.idle().await;
        let replies = self.stage.discord.replies_to(to);
        replies.last().expect("there is one").content().to_owned()
    }

    /// The last prompt.
    fn prompt(&self) -> String {
        self.stage.script.prompts().last().expect("there is one").render()
    }

    /// Waits until something with these words is remembered in the channel, or nothing is.
    async fn remembered(&self, words: &str, is_remembered: bool) {
        let heard = async {
            loop {
                let conversation = on_disk(&self.store, self.general).await;
                let turns = conversation.as_ref().map(Conversation::turns).unwrap_or_default();
                if turns.iter().any(|turn| turn.shown().text.contains(words)) == is_remembered {
                    return;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, heard).await.expect("it comes to that");
    }
}

async fn set(stage: &Stage, user: UserId, setting: &str, value: &str, at: Option<ChannelId>) -> Message {
    let mut options = vec![("setting", json!(setting)), ("value", json!(value))];
    options.extend(at.map(|channel| ("channel", json!({ "channel": channel.0 }))));
    used(stage, user, "settings set", &options).await
}

/// Uses a command in a channel of its own.
async fn used(stage: &Stage, user: UserId, command: &str, options: &[(&str, Value)]) -> Message {
    let office = stage.discord.channel("office");
    stage.discord.answer_to(stage.discord.use_command(office, user, command, options)).await
}

#[tokio::test]
async fn mentions_alone_are_answered_or_all_that_is_said_in_threads() {
    let house = House::new().await;
    let discord = &house.stage.discord;
    let (alice, thread) = (discord.member("Alice"), discord.thread(house.general, "thread"));
    let first = house.mention(alice, "hello");
    house.reply(first).await;
    let theirs = discord.replies_to(first)[0].id;
    house.set("answers", "mentions_only", None).await;
    let ignored = [false, true].map(|ping| discord.post_reply(theirs, alice, ping, "go on"));
    house.reply(house.mention(alice, "and now?")).await;
    for ignored in ignored {
        discord.assert_no_reply(ignored);
    }
    house.set("answers", "threads", None).await;
    let ignored = discord.post(house.general, alice, "just talking");
    house.reply(discord.post(thread, alice, "just talking")).await;
    house.reply(discord.post_reply(theirs, alice, false, "go on")).await;
    discord.assert_no_reply(ignored);
}

#[tokio::test]
async fn only_some_channels_are_answered_in() {
    let house = House::new().await;
    let discord = &house.stage.discord;
    let (alice, tavern) = (discord.member("Alice"), discord.channel("tavern"));
    let (cellar, attic) = (discord.thread(tavern, "cellar"), discord.thread(tavern, "attic"));
    let said = house.set("allowed_channels", &format!("<#{tavern}>"), None).await;
    assert_eq!(said, format!("`allowed_channels` is <#{tavern}> now in the whole server."));
    house.set("denied_channels", &attic.to_string(), None).await;
    let ignored = [house.general, attic].map(|channel| house.mention_in(channel, alice, "hello"));
    for channel in [tavern, cellar] {
        house.reply(house.mention_in(channel, alice, "hello")).await;
    }
    for (ignored, channel) in ignored.into_iter().zip([house.general, attic]) {
        discord.assert_no_reply(ignored);
        let asked = discord.use_command(channel, alice, "say", &[("text", json!("hello"))]);
        assert_eq!(discord.answer_to(asked).await.content(), Text::NotAnswered.to_string());
    }
    // Admins are never locked out.
    let back =
        discord.use_command(attic, house.admin, "settings reset", &[("setting", json!("denied_channels"))]);
    assert!(discord.answer_to(back).await.content().contains("not set any more"));
    house.reply(house.mention_in(attic, alice, "hello")).await;
}

#[tokio::test]
async fn roles_and_members_are_denied_and_told_so_now_and_then() {
    let house = House::new().await;
    let discord = &house.stage.discord;
    let (patrons, newcomers) = (discord.role("Patrons"), discord.role("Newcomers"));
    let [alice, bob, eve, mallory] = ["Alice", "Bob", "Eve", "Mallory"].map(|name| discord.member(name));
    for who in [alice, eve, mallory] {
        discord.give_role(who, patrons);
    }
    discord.give_role(eve, newcomers);
    house.set("allowed_roles", &format!("<@&{patrons}>"), None).await;
    house.set("denied_roles", &newcomers.to_string(), None).await;
    let said = house.set("denied_members", &format!("<@{mallory}>"), Some(house.general)).await;
    let place = format!("now in <#{}> and its threads.", house.general);
    assert_eq!(said, format!("`denied_members` is <@{mallory}> {place}"));
    for who in [bob, eve, mallory] {
        assert_eq!(house.reply(house.mention(who, "hello")).await, Notice::Denied.to_string());
        let again = house.mention(who, "hello?");
        for (command, option) in [("say", "text"), ("ask", "question")] {
            let asked = discord.use_command(house.general, who, command, &[(option, json!("hello"))]);
            assert_eq!(discord.answer_to(asked).await.content(), Text::Denied.to_string());
        }
        assert!(!is_notice(&house.reply(house.mention(alice, "hello")).await));
        discord.assert_no_reply(again);
    }
    // Elsewhere only Mallory may speak; and whoever may manage the server settles it again, denied or not.
    let aside = discord.channel("aside");
    assert!(!is_notice(&house.reply(house.mention_in(aside, mallory, "hello")).await));
    assert_eq!(house.reply(house.mention(house.admin, "hello")).await, Notice::Denied.to_string());
    let shown =
        used(&house.stage, house.admin, "settings show", &[("setting", json!("denied_members"))]).await;
    assert_eq!(
        shown.content(),
        format!("`denied_members` is <@{mallory}> in <#{}> and its threads.", house.general)
    );
    let nothing = used(&house.stage, house.admin, "settings show", &[("setting", json!("denied"))]).await;
    assert_eq!(nothing.content(), Text::NoSetting.to_string());
}

#[tokio::test]
async fn the_roles_of_whoever_wrote_while_the_bot_was_away_count() {
    let directory = tempfile::tempdir().expect("there is room");
    let store = open(&directory).await;
    let stage = on_stage(FakeDiscord::start().await, &store).await;
    let (general, patrons) = (stage.discord.channel("general"), stage.discord.role("Patrons"));
    let (alice, bob) = (stage.discord.member("Alice"), stage.discord.member("Bob"));
    let server = ServerId(stage.discord.guild_id().0);
    stage.discord.give_role(alice, patrons);
    let hello =
        |discord: &FakeDiscord, who| discord.post(general, who, format!("{} hello", discord.mention_bot()));
    stage.discord.reply_to(hello(&stage.discord, alice)).await;
    settled(&store, general).await;
    let (discord, ended) = stage.close().await;
    ended.expect("it ends well");
    let decision =
        Decision { at: 1, member: None, what: "set".to_owned(), about: "allowed_roles".to_owned() };
    let value = json!([patrons.to_string()]);
    store.set(server, None, ("allowed_roles", Some(&value)), &decision).await.expect("it is set");
    let (hers, his) = (hello(&discord, alice), hello(&discord, bob));
    let stage = on_stage(discord, &store).await;
    assert!(!is_notice(stage.discord.reply_to(hers).await.content()));
    assert_eq!(stage.discord.reply_to(his).await.content(), Notice::Denied.to_string());
    assert_eq!(stage.discord.count(Call::GetMember), 2);
}

#[tokio::test]
async fn a_preset_comes_before_the_personas_own_wishes() {
    let house = House::new().await;
    let alice = house.stage.discord.member("Alice");
    let mut temperatures = Vec::new();
    for preset in ["precise", "wild", "balanced"] {
        house.set("sampling", preset, None).await;
        house.reply(house.mention(alice, "hello")).await;
        let requests = house.stage.script.requests();
        temperatures.push(requests.last().expect("there is one").sampling.temperature);
    }
    assert_eq!(temperatures[..2], [0.2, 1.5]);
    let library = Library::load(None).expect("the shipped personas load");
    let own = library.find("hermes").expect("it is shipped").card.sampling.temperature;
    assert_eq!(Some(temperatures[2]), own);
}

#[tokio::test]
async fn links_are_shown_as_they_are_where_admins_allow_it() {
    let house = House::new().await;
    let discord = &house.stage.discord;
    let alice = discord.member("Alice");
    let link = "See [here](https://example.com).";
    for (value, shown, suppressed) in
        [("plain", r"See \[here](https://example.com).", true), ("allowed", link, false)]
    {
        house.set("links", value, Some(house.general)).await;
        house.stage.script.then_say(link);
        let trigger = house.mention(alice, "where?");
        assert_eq!(house.reply(trigger).await, shown);
        assert_eq!(discord.replies_to(trigger)[0].suppresses_embeds(), suppressed, "{value}");
    }
}

#[tokio::test]
async fn a_reply_that_does_not_stream_is_posted_once_when_it_is_whole() {
    let house = House::new().await;
    let discord = &house.stage.discord;
    let alice = discord.member("Alice");
    house.set("streaming", "off", None).await;
    let go_on = Arc::new(Semaphore::new(0));
    let say = |text: &str| Step::Say(text.to_owned());
    house.stage.script.then([
        say("Once upon a time"),
        Step::Hold(Arc::clone(&go_on)),
        say(" there was a heron."),
    ]);
    let trigger = house.mention(alice, "a tale");
    house.stage.script.started(1).await;
    discord.requested(Call::Typing, 1).await;
    discord.assert_no_reply(trigger);
    go_on.add_permits(1);
    house.reply(trigger).await;
    let replies = discord.replies_to(trigger);
    assert_eq!(replies[0].history(), ["Once upon a time there was a heron."]);
}

#[tokio::test]
async fn what_is_blocked_is_neither_shown_nor_remembered() {
    let house = House::new().await;
    let discord = &house.stage.discord;
    let alice = discord.member("Alice");
    let said = house.set("blocked_phrases", "black heron, ibis", None).await;
    assert_eq!(said, "`blocked_phrases` is `black heron`, `ibis` now in the whole server.");
    let pieces = ["A bla", "ck her", "ons", " and a Black  Her", "on", ", ibis", "es, Ibis"];
    house.stage.script.then(pieces.map(|piece| Step::Say(piece.to_owned())));
    let trigger = house.mention(alice, "what do you keep?");
    let expected = "A black herons and a […], ibises, […]";
    discord.reply_such_that(trigger, |reply| reply.content() == expected).await;
    let reply = &discord.replies_to(trigger)[0];
    assert!(reply.history().iter().all(|version| !version.contains("Ibis") && !version.contains("Black")));
    let turns = settled(&house.store, house.general).await.turns().to_vec();
    assert_eq!(turns[1].shown().text, expected);
    assert_eq!(turns[1].shown().tokens, None, "the tokens would say it");
    house.reply(house.mention(alice, "and?")).await;
    assert!(house.prompt().contains(expected), "{}", house.prompt());
}

#[tokio::test]
async fn what_is_said_to_others_is_heard_where_admins_want_it() {
    let house = House::new().await;
    let discord = &house.stage.discord;
    let [alice, bob, eve] = ["Alice", "Bob", "Eve"].map(|name| discord.member(name));
    discord.post(house.general, alice, "I keep newts");
    assert!(house.set("listening", "on", Some(house.general)).await.ends_with("and its threads."));
    house.stage.assistant.opt_out(MemberId(eve.0)).await.expect("she is out");
    let kept = discord.answer_to(discord.use_command(house.general, bob, "privacy show", &[])).await;
    assert!(kept.content().contains("I read everything that is written here"), "{}", kept.content());
    for (who, words) in [(eve, "I keep eels"), (discord.other_bot("Beep"), "I keep beeps")] {
        discord.post(house.general, who, words);
    }
    let (herons, bees) = (
        discord.post(house.general, alice, "I keep herons"),
        discord.post(house.general, bob, "I keep bees"),
    );
    let wasps = discord.post(house.general, bob, "I keep wasps");
    house.remembered("wasps", true).await;
    // What is changed and deleted is so here too, and whoever is forgotten is.
    discord.edit(bees, "I keep bumblebees");
    discord.delete(wasps);
    house.remembered("bumblebees", true).await;
    house.remembered("wasps", false).await;
    let trigger = house.mention(alice, "who keeps what?");
    house.reply(trigger).await;
    let prompt = house.prompt();
    let heard = ["Alice: I keep herons", "Bob: I keep bumblebees"];
    assert!(heard.iter().all(|line| prompt.contains(line)), "{prompt}");
    for unheard in ["newts", "eels", "beeps", "wasps"] {
        assert!(!prompt.contains(unheard), "{unheard} in {prompt}");
    }
    discord.assert_no_reply(herons);
    house.stage.assistant.forget_member(MemberId(bob.0)).await.expect("he is forgotten");
    house.reply(house.mention(alice, "and now?")).await;
    assert!(!house.prompt().contains("bumblebees"), "{}", house.prompt());
    house.set("listening", "off", Some(house.general)).await;
    discord.post(house.general, alice, "I keep toads");
    house.reply(house.mention(alice, "well?")).await;
    assert!(!house.prompt().contains("toads"), "{}", house.prompt());
}

#[tokio::test]
async fn what_was_heard_survives_a_restart() {
    let house = House::new().await;
    let alice = house.stage.discord.member("Alice");
    house.set("listening", "on", None).await;
    house.stage.discord.post(house.general, alice, "I keep herons");
    house.remembered("herons", true).await;
    let House { _directory: directory, store, stage, general, .. } = house;
    let (stage, _store) = restarted(stage, store, &directory).await;
    let trigger = stage.discord.post(general, alice, format!("{} well?", stage.discord.mention_bot()));
    stage.discord.reply_to(trigger).await;
    assert!(stage.prompt(0).contains("Alice: I keep herons"), "{}", stage.prompt(0));
}

#[tokio::test]
async fn without_the_intent_nothing_is_heard_and_admins_are_told() {
    let directory = tempfile::tempdir().expect("there is room");
    let stage = on_stage(FakeDiscord::start().await, &open(&directory).await).await;
    let admin = stage.discord.member("Admin");
    stage.discord.empower(admin, Permissions::MANAGE_GUILD);
    for (setting, value) in [("listening", "on"), ("answers", "threads")] {
        let said = set(&stage, admin, setting, value, None).await;
        assert!(said.content().contains("But I cannot read"), "{}", said.content());
    }
    let said = set(&stage, admin, "listening", "off", None).await;
    assert_eq!(said.content(), "`listening` is off now in the whole server.");
}

#[tokio::test]
async fn what_a_proxy_posts_anew_is_the_members() {
    let house = House::new().await;
    let discord = &house.stage.discord;
    let alice = discord.member("Alice");
    house.set("proxies", "pluralkit", None).await;
    let luna = discord.webhook_of(PLURALKIT, "Luna");
    let stranger = discord.webhook_of(UserId(7), "Luna");
    let hello = format!("{} I keep herons", discord.mention_bot());
    let original = discord.post(house.general, alice, format!("L: {hello}"));
    let of_others = discord.post(house.general, stranger, hello.clone());
    let proxied = discord.post(house.general, luna, hello);
    discord.delete(original);
    house.reply(proxied).await;
    for ignored in [original, of_others] {
        discord.assert_no_reply(ignored);
    }
    let turns = settled(&house.store, house.general).await.turns().to_vec();
    assert_eq!((turns.len(), turns[0].name.as_str(), turns[0].parts[0].message.0), (2, "Luna", proxied.0));
    // It is hers: to be counted, and to be forgotten.
    let export = house.stage.assistant.export_member(MemberId(alice.0)).await.expect("it is read");
    assert_eq!(export["messages"][0]["text"], "I keep herons");
    house.stage.assistant.forget_member(MemberId(alice.0)).await.expect("she is forgotten");
    assert!(on_disk(&house.store, house.general).await.is_none_or(|it| it.turns().is_empty()));
}

#[tokio::test]
async fn what_was_posted_anew_is_answered_by_the_next_process_too() {
    let house = House::new().await;
    let discord = &house.stage.discord;
    let alice = discord.member("Alice");
    house.set("proxies", "pluralkit", None).await;
    let luna = discord.webhook_of(PLURALKIT, "Luna");
    house.stage.script.then([Step::Hold(Arc::new(Semaphore::new(0)))]);
    let hello = format!("{} I keep herons", discord.mention_bot());
    let original = discord.post(house.general, alice, format!("L: {hello}"));
    let proxied = discord.post(house.general, luna, hello);
    discord.delete(original);
    house.stage.script.started(1).await;
    let House { _directory: directory, store, stage, .. } = house;
    let discord = stage.kill().await;
    drop(store);
    let store = open(&directory).await;
    let scene = Scene { store: Some(store.clone()), message_content: true, ..Scene::default() };
    let stage = Stage::set(discord, scene).await;
    stage.discord.reply_to(proxied).await;
}

#[tokio::test]
async fn what_would_delete_something_is_asked_first() {
    let house = House::new().await;
    let discord = &house.stage.discord;
    let alice = discord.member("Alice");
    house.reply(house.mention(alice, "I keep herons")).await;
    let mut conversation = settled(&house.store, house.general).await;
    let old = conversation.hear(MemberId(alice.0), "Alice", "I kept herons long ago", None);
    conversation.turn_mut(old).expect("it is there").said = 1_000;
    let server = ServerId(discord.guild_id().0);
    let place = Place { channel: Ours(house.general.0), parent: None, server: Some(server) };
    house.store.write(place, &conversation.take_changes()).await.expect("it is written");
    let days = async || house.store.settings_of(server).await.expect("they are read").len();

    let asked = set(&house.stage, house.admin, "retention_days", "7", None).await;
    assert_eq!(asked.content(), Text::MayForgetOlder { days: 7, older: 1 }.to_string());
    let press = async |user, id: &str| {
        let working = Text::Working.to_string();
        let press = discord.press_id(asked.id, user, id);
        discord.answer_such_that(press, |message| message.content() != working).await.content().to_owned()
    };
    let admin = house.admin;
    assert_eq!(press(alice, &format!("keep-7:{admin}")).await, Text::NotYours.to_string());
    // Whoever forges an id may do no more than by the command.
    assert_eq!(press(alice, &format!("keep-7:{alice}")).await, Text::NotAdmin.to_string());
    assert_eq!(press(admin, &format!("keep-0:{admin}")).await, Text::Stale.to_string());
    assert_eq!(days().await, 0);
    // Nor may whoever is no admin any more.
    discord.empower(admin, Permissions::empty());
    assert_eq!(press(admin, &format!("keep-7:{admin}")).await, Text::NotAdmin.to_string());
    assert_eq!(days().await, 0);

    discord.empower(admin, Permissions::MANAGE_GUILD);
    let asked = set(&house.stage, admin, "retention_days", "7", None).await;
    let pressed = discord.press(asked.id, admin, Label::ForgetOlder.words());
    let working = Text::Working.to_string();
    let told = discord.answer_such_that(pressed, |message| message.content() != working).await;
    assert_eq!(told.content(), "`retention_days` is 7 now in the whole server.");
    house.stage.assistant.keep_house().await.expect("it is done");
    assert_eq!(on_disk(&house.store, house.general).await.expect("it is there").turns().len(), 2);
    // Where nothing would go nobody is asked.
    assert_eq!(
        house.set("retention_days", "6", None).await,
        "`retention_days` is 6 now in the whole server."
    );
}

#[tokio::test]
async fn whoever_waits_is_told_when_a_moderator_stops_it() {
    let house = House::new().await;
    let discord = &house.stage.discord;
    let [alice, bob, moderator] = ["Alice", "Bob", "Moderator"].map(|name| discord.member(name));
    discord.empower(moderator, Permissions::MANAGE_MESSAGES);
    let never = Arc::new(Semaphore::new(0));
    house.stage.script.then([Step::Say("Hm".to_owned()), Step::Hold(Arc::clone(&never))]);
    let first = house.mention(alice, "one");
    discord.reply_to(first).await;
    let waiting = house.mention(bob, "two");
    let own = house.mention(moderator, "three");
    house.stage.running(3).await;
    let stop = discord.use_command(house.general, moderator, "stop", &[]);
    assert_eq!(discord.answer_to(stop).await.content(), Text::Stopped(3).to_string());
    assert_eq!(house.reply(waiting).await, Notice::Halted.to_string());
    assert_eq!(discord.replies_to(first).len(), 1, "what is shown of it is enough");
    discord.assert_no_reply(own);
    // An answer of which nothing is shown yet is waited for too.
    house.stage.script.then([Step::Hold(never)]);
    let second = house.mention(alice, "four");
    house.stage.script.started(2).await;
    let stop = discord.use_command(house.general, moderator, "stop", &[]);
    assert_eq!(discord.answer_to(stop).await.content(), Text::Stopped(1).to_string());
    assert_eq!(house.reply(second).await, Notice::Halted.to_string());
}

#[tokio::test]
async fn values_are_offered_and_what_makes_no_sense_is_not_set() {
    let house = House::new().await;
    let discord = &house.stage.discord;
    let (patrons, tavern) = (discord.role("Patrons"), discord.channel("tavern"));
    discord.caught_up().await;
    let offered = async |setting: &str, typed: &str| {
        let options = [("setting", json!(setting)), ("value", json!(typed))];
        discord.offered((house.general, house.admin), "settings set", &options, "value").await
    };
    assert_eq!(offered("answers", "men").await, ["mentions", "mentions_only"]);
    assert_eq!(offered("sampling", "").await, ["precise", "balanced", "creative", "wild"]);
    assert_eq!(offered("proxies", "tupper").await, ["Tupperbox", "PluralKit, Tupperbox"]);
    assert_eq!(offered("listening", "").await, ["on", "off"]);
    assert_eq!(offered("allowed_roles", "patr").await, [format!("<@&{patrons}>")]);
    assert_eq!(offered("denied_channels", "<#1>, TAV").await, [format!("<#1>, <#{tavern}>")]);
    for (setting, value) in [
        (Setting::AllowedChannels, "tavern"),
        (Setting::AllowedRoles, "patrons"),
        (Setting::BlockedPhrases, ", **"),
        (Setting::DeniedMembers, "mallory"),
        (Setting::Links, "some"),
        (Setting::Listening, "perhaps"),
        (Setting::Proxies, "somebody"),
        (Setting::Sampling, "mad"),
        (Setting::Streaming, "slowly"),
    ] {
        assert_eq!(house.set(setting.name(), value, None).await, Text::NoValue(setting).to_string());
    }
    for (setting, value) in [("allowed_channels", "7"), ("denied_channels", "7"), ("proxies", "7")] {
        assert_eq!(house.set(setting, value, Some(house.general)).await, Text::WholeServer.to_string());
    }
    let shown = used(&house.stage, house.admin, "settings show", &[]).await;
    assert_eq!(shown.content(), Text::Settings(Vec::new()).to_string());
}
