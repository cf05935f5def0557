"""Sentences with holes, and the choice of what training sees and what only evaluation sees.

A template is a sentence in which `[a|b|]` stands for one of the alternatives and `{slot}` for a value.
"""

import functools
import hashlib
import random
import re
from collections.abc import Collection, Sequence
from itertools import pairwise

ALTERNATIVES = re.compile(r"\[([^\[\]]*)\]")
SLOT = re.compile(r"\{(\w+)\}")
HOLE = re.compile(f"{ALTERNATIVES.pattern}|{SLOT.pattern}")

# Slots of names. They are written as their owners write them, at the start of a sentence too.
NAMES = {"user", "char", "other", "told", "friend"}

# One in this many templates, slot values and names is never trained on.
HELD_OUT_SHARE = 8

# So many templates at the head of a list are trained on always.
PLAINEST = 4


def digest(text: str) -> bytes:
    """The same on every machine, whatever the seed."""
    return hashlib.sha256(text.encode()).digest()


def is_held_out(word: str) -> bool:
    """Whether a made-up word belongs to evaluation."""
    return digest(word)[0] % HELD_OUT_SHARE == 0


@functools.cache
def held_out_of(items: tuple[str, ...]) -> frozenset[str]:
    """The entries of a list that belong to evaluation: an eighth of it, and two at least where it is not short."""
    least = 0 if len(items) < 4 else 1 if len(items) < 8 else 2
    return frozenset(sorted(items, key=digest)[: max(least, len(items) // HELD_OUT_SHARE)])


@functools.cache
def held_out_templates(items: tuple[str, ...]) -> frozenset[str]:
    """As many entries of a list of templates, and of them first those whose every word stands in another that training
    sees: whoever has learned the words can understand a new sentence of them, and a new word nobody can. The plainest,
    which stand first, are for those who meet the shipped model. Of two such the one with fewer new pairs of words is taken."""
    chosen: list[str] = []
    while len(chosen) < min(len(held_out_of(items)), len(items) - PLAINEST):
        rest = [item for item in items[PLAINEST:] if item not in chosen]
        chosen.append(min(rest, key=lambda item: (strangeness(item, [*chosen, item], items), digest(item))))
    return frozenset(chosen)


def strangeness(template: str, held_out: Collection[str], items: Sequence[str]) -> tuple[int, int]:
    """How many of its words, and of its pairs of neighbours, no entry has but those that are held out."""
    known = [words_of(item) for item in items if item not in held_out]
    pairs = {pair for words in known for pair in pairwise(words)}
    words = words_of(template)
    return len(set(words) - {word for each in known for word in each}), len(set(pairwise(words)) - pairs)


def words_of(template: str) -> list[str]:
    """The words and slots of a template in their order, without case."""
    return re.findall(r"[\w'{}]+", template.lower())


class Source:
    """Where all choices come from: a seed, and the side of the split."""

    def __init__(self, seed: object, held_out: bool):
        self.random = random.Random(f"{seed} {held_out}")
        self.held_out = held_out

    def chance(self, probability: float) -> bool:
        return self.random.random() < probability

    def side(self, items: Sequence[str]) -> list[str]:
        """The entries of this side; all of them where the list is too short to be split."""
        held_out = held_out_of(tuple(items))
        return [item for item in items if (item in held_out) == self.held_out] or list(items)

    def pick(self, items: Sequence[str]) -> str:
        """One of the entries of this side."""
        return self.random.choice(self.side(items))

    def template(self, items: Sequence[str]) -> str:
        """One of the templates of this side."""
        held_out = held_out_templates(tuple(items))
        return self.random.choice([item for item in items if (item in held_out) == self.held_out] or list(items))

    def any(self, items: Sequence):
        """One of the entries of either side: for what must be learned by heart."""
        return self.random.choice(list(items))

    def sample(self, items: Sequence[str], count: int) -> list[str]:
        """Different entries of this side, at most `count`."""
        side = self.side(items)
        return self.random.sample(side, min(count, len(side)))

    def choose(self, template: str) -> str:
        """The template with its alternatives chosen."""
        return ALTERNATIVES.sub(lambda match: self.random.choice(match[1].split("|")), template)

    def fill(self, template: str, slots: dict[str, str]) -> str:
        """The template with its alternatives chosen and its slots filled."""
        return put(self.choose(template), slots)


def put(template: str, slots: dict[str, str]) -> str:
    """A template without alternatives, its slots filled. A sentence that begins with a slot gets a capital."""
    filled = SLOT.sub(lambda match: slots[match[1]], template)
    first = SLOT.match(template)
    return tidy(filled) if first and first[1] not in NAMES else filled


def pattern(template: str, slots: dict[str, str]) -> str:
    """A regular expression for everything that `fill` can make of the template."""
    expression, end = "", 0
    for match in HOLE.finditer(template):
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
    return ("an " if noun[0].lower() in "aeiou" else "a ") + noun
