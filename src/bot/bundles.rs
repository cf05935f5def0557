//! Bug bundles, for those who may know everything of how a reply was made.

use serenity::all::{
    ComponentInteraction, Context, CreateAttachment, CreateInteractionResponse,
    CreateInteractionResponseMessage, EditInteractionResponse,
};
use tracing::error;

use super::commands::Problem;
use super::components::respond;
use super::events::Handler;
use super::rest;
use super::sender::no_mentions;
use super::user::User;
use crate::assistant::Unbundled;
use crate::chat::text::{Bundling, Text};
use crate::chat::{MessageId, Place};
use crate::persona::PersonaId;

/// What the file is called.
const FILE: &str = "bundle.json";

impl Handler {
    /// Whether somebody may know everything of how a persona's replies in a place were made: what stands in a lorebook is for
    /// those who may change it.
    pub(super) async fn knows_all(&self, user: User<'_>, place: Place, persona: &PersonaId) -> bool {
        let is_admin = match user.actor() {
            Some(actor) => self.admin.rules(&actor).await.is_ok(),
            None => false,
        };
        is_admin || self.assistant.is_by(place, persona, user.id())
    }

    /// The button under an explanation was pressed: gives the bug bundle of the reply in a message, to whoever may have it now.
    pub(super) async fn give_bundle(
        &self,
        context: &Context,
        interaction: &ComponentInteraction,
        message: MessageId,
    ) -> Result<(), Problem> {
        // A long prompt takes its time to be built.
        let later = CreateInteractionResponseMessage::new().ephemeral(true);
        respond(context, interaction, CreateInteractionResponse::Defer(later)).await?;
        let most = usize::try_from(interaction.attachment_size_limit).unwrap_or(usize::MAX);
        let bundle = self.bundle_for(User::of_press(interaction), context, message, most).await;
        let (text, file) = match bundle {
            Ok(file) => (Text::Bundling(Bundling::Given), Some(CreateAttachment::bytes(file, FILE))),
            Err(Problem::Told(text)) => (text, None),
            Err(problem) => {
                error!("a bug bundle could not be made: {problem}");
                (Text::Broken, None)
            }
        };
        let edit = EditInteractionResponse::new().content(text.to_string()).allowed_mentions(no_mentions());
        let edit = file.into_iter().fold(edit, EditInteractionResponse::new_attachment);
        rest::retry("edit an answer", || interaction.edit_response(context, edit.clone())).await?;
        Ok(())
    }

    /// The bug bundle, of so many bytes at most.
    async fn bundle_for(
        &self,
        user: User<'_>,
        context: &Context,
        message: MessageId,
        most: usize,
    ) -> Result<Vec<u8>, Problem> {
        if !user.reads_here() {
            return Err(Problem::Told(Text::NotReader));
        }
        let place = user.place(context);
        self.assistant.learn_for(place).await;
        self.settle_first(context, user.channel(), user.server()).await;
        let told = self.assistant.origin_of(place, Some(message)).await;
        let told = told.ok_or(Problem::Told(Text::NoWhy))?;
        if !self.knows_all(user, place, &told.persona).await {
            return Err(Problem::Told(Text::Bundling(Bundling::NotEditor)));
        }
        let bundle = self.assistant.bundle_of(place, message).await.map_err(|unbundled| {
            Problem::Told(match unbundled {
                Unbundled::Unknown => Text::NoWhy,
                Unbundled::Unfinished => Text::Bundling(Bundling::Unfinished),
                Unbundled::PlaysNoMore => Text::Bundling(Bundling::PlaysNoMore),
                Unbundled::Unbuilt => Text::Bundling(Bundling::Unbuilt),
            })
        })?;
        if bundle.len() > most { Err(Problem::Told(Text::Bundling(Bundling::TooLarge))) } else { Ok(bundle) }
    }
}
