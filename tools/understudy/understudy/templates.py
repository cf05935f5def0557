"""Sentences with holes, and the choice of what training sees and what only evaluation sees.

A template is a sentence in which `[a|b|]` stands for one of the alternatives and `{slot}` for a value.
"""

import hashlib
import random
import re
from collections.abc import Sequence

ALTERNATIVES = re.compile(r"\[([^\[\]]*)\]")
SLOT = re.compile(r"\{(\w+)\}")

# One in this many templates and slot values is never trained on.
HELD_OUT_SHARE = 8


def is_held_out(text: str) -> bool:
    """Whether a template, value or name belongs to evaluation: the same on every machine, whatever the seed."""
    return hashlib.sha256(text.encode()).digest()[0] % HELD_OUT_SHARE == 0


class Source:
    """Where all choices come from: a seed, and the side of the split."""

    def __init__(self, seed: object, held_out: bool):
        self.random = random.Random(f"{seed} {held_out}")
        self.held_out = held_out

    def chance(self, probability: float) -> bool:
        return self.random.random() < probability

    def pick(self, items: Sequence[str]) -> str:
        """One of the items of this side. Evaluation takes held-out ones only, where a list has any."""
        side = [item for item in items if is_held_out(item) == self.held_out]
        return self.random.choice(side or list(items))

    def any(self, items: Sequence):
        """One of the items of either side: for what must be learned by heart."""
        return self.random.choice(list(items))

    def sample(self, items: Sequence[str], count: int) -> list[str]:
        """Different items of this side, at most `count`."""
        side = [item for item in items if is_held_out(item) == self.held_out]
        return self.random.sample(side, min(count, len(side)))

    def choose(self, template: str) -> str:
        """The template with its alternatives chosen."""
        return ALTERNATIVES.sub(lambda match: self.random.choice(match[1].split("|")), template)

    def fill(self, template: str, slots: dict[str, str]) -> str:
        """The template with its alternatives chosen and its slots filled."""
        return put(self.choose(template), slots)


def put(template: str, slots: dict[str, str]) -> str:
    """A template without alternatives, its slots filled."""
    return tidy(SLOT.sub(lambda match: slots[match[1]], template))


def pattern(template: str, slots: dict[str, str]) -> str:
    """A regular expression for everything that `fill` can make of the template."""
    expression, end = "", 0
    for match in re.finditer(r"\[([^\[\]]*)\]|\{(\w+)\}", template):
        expression += re.escape(template[end : match.start()])
        if match[2] is not None:
            expression += re.escape(slots[match[2]])
        else:
            options = (pattern(option, slots) for option in match[1].split("|"))
            expression += "(?:" + "|".join(options) + ")"
        end = match.end()
    return expression + re.escape(template[end:])


def tidy(sentence: str) -> str:
    """The sentence with a capital at its start."""
    return sentence[:1].upper() + sentence[1:]


def article(noun: str) -> str:
    """The noun with `a` or `an`."""
    return ("an " if noun[0] in "aeiou" else "a ") + noun
