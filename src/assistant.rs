//! The conductor: a message comes in, a prompt goes to the generator, a reply goes out. It owns the live
//! conversations and sees to it that each of them has one reply at a time. It knows neither Discord nor models.

mod accepted;
mod answer;
mod branching;
mod bundling;
mod casting;
mod conversations;
mod delivering;
mod dressing;
mod following;
mod limits;
mod line;
mod listening;
mod live;
mod memories;
mod privacy;
mod retelling;
mod rewinding;
mod rewriting;
mod ruling;
mod settling;
mod staging;
mod steering;
mod taking_home;
mod troupe;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use dashmap::{DashMap, DashSet, Entry};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::chat::addressing::{Incoming, is_addressed};
use crate::chat::budget::{self, Room, TooLong};
use crate::chat::buttons::Row;
use crate::chat::history::{Conversation, ConversationId};
use crate::chat::notice::Notice;
use crate::chat::reply::{Manner, ReplyAction};
use crate::chat::request::Asked;
use crate::chat::scene::SceneState;
use crate::chat::settings::{Answers, Limits, Rules, Style};
use crate::chat::{ChannelId, MemberId, MessageId, Place, ServerId, sanitize};
use crate::generation::Generator;
use crate::persona::{Persona, PersonaId, SamplingWish};
use crate::store::{ChosenAlone, Store, StoreError};

pub use accepted::Accepted;
use accepted::{Known, Work};
pub use branching::{Branch, Unplanted};
pub use bundling::Unbundled;
pub use casting::NARRATOR;
pub use conversations::AtHand;
use following::Change;
use limits::{Asking, Share, TooMuch};
use live::{Live, now, speaker};
pub use memories::{Remembered, Withheld};
pub use retelling::{Unwilling, Wish};
pub use rewriting::{Hand, Line, Rewrite};
use settling::Undone;
pub use settling::{Page, Shown};
use staging::Part;
pub use staging::Unstaged;
use steering::Progress;
pub use steering::Told;
use troupe::Troupe;
pub use troupe::{Found, Own};

/// How long answers may take to show what they have when the program ends.
const CLOSING_TIME: Duration = Duration::from_secs(10);

/// So many times as many messages may wait in a scene as in another conversation.
const BURST: usize = 8;

/// How long answers may take to stop that nobody wants any more.
const STOPPING_TIME: Duration = Duration::from_secs(30);

/// Servers of which it is read at the same time what is set there.
const LEARNERS: usize = 16;

/// What the assistant is told at its start.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is one of the operator's settings")]
pub struct Settings {
    /// How replies are sampled where the persona does not say it.
    pub sampling: SamplingWish,
    /// How replies are shown.
    pub manner: Manner,
    /// Most messages that wait for a reply in one conversation.
    pub queue_per_conversation: usize,
    /// Whether messages that do not mention the bot can be read.
    pub reads_everything: bool,
    /// Whether buttons stand under the last reply, where the server has not said it.
    pub buttons: bool,
    /// Whether what is cut from the history is summed up, where the server has not said it.
    pub memory: bool,
    /// Whether direct messages are answered.
    pub direct_messages: bool,
    /// The servers in which anything is answered; none stands for all.
    pub servers: BTreeSet<ServerId>,
    /// Seed of everything random; `None` draws one for each conversation.
    pub seed: Option<u64>,
    /// How much may be asked.
    pub limits: Limits,
    /// How long running replies may go on when the program ends.
    pub grace: Duration,
    /// Messages that came while the bot was away are answered when they are not older than this.
    pub answer_within: Duration,
    /// For how long it is kept what was said; `None` is for ever. Servers may shorten it.
    pub retention: Option<Duration>,
    /// For how long everything of a server is kept that the bot was taken out of.
    pub leave_grace: Duration,
    /// How many conversations are at hand.
    pub at_hand: AtHand,
    /// In a scene nobody is answered before nobody has written for so long.
    pub pause: Duration,
}

/// Who answers where.
#[derive(Debug, Clone)]
pub struct Cast {
    /// Who answers where no other persona is set.
    pub default: Arc<Persona>,
    /// Who answers in these channels and their threads.
    pub channels: BTreeMap<ChannelId, Arc<Persona>>,
    /// All among whom the admins of a server may choose.
    pub library: BTreeMap<PersonaId, Arc<Persona>>,
}

/// A persona that alone takes more tokens than there is room for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the persona {persona} alone takes {have} tokens, and this model has room for {room} beside the reply: choose a \
     model with a longer context, a shorter persona, or a lower sampling.max_tokens"
)]
pub struct Misfit {
    /// Its name.
    pub persona: String,
    /// Tokens of the smallest prompt.
    pub have: usize,
    /// Tokens that a prompt may have.
    pub room: usize,
}

/// Carries out what a reply asks for.
pub trait Outlet: Send {
    /// From now on this persona speaks, which has this name in the conversation. As whom it will be seen.
    fn appear(
        &mut self,
        persona: &Arc<Persona>,
        name: &str,
        style: Style,
    ) -> impl Future<Output = Look> + Send;

    /// Carries out one action. Under the message stands this row from then on, or none.
    fn act(&mut self, action: ReplyAction, row: Option<Row>) -> impl Future<Output = Delivery> + Send;
}

/// As whom a persona is seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// As itself.
    Itself,
    /// As somebody with another name.
    Another,
}

/// What became of an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// It is done.
    Done,
    /// A new message is there.
    Sent {
        /// Which.
        message: MessageId,
        /// The webhook that has posted it, if one has.
        webhook: Option<u64>,
    },
    /// The message is there and can be changed no more.
    Frozen,
    /// A new message may be there, and it cannot be found out.
    Uncertain,
    /// It could not be done, in spite of all tries.
    Failed,
    /// The message that shows it was deleted.
    Deleted,
    /// The place is gone, or nothing may be said there any more.
    Gone,
}

/// The conductor.
pub struct Assistant {
    generator: Arc<dyn Generator>,
    settings: Settings,
    /// Where conversations are written down; without it they end with the process.
    store: Option<Store>,
    cast: RwLock<Cast>,
    conversations: DashMap<ConversationId, Arc<Live>>,
    /// Memory that they take, about, in bytes.
    weight: Arc<AtomicUsize>,
    channels: DashMap<ChannelId, ConversationId>,
    /// What is set in the servers, as far as it is known by now.
    rules: DashMap<ServerId, Arc<Rules>>,
    /// The personas that belong to servers, as far as they are known by now.
    troupes: DashMap<ServerId, Arc<Troupe>>,
    /// Whom members have chosen in direct messages.
    alone: DashMap<ChannelId, ChosenAlone>,
    /// The channels that are for adults only; their threads are too.
    age_restricted: DashSet<ChannelId>,
    /// The servers of which what is known is not what is written down, which could not be read.
    outdated: DashSet<ServerId>,
    /// One who reads what is set in a server at a time, so that nothing older takes the place of it.
    learning: [tokio::sync::Mutex<()>; LEARNERS],
    /// The messages that are being answered.
    running: DashMap<MessageId, Running>,
    /// Channels in which the bot has said that it cannot read everything.
    hinted: DashSet<ChannelId>,
    /// Channels whose conversations are written down and could not be read: nothing is written over them.
    unreadable: DashSet<ChannelId>,
    /// Channels in which something was left undone.
    undone: DashMap<ChannelId, Undone>,
    /// Members who do not want to be read.
    opted_out: DashSet<MemberId>,
    /// Channels in which buttons stand under a reply.
    dressed: DashSet<ChannelId>,
    /// The channels that point to scenes, and whether those are played.
    scenes: DashMap<ChannelId, SceneState>,
    /// One who changes to what a channel points at a time.
    staging: [tokio::sync::Mutex<()>; LEARNERS],
    asking: Arc<Asking>,
    /// A moment by both clocks: limits go by the one that never jumps.
    began: (Instant, u64),
    /// The last changes and deletions of messages, newest first: they may overtake what they are about.
    changes: Mutex<VecDeque<(MessageId, Change)>>,
    /// Members who were forgotten, and when, in seconds since 1970: what waits to be answered may quote them.
    forgotten: DashMap<MemberId, u64>,
    /// Whoever forgets waits for whoever reads what is written down, and the other way round.
    forgetting: tokio::sync::RwLock<()>,
    taking_in: Mutex<()>,
    next_conversation: AtomicU64,
    next_request: AtomicU64,
    next_use: AtomicU64,
    /// Cancelled when no answer begins any more.
    closing: CancellationToken,
    /// Cancelled when running answers end with what they have.
    ending: CancellationToken,
    answers: TaskTracker,
}

/// A message that is being answered: where, whose, how far it is, what stops it, and how it is told of a change.
struct Running {
    live: Arc<Live>,
    member: MemberId,
    /// Whoever wants something of the answer to it, when that is somebody else.
    also: Option<MemberId>,
    progress: Arc<Progress>,
    stop: CancellationToken,
    /// What the message says now, when its author has changed it.
    edit: watch::Sender<Option<String>>,
    /// Cancelled when it is over.
    over: CancellationToken,
}

impl Running {
    /// Whether it is a member's: what they said, or what they want of the answer.
    fn is_of(&self, member: MemberId) -> bool {
        self.member == member || self.also == Some(member)
    }
}

impl Assistant {
    /// An assistant that knows the conversations of the store, or none.
    #[must_use]
    pub fn new(
        generator: Arc<dyn Generator>,
        cast: Cast,
        settings: Settings,
        store: Option<Store>,
    ) -> Arc<Self> {
        Arc::new(Self {
            generator,
            store,
            cast: RwLock::new(cast),
            conversations: DashMap::new(),
            weight: Arc::default(),
            channels: DashMap::new(),
            rules: DashMap::new(),
            troupes: DashMap::new(),
            alone: DashMap::new(),
            age_restricted: DashSet::new(),
            outdated: DashSet::new(),
            learning: Default::default(),
            running: DashMap::new(),
            hinted: DashSet::new(),
            unreadable: DashSet::new(),
            undone: DashMap::new(),
            opted_out: DashSet::new(),
            dressed: DashSet::new(),
            scenes: DashMap::new(),
            staging: Default::default(),
            asking: Arc::default(),
            began: (Instant::now(), now()),
            changes: Mutex::default(),
            forgotten: DashMap::new(),
            forgetting: tokio::sync::RwLock::default(),
            taking_in: Mutex::new(()),
            next_conversation: AtomicU64::new(1),
            next_request: AtomicU64::new(1),
            next_use: AtomicU64::new(1),
            closing: CancellationToken::new(),
            ending: CancellationToken::new(),
            answers: TaskTracker::new(),
            settings,
        })
    }

    /// Reads what must be known before the first message comes: who does not want to be read, whom members have chosen in direct
    /// messages, what was asked lately, and where something was left undone.
    ///
    /// # Errors
    /// A [`StoreError`].
    pub async fn prepare(&self) -> Result<(), StoreError> {
        let Some(store) = &self.store else { return Ok(()) };
        for member in store.opted_out().await? {
            self.opted_out.insert(member);
        }
        self.recall_chosen(store).await?;
        self.recall_scenes(store).await?;
        let now = now();
        self.asking.recount(&store.asked_since(now.saturating_sub(limits::HOUR)).await?, now);
        for channel in store.dressed().await? {
            self.dressed.insert(channel);
        }
        for (channel, server) in store.undone().await? {
            self.undone.insert(channel, Undone::new(server));
        }
        Ok(())
    }

    /// Takes a message in, if it is addressed to the bot and was not taken before. Its place in the conversation is
    /// decided by the order of these calls; the answer is made by [`Accepted::answer`]. What is addressed to others is heard where
    /// the admins want it.
    pub fn accept(self: &Arc<Self>, incoming: Incoming) -> Option<Accepted> {
        let is_ours = |message| self.said_here(incoming.channel, message);
        if !is_addressed(&incoming, self.hears_in(Place::from(&incoming)), is_ours) {
            self.overhear(&incoming);
            return None;
        }
        let is_spoken_to = self.is_spoken_to(&incoming);
        if self.closing.is_cancelled() {
            self.leave_to_the_next(&incoming);
            return None;
        }
        // So that two first messages of a channel do not begin two conversations, and none is dropped that is about
        // to be spoken in.
        let _one_at_a_time = self.taking_in();
        let live = self.conversation_of(&incoming);
        if !live.take(incoming.message) {
            return None;
        }
        self.take_part(incoming, live, Known::New, is_spoken_to)
    }

    /// Gives a message its place in the line of its conversation; where a scene is, if it is part of that. Whoever calls takes in
    /// one at a time.
    fn take_part(
        self: &Arc<Self>,
        mut incoming: Incoming,
        live: Arc<Live>,
        known: Known,
        is_spoken_to: bool,
    ) -> Option<Accepted> {
        match self.part_of(&live, &mut incoming, is_spoken_to) {
            Part::NoScene => self.begin_answer(incoming, live, known, is_spoken_to, None),
            Part::None => None,
            Part::Early => self.begin_answer(incoming, live, known, is_spoken_to, Some(Notice::ScenePaused)),
            // In a scene everything is said to those who play.
            Part::Line => {
                let accepted = self.begin_answer(incoming, Arc::clone(&live), known, true, None)?;
                // What is too much to be answered was said all the same.
                if accepted.waits() || self.is_heard(&accepted) {
                    live.wait_together(accepted.incoming.clone());
                }
                Some(accepted)
            }
        }
    }

    /// Whether a line that is not answered is part of its scene: where there is only too much of it to be answered.
    fn is_heard(&self, accepted: &Accepted) -> bool {
        let Incoming { author, text, .. } = &accepted.incoming;
        let most = self.limits_in(accepted.place()).message_length;
        let is_too_much = matches!(accepted.work, Work::Refuse(_) | Work::Answer { place: Err(_), .. });
        is_too_much
            && !self.is_denied(accepted.place(), author)
            && most.is_none_or(|most| text.chars().count() <= most)
    }

    /// Whether a message is meant for the bot, also where it answers everything.
    fn is_spoken_to(&self, incoming: &Incoming) -> bool {
        is_addressed(incoming, Answers::Mentions, |message| self.said_here(incoming.channel, message))
    }

    /// Takes a question in that belongs to no conversation: the persona knows nothing of what was said in the channel, and
    /// nothing of it is remembered there.
    pub fn accept_alone(self: &Arc<Self>, incoming: Incoming, persona: Arc<Persona>) -> Option<Accepted> {
        if self.closing.is_cancelled() {
            return None;
        }
        let place = Place::from(&incoming);
        let live = Arc::new(self.begin(self.new_conversation(), persona, place, None));
        self.begin_answer(incoming, live, Known::New, true, None)
    }

    /// Gives a message its place in the line of its conversation. Whoever calls takes in one at a time.
    fn begin_answer(
        self: &Arc<Self>,
        mut incoming: Incoming,
        live: Arc<Live>,
        known: Known,
        is_spoken_to: bool,
        instead: Option<Notice>,
    ) -> Option<Accepted> {
        match self.change_of(incoming.message) {
            Some(Change::Deleted) => return None,
            Some(Change::Edited(text)) => incoming.text = live.lock().said_in(&text),
            None => {}
        }
        let asked = asked(&incoming);
        let (registration, stop, edits) = self.register(incoming.message, incoming.author.id, None, live)?;
        self.leave_unread(&mut incoming);
        let work = if self.opted_out.contains(&incoming.author.id) {
            let may_tell = is_spoken_to && self.asking.may_tell(asked.member, self.steady_now());
            Work::Ignore(may_tell.then_some(Notice::OptedOut))
        } else if self.is_denied(registration.live.place, &incoming.author) {
            let may_tell = is_spoken_to && self.asking.may_tell(asked.member, self.steady_now());
            Work::Refuse(may_tell.then_some(Notice::Denied))
        } else if instead.is_some() {
            let may_tell = is_spoken_to && self.asking.may_tell(asked.member, self.steady_now());
            Work::Refuse(instead.filter(|_| may_tell))
        } else {
            let admitted = self.admit(&registration.live, &asked, &incoming.text, known);
            match admitted {
                Ok(share) => {
                    // What waits in a scene is answered together, so there may be more of it.
                    let is_scene = registration.live.lock().is_played();
                    let most = self.settings.queue_per_conversation * if is_scene { BURST } else { 1 };
                    let place = registration.live.line.take(incoming.author.id, most);
                    if let Ok(place) = &place {
                        registration.progress.in_line(place.number());
                    }
                    match place {
                        // Whoever speaks to others need not hear why there is no answer.
                        Err(_) if !is_spoken_to => Work::Refuse(None),
                        place => Work::Answer { place, share, cue: None },
                    }
                }
                Err(TooMuch(notice)) => Work::Refuse(notice.filter(|_| is_spoken_to)),
            }
        };
        Some(Accepted { registration, incoming, asked, known, stop, edits, work })
    }

    /// Lets a message in within the limits that hold in its conversation, where those of it that were let in before count already.
    fn admit(&self, live: &Live, asked: &Asked, text: &str, known: Known) -> Result<Share, TooMuch> {
        let (limits, length) = (self.limits_in(live.place), text.chars().count());
        let now = self.steady_now();
        // Whoever gives a persona the word says nothing, and is answered by themselves.
        let is_line = !sanitize::is_blank(text) && live.lock().is_played();
        let is_along = is_line && live.has_line_of(asked.member);
        match known {
            Known::New if is_along => self.asking.admit_along(&limits, asked, length, now),
            Known::New => self.asking.admit(&limits, asked, length, now),
            Known::WrittenDown if is_along => Ok(self.asking.admit_along_again()),
            Known::WrittenDown => Ok(self.asking.admit_again(asked)),
        }
    }

    /// Notes that a message of a member is being answered in a conversation, unless it is already: also what stops that, and what
    /// tells of a change.
    fn register(
        self: &Arc<Self>,
        message: MessageId,
        member: MemberId,
        also: Option<MemberId>,
        live: Arc<Live>,
    ) -> Option<(Registration, CancellationToken, watch::Receiver<Option<String>>)> {
        let (stop, over) = (CancellationToken::new(), CancellationToken::new());
        let (edit, edits) = watch::channel(None);
        let progress = Arc::new(Progress::default());
        match self.running.entry(message) {
            Entry::Occupied(_) => return None,
            Entry::Vacant(vacant) => {
                let (live, progress) = (Arc::clone(&live), Arc::clone(&progress));
                let (stop, over) = (stop.clone(), over.clone());
                vacant.insert(Running { live, member, also, progress, stop, edit, over });
            }
        }
        let assistant = Arc::clone(self);
        let registration =
            Registration { assistant, live, message, progress, over, _token: self.answers.token() };
        Some((registration, stop, edits))
    }

    /// A message that comes when the program ends is answered by the next one.
    fn leave_to_the_next(&self, incoming: &Incoming) {
        let Some(store) = self.store.clone().filter(|_| self.answers_later()) else { return };
        let asked = asked(incoming);
        self.answers.spawn(async move {
            if let Err(error) = store.take_in(&asked).await {
                tracing::error!("that a message came at the end could not be written down: {error}");
            }
        });
    }

    /// A channel is gone: all answers in it and in its threads stop, and what was said there is forgotten, but for the scenes that are
    /// kept by the channels that they have for that, or else by `home`. Returns the titles of those that were not over, and where they
    /// are kept; whoever does not wait for that need not.
    pub fn channel_gone(
        self: &Arc<Self>,
        channel: ChannelId,
        home: Option<ChannelId>,
    ) -> JoinHandle<Vec<(Place, String)>> {
        let mut dropped = self.drop_with_threads(channel);
        // The event is not kept waiting by it, and the end of the program is.
        let assistant = Arc::clone(self);
        self.answers.spawn(async move {
            let _one_at_a_time = assistant.stagehand(channel).lock().await;
            for live in &dropped {
                // What has been said of what is kept is written down.
                assistant.still(live).await;
                live.save().await;
            }
            let _nobody_reads = assistant.forgetting.write().await;
            // Whoever was just reading it has it at hand again.
            dropped.extend(assistant.drop_with_threads(channel));
            for live in &dropped {
                live.cease().await;
            }
            let (lost, kept) = assistant.keep_scenes(channel, home).await;
            for live in dropped.iter().filter(|live| live.place.channel != channel) {
                assistant.erase(live.place.channel).await;
            }
            match kept {
                Ok(()) => assistant.erase(channel).await,
                // What could not be kept is not lost either: `/roleplay resume` finds it.
                Err(error) => {
                    tracing::error!("a scene of a thread that is gone could not be kept: {error}");
                }
            }
            assistant.erase_threads(channel).await;
            assistant.forget_rules_of(channel).await;
            lost
        })
    }

    /// Stops what is being answered in a channel and in its threads, and drops their conversations.
    fn drop_with_threads(&self, channel: ChannelId) -> Vec<Arc<Live>> {
        let _one_at_a_time = self.taking_in();
        self.stop_in(channel);
        let threads = self.conversations.iter().filter(|live| live.place.parent == Some(channel));
        let mut channels: Vec<ChannelId> = threads.map(|live| live.place.channel).collect();
        channels.push(channel);
        let drop = |channel: ChannelId| {
            self.hinted.remove(&channel);
            self.undone.remove(&channel);
            self.dressed.remove(&channel);
            self.scenes.remove(&channel);
            self.age_restricted.remove(&channel);
            self.drop_conversation_in(channel)
        };
        channels.into_iter().filter_map(drop).collect()
    }

    /// Stops all answers in a channel and in its threads.
    fn stop_in(&self, channel: ChannelId) {
        self.stop_those(|running| {
            let place = running.live.place;
            place.channel == channel || place.parent == Some(channel)
        });
    }

    /// Stops the answers that are as described, and waits until they are over, though not for ever. Returns to which messages, and
    /// whose those are.
    async fn until_stopped(&self, which: impl Fn(&Running) -> bool) -> Vec<(MessageId, MemberId)> {
        let stopped = self.running.iter().filter(|running| which(running));
        let (stopped, over): (Vec<(MessageId, MemberId)>, Vec<CancellationToken>) = stopped
            .map(|running| {
                running.stop.cancel();
                ((*running.key(), running.member), running.over.clone())
            })
            .unzip();
        let all_over = async {
            for over in &over {
                over.cancelled().await;
            }
        };
        if tokio::time::timeout(STOPPING_TIME, all_over).await.is_err() {
            tracing::warn!("an answer that nobody wants any more could not be stopped in time");
        }
        stopped
    }

    /// Stops the answers that are as described. How many.
    fn stop_those(&self, which: impl Fn(&Running) -> bool) -> usize {
        let stopped = self.running.iter().filter(|running| which(running));
        stopped.map(|running| running.stop.cancel()).count()
    }

    /// The conversation that a channel points to, as it stands.
    #[must_use]
    pub fn conversation(&self, channel: ChannelId) -> Option<Conversation> {
        let live = self.live_in(channel)?;
        let conversation = live.lock().clone();
        Some(conversation)
    }

    /// How many messages are being answered or wait for it.
    #[must_use]
    pub fn running(&self) -> usize {
        self.running.len()
    }

    /// The first of the personas that leaves no room for a conversation in the model's context.
    #[must_use]
    pub fn misfit(&self) -> Option<Misfit> {
        let cast = self.cast.read().unwrap_or_else(PoisonError::into_inner).clone();
        std::iter::once(&cast.default)
            .chain(cast.channels.values())
            .find_map(|persona| self.fits(persona).err())
    }

    /// Whoever plays this persona plays it in this version from the next reply on.
    ///
    /// # Errors
    /// [`Misfit`] when it leaves no room for a conversation; then everybody stays with the version that they have.
    pub fn adopt(&self, persona: &Arc<Persona>) -> Result<(), Misfit> {
        self.fits(persona)?;
        {
            let mut cast = self.cast.write().unwrap_or_else(PoisonError::into_inner);
            let Cast { default, channels, library } = &mut *cast;
            for known in channels.values_mut().chain([default]).filter(|known| known.id == persona.id) {
                *known = Arc::clone(persona);
            }
            library.insert(persona.id.clone(), Arc::clone(persona));
        }
        self.play_anew(|_| true);
        Ok(())
    }

    /// Whether a persona leaves room for a conversation.
    ///
    /// # Errors
    /// [`Misfit`] when it does not.
    pub fn fits(&self, persona: &Persona) -> Result<(), Misfit> {
        let mut conversation =
            Conversation::new(ConversationId(0), 0, now(), speaker(persona), persona.char_name());
        let greeting = conversation.hear(MemberId(0), "Somebody", "Hello.", None);
        let room = self.room(persona);
        let count = |prompt: &_| self.generator.count(prompt).tokens();
        let fitted = budget::fit(persona, &mut conversation, "", room.prompt, greeting, count);
        let persona = || persona.card.name.clone();
        fitted.map(drop).map_err(|TooLong { have, room }| Misfit { persona: persona(), have, room })
    }

    /// How the model's context is shared between prompt and reply.
    fn room(&self, persona: &Persona) -> Room {
        let wish = persona.card.sampling.or(self.settings.sampling);
        Room::in_context(self.generator.info().context_length, wish.max_tokens)
    }

    /// Takes nothing more in and waits for the running answers: for a while to end as they should, then to show what they
    /// have, and not for ever.
    pub async fn close(&self) {
        self.closing.cancel();
        self.answers.close();
        if tokio::time::timeout(self.settings.grace, self.answers.wait()).await.is_ok() {
            return;
        }
        self.ending.cancel();
        if tokio::time::timeout(CLOSING_TIME, self.answers.wait()).await.is_err() {
            tracing::warn!(
                answers = self.answers.len(),
                "some answers could not be brought to an end in time"
            );
        }
    }

    /// Waits until nothing more is taken in.
    pub async fn closes(&self) {
        self.closing.cancelled().await;
    }

    /// The time in seconds since 1970, by a clock that nobody sets.
    fn steady_now(&self) -> u64 {
        self.began.1 + self.began.0.elapsed().as_secs()
    }

    fn taking_in(&self) -> MutexGuard<'_, ()> {
        self.taking_in.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A message that is taken in now.
fn asked(incoming: &Incoming) -> Asked {
    let Incoming { message, channel, server, author, .. } = incoming;
    Asked { message: *message, channel: *channel, server: *server, member: author.id, at: now() }
}

/// A message that is being answered. Dropping this ends that.
struct Registration {
    assistant: Arc<Assistant>,
    live: Arc<Live>,
    message: MessageId,
    progress: Arc<Progress>,
    /// Cancelled when it is over.
    over: CancellationToken,
    _token: TaskTrackerToken,
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.assistant.running.remove(&self.message);
        self.over.cancel();
    }
}
