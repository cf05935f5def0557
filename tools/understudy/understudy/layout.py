"""Prompts exactly as Mummer's `chat::template` writes them; a test holds the two together."""

from dataclasses import dataclass, field

USER_IN_FIXED_SECTIONS = "User"

ROLEPLAY_INSTRUCTION = (
    "You are {{char}}. Stay in character as {{char}} in the conversation below and write only what {{char}} says "
    "and does next, in the style of the examples. Never write the words or deeds of anybody else."
)


@dataclass
class Persona:
    """What a persona file says, as far as it reaches a prompt."""

    name: str
    kind: str = "roleplay"
    system_prompt: str = ""
    description: str = ""
    personality: str = ""
    scenario: str = ""
    examples: list[str] = field(default_factory=list)
    post_history: str = ""
    # What it says before anybody else does; no part of the instruction.
    greeting: str = ""

    @classmethod
    def from_toml(cls, table: dict) -> "Persona":
        """The persona of a file in `personas/`, parsed by tomllib."""
        known = cls.__dataclass_fields__
        persona = cls(**{key: value for key, value in table.items() if key in known})
        persona.name = table.get("nickname") or table["name"]
        return persona


@dataclass
class Line:
    """One message of a transcript."""

    name: str
    text: str


def instruction(persona: Persona) -> str:
    """The sections above the transcript, blank lines between them."""
    own = persona.system_prompt.strip()
    if not own and persona.kind == "roleplay":
        own = ROLEPLAY_INSTRUCTION
    sections = [("", own), ("", persona.description), ("Personality: ", persona.personality)]
    sections += [("Scenario: ", persona.scenario)] + [("", example) for example in persona.examples]
    written = [label + text.strip() for label, text in sections if text.strip()]
    return expand("\n\n".join(written), persona)


def prompt(persona: Persona, transcript: list[Line]) -> str:
    """The prompt of the persona's next reply, up to where the reply begins."""
    text = "### Instruction:\n" + instruction(persona)
    note = expand(persona.post_history.strip(), persona)
    if persona.kind == "assistant" and len(transcript) == 1:
        # A first message to an assistant needs no transcript.
        text += "\n\n" + transcript[0].text.strip() + ("\n\n" + note if note else "") + "\n"
    else:
        text += "\n\n### Input:\n"
        text += "".join(f"{line.name}: {indented(line.text)}\n" for line in transcript)
        text += f"[{indented(note)}]\n" if note else ""
    return text + "\n### Response:\n" + (f"{persona.name}:" if persona.kind == "roleplay" else "")


def indented(message: str) -> str:
    """A message whose later lines cannot be taken for a speaker's."""
    return message.strip().replace("\n", "\n  ")


def expand(text: str, persona: Persona, user: str = USER_IN_FIXED_SECTIONS) -> str:
    """Names for the macros in a persona's text."""
    return text.replace("{{char}}", persona.name).replace("{{user}}", user)
