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

# The first six of each list, the plainest, are always trained on.
PLAINEST = 6

# What stands before a message on the same line.
FILLERS = ["well,", "ok,", "oh,", "hm,", "um,", "so,", "hey,", "please,", "ah,", "listen,", "and", "but"]

# What a question may begin with.
OPENINGS = [
    "Tell me, ", "Say, ", "One question: ", "I wonder: ", "By the way, ", "Be honest, ", "Just between us, ", "Quick, ", "I forgot, ",
    "{word} wants to know: ", "Excuse me, ", "Now, ", "Hm, ",
]


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
    """The templates that training never sees: as many as `held_out_of` takes, never the plainest nor single words, which mean
    something of their own (*right* alone is no part of *That is right*). Those come first whose words, and then whose pairs
    of words, all stand in other templates: whoever has learned the words can understand a new sentence of them, and a new
    word nobody can."""
    chosen: list[str] = []
    able = [item for item in items[PLAINEST:] if len(words_of(item)) > 1]
    while len(chosen) < min(len(held_out_of(items)), len(able)):
        rest = [item for item in able if item not in chosen]
        chosen.append(min(rest, key=lambda item: (strangeness(item, [*chosen, item], items), digest(item))))
    return frozenset(chosen)


@functools.cache
def measured_templates(items: tuple[str, ...]) -> frozenset[str]:
    """Those that evaluation uses: what training says in other clothes (the character's name in front, a filler, small letters)
    would measure nothing. Where nothing else is left, it uses all that training never sees."""
    held_out = held_out_templates(items)
    said = {form for item in items if item not in held_out for form in plain_forms(item)}
    return frozenset(item for item in held_out if not said & plain_forms(item)) or held_out


@functools.cache
def held_out_forms(items: tuple[str, ...]) -> frozenset[tuple[str, ...]]:
    """What the held-out templates of a list say."""
    return frozenset(form for item in held_out_templates(items) for form in plain_forms(item))


def plain_forms(template: str) -> set[tuple[str, ...]]:
    """The words of everything that the template may say, without case and without what may stand before and behind it."""
    before = [words_of(text) for text in [*FILLERS, *OPENINGS, "{char}"]]
    forms = set()
    for sentence in expansions(template):
        words = words_of(sentence)
        while lead := next((lead for lead in before if words[: len(lead)] == lead), None):
            words = words[len(lead) :]
        while words and words[-1] == "{char}":
            words = words[:-1]
        forms.add(tuple(words))
    return forms


def expansions(template: str) -> list[str]:
    """The template with its alternatives chosen in every way."""
    match = ALTERNATIVES.search(template)
    if not match:
        return [template]
    return [rest for option in match[1].split("|") for rest in expansions(template[: match.start()] + option + template[match.end() :])]


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
        """One of the templates of this side; of all where none is held out."""
        held_out = held_out_templates(tuple(items))
        if self.held_out and held_out:
            measured = measured_templates(tuple(items))
            return self.random.choice([item for item in items if item in measured])
        return self.random.choice([item for item in items if item not in held_out])

    def phrasing(self, items: Sequence[str]) -> str:
        """One of the templates of this side with its alternatives chosen; in training one in three goes on like another of the
        list. So a kind is known by its words in whatever order, and not by whole sentences."""
        chosen = self.choose(self.template(items))
        if self.held_out or not self.chance(0.35):
            return chosen
        return self.crossing(chosen, self.choose(self.template(items)), tuple(items)) or chosen

    def crossing(self, first: str, second: str, items: tuple[str, ...]) -> str:
        """The beginning of one message and the end of another of the same kind; nothing where that would lose what must be
        copied, or say what is held out."""
        before, after = first.split(" "), second.split(" ")
        crossed = " ".join([*before[: self.random.randint(1, len(before))], *after[self.random.randrange(len(after)) :]])
        keeps = sorted(SLOT.findall(crossed)) == sorted(SLOT.findall(first))
        if not keeps or "*" in first + second or not 3 <= len(crossed.split(" ")) <= 12:
            return ""
        return "" if plain_forms(crossed) & held_out_forms(items) else crossed

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
