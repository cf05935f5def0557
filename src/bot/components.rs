//! Buttons. What one does stands in its `custom_id`, so that it works after a restart; whether whoever presses it may do it
//! is asked when it is pressed, because such an id can be forged.

use serenity::all::{
    ButtonStyle, ComponentInteraction, Context, CreateInteractionResponse, CreateInteractionResponseMessage,
    EditInteractionResponse,
};
use tracing::{error, warn};

use super::commands::Problem;
use super::errands::Errand;
use super::events::Handler;
use super::ground::Ground;
use super::rest;
use super::sender::no_mentions;
use super::user::User;
use crate::assistant::Wish;
use crate::chat::buttons::Steer;
use crate::chat::history::{ConversationId, TurnId};
use crate::chat::text::{Label, Staging, Text};
use crate::chat::{MemberId, MessageId};

/// What a button does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Press {
    /// Of a question that somebody was asked: what, and whom.
    Of(What, MemberId),
    /// Of the question whether everything is to be forgotten from a message on: whom it was asked, which message, and the last turn
    /// that they were asked about.
    Rewind(MemberId, MessageId, TurnId),
    /// Under a reply: what, of which turn, and of which way to say it.
    Under(Steer, TurnId, usize),
    /// Under an explanation: the bug bundle of the reply in this message.
    Bundle(MessageId),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    Reset,
    Forget,
    OptOut,
    /// Keep what was said for so many days only.
    Keep(u64),
    /// Delete this scene.
    Drop(ConversationId),
    Cancel,
}

/// How it is written.
const WORDS: [(What, &str); 4] =
    [(What::Reset, "reset"), (What::Forget, "forget"), (What::OptOut, "opt-out"), (What::Cancel, "cancel")];

/// Before the message of a reply whose bug bundle is wanted.
const BUNDLE: &str = "bundle";

/// How it is written that everything is forgotten from a message on.
const REWIND: &str = "rewind";

/// Before the number of days that something is kept.
const KEEP: &str = "keep-";

/// Before the number of a scene that is deleted.
const DROP: &str = "drop-";

impl What {
    /// What stands on it.
    pub(super) fn label(self) -> Label {
        match self {
            Self::Reset => Label::Reset,
            Self::Forget => Label::Forget,
            Self::OptOut => Label::OptOut,
            Self::Keep(_) => Label::ForgetOlder,
            Self::Drop(_) => Label::Delete,
            Self::Cancel => Label::Cancel,
        }
    }

    /// How it looks.
    pub(super) fn style(self) -> ButtonStyle {
        if self == Self::Cancel { ButtonStyle::Secondary } else { ButtonStyle::Danger }
    }
}

impl Press {
    fn parse(id: &str) -> Option<Self> {
        let (word, rest) = id.split_once(':')?;
        let known = WORDS.into_iter().find(|(_, known)| *known == word).map(|(what, _)| what);
        let keep = || Some(What::Keep(word.strip_prefix(KEEP)?.parse().ok()?));
        let drop = || Some(What::Drop(ConversationId(word.strip_prefix(DROP)?.parse().ok()?)));
        if let Some(what) = known.or_else(keep).or_else(drop) {
            return Some(Self::Of(what, MemberId(rest.parse().ok()?)));
        }
        if word == BUNDLE {
            return Some(Self::Bundle(MessageId(rest.parse().ok()?)));
        }
        if word == REWIND {
            let (asker, rest) = rest.split_once(':')?;
            let (message, last) = rest.split_once(':')?;
            let (asker, message) = (MemberId(asker.parse().ok()?), MessageId(message.parse().ok()?));
            return Some(Self::Rewind(asker, message, TurnId(last.parse().ok()?)));
        }
        let steer = Steer::ALL.into_iter().find(|steer| steer.word() == word)?;
        let (turn, selected) = rest.split_once(':')?;
        Some(Self::Under(steer, TurnId(turn.parse().ok()?), selected.parse().ok()?))
    }
}

impl std::fmt::Display for Press {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Of(What::Keep(days), asker) => write!(formatter, "{KEEP}{days}:{asker}"),
            Self::Of(What::Drop(ConversationId(id)), asker) => write!(formatter, "{DROP}{id}:{asker}"),
            Self::Of(what, asker) => {
                let word = WORDS.iter().find(|(known, _)| known == what).map_or("", |(_, word)| word);
                write!(formatter, "{word}:{asker}")
            }
            Self::Rewind(asker, message, TurnId(last)) => {
                write!(formatter, "{REWIND}:{asker}:{message}:{last}")
            }
            Self::Under(steer, TurnId(turn), selected) => {
                write!(formatter, "{}:{turn}:{selected}", steer.word())
            }
            Self::Bundle(message) => write!(formatter, "{BUNDLE}:{message}"),
        }
    }
}

impl Handler {
    /// A button was pressed.
    pub(super) async fn pressed(&self, context: &Context, interaction: &ComponentInteraction) {
        let user = User::of_press(interaction);
        let press = Press::parse(&interaction.data.custom_id);
        let errand = Errand::parse(&interaction.data.custom_id);
        let asker = match press {
            Some(Press::Of(_, asker) | Press::Rewind(asker, ..)) => Some(asker),
            // Whose a reply is the assistant knows.
            Some(Press::Under(..) | Press::Bundle(_)) => None,
            None => errand.as_ref().map(|errand| errand.asker),
        };
        let answered = match press {
            _ if !user.is_here(context) => whisper(context, interaction, &Text::NotHere).await,
            _ if asker.is_some_and(|asker| asker != user.id()) => {
                whisper(context, interaction, &Text::NotYours).await
            }
            None if let Some(errand) = errand => self.pressed_for_persona(context, interaction, errand).await,
            None => whisper(context, interaction, &Text::Stale).await,
            Some(Press::Of(what, _)) => self.carry_out(context, interaction, what).await,
            Some(Press::Rewind(_, message, last)) => {
                carried_out(context, interaction, Box::pin(self.rewind(context, user, (message, last)))).await
            }
            Some(Press::Under(steer, turn, selected)) => {
                self.steer(context, interaction, (steer, turn, selected)).await
            }
            Some(Press::Bundle(message)) => Box::pin(self.give_bundle(context, interaction, message)).await,
        };
        if let Err(problem) = answered {
            warn!("a button could not be answered: {problem}");
        }
    }

    /// A button under a reply was pressed.
    async fn steer(
        &self,
        context: &Context,
        interaction: &ComponentInteraction,
        (steer, turn, selected): (Steer, TurnId, usize),
    ) -> Result<(), Problem> {
        let user = User::of_press(interaction);
        let place = user.place(context);
        if let Some(server) = place.server {
            self.assistant.learn(server).await;
        }
        self.settle_first(context, user.channel(), user.server()).await;
        let wish = Wish {
            steer,
            turn,
            selected,
            under: MessageId(interaction.message.id.get()),
            by_button: true,
            id: MessageId(interaction.id.get()),
            author: user.author(),
            moderates: user.moderates(),
        };
        let granted = self.assistant.retell(place, wish).await;
        let text = match granted {
            Ok(accepted) => {
                // The message itself will show it.
                respond(context, interaction, CreateInteractionResponse::Acknowledge).await?;
                if let Some(accepted) = accepted {
                    self.answer(context, accepted, user.server()).await;
                }
                return Ok(());
            }
            Err(unwilling) => Text::from(unwilling),
        };
        whisper(context, interaction, &text).await
    }

    async fn carry_out(
        &self,
        context: &Context,
        interaction: &ComponentInteraction,
        what: What,
    ) -> Result<(), Problem> {
        if what == What::Cancel {
            return replace(context, interaction, &Text::Cancelled).await;
        }
        // It holds a lot while it waits, and so would everybody who waits for it.
        let done = Box::pin(self.done(context, User::of_press(interaction), what));
        carried_out(context, interaction, done).await
    }

    async fn done(&self, context: &Context, user: User<'_>, what: What) -> Result<Text, Problem> {
        let assistant = &self.assistant;
        match what {
            What::Reset => {
                let place = self.may_reset(context, user).await?;
                let row = assistant.reset(place).await.map_err(Problem::broken)?;
                if let Some((message, webhook)) = row {
                    Ground::new(context, &self.faces, place).undress(message, webhook).await;
                }
                Ok(Text::Reset)
            }
            What::Forget => {
                assistant.forget_member(user.id()).await.map_err(Problem::broken)?;
                Ok(Text::Forgotten)
            }
            What::OptOut => {
                assistant.opt_out(user.id()).await.map_err(Problem::broken)?;
                Ok(Text::OptedOut)
            }
            What::Keep(days) => self.keep_for(user, days).await,
            What::Drop(which) => {
                let place = user.place(context);
                let (who, moderates) = (user.id(), user.moderates());
                let title = assistant.drop_scene(place, who, moderates, which).await?;
                Ok(Staging::Dropped(title).into())
            }
            What::Cancel => Ok(Text::Cancelled),
        }
    }
}

/// Puts what comes of it in the place of the message with the button. It may take longer than Discord waits, and the buttons are
/// gone at once.
pub(super) async fn carried_out(
    context: &Context,
    interaction: &ComponentInteraction,
    done: impl Future<Output = Result<Text, Problem>>,
) -> Result<(), Problem> {
    replace(context, interaction, &Text::Working).await?;
    let text = match done.await {
        Ok(text) | Err(Problem::Told(text)) => text,
        Err(problem) => {
            error!("what a button does failed: {problem}");
            Text::Broken
        }
    };
    let edit = EditInteractionResponse::new().content(text.to_string()).allowed_mentions(no_mentions());
    rest::retry("edit an answer", || interaction.edit_response(context, edit.clone())).await?;
    Ok(())
}

/// Answers so that only whoever pressed the button sees it.
async fn whisper(context: &Context, interaction: &ComponentInteraction, text: &Text) -> Result<(), Problem> {
    let message = CreateInteractionResponseMessage::new().content(text.to_string()).ephemeral(true);
    respond(context, interaction, CreateInteractionResponse::Message(message.allowed_mentions(no_mentions())))
        .await
}

/// Puts a text in the place of the message with the button.
async fn replace(context: &Context, interaction: &ComponentInteraction, text: &Text) -> Result<(), Problem> {
    let message = CreateInteractionResponseMessage::new().content(text.to_string()).components(Vec::new());
    let message = message.allowed_mentions(no_mentions());
    respond(context, interaction, CreateInteractionResponse::UpdateMessage(message)).await
}

pub(super) async fn respond(
    context: &Context,
    interaction: &ComponentInteraction,
    response: CreateInteractionResponse,
) -> Result<(), Problem> {
    let sent =
        rest::retry("answer a button", || interaction.create_response(context, response.clone())).await;
    match sent {
        // The first try has arrived, though its answer has not.
        Err(trouble) if trouble.is_answered_already() => Ok(()),
        other => other.map_err(Problem::Discord),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn presses() -> impl Strategy<Value = Press> {
        prop_oneof![
            (0..WORDS.len(), any::<u64>()).prop_map(|(word, id)| Press::Of(WORDS[word].0, MemberId(id))),
            (any::<u64>(), any::<u64>()).prop_map(|(days, id)| Press::Of(What::Keep(days), MemberId(id))),
            (any::<u64>(), any::<u64>())
                .prop_map(|(scene, id)| Press::Of(What::Drop(ConversationId(scene)), MemberId(id))),
            (any::<u64>(), any::<u64>(), any::<u64>()).prop_map(|(id, from, last)| Press::Rewind(
                MemberId(id),
                MessageId(from),
                TurnId(last)
            )),
            (0..Steer::ALL.len(), any::<u64>(), any::<usize>()).prop_map(|(steer, turn, way)| Press::Under(
                Steer::ALL[steer],
                TurnId(turn),
                way
            )),
            any::<u64>().prop_map(|message| Press::Bundle(MessageId(message))),
        ]
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(press in presses()) {
            prop_assert!(press.to_string().len() <= 100, "Discord takes no longer ones");
            prop_assert_eq!(Press::parse(&press.to_string()), Some(press));
        }

        #[test]
        fn whatever_is_sent_is_read_or_is_nothing(id: String) {
            let _ = Press::parse(&id);
        }
    }

    #[test]
    fn forged_ids_are_nothing() {
        let forged = [
            "",
            "reset",
            "reset:",
            "reset:x",
            "reset:1:2",
            "forget:-1",
            "delete:1",
            "delete:1:x",
            "again:1:2:3",
            "keep-:1",
            "keep-x:1",
            "keep:1",
            "bundle:x",
            "bundle:1:2",
            "rewind:1",
            "rewind:x:1",
            "rewind:1:2",
            "rewind:1:2:x",
            "rewind:1:2:3:4",
        ];
        for id in forged {
            assert_eq!(Press::parse(id), None, "{id}");
        }
    }
}
