//! The gateway's state: sessions, which survive their connections, and what is said over a
//! connection. Every session keeps its events, so that a resume can replay what was missed.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::{self, Display};
use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore as _, SeedableRng as _};
use serde_json::{Value, json};
use serenity::model::gateway::GatewayIntents;

use super::events::Event;
use super::state::State;
use super::{TOKEN, payloads};

/// Close codes, in Discord's numbering.
const AUTHENTICATION_FAILED: u16 = 4004;
const INVALID_SEQUENCE: u16 = 4007;
const INVALID_INTENTS: u16 = 4013;
const DISALLOWED_INTENTS: u16 = 4014;

/// What Discord itself asks for.
const HEARTBEAT_INTERVAL: Duration = Duration::from_millis(41_250);

/// The gateway's sessions and connections, and what was counted about them.
#[derive(Debug)]
pub(crate) struct Gateway {
    /// How often a bot identified, refused attempts included.
    pub(crate) identifies: usize,
    /// How often a session was resumed.
    pub(crate) resumes: usize,
    pub(crate) heartbeats: usize,
    /// What the bot asked for when it last identified.
    pub(crate) intents: Option<GatewayIntents>,
    pub(super) heartbeat_interval: Duration,
    pub(super) acknowledges_heartbeats: bool,
    /// Privileged intents that are switched off in the application's settings.
    pub(super) forbidden: GatewayIntents,
    /// The close codes with which the next attempts to identify are refused.
    pub(super) refusals: VecDeque<u16>,
    /// Events that come twice or too late.
    pub(super) disorder: Option<Disorder>,
    url: String,
    sessions: BTreeMap<u64, Session>,
    links: BTreeMap<LinkId, Link>,
    numbers: u64,
}

/// Messages come twice, or after the event that follows them.
#[derive(Debug)]
pub(super) struct Disorder {
    random: ChaCha8Rng,
    per_mille: u32,
    late: Option<Event>,
}

impl Disorder {
    pub(super) fn new(seed: u64, per_mille: u32) -> Self {
        Self { random: ChaCha8Rng::seed_from_u64(seed), per_mille, late: None }
    }

    /// The events that are told instead of one.
    fn stir(&mut self, event: &Event) -> Vec<Event> {
        let chance = if event.name == "MESSAGE_CREATE" { self.random.next_u32() % 1_000 } else { 1_000 };
        if chance < self.per_mille && self.late.is_none() {
            self.late = Some(event.clone());
            return Vec::new();
        }
        let twice = chance < 2 * self.per_mille;
        let again = twice.then(|| event.clone());
        [Some(event.clone()), again, self.late.take()].into_iter().flatten().collect()
    }
}

#[derive(Debug)]
struct Session {
    intents: GatewayIntents,
    /// Every event, numbered from one: the sequence number is the place in this list.
    log: Vec<String>,
    link: Option<LinkId>,
    /// The sequence number of the last heartbeat: what the bot has read for certain.
    read_up_to: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct LinkId(u64);

/// One connection.
#[derive(Debug, Default)]
struct Link {
    session: Option<u64>,
    outbox: VecDeque<Outgoing>,
}

#[derive(Clone, Debug)]
pub(super) enum Outgoing {
    Text(String),
    Close(u16),
    /// The connection ends without a word, as when a cable is pulled.
    Vanish,
}

impl Gateway {
    pub(super) fn new(url: String) -> Self {
        Self {
            identifies: 0,
            resumes: 0,
            heartbeats: 0,
            intents: None,
            heartbeat_interval: HEARTBEAT_INTERVAL,
            acknowledges_heartbeats: true,
            forbidden: GatewayIntents::empty(),
            refusals: VecDeque::new(),
            disorder: None,
            url,
            sessions: BTreeMap::new(),
            links: BTreeMap::new(),
            numbers: 0,
        }
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Whether an intent is switched off in the application's settings.
    pub(super) fn forbids(&self, intent: GatewayIntents) -> bool {
        self.forbidden.intersects(intent)
    }

    /// Whether a session is connected and has been sent all its events.
    pub(super) fn is_connected(&self) -> bool {
        self.live_sessions().any(|(_, link)| link.outbox.is_empty())
    }

    /// Whether the bot is connected and has read all events so far.
    pub(super) fn is_caught_up(&self) -> bool {
        self.live_sessions().any(|(session, _)| session.read_up_to == sequence_of(&session.log))
    }

    /// Tells every session whose intents cover it, connected or not.
    pub(super) fn dispatch(&mut self, event: &Event) {
        let Some(disorder) = &mut self.disorder else { return self.tell(event) };
        for event in disorder.stir(event) {
            self.tell(&event);
        }
    }

    /// From now on every event comes once and at its time.
    pub(super) fn calm(&mut self) {
        if let Some(late) = self.disorder.take().and_then(|disorder| disorder.late) {
            self.tell(&late);
        }
    }

    fn tell(&mut self, event: &Event) {
        for session in self.sessions.values_mut() {
            if !session.intents.contains(event.intent) {
                continue;
            }
            let data = match &event.without_content {
                Some(blanked) if !session.intents.contains(GatewayIntents::MESSAGE_CONTENT) => blanked,
                _ => &event.data,
            };
            session.tell(&mut self.links, event.name, data);
        }
    }

    /// Asks the bot for a heartbeat, which says up to where it has read.
    pub(super) fn request_heartbeat(&mut self) {
        self.send_to_all(&Outgoing::text(&json!({"op": 1, "d": null})));
    }

    pub(super) fn request_reconnect(&mut self) {
        self.send_to_all(&Outgoing::text(&json!({"op": 7, "d": null})));
    }

    pub(super) fn invalidate_sessions(&mut self, resumable: bool) {
        self.send_to_all(&Outgoing::text(&json!({"op": 9, "d": resumable})));
        if !resumable {
            self.sessions.clear();
        }
    }

    pub(super) fn close_connections(&mut self, code: u16) {
        self.send_to_all(&Outgoing::Close(code));
        self.detach_all();
    }

    pub(super) fn drop_connections(&mut self) {
        self.send_to_all(&Outgoing::Vanish);
        self.detach_all();
    }

    fn live_sessions(&self) -> impl Iterator<Item = (&Session, &Link)> {
        self.sessions.values().filter_map(|session| Some((session, self.links.get(&session.link?)?)))
    }

    fn send_to_all(&mut self, outgoing: &Outgoing) {
        for link in self.links.values_mut() {
            link.outbox.push_back(outgoing.clone());
        }
    }

    /// From now on events are only kept: nothing may follow a close frame.
    fn detach_all(&mut self) {
        for session in self.sessions.values_mut() {
            session.link = None;
        }
    }

    pub(super) fn open_link(&mut self) -> LinkId {
        self.numbers += 1;
        let id = LinkId(self.numbers);
        let interval = self.heartbeat_interval.as_millis();
        let interval = u64::try_from(interval).expect("a heartbeat interval of reasonable length");
        let hello = json!({"op": 10, "d": {"heartbeat_interval": interval}});
        self.links.insert(id, Link::default());
        self.send(id, Outgoing::text(&hello));
        id
    }

    pub(super) fn close_link(&mut self, id: LinkId) {
        self.links.remove(&id);
        for session in self.sessions.values_mut() {
            session.link = session.link.filter(|link| *link != id);
        }
    }

    /// A bot that says good-bye gives up its session; any other end can be resumed from.
    pub(super) fn note_farewell(&mut self, id: LinkId, code: u16) {
        if matches!(code, 1000 | 1001) {
            self.sessions.retain(|_, session| session.link != Some(id));
        }
    }

    fn send(&mut self, id: LinkId, outgoing: Outgoing) {
        if let Some(link) = self.links.get_mut(&id) {
            link.outbox.push_back(outgoing);
        }
    }

    pub(super) fn next_outgoing(&self, id: LinkId) -> Option<Outgoing> {
        self.links.get(&id)?.outbox.front().cloned()
    }

    pub(super) fn mark_sent(&mut self, id: LinkId) {
        if let Some(link) = self.links.get_mut(&id) {
            link.outbox.pop_front();
        }
    }

    fn session_of(&mut self, id: LinkId) -> Option<&mut Session> {
        let session = self.links.get(&id)?.session?;
        self.sessions.get_mut(&session)
    }
}

impl Display for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { identifies, resumes, heartbeats, .. } = self;
        let connected = self.live_sessions().count();
        write!(
            f,
            "gateway: {connected} connected, identified {identifies} times, resumed {resumes} \
             times, {heartbeats} heartbeats"
        )
    }
}

impl Session {
    /// Numbers an event, keeps it, and sends it when the session is connected.
    fn tell(&mut self, links: &mut BTreeMap<LinkId, Link>, name: &str, data: &Value) {
        let sequence = sequence_of(&self.log) + 1;
        let event = json!({"op": 0, "s": sequence, "t": name, "d": data}).to_string();
        self.log.push(event.clone());
        if let Some(link) = self.link.and_then(|id| links.get_mut(&id)) {
            link.outbox.push_back(Outgoing::Text(event));
        }
    }
}

impl Outgoing {
    fn text(payload: &Value) -> Self {
        Self::Text(payload.to_string())
    }
}

fn sequence_of(log: &[String]) -> u64 {
    u64::try_from(log.len()).expect("few events")
}

/// Takes a text frame from the bot.
pub(super) fn receive(state: &mut State, link: LinkId, text: &str) {
    let Ok(payload) = serde_json::from_str::<Value>(text) else {
        let complaint = format!("not JSON on the gateway: {text}");
        state.violations.push(complaint);
        return;
    };
    let data = &payload["d"];
    match payload["op"].as_u64() {
        Some(1) => heartbeat(&mut state.gateway, link, data),
        Some(2) => identify(state, link, data),
        // A presence update, which nobody on the fake looks at.
        Some(3) => {}
        Some(6) => resume(&mut state.gateway, link, data),
        _ => {
            let complaint = format!("unexpected on the gateway: {payload}");
            state.violations.push(complaint);
        }
    }
}

fn heartbeat(gateway: &mut Gateway, link: LinkId, data: &Value) {
    gateway.heartbeats += 1;
    if let (Some(session), Some(sequence)) = (gateway.session_of(link), data.as_u64()) {
        session.read_up_to = sequence;
    }
    if gateway.acknowledges_heartbeats {
        gateway.send(link, Outgoing::text(&json!({"op": 11, "d": null})));
    }
}

fn identify(state: &mut State, link: LinkId, data: &Value) {
    let gateway = &mut state.gateway;
    gateway.identifies += 1;
    let bits = data["intents"].as_u64().unwrap_or(0);
    gateway.intents = Some(GatewayIntents::from_bits_truncate(bits));

    let refusal = if let Some(code) = gateway.refusals.pop_front() {
        Some(code)
    } else if !is_token(data) {
        Some(AUTHENTICATION_FAILED)
    } else if GatewayIntents::from_bits(bits).is_none() {
        Some(INVALID_INTENTS)
    } else if gateway.forbids(GatewayIntents::from_bits_truncate(bits)) {
        Some(DISALLOWED_INTENTS)
    } else {
        None
    };
    if let Some(code) = refusal {
        gateway.send(link, Outgoing::Close(code));
        return;
    }

    let intents = GatewayIntents::from_bits_truncate(bits);
    gateway.numbers += 1;
    let number = gateway.numbers;
    let world = &state.world;
    let mut session = Session { intents, log: Vec::new(), link: Some(link), read_up_to: 0 };
    let name = session_name(number);
    let ready = payloads::ready(world, gateway, &name, &data["shard"]);
    session.tell(&mut gateway.links, "READY", &ready);
    if world.bot_is_member && intents.contains(GatewayIntents::GUILDS) {
        let guild = payloads::guild(world, intents);
        session.tell(&mut gateway.links, "GUILD_CREATE", &guild);
    }
    gateway.sessions.insert(number, session);
    if let Some(link) = gateway.links.get_mut(&link) {
        link.session = Some(number);
    }
}

fn resume(gateway: &mut Gateway, link: LinkId, data: &Value) {
    if !is_token(data) {
        gateway.send(link, Outgoing::Close(AUTHENTICATION_FAILED));
        return;
    }
    let found = gateway.sessions.iter_mut().find(|(number, _)| data["session_id"] == session_name(**number));
    let Some((number, session)) = found else {
        let invalid = Outgoing::text(&json!({"op": 9, "d": false}));
        gateway.send(link, invalid);
        return;
    };
    let sequence = usize::try_from(data["seq"].as_u64().unwrap_or(0)).unwrap_or(usize::MAX);
    let Some(missed) = session.log.get(sequence..) else {
        gateway.send(link, Outgoing::Close(INVALID_SEQUENCE));
        return;
    };
    if let Some(reborn) = gateway.links.get_mut(&link) {
        reborn.session = Some(*number);
        reborn.outbox.extend(missed.iter().cloned().map(Outgoing::Text));
    }
    session.link = Some(link);
    session.tell(&mut gateway.links, "RESUMED", &json!({}));
    gateway.resumes += 1;
}

fn session_name(number: u64) -> String {
    format!("session-{number}")
}

/// Discord takes the token with and without the prefix that REST demands.
fn is_token(data: &Value) -> bool {
    let token = data["token"].as_str().unwrap_or_default();
    token.trim_start_matches("Bot ") == TOKEN
}
