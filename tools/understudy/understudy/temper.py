"""Tempers: what a character's text says of it, and how that sounds when it speaks."""

from dataclasses import dataclass

from .words import words


@dataclass(frozen=True)
class Temper:
    """One way to be."""

    traits: list[str]
    gestures: list[str]


TEMPERS = {
    "cheerful": Temper(
        words("cheerful, merry, sunny, jolly, bright, happy, warm, lively, friendly, kind, generous"),
        ["{They} grins.", "{They} laughs.", "{They} claps {their} hands.", "{They} beams.", "{They} smiles broadly."],
    ),
    "gruff": Temper(
        words("gruff, grumpy, sour, bitter, surly, cross, rude, short-tempered, grim, blunt, crabby"),
        ["{They} grunts.", "{They} scowls.", "{They} spits.", "{They} crosses {their} arms.", "{They} sighs."],
    ),
    "shy": Temper(
        words("shy, timid, nervous, quiet, anxious, meek, gentle, bashful, fearful, soft-spoken, awkward"),
        ["{They} looks at the floor.", "{They} blushes.", "{They} twists {their} sleeve.", "{They} whispers.",
         "{They} swallows."],
    ),
    "haughty": Temper(
        words("haughty, proud, vain, noble, arrogant, cold, grand, snobbish, stately, disdainful, pompous"),
        ["{They} lifts {their} chin.", "{They} raises an eyebrow.", "{They} looks down {their} nose.",
         "{They} sniffs.", "{They} waves a hand."],
    ),
    "sly": Temper(
        words("sly, cunning, crafty, witty, playful, teasing, clever, mischievous, wry, sharp, roguish"),
        ["{They} winks.", "{They} smirks.", "{They} tilts {their} head.", "{They} taps {their} nose.",
         "{They} chuckles."],
    ),
    "solemn": Temper(
        words("solemn, grave, wise, calm, patient, thoughtful, old-fashioned, serious, dignified, courteous, dry"),
        ["{They} nods slowly.", "{They} bows {their} head.", "{They} folds {their} hands.", "{They} closes {their} eyes.",
         "{They} strokes {their} chin."],
    ),
}
