//! `/roll`: dice.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore as _, SeedableRng as _};

use super::super::rest;
use super::super::user::User;
use super::{Context, Problem, announce};
use crate::chat::history::TurnKind;
use crate::chat::markdown::escaped;
use crate::chat::text::{Text, rolled_fact};
use crate::chat::{MessageId, sanitize};
use crate::persona::dice::Dice;

/// Roll dice.
#[poise::command(slash_command)]
pub(super) async fn roll(
    context: Context<'_>,
    #[description = "The dice, like 2d6+1 or d20"]
    #[max_length = 40]
    dice: String,
) -> Result<(), Problem> {
    let dice = Dice::parse(&dice).ok_or(Problem::Told(Text::NoDice))?;
    let mut random = ChaCha8Rng::from_os_rng();
    let shown = dice.roll(|| random.next_u64());
    let total = dice.total(&shown).ok_or(Problem::Told(Text::NoDice))?;
    let user = User::of_command(context.interaction);
    let (assistant, place) = (&context.data().assistant, user.place(context.serenity_context()));
    context.data().settle_first(context.serenity_context(), user.channel(), user.server()).await;
    let plays = assistant.player_in(place, &user.author()).await;
    let who = plays.clone().unwrap_or_else(|| sanitize::name(&user.author().name));
    let rolled = Text::Rolled { who: escaped(&who), dice, shown: shown.clone(), total };
    announce(context, &rolled).await?;
    if plays.is_some() {
        // What has fallen is a fact there.
        let found = rest::retry("find what is said", || {
            context.interaction.get_response(&context.serenity_context().http)
        });
        let message = MessageId(found.await.map_err(Problem::broken)?.id.get());
        let fact = rolled_fact(&who, &dice, &shown, total);
        assistant.tell_in_scene(place, &user.author(), TurnKind::Note, &fact, message).await;
    }
    Ok(())
}
