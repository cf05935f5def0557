"""Whose sentence it is: what a text says of a character becomes what the character says of itself."""

import re

# For the slots of a statement, where the character speaks itself.
FIRST = {"They": "I", "they": "I", "Their": "My", "their": "my", "them": "me", "Char": "I", "char": "I"}

IRREGULAR = {"is": "am", "has": "have", "dies": "die", "was": "was"}


def first_person(sentence: str) -> str:
    """Mends the verbs after `I` in a sentence that was written for `he` or `she`."""
    return re.sub(
        r"\bI ((?:always|never|still) )?([a-z]+)", lambda match: f"I {match[1] or ''}{plain(match[2])}", sentence
    )


def plain(verb: str) -> str:
    """A verb without the ending of the third person."""
    if verb in IRREGULAR:
        return IRREGULAR[verb]
    if verb.endswith("ies"):
        return verb[:-3] + "y"
    if re.search(r"(ch|sh|ss|x)es$", verb):
        return verb[:-2]
    return verb[:-1] if verb.endswith("s") and not verb.endswith("ss") else verb
