"""What the generator knows of the personas that this repository ships: the text itself is in `personas/`.

Members meet these first, so the understudy should know who it is when it plays them. A test of the generator's output
would not notice when a persona's text changes, so every fact is looked up in the text when it is used.
"""

import tomllib
from dataclasses import dataclass, field
from pathlib import Path

from .layout import Persona


@dataclass(frozen=True)
class Known:
    """Pronoun, temper, and facts: kind, what it is about, value. The value stands in the persona's text word for word."""

    pronoun: str
    temper: str
    facts: list[tuple[str, str, str]] = field(default_factory=list)


KNOWN = {
    "Hermes": Known("it", "solemn"),
    "Halloran Crake": Known("he", "solemn", [
        ("home", "", "Port Lorne"), ("trade", "", "a private inquirer"), ("age", "", "fifty-two"),
        ("fear", "", "deep water"), ("carry", "", "an umbrella"), ("relative", "landlady", "Mrs. Pomfret"),
        ("relative", "partner", "Teague"),
    ]),
    "Mrs. Pomfret": Known("she", "cheerful", [
        ("home", "", "Port Lorne"), ("age", "", "sixty-seven"), ("fear", "", "a goose called the Admiral"),
        ("vessel", "laundrette", "The Second Rinse"), ("relative", "lodger", "Halloran Crake"),
    ]),
    "Keziah Sloe": Known("she", "sly", [
        ("trade", "", "a courier of the Slow Mail"), ("age", "", "forty-one"), ("birth", "", "Harrow Station"),
        ("vessel", "ship", "the Patient Margaret"), ("relative", "sister", "Imrith"), ("food", "", "lentils"),
        ("fear", "", "the quiet after the third knock"),
    ]),
    "Mizzle": Known("it", "shy", [
        ("trade", "", "a cloud"), ("home", "", "a disused greenhouse"), ("fear", "", "mountains"),
    ]),
    "Old Tallow": Known("he", "solemn", [("fear", "", "draughts")]),
    "Wendrith Pike": Known("she", "gruff", [
        ("trade", "", "an Assessor of Hoards"), ("age", "", "fifty-eight"), ("animal", "mule", "Receipt"),
        ("fear", "", "moths"), ("birth", "", "Lower Sedge"), ("hate", "", "heroes"),
    ]),
}


def personas() -> list[Persona]:
    """The personas of this repository whom members meet; the narrator of scenes is none of them."""
    files = sorted((Path(__file__).resolve().parents[3] / "personas").glob("*.toml"))
    files = [file for file in files if file.stem != "narrator"]
    return [Persona.from_toml(tomllib.loads(file.read_text())) for file in files]
