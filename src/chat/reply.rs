//! A reply on its way to the reader: what to show, in which message, and when. Pure; the clock is passed in.

use std::time::{Duration, Instant};

use super::blocklist::Blocklist;
use super::markdown::Links;
use super::notice::Notice;
use super::{MessageId, markdown, sanitize, split};

/// How a reply is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Manner {
    /// Least time between two sends or edits.
    pub between_edits: Duration,
    /// Time after which the sign that somebody is typing is renewed.
    pub between_typing: Duration,
    /// Whether masked links may hide their address.
    pub links: Links,
    /// Whether a reply is shown while it grows, and not only when it is whole.
    pub streaming: bool,
}

impl Default for Manner {
    /// One edit a second, as Discord's limits allow; its typing indicator lasts ten seconds; no link hides its address.
    fn default() -> Self {
        Self {
            between_edits: Duration::from_secs(1),
            between_typing: Duration::from_secs(8),
            links: Links::Plain,
            streaming: true,
        }
    }
}

/// Something to do for the reader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReplyAction {
    /// Show that somebody is typing.
    Typing,
    /// Post a new message in which the persona speaks. Part 0 answers the trigger.
    Send {
        /// Number of the message within the reply.
        part: usize,
        /// Where in the reply's text it begins, in bytes.
        start: usize,
        /// Its content.
        content: String,
    },
    /// Change the content of a message.
    Edit {
        /// Number of the message within the reply.
        part: usize,
        /// Its new content.
        content: String,
    },
    /// Delete a message that shows what is not said any more.
    Delete {
        /// Number of the message within the reply.
        part: usize,
    },
    /// Change nothing of a message but the buttons under it, whether or not it belongs to the reply.
    Dress {
        /// The message.
        message: MessageId,
        /// The webhook that has posted it, if one has.
        webhook: Option<u64>,
    },
    /// Post a message in which the bot speaks for itself.
    Tell {
        /// Number of the message within the reply.
        part: usize,
        /// Its content.
        content: String,
    },
    /// Post a message in which the bot speaks for itself and that is no part of the reply.
    Aside {
        /// Which of those it is.
        number: usize,
        /// Its content.
        content: String,
    },
}

/// What stands above what a persona says where it is seen as another one.
#[must_use]
pub fn heading(name: &str) -> String {
    format!("**{}**\n", markdown::escaped(name))
}

/// The content of a message without the heading that it may have.
#[must_use]
pub fn without_heading<'a>(content: &'a str, name: &str) -> &'a str {
    content.strip_prefix(heading(name).as_str()).unwrap_or(content)
}

/// A reply that grows. Nothing that it has shown is taken back: messages only grow, and a new one begins where the
/// last one ended.
#[derive(Debug, Clone)]
pub struct Reply {
    manner: Manner,
    /// The own name and a colon, which models sometimes repeat; dropped at the beginning.
    label: Option<String>,
    /// What stands above the text in its first message.
    heading: String,
    text: String,
    /// Phrases that must not be shown.
    blocklist: Blocklist,
    /// How much of the text will not become one of them.
    clear: usize,
    /// Whether something was dropped from the text, or replaced in it.
    altered: bool,
    finished: bool,
    notice: Option<Notice>,
    /// Messages that show what is not said any more; the first of them is written over, the others go before.
    over: usize,
    /// Number of the message that grows now.
    part: usize,
    /// Whether that message is there.
    posted: bool,
    /// Where in the text that message begins.
    start: usize,
    /// How much of the text is shown.
    shown: usize,
    /// Content of the message that grows now, as it was last sent.
    content: String,
    next_edit: Instant,
    next_typing: Instant,
    /// When to ask again, should nothing be written until then.
    next_due: Option<Instant>,
}

/// So many bytes of what a reply goes on with are looked at again, together with what comes.
const SEAM: usize = 1 << 10;

impl Reply {
    /// An empty reply by somebody with this name.
    #[must_use]
    pub fn new(name: &str, manner: Manner, now: Instant) -> Self {
        Self {
            manner,
            label: Some(format!("{name}:")),
            heading: String::new(),
            text: String::new(),
            blocklist: Blocklist::default(),
            clear: 0,
            altered: false,
            finished: false,
            notice: None,
            over: 0,
            part: 0,
            posted: false,
            start: 0,
            shown: 0,
            content: String::new(),
            next_edit: now,
            next_typing: now,
            next_due: None,
        }
    }

    /// The same reply, in which these phrases are not shown. What its messages before the last one show stays.
    #[must_use]
    pub fn without(self, blocklist: Blocklist) -> Self {
        Self { blocklist, clear: self.start, ..self }
    }

    /// A reply that goes on: its text, where in it its messages begin, and what the last of them shows, without a heading.
    #[must_use]
    pub fn begun(text: &str, starts: &[usize], content: &str, manner: Manner, now: Instant) -> Self {
        let mut reply = Self::new("", manner, now);
        reply.label = None;
        text.clone_into(&mut reply.text);
        if let Some(&start) = starts.last() {
            reply.part = starts.len() - 1;
            reply.posted = true;
            reply.start = text.floor_char_boundary(start);
            reply.shown = reply.start;
            content.clone_into(&mut reply.content);
        }
        reply
    }

    /// The sign that somebody is typing was shown for another one, and is there still.
    pub fn go_on_typing(&mut self, before: &Self) {
        self.next_typing = before.next_typing;
    }

    /// All of its text is shown.
    #[must_use]
    pub fn shown_whole(mut self) -> Self {
        self.shown = self.text.len();
        // A phrase may begin in what is there.
        self.clear = self.text.floor_char_boundary(self.shown.saturating_sub(SEAM)).max(self.start);
        self
    }

    /// The reply is seen as somebody else's: the name stands above it.
    pub fn head(&mut self, name: &str) {
        self.heading = heading(name);
    }

    /// The reply takes the place of what so many messages show.
    pub fn replace(&mut self, messages: usize) {
        self.over = messages;
        self.posted = messages > 0;
    }

    /// The message that grows now can be changed no more, and shows this much of the text: what comes goes into a new one.
    pub fn go_on_after(&mut self, delivered: &str) {
        let leading = self.text.len() - self.text.trim_start().len();
        self.start = (leading + delivered.len()).min(self.text.len());
        self.shown = self.start;
        self.part += usize::from(self.posted);
        self.posted = false;
        self.content.clear();
    }

    /// Appends text.
    pub fn write(&mut self, delta: &str) {
        self.text.push_str(delta);
        self.drop_label();
        self.drop_phrases();
    }

    /// No more text will come.
    pub fn finish(&mut self) {
        self.finished = true;
        self.label = None;
        self.drop_phrases();
    }

    /// No more text will come; tell the reader why.
    pub fn finish_with(&mut self, notice: Notice) {
        self.finish();
        self.notice = Some(notice);
    }

    /// The next thing to do, if it is time for one. Whoever asks has to do it.
    pub fn due(&mut self, now: Instant) -> Option<ReplyAction> {
        if now >= self.next_edit
            && let Some(action) = self.show().or_else(|| self.tell())
        {
            if !matches!(action, ReplyAction::Delete { .. }) {
                self.next_edit = now + self.manner.between_edits;
            }
            return Some(action);
        }
        let waiting = self.part == 0 && self.content.is_empty() && !self.finished;
        if waiting && now >= self.next_typing {
            self.next_typing = now + self.manner.between_typing;
            return Some(ReplyAction::Typing);
        }
        // What could be shown now but for the pace has its time; what is not decided yet waits for more text.
        let too_early = now < self.next_edit && (self.has_more() || self.notice.is_some());
        self.next_due =
            too_early.then_some(self.next_edit).into_iter().chain(waiting.then_some(self.next_typing)).min();
        None
    }

    /// Shows nothing before this time.
    pub fn not_before(&mut self, time: Instant) {
        self.next_edit = self.next_edit.max(time);
    }

    /// When to ask again after [`Self::due`] had nothing, should nothing be written until then; `None` is never.
    #[must_use]
    pub fn next_due(&self) -> Option<Instant> {
        self.next_due
    }

    /// How many messages the reply has by now, one that is being posted counted.
    #[must_use]
    pub fn parts(&self) -> usize {
        self.part + usize::from(self.posted)
    }

    /// Whether everything was shown and nothing more will come.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.finished && !self.has_more() && self.notice.is_none()
    }

    /// The messages that show all of a reply of which nothing is shown yet and nothing more will come: where in the text each
    /// begins, and its content.
    #[must_use]
    pub fn pages(mut self) -> Vec<(usize, String)> {
        std::iter::from_fn(|| match self.show()? {
            ReplyAction::Send { start, content, .. } => Some((start, content)),
            _ => None,
        })
        .collect()
    }

    /// The whole text, as it is remembered.
    #[must_use]
    pub fn text(&self) -> &str {
        self.text.trim()
    }

    /// The part of the text that the reader has seen.
    #[must_use]
    pub fn shown_text(&self) -> &str {
        self.text[..self.shown].trim()
    }

    /// Whether the text begins with a space and otherwise is as it was written, so that its tokens stand for it;
    /// `None` when they do not.
    #[must_use]
    pub fn verbatim(&self) -> Option<bool> {
        let leading_space = self.text.starts_with(' ');
        let bare = self.text.strip_prefix(' ').unwrap_or(&self.text);
        (!self.altered && bare == self.text()).then_some(leading_space)
    }

    /// Whether something is written that was not shown yet.
    fn has_more(&self) -> bool {
        !sanitize::is_blank(&self.text[self.shown..])
    }

    /// Shows more of the text, if that changes what the reader sees.
    fn show(&mut self) -> Option<ReplyAction> {
        let links = self.manner.links;
        loop {
            let decided = if self.label.is_some() { 0 } else { self.decided().max(self.shown) };
            let whole = split::content(&self.text, self.start, decided, links);
            let room = self.room();
            let fits = split::length(&whole) <= room;
            let end = match (fits, self.finished) {
                (true, true) => decided,
                (true, false) => split::growth(&self.text, self.start, self.shown, decided, room, links),
                (false, _) => split::cut(&self.text, self.start, self.shown, decided, room, links),
            };
            let content = split::content(&self.text, self.start, end, links);
            let changed = content != self.content && !sanitize::is_blank(&content);
            if changed && self.over > 1 {
                self.over -= 1;
                return Some(ReplyAction::Delete { part: self.over });
            }
            let action = changed.then(|| self.put(content));
            self.shown = self.shown.max(end);
            if !fits {
                self.start = end;
                self.shown = end;
                self.part += usize::from(self.posted);
                self.posted = false;
                self.content.clear();
            }
            if action.is_some() || fits {
                return action;
            }
        }
    }

    /// Tells the reader, in a message of its own, why there is no (more) text.
    fn tell(&mut self) -> Option<ReplyAction> {
        if !self.finished || self.has_more() {
            return None;
        }
        let content = self.notice.take()?.to_string();
        Some(ReplyAction::Tell { part: self.parts(), content })
    }

    /// Characters that the message that grows now has room for.
    fn room(&self) -> usize {
        let heading = if self.part == 0 { split::length(&self.heading) } else { 0 };
        split::MESSAGE_MAX - heading
    }

    fn put(&mut self, content: String) -> ReplyAction {
        let part = self.part;
        self.content.clone_from(&content);
        let content = if part == 0 { format!("{}{content}", self.heading) } else { content };
        if std::mem::replace(&mut self.posted, true) {
            return ReplyAction::Edit { part, content };
        }
        let leading = self.text.len() - self.text.trim_start().len();
        ReplyAction::Send { part, start: self.start.saturating_sub(leading), content }
    }

    fn decided(&self) -> usize {
        if self.finished {
            self.text.len()
        } else if self.manner.streaming {
            self.blocklist.whole_words(&self.text, markdown::decided(&self.text[..self.clear]))
        } else {
            0
        }
    }

    /// Puts a mark in the place of what must not be shown, once it is clear how the text begins.
    fn drop_phrases(&mut self) {
        if self.label.is_none() {
            let (clear, replaced) = self.blocklist.replace(&mut self.text, self.clear, self.finished);
            self.clear = clear;
            if replaced {
                self.shown = self.text.floor_char_boundary(self.shown);
            }
            self.altered |= replaced;
        }
    }

    /// Drops the own name at the very beginning, once it is clear whether it stands there.
    fn drop_label(&mut self) {
        let Some(label) = &self.label else { return };
        let written = self.text.trim_start();
        if let Some(rest) = written.strip_prefix(label.as_str()) {
            self.text = rest.to_owned();
            self.altered = true;
            self.label = None;
        } else if !label.starts_with(written) {
            self.label = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::chat::markdown::FENCE;

    /// A reader who sees what the actions show, one second after the other.
    struct Reader {
        reply: Reply,
        now: Instant,
        /// Every version of every message.
        messages: Vec<Vec<String>>,
        typing: usize,
    }

    impl Reader {
        fn new() -> Self {
            let now = Instant::now();
            Self { reply: Reply::new("Ada", Manner::default(), now), now, messages: Vec::new(), typing: 0 }
        }

        fn look(&mut self) {
            while let Some(action) = self.reply.due(self.now) {
                match action {
                    ReplyAction::Typing => self.typing += 1,
                    ReplyAction::Send { part, content, .. } | ReplyAction::Tell { part, content } => {
                        assert_eq!(part, self.messages.len());
                        self.messages.push(vec![content]);
                    }
                    ReplyAction::Edit { part, content } => {
                        assert_eq!(part + 1, self.messages.len());
                        self.messages[part].push(content);
                    }
                    ReplyAction::Dress { .. } | ReplyAction::Aside { .. } => {
                        unreachable!("a reply knows nothing of buttons")
                    }
                    ReplyAction::Delete { part } => {
                        assert_eq!(part + 1, self.messages.len());
                        self.messages.pop();
                    }
                }
            }
        }

        fn wait(&mut self) {
            self.now += Duration::from_secs(1);
            self.look();
        }

        fn end(&mut self) {
            self.reply.finish();
            for _ in 0..1_000 {
                if self.reply.is_over() {
                    return;
                }
                self.wait();
            }
            panic!("the reply never ends");
        }

        fn last(&self) -> Vec<&str> {
            self.messages.iter().map(|versions| versions.last().expect("one").as_str()).collect()
        }
    }

    #[test]
    fn typing_is_shown_until_the_first_text() {
        let mut reader = Reader::new();
        reader.look();
        assert_eq!(reader.typing, 1);
        for _ in 0..8 {
            reader.wait();
        }
        assert_eq!(reader.typing, 2);
        reader.reply.write(" Hello");
        reader.wait();
        for _ in 0..20 {
            reader.wait();
        }
        assert_eq!(reader.typing, 2);
        assert_eq!(reader.last(), ["Hello"]);
    }

    #[test]
    fn one_message_grows_by_at_most_one_edit_a_second_and_a_last_one() {
        let mut reader = Reader::new();
        for word in ["One", " two", " three"] {
            reader.reply.write(word);
            reader.look();
        }
        assert_eq!(reader.messages, [["One"]]);
        reader.wait();
        assert_eq!(reader.messages, [["One", "One two three"]]);
        reader.reply.write(" four");
        reader.end();
        assert_eq!(reader.last(), ["One two three four"]);
    }

    #[test]
    fn nobody_has_to_ask_again_before_something_can_be_due() {
        let mut reader = Reader::new();
        reader.look();
        let typing = reader.now + Duration::from_secs(8);
        assert_eq!(reader.reply.next_due(), Some(typing), "while waiting, the typing sign");
        reader.reply.write("One");
        reader.look();
        assert_eq!(reader.reply.next_due(), None, "all is shown");
        reader.reply.write(" two");
        reader.look();
        assert_eq!(reader.reply.next_due(), Some(reader.now + Duration::from_secs(1)), "the pace");
        reader.wait();
        reader.reply.write(" https://exa");
        reader.wait();
        assert_eq!(reader.reply.next_due(), None, "what is held waits for more text");
    }

    #[test]
    fn nothing_is_shown_before_its_time() {
        let mut reader = Reader::new();
        reader.reply.write("One");
        reader.look();
        reader.reply.not_before(reader.now + Duration::from_millis(1_500));
        reader.reply.write(" two");
        reader.wait();
        assert_eq!(reader.last(), ["One"]);
        reader.wait();
        assert_eq!(reader.last(), ["One two"]);
    }

    #[test]
    fn the_own_name_is_not_repeated() {
        let mut reader = Reader::new();
        for piece in [" Ad", "a", ":", " Hello", " Ada: again"] {
            reader.reply.write(piece);
            reader.wait();
        }
        reader.end();
        assert_eq!(reader.last(), ["Hello Ada: again"]);
        assert_eq!(reader.messages[0][0], "Hello");
        assert_eq!(reader.reply.verbatim(), None);
    }

    #[test]
    fn a_reply_that_is_only_the_beginning_of_the_name_is_shown() {
        let mut reader = Reader::new();
        reader.reply.write("Ad");
        reader.end();
        assert_eq!(reader.last(), ["Ad"]);
        assert_eq!(reader.reply.verbatim(), Some(false));
    }

    #[test]
    fn a_reply_that_does_not_stream_is_shown_when_it_is_whole() {
        let mut reader = Reader::new();
        reader.reply.manner.streaming = false;
        let text = "Some words. ".repeat(300);
        reader.reply.write(&text);
        for _ in 0..20 {
            reader.wait();
        }
        assert_eq!((reader.messages.len(), reader.typing), (0, 3), "somebody types meanwhile");
        reader.end();
        assert!(reader.messages.len() > 1 && reader.messages.iter().all(|versions| versions.len() == 1));
        assert_eq!(reader.last().join(" "), text.trim());
    }

    #[test]
    fn blocked_phrases_are_never_shown_and_never_remembered() {
        let mut reader = Reader::new();
        reader.reply = reader.reply.without(Blocklist::new(["bad word", "Ada: no"]));
        for piece in ["Ada", ": Ada: n", "o, a b", "ad wor", "d and a bad", " wor"] {
            reader.reply.write(piece);
            reader.wait();
        }
        let held = "[\u{2026}], a [\u{2026}] and a ";
        assert_eq!(reader.last(), [held.trim()]);
        reader.reply.write("m\u{e9}");
        reader.wait();
        assert_eq!(reader.last(), [format!("{held}bad")], "the word goes on");
        reader.end();
        assert_eq!(reader.last(), [format!("{held}bad worm\u{e9}")]);
        assert_eq!(reader.reply.text(), reader.last()[0]);
        assert_eq!(reader.reply.verbatim(), None, "its tokens would say it");
    }

    #[test]
    fn notices_are_messages_of_their_own() {
        let mut reader = Reader::new();
        reader.reply.write("Half a sen");
        reader.look();
        reader.reply.finish_with(Notice::CutOff);
        reader.wait();
        reader.wait();
        assert_eq!(reader.last(), ["Half a sen", &Notice::CutOff.to_string()]);
        let mut reader = Reader::new();
        reader.reply.finish_with(Notice::Empty);
        reader.look();
        assert_eq!(reader.last(), [Notice::Empty.to_string()]);
        assert!(reader.reply.is_over());
    }

    #[test]
    fn an_empty_reply_shows_nothing() {
        let mut reader = Reader::new();
        reader.reply.write(" \n\u{200b}");
        reader.end();
        assert!(reader.messages.is_empty());
    }

    #[test]
    fn a_name_stands_above_the_first_message_and_takes_its_room() {
        let mut reader = Reader::new();
        reader.reply.head("Ada*");
        reader.reply.write(&"word ".repeat(600));
        reader.end();
        assert!(reader.last()[0].starts_with("**Ada\\***\nword word"), "{}", reader.last()[0]);
        assert!(split::length(reader.last()[0]) <= split::MESSAGE_MAX);
        assert!(reader.last()[1].starts_with("word"));
        assert_eq!(without_heading("**Ada**\nHello", "Ada"), "Hello");
        assert_eq!(without_heading("**Ada**\nHello", "Eve"), "**Ada**\nHello");
    }

    #[test]
    fn what_is_said_anew_takes_the_place_of_what_was_said() {
        let mut reader = Reader::new();
        reader.messages = vec![vec!["one".to_owned()], vec!["two".to_owned()], vec!["three".to_owned()]];
        reader.reply.replace(3);
        reader.look();
        assert_eq!((reader.messages.len(), reader.typing), (3, 1), "as long as there is nothing new");
        reader.reply.write("Four");
        reader.end();
        assert_eq!(reader.messages, [["one", "Four"]]);
    }

    #[test]
    fn what_can_be_changed_no_more_is_gone_on_with() {
        let mut reader = Reader::new();
        reader.reply.write(" One,");
        reader.look();
        reader.reply.write(" two");
        reader.now += Duration::from_secs(1);
        assert!(matches!(reader.reply.due(reader.now), Some(ReplyAction::Edit { .. })));
        reader.reply.go_on_after("One,");
        reader.end();
        assert_eq!(reader.last(), ["One,", "two"]);
    }

    /// The text that a reader has read: without the fences (and the language 0) that splitting adds, escapes and
    /// white space.
    fn read(content: &str) -> String {
        content.replace(FENCE, "").replace(['0', '\\'], "").split_whitespace().collect()
    }

    fn prose() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            6 => "[a-z]{1,12} ",
            2 => "[a-z]{1,12}\\. ",
            1 => Just("\n".to_owned()),
            1 => Just("\n\n".to_owned()),
            1 => Just("<:smile:123456789012345678> ".to_owned()),
            1 => Just("\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}".to_owned()),
            1 => Just("https://example.com/path?query=1 ".to_owned()),
            1 => Just("[two words](https://example.com) ".to_owned()),
            1 => Just("\n```0\nlet x = 1;\n    let y = 2;\n```\n".to_owned()),
            1 => Just("\n```\ncode\n".to_owned()),
            1 => "[\u{4e00}-\u{4eff}]{1,60}",
        ];
        proptest::collection::vec(piece, 1..600).prop_map(|pieces| pieces.concat())
    }

    /// Text in which blocked phrases stand, or nearly.
    fn gossip() -> impl Strategy<Value = String> {
        let pieces = [
            "bad", "Bad", " word", " word", "s", "\u{e9}", "\u{301}", "**", " ", "\n", ", ", "http", "`",
            "Ada: ",
        ];
        let piece = prop_oneof![9 => proptest::sample::select(pieces.to_vec()), 1 => Just("[x](bad word)")];
        proptest::collection::vec(piece, 1..60).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]
        #[test]
        fn what_is_blocked_is_in_no_version_of_any_message(
            text in gossip(),
            sizes in proptest::collection::vec(1_usize..6, 60),
        ) {
            let blocklist = Blocklist::new(["bad word", "worse", "word, bad"]);
            let mut reader = Reader::new();
            reader.reply = reader.reply.without(blocklist.clone());
            let mut rest = text.as_str();
            for size in sizes {
                let end = rest.char_indices().nth(size).map_or(rest.len(), |(at, _)| at);
                reader.reply.write(&rest[..end]);
                rest = &rest[end..];
                reader.wait();
            }
            reader.reply.write(rest);
            reader.end();
            for version in reader.messages.iter().flatten() {
                let (_, is_blocked) = blocklist.replace(&mut version.clone(), 0, true);
                prop_assert!(!is_blocked, "{version:?}");
            }
            let (_, was_blocked) = blocklist.replace(&mut text.clone(), 0, true);
            prop_assert!(!was_blocked || reader.reply.verbatim().is_none());
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn pages_are_what_is_shown_in_the_end(text in prose(), is_another in any::<bool>()) {
            let mut reader = Reader::new();
            let text = text.trim();
            reader.reply = Reply::begun(text, &[], "", Manner::default(), reader.now);
            if is_another {
                reader.reply.head("Ada");
            }
            reader.reply.finish();
            let pages = reader.reply.clone().pages();
            reader.end();
            prop_assert_eq!(pages.iter().map(|(_, content)| content.as_str()).collect::<Vec<_>>(), reader.last());
            prop_assert!(pages.windows(2).all(|pair| pair[0].0 < pair[1].0 && text.is_char_boundary(pair[1].0)));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn whatever_is_written_arrives_whole_and_nothing_is_taken_back(
            text in prose(),
            sizes in proptest::collection::vec((1_usize..400, any::<bool>()), 1..60),
        ) {
            let mut reader = Reader::new();
            let mut rest = text.as_str();
            for (size, waits) in sizes.into_iter().cycle().take(400) {
                let end = rest.char_indices().nth(size).map_or(rest.len(), |(at, _)| at);
                reader.reply.write(&rest[..end]);
                rest = &rest[end..];
                if waits {
                    reader.wait();
                }
            }
            reader.reply.write(rest);
            reader.end();
            let whole: String = reader.last().into_iter().map(read).collect();
            prop_assert_eq!(whole, read(&text));
            for versions in &reader.messages {
                for content in versions {
                    prop_assert!(!content.trim().is_empty());
                    prop_assert!(split::length(content) <= split::MESSAGE_MAX);
                    prop_assert!(content.matches(FENCE).count() % 2 == 0, "{content}");
                    prop_assert!(!content.ends_with("<:smile"), "{content}");
                }
                for pair in versions.windows(2) {
                    prop_assert!(read(&pair[1]).starts_with(&read(&pair[0])), "{pair:?}");
                }
            }
        }
    }
}
