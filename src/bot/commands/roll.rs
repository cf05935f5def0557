//! `/roll`: dice.

use poise::CreateReply;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore as _, SeedableRng as _};

use super::super::user::User;
use super::{Context, Problem, reply};
use crate::chat::text::Text;
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
    let who = User::of_command(context.interaction).name();
    let rolled = Text::Rolled { who, dice, shown, total };
    reply(context, CreateReply::default().content(rolled.to_string())).await
}
