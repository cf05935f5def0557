//! What does not fit into the model's context any more is summed up while nobody waits, and is remembered.

use std::sync::Arc;

use mummer::chat::MemberId;
use mummer::chat::history::{Conversation, TurnId};
use mummer::chat::text::{Label, Recall, Text, with_draft};
use mummer::generation::scripted::Step;
use mummer::store::Store;
use serde_json::{Value, json};
use serenity::model::Permissions;
use tempfile::TempDir;
use tokio::sync::Semaphore;

use crate::discord::{ChannelId, FakeDiscord, Form, Message, UserId};
use crate::memory::{PATIENCE, on_disk, open, settled};
use crate::stage::{Setting, Stage};

/// How the usual prompt for a summary begins.
const SUM_UP: &str = "Sum up what happened in the conversation below";

/// What stands before a memory in a prompt.
const BEFORE: &str = "What happened before: ";

/// A bot that remembers, and a channel in which Alice talks to it.
struct House {
    directory: TempDir,
    store: Store,
    stage: Stage,
    general: ChannelId,
    alice: UserId,
}

impl House {
    async fn new(memory: bool) -> Self {
        let directory = tempfile::tempdir().expect("there is room");
        let store = open(&directory).await;
        let stage = Self::on_stage(FakeDiscord::start().await, &store, memory).await;
        let (general, alice) = (stage.discord.channel("general"), stage.discord.member("Alice"));
        Self { directory, store, stage, general, alice }
    }

    async fn on_stage(discord: FakeDiscord, store: &Store, memory: bool) -> Stage {
        let setting =
            Setting { memory, context_length: 1_800, store: Some(store.clone()), ..Setting::default() };
        Stage::set(discord, setting).await
    }

    async fn restarted(self) -> Self {
        let Self { directory, store, stage, general, alice } = self;
        let (discord, ended) = stage.close().await;
        ended.expect("it ends well");
        store.close().await;
        drop(store);
        let store = open(&directory).await;
        let stage = Self::on_stage(discord, &store, true).await;
        Self { directory, store, stage, general, alice }
    }

    /// Somebody says something to the bot, which answers with this.
    async fn say(&self, who: UserId, text: &str, reply: &str) {
        self.stage.script.then_say(reply);
        let discord = &self.stage.discord;
        let trigger = discord.post(self.general, who, format!("{} {text}", discord.mention_bot()));
        discord.reply_such_that(trigger, |message| message.content() == reply).await;
        settled(&self.store, self.general).await;
        self.stage.idle().await;
    }

    /// Alice talks until something is cut from the history.
    async fn talk_until_cut(&self) {
        for number in 0..40 {
            let about = "all of them as grey as the sea and as patient as stones. ".repeat(8);
            self.say(self.alice, &format!("heron {number}, {about}"), &format!("Heron {number}.")).await;
            if self.stage.conversation(self.general).cut.first_turn > 0 {
                return;
            }
        }
        panic!("nothing was cut");
    }

    /// The memories as soon as they are as described, on disk too.
    async fn remembered(&self, fits: impl Fn(&[&str]) -> bool) -> Conversation {
        let looking = async {
            loop {
                let at_hand = self.stage.conversation(self.general);
                let on_disk = on_disk(&self.store, self.general).await;
                let told = |conversation: &Conversation| {
                    fits(&conversation.told().map(|memory| memory.text.as_str()).collect::<Vec<_>>())
                };
                if told(&at_hand) && on_disk.as_ref().is_some_and(told) {
                    return at_hand;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, looking).await.expect("it comes to that")
    }

    /// Alice has talked, and what was cut was summed up like this. Returns the number of that memory.
    async fn remembering(&self, words: &str) -> TurnId {
        self.set("off").await;
        self.talk_until_cut().await;
        self.set("on").await;
        self.stage.script.then_say("Aye.");
        self.stage.script.then_say(words);
        let discord = &self.stage.discord;
        let trigger = discord.post(self.general, self.alice, format!("{} well?", discord.mention_bot()));
        discord.reply_such_that(trigger, |message| message.content() == "Aye.").await;
        let conversation = self.remembered(|told| told == [words]).await;
        conversation.memories()[0].until
    }

    /// An admin says whether it is remembered.
    async fn set(&self, memory: &str) {
        let (discord, office) = (&self.stage.discord, self.stage.discord.channel("office"));
        let admin = discord.member("Admin");
        discord.empower(admin, Permissions::MANAGE_GUILD);
        let options = [("setting", json!("memory")), ("value", json!(memory))];
        let set = discord.answer_to(discord.use_command(office, admin, "settings set", &options)).await;
        assert_eq!(set.content(), format!("`memory` is {memory} now in the whole server."));
    }

    async fn used(&self, who: UserId, command: &str, options: &[(&str, Value)]) -> Message {
        let discord = &self.stage.discord;
        discord.answer_to(discord.use_command(self.general, who, command, options)).await
    }

    /// Opens the form of a memory.
    async fn form(&self, who: UserId, memory: TurnId) -> Form {
        let discord = &self.stage.discord;
        let number = [("memory", json!(memory.0))];
        discord.form(discord.use_command(self.general, who, "roleplay memory edit", &number)).await
    }

    /// Sends a form and returns the answer.
    async fn sent(&self, who: UserId, form: &Form) -> Message {
        self.stage.discord.answer_to(self.stage.discord.submit(self.general, who, form)).await
    }

    /// The prompt of the next reply.
    async fn prompt(&self) -> String {
        let before = self.stage.script.requests().len();
        self.say(self.alice, "and now?", "Now.").await;
        self.stage.prompt(before)
    }

    /// How many summaries were asked for.
    fn summaries(&self) -> usize {
        let prompts = self.stage.script.prompts().into_iter();
        prompts.filter(|prompt| prompt.render().contains(SUM_UP)).count()
    }
}

fn says(recall: Recall) -> String {
    Text::from(recall).to_string()
}

#[tokio::test]
async fn what_is_cut_is_summed_up_and_stands_in_the_next_prompt_also_after_a_restart() {
    let house = House::new(true).await;
    let until = house.remembering("They spoke of herons. Alice promised more.").await;
    assert_eq!(house.summaries(), 1, "nothing was summed up while that was off");
    let conversation = house.stage.conversation(house.general);
    assert_eq!(conversation.memories()[0].text, "They spoke of herons. Alice promised more.");
    let links = &conversation.memories()[0].links;
    assert!(links.len() > 2 && links.iter().all(|link| link.member == Some(MemberId(house.alice.0))));
    assert!(until.0 < conversation.cut.first_turn);
    let prompts = house.stage.script.prompts();
    let summary =
        prompts.iter().map(mummer::generation::Prompt::render).find(|prompt| prompt.contains(SUM_UP));
    let summary = summary.expect("it was asked for");
    assert!(summary.contains("Alice: heron 0, all of them"), "{summary}");
    // The generator has read it ahead, and was told to forget what it had computed for the summary.
    let told = format!("{BEFORE}They spoke of herons. Alice promised more.");
    let read_ahead = async {
        let is_told = |hints: Vec<_>| {
            hints.last().is_some_and(|(_, prompt): &(u64, mummer::generation::Prompt)| {
                prompt.render().contains(&told)
            })
        };
        while !is_told(house.stage.script.hints(1).await) || house.stage.script.forgotten().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, read_ahead).await.expect("it comes to that");
    let prompt = house.prompt().await;
    let place = prompt.find(&told).expect("it is told");
    assert!(
        place < prompt.find("### Input:").expect("a transcript") && !prompt.contains("heron 0"),
        "{prompt}"
    );
    let house = house.restarted().await;
    assert!(house.prompt().await.contains(&told));
}

#[tokio::test]
async fn whoever_comes_meanwhile_is_answered_first() {
    let house = House::new(true).await;
    house.set("off").await;
    house.talk_until_cut().await;
    house.set("on").await;
    let before = house.stage.script.requests().len();
    house.stage.script.then_say("Aye.");
    house.stage.script.then([Step::Say("Half of".to_owned()), Step::Hold(Arc::new(Semaphore::new(0)))]);
    let discord = &house.stage.discord;
    let ask =
        |text: &str| discord.post(house.general, house.alice, format!("{} {text}", discord.mention_bot()));
    let first = ask("well?");
    discord.reply_such_that(first, |message| message.content() == "Aye.").await;
    house.stage.script.started(before + 2).await;
    house.stage.script.then_say("Here I am.");
    house.stage.script.then_say("They spoke of herons.");
    let second = ask("are you there?");
    discord.reply_such_that(second, |message| message.content() == "Here I am.").await;
    house.remembered(|told| told == ["They spoke of herons."]).await;
    assert_eq!((house.stage.script.cancelled(), house.summaries()), (1, 2));
}

#[tokio::test]
async fn a_failure_is_not_tried_again_before_the_next_cut() {
    let house = House::new(true).await;
    house.set("off").await;
    house.talk_until_cut().await;
    house.set("on").await;
    house.stage.script.then_say("Aye.");
    house.stage.script.then([Step::Fail(mummer::generation::FailureKind::EngineFault, true)]);
    let before = house.stage.script.requests().len();
    let discord = &house.stage.discord;
    let trigger = discord.post(house.general, house.alice, format!("{} well?", discord.mention_bot()));
    discord.reply_such_that(trigger, |message| message.content() == "Aye.").await;
    house.stage.script.started(before + 2).await;
    // What was computed for it goes when it is over.
    while house.stage.script.forgotten().is_empty() {
        tokio::task::yield_now().await;
    }
    let cut = house.stage.conversation(house.general).cut;
    house.say(house.alice, "and now?", "Now.").await;
    house.say(house.alice, "and then?", "Then.").await;
    assert_eq!((house.stage.conversation(house.general).cut, house.summaries()), (cut, 1));
    assert!(house.stage.conversation(house.general).memories().is_empty());
}

#[tokio::test]
async fn a_memory_goes_with_a_message_and_what_is_left_is_summed_up_anew() {
    let house = House::new(true).await;
    house.remembering("They spoke of heron 1.").await;
    let conversation = house.stage.conversation(house.general);
    let heron = conversation.turns().iter().find(|turn| turn.shown().text.starts_with("heron 1,"));
    let message = heron.expect("it is there").parts[0].message;
    house.stage.discord.delete(crate::discord::MessageId(message.0));
    house.remembered(|told| told.is_empty()).await;
    house.stage.script.then_say("Now.");
    house.stage.script.then_say("They spoke of others.");
    let discord = &house.stage.discord;
    let before = house.stage.script.requests().len();
    discord.post(house.general, house.alice, format!("{} and now?", discord.mention_bot()));
    house.remembered(|told| told == ["They spoke of others."]).await;
    let prompts = [before, before + 1].map(|number| house.stage.prompt(number));
    assert!(!prompts[0].contains(BEFORE), "{}", prompts[0]);
    assert!(prompts[1].contains(SUM_UP) && !prompts[1].contains("heron 1,"), "{}", prompts[1]);
}

#[tokio::test]
async fn a_memory_goes_with_whoever_does_not_want_to_be_read() {
    let house = House::new(true).await;
    house.remembering("Alice spoke of herons.").await;
    let bob = house.stage.discord.member("Bob");
    house.say(bob, "hello", "Hello.").await;
    house.stage.assistant.opt_out(MemberId(house.alice.0)).await.expect("she is out");
    house.remembered(|told| told.is_empty()).await;
    let file = std::fs::read(house.directory.path().join("mummer.db")).expect("it is there");
    assert!(!file.windows(6).any(|window| window == b"herons"));
    let before = house.stage.script.requests().len();
    house.say(bob, "and now?", "Now.").await;
    assert!(!house.stage.prompt(before).contains(BEFORE), "{}", house.stage.prompt(before));
}

#[tokio::test]
async fn members_see_and_change_what_is_remembered_of_them_alone() {
    let house = House::new(true).await;
    let [bob, eve, moderator] = ["Bob", "Eve", "Moderator"].map(|name| house.stage.discord.member(name));
    house.stage.discord.empower(moderator, Permissions::MANAGE_MESSAGES);
    let nothing = house.used(moderator, "roleplay memory list", &[]).await;
    assert_eq!(nothing.content(), says(Recall::Nothing { remembers: true }));
    let until = house.remembering("They spoke of herons.").await;
    house.say(bob, "hello", "Hello.").await;
    let number = [("memory", json!(until.0))];
    let shown = house.used(house.alice, "roleplay memory list", &[]).await;
    let first = house.stage.conversation(house.general).turns()[0].parts[0].message;
    let link =
        format!("https://discord.com/channels/{}/{}/{first}", house.stage.discord.guild_id(), house.general);
    let expected = format!("messages from {link} to https://discord.com/channels/");
    assert!(shown.content().starts_with(&format!("`{}` ", until.0)), "{}", shown.content());
    assert!(shown.content().contains(&expected) && shown.content().ends_with(": They spoke of herons."));
    for who in [house.alice, bob, moderator] {
        assert_eq!(house.used(who, "roleplay memory list", &number).await.content(), shown.content());
    }
    // Who has not spoken sees nothing, and who has not alone changes nothing.
    for (who, refusal) in [(eve, Recall::NotTheirs), (bob, Recall::OfOthers)] {
        for command in ["roleplay memory edit", "roleplay memory delete"] {
            assert_eq!(house.used(who, command, &number).await.content(), says(refusal.clone()), "{command}");
        }
    }
    assert_eq!(house.used(eve, "roleplay memory list", &[]).await.content(), says(Recall::NotTheirs));
    let unknown = [("memory", json!(until.0 + 1))];
    for command in ["roleplay memory list", "roleplay memory edit", "roleplay memory delete"] {
        assert_eq!(house.used(house.alice, command, &unknown).await.content(), says(Recall::Unknown));
    }
    // Two write at the same time.
    let (hers, theirs) = (house.form(house.alice, until).await, house.form(moderator, until).await);
    assert_eq!(hers.field("memory"), Some("They spoke of herons."));
    let saved = house.sent(house.alice, &hers.with("memory", " They spoke\nof egrets. ")).await;
    assert_eq!(saved.content(), says(Recall::Reworded(until.0)));
    let late = house.sent(moderator, &theirs.with("memory", "They spoke of newts.")).await;
    assert_eq!(late.content(), with_draft(&says(Recall::Changed)));
    assert_eq!(String::from_utf8_lossy(&late.files[0].bytes), "They spoke of newts.");
    assert!(house.prompt().await.contains(&format!("{BEFORE}They spoke of egrets.")));
    let shown = house.used(house.alice, "roleplay memory list", &[]).await;
    assert!(shown.content().ends_with(", written by a member: They spoke of egrets."), "{}", shown.content());
    // What is forged or makes no sense changes nothing.
    let form = house.form(house.alice, until).await;
    let mut forged = form.clone();
    forged.custom_id = forged.custom_id.replace(&house.alice.to_string(), &bob.to_string());
    let refusals = [
        (bob, forged.clone().with("memory", "Bob was there."), with_draft(&says(Recall::OfOthers))),
        (house.alice, forged, Text::NotYours.to_string()),
        (house.alice, form.clone().with("memory", " \n "), with_draft(&says(Recall::Blank))),
        (house.alice, form.clone().with("memory", &"x".repeat(1_001)), with_draft(&says(Recall::TooLong))),
    ];
    for (who, form, refusal) in refusals {
        assert_eq!(house.sent(who, &form).await.content(), refusal);
    }
    let deleted = house.used(house.alice, "roleplay memory delete", &number).await;
    assert_eq!(deleted.content(), says(Recall::Dismissed(until.0)));
    assert_eq!(house.sent(house.alice, &form).await.content(), with_draft(&says(Recall::Unknown)));
    let before = house.summaries();
    assert!(!house.prompt().await.contains(BEFORE));
    house.remembered(|told| told.is_empty()).await;
    assert_eq!(house.summaries(), before, "it is not summed up again");
}

#[tokio::test]
async fn where_it_is_off_nothing_is_summed_up_and_a_reset_forgets_what_was() {
    let house = House::new(false).await;
    house.talk_until_cut().await;
    house.say(house.alice, "well?", "Well.").await;
    assert_eq!(house.summaries(), 0);
    assert!(house.stage.conversation(house.general).due().is_some());
    let nothing = house.used(house.alice, "roleplay memory list", &[]).await;
    assert_eq!(nothing.content(), says(Recall::Nothing { remembers: false }));
    house.stage.script.then_say("Aye.");
    house.stage.script.then_say("They spoke of herons.");
    house.set("on").await;
    let discord = &house.stage.discord;
    discord.post(house.general, house.alice, format!("{} well?", discord.mention_bot()));
    house.remembered(|told| told == ["They spoke of herons."]).await;
    let asked = house.used(house.alice, "reset", &[]).await;
    let press = discord.press(asked.id, house.alice, Label::Reset.words());
    discord.answer_such_that(press, |message| message.content() == Text::Reset.to_string()).await;
    assert!(!house.prompt().await.contains(BEFORE));
}
