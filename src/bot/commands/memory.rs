//! `/roleplay memory`: what is remembered of what does not fit into the model's context any more.

use serenity::all::{
    CreateActionRow, CreateInputText, CreateInteractionResponse, CreateModal, InputTextStyle,
};

use super::super::errands::{Errand, Task};
use super::super::events::Handler;
use super::super::rest;
use super::super::user::User;
use super::{Context, Problem, arrived, defer, whisper};
use crate::assistant::{Remembered, Withheld};
use crate::chat::Place;
use crate::chat::history::TurnId;
use crate::chat::memory::MEMORY_MAX;
use crate::chat::text::{MEMORY_FIELD, MEMORY_FORM, Moment, Recall, Recalled, Text};

/// The field of the form.
const FIELD: &str = "memory";

/// See and change what I remember of long ago.
#[poise::command(slash_command, subcommands("list", "edit", "delete"), subcommand_required)]
#[expect(clippy::unused_async, reason = "it has only others under it")]
pub(in crate::bot::commands) async fn memory(_: Context<'_>) -> Result<(), Problem> {
    Ok(())
}

/// Tell what I remember here.
#[poise::command(slash_command)]
async fn list(
    context: Context<'_>,
    #[description = "The number of the one that you want to see whole; without it all of them"]
    #[min = 0]
    memory: Option<u64>,
) -> Result<(), Problem> {
    defer(context).await?;
    let (user, place) = known(context).await?;
    let assistant = &context.data().assistant;
    let mut memories = assistant.memories(place, user.id(), user.moderates()).await?;
    memories.retain(|one| memory.is_none_or(|wanted| one.until.0 == wanted));
    let text = match (memories.is_empty(), memory) {
        (true, Some(_)) => Recall::Unknown,
        (true, None) => Recall::Nothing { remembers: assistant.remembers_in(place) },
        (false, _) => Recall::List(memories.into_iter().map(|one| recalled(place, one)).collect()),
    };
    whisper(context, &text.into()).await
}

/// Change that, in a form.
#[poise::command(slash_command)]
async fn edit(
    context: Context<'_>,
    #[description = "The number that stands before it in the list"]
    #[min = 0]
    memory: u64,
) -> Result<(), Problem> {
    let (user, place) = known(context).await?;
    let assistant = &context.data().assistant;
    if assistant.is_opted_out(user.id()) {
        return Err(Problem::Told(Text::NotRead));
    }
    let memory = assistant.memory_of(place, TurnId(memory), user.id(), user.moderates()).await?;
    let errand = Errand { asker: user.id(), task: Task::Reword(memory.until, memory.mark) };
    let most = u16::try_from(MEMORY_MAX).unwrap_or(u16::MAX);
    let input = CreateInputText::new(InputTextStyle::Paragraph, MEMORY_FIELD, FIELD);
    let input = input.value(memory.text).max_length(most);
    let form = CreateModal::new(errand.to_string(), MEMORY_FORM);
    let form = form.components(vec![CreateActionRow::InputText(input)]);
    let opened = rest::retry("open a form", || {
        let modal = CreateInteractionResponse::Modal(form.clone());
        context.interaction.create_response(context.serenity_context(), modal)
    });
    arrived(context, opened.await)
}

/// Forget it.
#[poise::command(slash_command)]
async fn delete(
    context: Context<'_>,
    #[description = "The number that stands before it in the list"]
    #[min = 0]
    memory: u64,
) -> Result<(), Problem> {
    defer(context).await?;
    let (user, place) = known(context).await?;
    let assistant = &context.data().assistant;
    assistant.dismiss(place, TurnId(memory), user.id(), user.moderates()).await?;
    whisper(context, &Recall::Dismissed(memory).into()).await
}

/// Who uses the command, and where, with what its server has set at hand, and nothing left undone there.
async fn known(context: Context<'_>) -> Result<(User<'_>, Place), Problem> {
    let user = User::of_command(context.interaction);
    let place = user.place(context.serenity_context());
    context.data().assistant.learn_for(place).await;
    context.data().settle_soon(context.serenity_context(), user).await?;
    Ok((user, place))
}

fn recalled(place: Place, memory: Remembered) -> Recalled {
    let Remembered { until, text, turns, said, shown, is_edited, .. } = memory;
    let moment =
        |shown: Option<_>, said| shown.map_or(Moment::Said(said), |message| Moment::Shown(place, message));
    let (from, to) = (moment(shown.0, said.0), moment(shown.1, said.1));
    Recalled { number: until.0, turns, from, to, is_edited, text }
}

impl Handler {
    /// The form was filled in in which a memory is written. What it says, is said to whoever did.
    pub(in crate::bot) async fn reword(
        &self,
        user: User<'_>,
        place: Place,
        memory: (TurnId, u64),
        written: &[(String, String)],
    ) -> Result<Text, Problem> {
        let field = written.iter().find(|(field, _)| field == FIELD);
        let (_, text) = field.ok_or(Problem::Told(Text::Misunderstood))?;
        if text.chars().count() > MEMORY_MAX {
            return Err(Problem::Told(Recall::TooLong.into()));
        }
        self.assistant.learn_for(place).await;
        self.assistant.reword(place, memory, text, user.id(), user.moderates()).await?;
        Ok(Recall::Reworded(memory.0.0).into())
    }
}

impl From<Withheld> for Problem {
    fn from(withheld: Withheld) -> Self {
        Self::Told(match withheld {
            Withheld::NotTheirs => Recall::NotTheirs.into(),
            Withheld::OfOthers => Recall::OfOthers.into(),
            Withheld::Unknown => Recall::Unknown.into(),
            Withheld::Changed => Recall::Changed.into(),
            Withheld::Blank => Recall::Blank.into(),
            Withheld::NotRead => Text::NotRead,
        })
    }
}
