//! A channel as a member sees it, drawn as an SVG. It follows from the state alone and has no times and no numbers in it, so
//! that the same flow gives the same picture at every run. Nothing here knows what is said, or by which bot.

use std::fmt::Write as _;

use base64::Engine as _;
use serde_json::Value;

use super::FakeDiscord;
use super::ids::{ChannelId, EmojiId, MessageId, UserId};
use super::interactions::Form;
use super::markup::{self, Block, Mark, Span};
use super::message::{KIND_THREAD_CREATED, KIND_THREAD_STARTER, Message};
use super::state::State;
use super::world::{ChannelKind, UserKind};

const WIDTH: u32 = 720;
/// Where what is said begins; the faces stand before it.
const LEFT: u32 = 72;
/// How wide it may become.
const ROOM: u32 = WIDTH - LEFT - 24;
const LINE: u32 = 22;
const SIZE: u32 = 16;
/// Of what is said beside the messages.
const SMALL: u32 = 13;

/// The bytes of a face that is drawn as it is; others become the first letter of the name.
const FACE_MAX: usize = 16 << 10;

const GROUND: &str = "#313338";
const PANEL: &str = "#2b2d31";
const EDGE: &str = "#3f4147";
const TEXT: &str = "#dbdee1";
const NAME: &str = "#f2f3f5";
const MUTED: &str = "#4e5058";
const FAINT: &str = "#949ba4";
const LINK: &str = "#c9cdfb";
const ACCENT: &str = "#5865f2";

/// What the faces without a picture may look like.
const FACES: [&str; 6] = ["#5865f2", "#3ba55c", "#c27c0e", "#ad4f8b", "#2f8f9d", "#a84343"];

impl FakeDiscord {
    /// A channel as a member sees it, as an SVG.
    pub(crate) fn drawn(&self, channel: ChannelId, viewer: UserId) -> String {
        self.drawn_since(channel, viewer, MessageId(0))
    }

    /// The same once they have scrolled down to a message.
    pub(crate) fn drawn_since(&self, channel: ChannelId, viewer: UserId, first: MessageId) -> String {
        self.inner.look(|state| draw(state, (channel, first), viewer))
    }
}

/// What is drawn so far, from the top down.
#[derive(Default)]
struct Sheet {
    y: u32,
    body: String,
}

fn draw(state: &State, (channel, first): (ChannelId, MessageId), viewer: UserId) -> String {
    let mut sheet = Sheet::default();
    sheet.heading(&title(state, channel));
    let mut before: Option<&Message> = None;
    for message in seen(state, channel, viewer).filter(|message| message.id >= first) {
        let follows = before.is_some_and(|before| follows(state, before, message));
        sheet.message(state, message, follows);
        before = Some(message);
    }
    if let Some(form) = open_form(state, channel, viewer) {
        sheet.form(form);
    }
    sheet.finish()
}

/// The messages that a member sees in a channel, oldest first.
fn seen(state: &State, channel: ChannelId, viewer: UserId) -> impl Iterator<Item = &Message> {
    let messages = state.world.messages.values();
    messages.filter(move |message| {
        message.channel == channel
            && message.deleted.is_none()
            && message.kind != KIND_THREAD_STARTER
            && message.only_for.is_none_or(|only| only == viewer)
    })
}

/// Whether a message stands under the one before it without a face and a name of its own.
fn follows(state: &State, before: &Message, message: &Message) -> bool {
    let is_plain = |message: &Message| message.kind == 0 && message.only_for.is_none();
    is_plain(message)
        && before.kind != KIND_THREAD_CREATED
        && before.only_for.is_none()
        && name_over(state, before) == name_over(state, message)
        && before.author == message.author
}

/// The form that a member has before them: nothing was done since it was opened.
fn open_form(state: &State, channel: ChannelId, viewer: UserId) -> Option<&Form> {
    let mut own = state.interactions.values().filter(|it| it.user == viewer && it.channel == channel);
    own.next_back()?.form.as_ref()
}

fn title(state: &State, channel: ChannelId) -> String {
    let channel = &state.world.channels[&channel];
    match channel.kind {
        ChannelKind::Text | ChannelKind::Forum => format!("# {}", channel.name),
        ChannelKind::Thread { parent } => {
            format!("# {} \u{203a} {}", state.world.channels[&parent].name, channel.name)
        }
        ChannelKind::Direct { .. } => format!("@ {}", name_of(state, state.world.bot)),
    }
}

/// The name that a user is shown under.
fn name_of(state: &State, user: UserId) -> &str {
    let user = &state.world.users[&user];
    user.nick.as_ref().or(user.global_name.as_ref()).unwrap_or(&user.name)
}

fn name_over<'a>(state: &'a State, message: &'a Message) -> &'a str {
    message.seen_as.as_ref().map_or_else(|| name_of(state, message.author), |(name, _)| name)
}

/// The picture that a message came with, if it is one of the application's and small.
fn face<'a>(state: &'a State, message: &Message) -> Option<&'a [u8]> {
    let address = message.seen_as.as_ref()?.1.as_ref()?;
    let file = address.rsplit('/').next()?;
    let number = file.split('.').next()?.parse().ok()?;
    let (_, bytes) = state.world.pictures.get(&EmojiId(number))?;
    Some(bytes.as_slice()).filter(|bytes| bytes.len() <= FACE_MAX)
}

/// Mentions by the names of what they mention.
fn readable(state: &State, kind: Mark, number: u64) -> Option<String> {
    let world = &state.world;
    match kind {
        Mark::Channel => world.channels.get(&ChannelId(number)).map(|channel| format!("#{}", channel.name)),
        _ => {
            let user = UserId(number);
            world.users.contains_key(&user).then(|| format!("@{}", name_of(state, user)))
        }
    }
}

/// A picture of what a member sees.
impl Sheet {
    fn heading(&mut self, title: &str) {
        self.text((16, 30), SIZE, NAME, true, title);
        self.rect((0, 47), (WIDTH, 1), 0, EDGE);
        self.y = 56;
    }

    fn message(&mut self, state: &State, message: &Message, follows: bool) {
        if message.kind == KIND_THREAD_CREATED {
            let who = name_of(state, message.author);
            self.y += 12;
            self.note(&format!("{who} started a thread: {}", message.content()));
            return;
        }
        let top = self.y;
        // What only one member sees stands on a ground of its own, which has to be drawn first.
        let before = std::mem::take(&mut self.body);
        self.y += if follows { 2 } else { 14 };
        if !follows {
            self.over(state, message);
            self.y += 2;
            self.face(state, message);
            self.name(state, message);
        }
        self.content(state, message.content());
        for name in &message.attachments {
            self.attachment(name);
        }
        for row in &message.components {
            self.row(row);
        }
        self.thread(state, message.id);
        if message.only_for.is_some() {
            self.y += 4;
            self.note("Only you can see this");
        }
        self.y += 4;
        let message_drawn = std::mem::replace(&mut self.body, before);
        if message.only_for.is_some() {
            self.rect((0, top + 6), (WIDTH, self.y - top - 4), 0, "#393a52");
            self.rect((0, top + 6), (3, self.y - top - 4), 0, ACCENT);
        }
        self.body.push_str(&message_drawn);
    }

    /// What a message answers: another message, or the use of a command.
    fn over(&mut self, state: &State, message: &Message) {
        let used = message.answers.and_then(|(id, user)| {
            let used = state.interactions[&id].used_for(message.id)?;
            Some((name_of(state, user), format!("used {used}")))
        });
        let replied = message.reply.and_then(|reply| state.world.messages.get(&reply.to)).map(|original| {
            let said = markup::plain(original.content(), &|kind, number| readable(state, kind, number));
            let gone = original.deleted.is_some();
            let said = if gone { "Original message was deleted".to_owned() } else { said };
            (name_over(state, original), said)
        });
        let Some((who, what)) = used.or(replied) else { return };
        let (x, y) = (40, self.y + 4);
        let _ = writeln!(
            self.body,
            r#"<path d="M{x} {} v-6 q0 -6 6 -6 h20" fill="none" stroke="{MUTED}" stroke-width="2"/>"#,
            y + 12
        );
        let line = format!("{who} {what}");
        let line = markup::cut(&line, ROOM, SMALL);
        let rest = line.strip_prefix(who).unwrap_or_default();
        let _ = writeln!(
            self.body,
            r#"<text x="{LEFT}" y="{}" font-size="{SMALL}" fill="{FAINT}" xml:space="preserve"><tspan fill="{TEXT}">{}</tspan>{}</text>"#,
            y + 6,
            escaped(who),
            escaped(rest)
        );
        self.y += 20;
    }

    fn face(&mut self, state: &State, message: &Message) {
        let y = self.y;
        if let Some(bytes) = face(state, message) {
            let data = base64::engine::general_purpose::STANDARD.encode(bytes);
            let _ = writeln!(
                self.body,
                r#"<image x="20" y="{y}" width="40" height="40" clip-path="url(#round)" href="data:image/png;base64,{data}"/>"#
            );
            return;
        }
        let name = name_over(state, message);
        let initial: String = name.chars().next().into_iter().flat_map(char::to_uppercase).collect();
        let colour = name.bytes().fold(0, |sum, byte| (sum * 31 + usize::from(byte)) % 9_973);
        let colour = FACES[colour % FACES.len()];
        let _ = writeln!(self.body, r#"<circle cx="40" cy="{}" r="20" fill="{colour}"/>"#, y + 20);
        let _ = writeln!(
            self.body,
            r##"<text x="40" y="{}" font-size="18" fill="#ffffff" text-anchor="middle">{}</text>"##,
            y + 26,
            escaped(&initial)
        );
    }

    fn name(&mut self, state: &State, message: &Message) {
        let name = name_over(state, message);
        // It is given its width, so that what stands behind it is in its place in every font.
        let width = markup::width(name, SIZE);
        let _ = writeln!(
            self.body,
            r#"<text x="{LEFT}" y="{}" font-size="{SIZE}" fill="{NAME}" font-weight="600" textLength="{width}" lengthAdjust="spacingAndGlyphs">{}</text>"#,
            self.y + 14,
            escaped(name)
        );
        if state.world.users[&message.author].kind != UserKind::Human {
            let x = LEFT + width + 8;
            self.rect((x, self.y + 1), (34, 16), 4, ACCENT);
            self.text((x + 5, self.y + 13), 11, "#ffffff", true, "APP");
        }
        self.y += LINE;
    }

    fn content(&mut self, state: &State, content: &str) {
        for block in markup::blocks(content, &|kind, number| readable(state, kind, number)) {
            match block {
                Block::Code(lines) => self.code(&lines),
                Block::Quote(spans) => {
                    let top = self.y;
                    self.lines(&spans, (LEFT + 14, ROOM - 14), (SIZE, LINE));
                    self.rect((LEFT, top + 1), (4, self.y - top - 2), 2, MUTED);
                }
                Block::Item(sign, spans) => {
                    self.text((LEFT + 8, self.y + 16), SIZE, TEXT, false, &sign);
                    self.lines(&spans, (LEFT + 28, ROOM - 28), (SIZE, LINE));
                }
                Block::Heading(spans) => self.lines(&spans, (LEFT, ROOM), (20, 28)),
                Block::Small(spans) => self.lines(&spans, (LEFT, ROOM), (SMALL, 18)),
                Block::Text(spans) => self.lines(&spans, (LEFT, ROOM), (SIZE, LINE)),
            }
        }
    }

    /// Text with its marks, as many lines as it takes.
    fn lines(&mut self, spans: &[Span], (x, room): (u32, u32), (size, height): (u32, u32)) {
        for line in markup::wrapped(spans, room, size) {
            let _ = write!(
                self.body,
                r#"<text x="{x}" y="{}" font-size="{size}" fill="{TEXT}" xml:space="preserve">"#,
                self.y + size
            );
            for span in &line {
                self.body.push_str(&tspan(span));
            }
            self.body.push_str("</text>\n");
            self.y += height;
        }
    }

    fn code(&mut self, lines: &[String]) {
        let most = markup::columns(ROOM - 24, SMALL);
        let lines: Vec<String> = lines.iter().flat_map(|line| markup::folded(line, most)).collect();
        let count = u32::try_from(lines.len()).expect("few lines");
        let height = 18 * count + 16;
        self.framed_rect((LEFT, self.y + 2), (ROOM, height), 4, PANEL);
        for (line, y) in lines.iter().zip((self.y + 23..).step_by(18)) {
            let _ = writeln!(
                self.body,
                r#"<text x="{}" y="{y}" font-size="{SMALL}" font-family="monospace" fill="{TEXT}" xml:space="preserve">{}</text>"#,
                LEFT + 12,
                escaped(line)
            );
        }
        self.y += height + 6;
    }

    fn attachment(&mut self, name: &str) {
        let width = (markup::width(name, SIZE) + 64).min(ROOM);
        self.framed_rect((LEFT, self.y + 6), (width, 48), 8, PANEL);
        self.rect((LEFT + 14, self.y + 16), (20, 28), 3, FAINT);
        self.text((LEFT + 46, self.y + 35), SIZE, LINK, false, &markup::cut(name, ROOM - 64, SIZE));
        self.y += 60;
    }

    /// Buttons beside each other, or a menu.
    fn row(&mut self, row: &Value) {
        let mut x = LEFT;
        for component in row["components"].as_array().into_iter().flatten() {
            let (words, colour, width) = match component["type"].as_u64() {
                Some(2) => {
                    let label = component["label"].as_str().unwrap_or_default();
                    let sign = component["emoji"]["name"].as_str().unwrap_or_default();
                    let words = format!("{sign} {label}").trim().to_owned();
                    let colour = match component["style"].as_u64() {
                        Some(1) => ACCENT,
                        Some(3) => "#248046",
                        Some(4) => "#da373c",
                        _ => MUTED,
                    };
                    let width = markup::width(&words, 14) + 32;
                    (words, colour, width)
                }
                _ => {
                    let words = component["placeholder"].as_str().unwrap_or("Make a selection");
                    (format!("{words}  \u{25be}"), "#1e1f22", 400)
                }
            };
            let faint = if component["disabled"] == true { r#" opacity="0.5""# } else { "" };
            let _ = writeln!(self.body, "<g{faint}>");
            self.rect((x, self.y + 6), (width, 32), 8, colour);
            let _ = writeln!(
                self.body,
                r##"<text x="{}" y="{}" font-size="14" fill="#ffffff" text-anchor="middle">{}</text></g>"##,
                x + width / 2,
                self.y + 27,
                escaped(&words)
            );
            x += width + 8;
        }
        self.y += 42;
    }

    /// The thread that was begun from a message.
    fn thread(&mut self, state: &State, message: MessageId) {
        let here = state.world.messages[&message].channel;
        let Some(thread) = state.world.thread_from(message).filter(|thread| thread.id != here) else {
            return;
        };
        let count =
            state.world.shown(thread.id).filter(|message| message.kind != KIND_THREAD_STARTER).count();
        let messages = if count == 1 { "1 message".to_owned() } else { format!("{count} messages") };
        let width = (markup::width(&thread.name, SIZE) + 160).min(ROOM);
        self.framed_rect((LEFT, self.y + 6), (width, 40), 6, PANEL);
        let name = markup::cut(&thread.name, width - 140, SIZE);
        self.text((LEFT + 14, self.y + 31), SIZE, NAME, true, &name);
        let _ = writeln!(
            self.body,
            r##"<text x="{}" y="{}" font-size="{SMALL}" fill="#00a8fc" text-anchor="end">{messages} &#8250;</text>"##,
            LEFT + width - 14,
            self.y + 31
        );
        self.y += 52;
    }

    fn form(&mut self, form: &Form) {
        let (x, width) = (110, 500);
        let top = self.y + 16;
        let before = std::mem::take(&mut self.body);
        self.y = top + 38;
        self.text((x + 20, self.y), 18, NAME, true, &form.title);
        self.y += 12;
        for ((_, written), label) in form.fields.iter().zip(&form.labels) {
            self.text((x + 20, self.y + 18), SMALL, TEXT, true, label);
            self.y += 28;
            let inside = self.y;
            let outside = std::mem::take(&mut self.body);
            self.y += 9;
            for line in markup::unmarked(written) {
                self.lines(&line, (x + 32, width - 64), (SIZE, LINE));
            }
            self.y += 7;
            let field = std::mem::replace(&mut self.body, outside);
            self.framed_rect((x + 20, inside), (width - 40, self.y - inside), 4, "#1e1f22");
            self.body.push_str(&field);
            self.y += 8;
        }
        self.y += 12;
        for (right, words, colour) in [(120, "Cancel", PANEL), (20, "Submit", ACCENT)] {
            let left = x + width - right - 88;
            self.rect((left, self.y), (88, 34), 8, colour);
            self.text((left + 22, self.y + 22), 14, "#ffffff", false, words);
        }
        self.y += 52;
        let drawn = std::mem::replace(&mut self.body, before);
        self.framed_rect((x, top), (width, self.y - top), 8, PANEL);
        self.body.push_str(&drawn);
    }

    /// A small line beside the messages.
    fn note(&mut self, words: &str) {
        self.text((LEFT, self.y + 14), SMALL, FAINT, false, words);
        self.y += 20;
    }

    fn text(&mut self, (x, y): (u32, u32), size: u32, colour: &str, bold: bool, words: &str) {
        let weight = if bold { r#" font-weight="600""# } else { "" };
        let _ = writeln!(
            self.body,
            r#"<text x="{x}" y="{y}" font-size="{size}" fill="{colour}"{weight} xml:space="preserve">{}</text>"#,
            escaped(words)
        );
    }

    fn rect(&mut self, (x, y): (u32, u32), (width, height): (u32, u32), round: u32, colour: &str) {
        let _ = writeln!(
            self.body,
            r#"<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="{round}" fill="{colour}"/>"#
        );
    }

    fn framed_rect(&mut self, (x, y): (u32, u32), (width, height): (u32, u32), round: u32, colour: &str) {
        let _ = writeln!(
            self.body,
            r#"<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="{round}" fill="{colour}" stroke="{EDGE}"/>"#
        );
    }

    fn finish(self) -> String {
        let height = self.y + 16;
        format!(
            r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" font-family="sans-serif">
<clipPath id="round" clipPathUnits="objectBoundingBox"><circle cx="0.5" cy="0.5" r="0.5"/></clipPath>
<rect width="{WIDTH}" height="{height}" rx="8" fill="{GROUND}"/>
{}</svg>
"#,
            self.body
        )
    }
}

fn tspan(span: &Span) -> String {
    let has = |mark| span.marks.contains(&mark);
    let mut looks = String::new();
    if has(Mark::Bold) {
        looks.push_str(r#" font-weight="700""#);
    }
    if has(Mark::Italic) {
        looks.push_str(r#" font-style="italic""#);
    }
    let lines = [(Mark::Underlined, "underline"), (Mark::Struck, "line-through")];
    let lines: Vec<&str> = lines.into_iter().filter(|(mark, _)| has(*mark)).map(|(_, line)| line).collect();
    if !lines.is_empty() {
        let _ = write!(looks, r#" text-decoration="{}""#, lines.join(" "));
    }
    if has(Mark::Code) {
        looks.push_str(r##" font-family="monospace" font-size="14" fill="#e0c9a6""##);
    }
    if has(Mark::Member) || has(Mark::Channel) {
        let _ = write!(looks, r#" fill="{LINK}""#);
    }
    if looks.is_empty() {
        return escaped(&span.text);
    }
    format!("<tspan{looks}>{}</tspan>", escaped(&span.text))
}

/// Text as XML takes it, without the characters that it takes in no form.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\t' => escaped.push_str("    "),
            character if character.is_control() || matches!(character, '\u{fffe}' | '\u{ffff}') => {}
            character => escaped.push(character),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::discord::actions::Input;
    use crate::discord::interactions;
    use crate::discord::message::Post;

    fn answer(discord: &FakeDiscord, to: super::super::ids::InteractionId, body: &Value) {
        let input =
            Input { query: String::new(), secret: String::new(), body: body.clone(), files: Vec::new() };
        discord.inner.change(|state| {
            assert!(interactions::respond(state, to, &input).is_ok(), "it is taken");
        });
    }

    fn buttons(labels: &[(&str, u64, bool)]) -> Value {
        let button = |(label, style, disabled): &(&str, u64, bool)| json!({"type": 2, "style": style, "label": label, "custom_id": label, "disabled": disabled});
        json!([{"type": 1, "components": labels.iter().map(button).collect::<Vec<Value>>()}])
    }

    #[tokio::test]
    async fn everything_that_a_channel_can_show() {
        let discord = FakeDiscord::start().await;
        let (tavern, alice, bob) =
            (discord.channel("tavern"), discord.member("alice"), discord.member("bob"));
        discord.set_nick(alice, Some("Alice <3"));
        let asked = discord.post(tavern, alice, format!("{} is it *really* raining?", discord.mention_bot()));
        discord.post(
            tavern,
            alice,
            "**bold** __under__ ~~gone~~ `code & more` and a line that is far too long for one",
        );
        let persona = discord.webhook("Persona");
        let mut said = Post::new(
            tavern,
            persona,
            "> It rains.\n- two days\n1. in three\n```\nfn main() {}\n```\n-# so they say",
        );
        said.seen_as = Some(("Halloran Crake".to_owned(), None));
        said.components = buttons(&[("Regenerate", 2, false), ("Continue", 1, true), ("Delete", 4, false)])
            .as_array()
            .cloned()
            .expect("rows");
        discord.send(said);
        let replied = discord.answer_as_bot(asked, "No. It is a bucket.");
        discord.send(Post::new(tavern, bob, "Here it is.").with_attachment("story.jsonl"));
        let place = discord.inner.change(|state| {
            let body = json!({"name": "A branch"});
            super::super::threads::start_from(state, tavern, replied, &body).expect("it begins");
            ChannelId(replied.0)
        });
        discord.post(place, bob, "inside");
        let used = discord.use_command(tavern, alice, "roleplay start", &[]);
        let none = json!({"parse": []});
        answer(
            &discord,
            used,
            &json!({"type": 4, "data": {"content": "The scene is set.", "allowed_mentions": none}}),
        );
        let used = discord.use_command(tavern, alice, "help", &[]);
        let hidden = json!({"content": "Only for her.", "flags": 64, "allowed_mentions": none});
        answer(&discord, used, &json!({"type": 4, "data": hidden}));
        let used = discord.use_on_message(replied, alice, "Edit line");
        let field = json!({"type": 4, "custom_id": "t", "style": 2, "label": "What it says", "value": "No.\nA bucket."});
        let form = json!({"custom_id": "e", "title": "Edit a line", "components": [{"type": 1, "components": [field]}]});
        answer(&discord, used, &json!({"type": 9, "data": form}));

        let hers = discord.drawn(tavern, alice);
        insta::assert_snapshot!(hers);
        assert_eq!(hers, discord.drawn(tavern, alice));
        let his = discord.drawn(tavern, bob);
        for private in ["Only for her.", "Only you can see this", "Edit a line"] {
            assert!(hers.contains(private) && !his.contains(private), "{private}");
        }
        assert!(!hers.contains(&alice.to_string()), "numbers are new at every run");
        assert!(discord.drawn(place, bob).contains("# tavern \u{203a} A branch"));
    }

    #[test]
    fn what_members_write_is_no_markup() {
        assert_eq!(escaped("<a href=\"x\">&\u{0}\u{1b}\t."), "&lt;a href=&quot;x&quot;&gt;&amp;    .");
    }
}
