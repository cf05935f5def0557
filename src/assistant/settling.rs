//! What happened while the bot was not there, found out from what a channel shows: messages to be answered, changes and
//! deletions, and what the last process had begun and not ended.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::accepted::{Accepted, CutOff, Known, Work};
use super::branching::restate;
use super::live::{Live, now};
use super::{Assistant, asked};
use crate::chat::addressing::{Author, Incoming, is_addressed};
use crate::chat::history::{Conversation, Part, Turn, TurnId, TurnKind, TurnState};
use crate::chat::markdown::Links;
use crate::chat::notice::Notice;
use crate::chat::request::{Concluded, Outcome};
use crate::chat::{ChannelId, MemberId, MessageId, Place, ServerId, notice, reply, split, text};
use crate::store::StoreError;

/// Channels of a server that are looked at after the bot was away: those in which somebody asked last.
const CHANNELS_MAX: u32 = 200;

/// Channels in which somebody asked within this time are looked at.
const LATELY: Duration = Duration::from_hours(1);

/// So many of a channel's last messages are looked up.
const REQUESTS_MAX: u32 = 1_024;

/// Whoever asked for what the last process has left is not known any more.
const NOBODY: MemberId = MemberId(0);

/// What a channel shows: all of its messages from one on.
#[derive(Debug, Clone)]
pub struct Page {
    /// The first message that would be here if there were one: everything that the channel shows from it on is here.
    pub from: MessageId,
    /// The last message that was known of before the page was fetched: what is not here of those up to it is gone.
    pub known: MessageId,
    /// What others have posted, oldest first.
    pub others: Vec<Incoming>,
    /// What the bot itself has posted, oldest first.
    pub own: Vec<Shown>,
}

impl Page {
    /// A channel of which nothing can be seen.
    #[must_use]
    pub fn unseen() -> Self {
        let (from, known) = (MessageId(u64::MAX), MessageId(0));
        Self { from, known, others: Vec::new(), own: Vec::new() }
    }

    /// The newest message of the channel, if there is one.
    #[must_use]
    pub fn newest(&self) -> Option<MessageId> {
        let own = self.own.last().map(|own| own.message);
        own.max(self.others.last().map(|other| other.message))
    }
}

/// A message that the bot itself has posted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// The message.
    pub message: MessageId,
    /// The message that it replies to.
    pub reply_to: Option<MessageId>,
    /// What it shows.
    pub content: String,
    /// The webhook that has posted it, if one has.
    pub webhook: Option<u64>,
}

/// Something that was left undone in a channel: by the last process, or because nothing got through.
pub(super) struct Undone {
    pub(super) server: Option<ServerId>,
    /// One who settles it at a time; everybody else waits for that.
    settling: Arc<tokio::sync::Mutex<()>>,
    /// Whether something more was left undone since it began to be settled.
    again: bool,
}

impl Undone {
    pub(super) fn new(server: Option<ServerId>) -> Self {
        Self { server, settling: Arc::default(), again: false }
    }
}

/// What the last process has left to be done for a message.
enum Left {
    /// It is to be answered.
    Answer,
    /// The reply that it began is to be brought to an end.
    End(TurnId),
    /// Its answer was cut off, is remembered nowhere, and can only be asked for anew.
    Tell,
    /// Nothing, and this became of it.
    Nothing(Outcome),
}

impl Assistant {
    /// The channels of a server, or of direct messages, that must be looked at when the bot was away: those in which something
    /// was left undone, and those in which somebody asked lately.
    ///
    /// # Errors
    /// A [`StoreError`].
    pub async fn missed(&self, server: Option<ServerId>) -> Result<Vec<ChannelId>, StoreError> {
        let Some(store) = &self.store else { return Ok(Vec::new()) };
        let since = now().saturating_sub(LATELY.max(self.settings.answer_within).as_secs());
        let mut channels = store.active(server, since, CHANNELS_MAX).await?;
        let undone = self.undone.iter().filter(|undone| undone.server == server).map(|undone| *undone.key());
        let undone: Vec<ChannelId> = undone.filter(|channel| !channels.contains(channel)).collect();
        channels.extend(undone);
        Ok(channels)
    }

    /// Messages that were posted before then are not answered any more, in seconds since 1970.
    #[must_use]
    pub fn answers_since(&self) -> u64 {
        now().saturating_sub(self.settings.answer_within.as_secs())
    }

    /// Something is left undone in a channel, to be settled with the next event there, or when the bot is connected anew.
    pub(super) fn leave_undone(&self, place: Place) {
        let undone = self.undone.entry(place.channel).and_modify(|undone| undone.again = true);
        undone.or_insert_with(|| Undone::new(place.server));
    }

    /// Whether something was left undone in a channel, which must be settled before anything else there.
    #[must_use]
    pub fn is_undone(&self, channel: ChannelId) -> bool {
        self.undone.contains_key(&channel)
    }

    /// The last message of a channel that shows something that is remembered. To be asked before its page is fetched.
    pub async fn last_known(&self, channel: ChannelId) -> MessageId {
        if let Some(live) = self.live_in(channel) {
            let conversation = live.lock();
            let parts = conversation.turns().iter().flat_map(|turn| &turn.parts);
            return parts.map(|part| part.message).max().unwrap_or_default();
        }
        let Some(store) = &self.store else { return MessageId::default() };
        store.last_shown(channel).await.unwrap_or_else(|error| {
            tracing::error!("the last message that is remembered could not be read: {error}");
            MessageId::default()
        })
    }

    /// Compares what is remembered of a channel with what it shows, and takes in what is to be answered there.
    pub async fn settle(self: &Arc<Self>, place: Place, page: Page) -> Vec<Accepted> {
        let settling = self.undone.get(&place.channel).map(|undone| Arc::clone(&undone.settling));
        let _one_at_a_time = match &settling {
            Some(settling) => Some(settling.lock().await),
            None => None,
        };
        let is_undone = self.undone.get_mut(&place.channel).map(|mut undone| undone.again = false).is_some();
        let Some(accepted) = self.compare(place, &page, is_undone).await else { return Vec::new() };
        self.undone.remove_if(&place.channel, |_, undone| !undone.again);
        accepted
    }

    async fn compare(self: &Arc<Self>, place: Place, page: &Page, is_undone: bool) -> Option<Vec<Accepted>> {
        let store = self.store.as_ref()?;
        let requests = match store.requests_in(place.channel, REQUESTS_MAX).await {
            Ok(requests) => requests,
            Err(error) => {
                tracing::error!("what was asked in a channel could not be read: {error}");
                return None;
            }
        };
        let live = self.load(place, false).await;
        let is_running = |message: MessageId| self.running.contains_key(&message);
        let mut left: BTreeMap<MessageId, Left> = BTreeMap::new();
        let (mut lost, mut restated) = (Vec::new(), Vec::new());
        if let Some(live) = &live {
            let mut conversation = live.lock();
            if is_undone {
                adopt(&mut conversation, page, self.manner_in(place).links);
            }
            lost = gone(&conversation, page);
            for &message in &lost {
                if conversation.turn_of(message).and_then(|turn| turn.trigger).is_some_and(is_running) {
                    live.delete_later(message);
                } else {
                    conversation.unsay(message);
                }
            }
            for other in page.others.iter().filter(|other| other.edited && !other.text.is_empty()) {
                // What was heard since is newer.
                if self.change_of(other.message).is_none()
                    && restate(&mut conversation, other.message, &other.text)
                {
                    restated.push(other);
                }
            }
            if is_undone {
                left.extend(begun(&conversation).into_iter().filter(|(message, _)| !is_running(*message)));
            }
        }
        if is_undone {
            let waiting = requests.iter().filter(|(_, outcome)| *outcome == Outcome::Waiting);
            for &(message, _) in waiting.filter(|(message, _)| !is_running(*message)) {
                left.entry(message).or_insert_with(|| self.left_to_do(live.as_deref(), page, message));
            }
            if let Some(live) = &live {
                leave_half_said(&mut live.lock(), &left, is_running);
            }
        }
        if let Some(live) = &live {
            live.save().await;
        }
        for message in lost {
            if let Some(live) = &live {
                self.answer_anew(live, message);
            }
            self.forget_elsewhere(message).await;
        }
        for other in restated {
            if let Some(live) = &live {
                self.answer_anew(live, other.message);
            }
            self.restate_elsewhere(other.message, &other.text).await;
        }
        Some(self.take_up(page, place, &requests, left).await)
    }

    /// What is to be done for a message that was taken in and not concluded.
    fn left_to_do(&self, live: Option<&Live>, page: &Page, message: MessageId) -> Left {
        if let Some(live) = live {
            let conversation = live.lock();
            let answers = |turn: &Turn| turn.answers().any(|answered| answered == message);
            let replies = |turn: &&Turn| turn.kind == TurnKind::Persona && answers(turn);
            if conversation.turns().iter().rfind(replies).is_some_and(|turn| !turn.parts.is_empty()) {
                return Left::Nothing(Outcome::Answered);
            }
            // It may have been answered together with others.
            let said = conversation.turn_of(message).map(|turn| turn.id);
            let shown_after = |said| {
                conversation
                    .turns()
                    .iter()
                    .any(|turn| turn.kind == TurnKind::Persona && turn.id > said && !turn.parts.is_empty())
            };
            if said.is_some_and(shown_after) {
                return Left::Nothing(Outcome::Answered);
            }
        }
        let mut replies = page.own.iter().filter(|own| own.reply_to == Some(message));
        let is_by_itself = page.own.iter().any(|own| own.message == message && text::is_asked(&own.content));
        if is_by_itself && !replies.clone().any(|own| notice::is_notice(&own.content)) {
            return Left::Tell;
        }
        if replies.next().is_some() {
            return Left::Nothing(Outcome::Told);
        }
        let there = page.others.iter().find(|incoming| incoming.message == message);
        match there {
            Some(incoming) if self.is_fresh(incoming) => Left::Answer,
            // It is gone, or too old.
            _ => Left::Nothing(Outcome::Dropped),
        }
    }

    /// Takes in what was left and what was missed, in the order in which it was posted.
    async fn take_up(
        self: &Arc<Self>,
        page: &Page,
        place: Place,
        requests: &[(MessageId, Outcome)],
        left: BTreeMap<MessageId, Left>,
    ) -> Vec<Accepted> {
        let mut taken_up = Vec::new();
        for (&message, left) in &left {
            match left {
                Left::End(turn) => taken_up.extend(self.end_later(place, message, *turn, page)),
                Left::Tell => taken_up.extend(self.tell_later(place, message)),
                Left::Answer => {}
                Left::Nothing(outcome) => {
                    self.conclude(message, Concluded { outcome: *outcome, took: 0, tokens: 0 }).await;
                }
            }
        }
        for incoming in &page.others {
            let again = matches!(left.get(&incoming.message), Some(Left::Answer));
            let known = requests.iter().any(|(message, _)| *message == incoming.message);
            // Where everything is answered, what others said to each other meanwhile is left alone.
            let is_meant = self.is_spoken_to(incoming) || self.is_line_of_scene(incoming);
            let missed = !known && self.is_fresh(incoming) && is_meant;
            if again {
                let accepted = self.accept_again(self.as_its_author_says(incoming).await);
                let is_wanted = accepted.is_some() || self.running.contains_key(&incoming.message);
                if !is_wanted && !self.closing.is_cancelled() {
                    // It is not said to anybody any more, or the scene of which it was a line waits.
                    let concluded = Concluded { outcome: Outcome::Dropped, took: 0, tokens: 0 };
                    self.conclude(incoming.message, concluded).await;
                }
                taken_up.extend(accepted);
            } else if missed {
                taken_up.extend(self.accept(incoming.clone()));
            }
        }
        taken_up
    }

    /// A message as it was taken in by the last process: what a program has posted anew for a member is the member's.
    async fn as_its_author_says(&self, incoming: &Incoming) -> Incoming {
        let mut incoming = incoming.clone();
        if let (true, Some(store)) = (incoming.author.automated, &self.store)
            && let Ok(Some(member)) = store.who_asked(incoming.message).await
        {
            incoming.author.id = member;
            incoming.author.automated = false;
        }
        incoming
    }

    /// Takes a message in that the last process has taken in and not answered.
    fn accept_again(self: &Arc<Self>, incoming: Incoming) -> Option<Accepted> {
        if self.closing.is_cancelled()
            || !is_addressed(&incoming, self.hears_in(Place::from(&incoming)), |_| true)
        {
            return None;
        }
        let _one_at_a_time = self.taking_in();
        let live = self.conversation_of(&incoming);
        // The second of two that look at the channel at the same time finds it running.
        live.take(incoming.message);
        self.take_part(incoming, live, Known::WrittenDown, true)
    }

    /// Lets a reply that was cut off be brought to an end when its turn comes.
    fn end_later(
        self: &Arc<Self>,
        place: Place,
        message: MessageId,
        turn: TurnId,
        page: &Page,
    ) -> Option<Accepted> {
        let _one_at_a_time = self.taking_in();
        let live = self.live_in(place.channel)?;
        let parts: Vec<Part> = live.lock().turn(turn)?.parts.clone();
        let shown = |part: &Part| page.own.iter().find(|own| own.message == part.message);
        let contents =
            parts.iter().map(|part| shown(part).map(|own| own.content.clone()).unwrap_or_default());
        let contents = contents.collect();
        // There is always room for the one.
        let in_line = live.line.take(NOBODY, usize::MAX);
        let work = Work::End(CutOff { turn, place: in_line, parts, contents });
        self.finish_later(live, message, work)
    }

    /// Lets whoever asked something by itself hear that it was not answered to the end.
    fn tell_later(self: &Arc<Self>, place: Place, message: MessageId) -> Option<Accepted> {
        let alone = Arc::new(self.begin(self.new_conversation(), self.persona_of(place), place, None));
        self.finish_later(alone, message, Work::Refuse(Some(Notice::Interrupted)))
    }

    /// What is left to be done of a message that nobody asks for now.
    fn finish_later(self: &Arc<Self>, live: Arc<Live>, message: MessageId, work: Work) -> Option<Accepted> {
        let place = live.place;
        let (registration, stop, edits) = self.register(message, NOBODY, None, live)?;
        let author = Author { id: NOBODY, name: String::new(), automated: false, roles: Vec::new() };
        let incoming = Incoming::wordless(message, place, author, now());
        let asked = asked(&incoming);
        Some(Accepted { registration, incoming, asked, known: Known::WrittenDown, stop, edits, work })
    }

    /// Whether a message is not too old to be answered.
    fn is_fresh(&self, incoming: &Incoming) -> bool {
        incoming.posted > self.answers_since()
    }
}

/// The unfinished reply gets the messages that show something of it and of which the last process has not heard.
fn adopt(conversation: &mut Conversation, page: &Page, links: Links) {
    let unfinished = |turn: &&Turn| turn.kind == TurnKind::Persona && turn.state.is_unfinished();
    let Some(turn) = conversation.turns().iter().rfind(unfinished) else { return };
    let (id, trigger, last) = (turn.id, turn.trigger, turn.parts.last().map(|part| part.message));
    let (text, name) = (turn.shown().text.clone(), turn.name.clone());
    let says = |own: &Shown, first: bool| {
        let may_be_headed = first && own.webhook.is_none();
        let content = if may_be_headed { reply::without_heading(&own.content, &name) } else { &own.content };
        content.to_owned()
    };
    let belongs = |own: &&Shown| match last {
        Some(last) => own.message > last && own.reply_to.is_none(),
        // What answers a message that is gone is no reply, and known by what it says.
        None if own.reply_to.is_none() => {
            Some(own.message) > trigger && split::content(&text, 0, text.len(), links) == says(own, true)
        }
        None => own.reply_to == trigger,
    };
    let unknown = page.own.iter().filter(belongs).filter(|own| !notice::is_notice(&own.content));
    let unknown: Vec<&Shown> = unknown.filter(|own| conversation.turn_of(own.message).is_none()).collect();
    let Some(turn) = conversation.turn_mut(id) else { return };
    for own in unknown {
        let from = turn.parts.last().map_or(0, |part| part.start);
        let start = if turn.parts.is_empty() {
            Some(0)
        } else {
            split::start_of(&text, from + 1, &own.content, links)
        };
        if let Some(start) = start {
            turn.parts.push(Part { message: own.message, webhook: own.webhook, start });
        }
    }
}

/// The replies that were begun and not brought to an end.
fn begun(conversation: &Conversation) -> Vec<(MessageId, Left)> {
    let unfinished = |turn: &&Turn| turn.state.is_unfinished();
    let begun = conversation.turns().iter().filter(unfinished).filter(|turn| !turn.parts.is_empty());
    begun.filter_map(|turn| Some((turn.trigger?, Left::End(turn.id)))).collect()
}

/// The messages that showed something and are not there any more.
fn gone(conversation: &Conversation, page: &Page) -> Vec<MessageId> {
    let here = |message: MessageId| {
        page.own.iter().any(|own| own.message == message)
            || page.others.iter().any(|other| other.message == message)
    };
    let looked_at = |message: MessageId| message >= page.from && message <= page.known;
    let parts = conversation.turns().iter().flat_map(|turn| turn.parts.iter().map(|part| part.message));
    parts.filter(|&message| looked_at(message) && !here(message)).collect()
}

/// Unfinished replies that nobody brings to an end are left as they are shown.
fn leave_half_said(
    conversation: &mut Conversation,
    left: &BTreeMap<MessageId, Left>,
    is_running: impl Fn(MessageId) -> bool,
) {
    let ended: Vec<TurnId> = left
        .values()
        .filter_map(|left| if let Left::End(turn) = left { Some(*turn) } else { None })
        .collect();
    conversation.interrupt(is_running);
    for turn in ended {
        if let Some(turn) = conversation.turn_mut(turn) {
            turn.state = TurnState::Streaming;
        }
    }
}
