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
use super::rest;
use super::sender::no_mentions;
use super::user::User;
use crate::chat::MemberId;
use crate::chat::text::{Label, Text};

/// What a button does, and for whom it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Press {
    what: What,
    asker: MemberId,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Reset,
    Forget,
    OptOut,
    Cancel,
}

/// How it is written.
const WORDS: [(What, &str); 4] =
    [(What::Reset, "reset"), (What::Forget, "forget"), (What::OptOut, "opt-out"), (What::Cancel, "cancel")];

impl Press {
    pub(super) fn reset(asker: MemberId) -> Self {
        Self { what: What::Reset, asker }
    }

    pub(super) fn forget(asker: MemberId) -> Self {
        Self { what: What::Forget, asker }
    }

    pub(super) fn opt_out(asker: MemberId) -> Self {
        Self { what: What::OptOut, asker }
    }

    pub(super) fn cancel(asker: MemberId) -> Self {
        Self { what: What::Cancel, asker }
    }

    /// For whom it was made.
    pub(super) fn asker(self) -> MemberId {
        self.asker
    }

    /// What stands on it.
    pub(super) fn label(self) -> Label {
        match self.what {
            What::Reset => Label::Reset,
            What::Forget => Label::Forget,
            What::OptOut => Label::OptOut,
            What::Cancel => Label::Cancel,
        }
    }

    /// How it looks.
    pub(super) fn style(self) -> ButtonStyle {
        if self.what == What::Cancel { ButtonStyle::Secondary } else { ButtonStyle::Danger }
    }

    fn parse(id: &str) -> Option<Self> {
        let (word, asker) = id.split_once(':')?;
        let (what, _) = WORDS.into_iter().find(|(_, known)| *known == word)?;
        Some(Self { what, asker: MemberId(asker.parse().ok()?) })
    }
}

impl std::fmt::Display for Press {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let word = WORDS.iter().find(|(what, _)| *what == self.what).map_or("", |(_, word)| word);
        write!(formatter, "{word}:{}", self.asker)
    }
}

impl Handler {
    /// A button was pressed.
    pub(super) async fn pressed(&self, context: &Context, interaction: &ComponentInteraction) {
        let user = User::of_press(interaction);
        let press = Press::parse(&interaction.data.custom_id);
        let errand = Errand::parse(&interaction.data.custom_id);
        let asker = press.map(Press::asker).or(errand.as_ref().map(|errand| errand.asker));
        let answered = match press {
            _ if !user.is_here(context) => whisper(context, interaction, &Text::NotHere).await,
            _ if asker.is_some_and(|asker| asker != user.id()) => {
                whisper(context, interaction, &Text::NotYours).await
            }
            None if let Some(errand) = errand => self.pressed_for_persona(context, interaction, errand).await,
            None => whisper(context, interaction, &Text::Stale).await,
            Some(press) => self.carry_out(context, interaction, press.what).await,
        };
        if let Err(problem) = answered {
            warn!("a button could not be answered: {problem}");
        }
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
        carried_out(context, interaction, self.done(context, User::of_press(interaction), what)).await
    }

    async fn done(&self, context: &Context, user: User<'_>, what: What) -> Result<Text, Problem> {
        let assistant = &self.assistant;
        match what {
            What::Reset => {
                let place = self.may_reset(context, user).await?;
                assistant.reset(place).await.map_err(Problem::broken)?;
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

async fn respond(
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

    proptest! {
        #[test]
        fn what_is_written_is_read(asker: u64, which in 0..WORDS.len()) {
            let press = Press { what: WORDS[which].0, asker: MemberId(asker) };
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
        for id in ["", "reset", "reset:", "reset:x", "reset:1:2", "forget:-1", "delete:1"] {
            assert_eq!(Press::parse(id), None, "{id}");
        }
    }
}
