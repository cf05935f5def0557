"""Scenes: a persona, what was said to it, and what it should answer. The one place where the parts come together."""

import re
from dataclasses import dataclass, field

from . import acts, facts, shipped, smalltalk, tasks, words
from .layout import Line, Persona, indented, instruction, prompt
from .person import FIRST, first_person, second_person
from .temper import TEMPERS
from .templates import Source, article, pattern, put, tidy

PRONOUNS = {
    "he": {"They": "He", "they": "he", "their": "his", "Their": "His", "them": "him"},
    "she": {"They": "She", "they": "she", "their": "her", "Their": "Her", "them": "her"},
    "it": {"They": "It", "they": "it", "their": "its", "Their": "Its", "them": "it"},
}
NARRATION = r"(?:\*[^*\n]+\* )?"


@dataclass
class Exchange:
    """A message, a right answer, and how to know any right answer."""

    intent: str
    message: str
    reply: str
    accepts: list[str]
    # What must stand in the answer word for word, and what must not.
    copies: list[str] = field(default_factory=list)
    excludes: list[str] = field(default_factory=list)

    def fits(self, answer: str) -> bool:
        """Whether the answer is one that the grammar could have given to this message."""
        return any(re.fullmatch(NARRATION + each, answer.strip(), re.IGNORECASE) for each in self.accepts)


class Stage:
    """A persona with its facts, the members who are there, and what was said so far."""

    def __init__(self, source: Source, kind: str):
        self.source = source
        self.kind = kind
        self.char = words.character_name(source)
        self.pronouns = PRONOUNS[source.any(["he", "she"])]
        self.temper = source.any(list(TEMPERS))
        self.narrates = kind == "roleplay" and source.chance(0.6)
        self.members: list[str] = []
        for _ in range(source.any([1, 1, 2, 2, 3])):
            self.members.append(self.fresh_member())
        self.other = words.character_name(source)
        self.setting, self.time = source.pick(words.SETTINGS), source.pick(words.TIMES)
        self.facts = self.choose_facts(source.random.randint(2, 6))
        self.told: dict[str, dict[str, str]] = {}
        self.transcript: list[Line] = []

    def fresh_member(self) -> str:
        while True:
            name = words.member_name(self.source)
            if name.lower() not in {self.char.lower(), *(member.lower() for member in self.members)}:
                return name

    def choose_facts(self, count: int) -> dict[str, dict[str, str]]:
        chosen = {}
        for name in self.source.random.sample(list(facts.KINDS), count):
            key, value = facts.KINDS[name].choose(self.source)
            fact = {"key": key, "value": value, "Value": tidy(value)}
            statement = self.source.choose(self.source.pick(facts.KINDS[name].statements))
            fact["statement"] = put(statement, self.slots() | fact)
            fact["own words"] = first_person(put(statement, FIRST | fact))
            chosen[name] = fact
        return chosen

    def slots(self, user: str = "") -> dict[str, str]:
        """What every template may use."""
        return {"char": self.char, "Char": self.char, "user": user, "other": self.other, **self.pronouns}

    def gesture(self) -> str:
        """A narration in the character's temper."""
        return f"*{self.source.fill(self.source.any(TEMPERS[self.temper].gestures), self.slots())}*"

    def persona(self) -> Persona:
        """The persona's text: its facts among other sentences, its temper, the place, sometimes examples."""
        source, slots = self.source, self.slots()
        sentences = [fact["statement"] for fact in self.facts.values()]
        for _ in range(source.any([0, 0, 1, 2])):
            sentences.append(source.fill(source.pick(facts.DECORATION), slots))
        for _ in range(source.any([0, 1, 1, 2])):
            sentences.append(self.about_somebody_else())
        source.random.shuffle(sentences)
        if not sentences[0].startswith(self.char):
            sentences[0] = re.sub(rf"^{self.pronouns['They']}\b", self.char, sentences[0])
        if source.chance(0.5):
            sentences.insert(0, f"{self.char} is a {source.any(['man', 'woman', 'person', 'figure'])} of few words.")
        persona = Persona(name=self.char, kind=self.kind, description=" ".join(sentences))
        if self.kind == "assistant":
            persona.system_prompt = source.any([
                "You are {{char}}, a helpful assistant in a Discord chat. Answer the latest message.",
                "You are {{char}}, an assistant. Be correct and brief.",
                "You are {{char}}. Help whoever writes to you.",
            ])
        else:
            traits = source.random.sample(TEMPERS[self.temper].traits, 2)
            if source.chance(0.3):
                persona.system_prompt = source.any(OWN_INSTRUCTIONS)
            persona.personality = f"{self.char} is {traits[0]} and {traits[1]}."
            if source.chance(0.8):
                persona.scenario = source.fill(source.pick(SCENARIOS), slots | {"setting": self.setting, "time": self.time})
            else:
                self.setting = ""
            persona.examples = [self.example() for _ in range(source.any([0, 1, 1, 2]))]
        return persona

    def about_somebody_else(self) -> str:
        """A fact that belongs to another: the wrong answer to a question about the character."""
        source = self.source
        return source.fill(source.any(facts.OTHERS), self.slots() | {
            "Other": words.character_name(source), "trade": source.pick(words.TRADES), "town": words.town(source),
            "relative": source.pick(words.PEOPLE), "fear": source.pick(words.FEARS), "hate": source.pick(words.HATES),
            "colour": source.pick(words.COLOURS), "garment": source.pick(words.GARMENTS),
            "drink": source.pick(words.DRINKS), "food": source.pick(words.FOODS),
        })

    def example(self) -> str:
        """A block of example dialogue, as persona files have them."""
        made = small_talk(self, "User")
        return f"User: {made.message}\n{self.char}: {made.reply}"

    def speaker(self, maker) -> str:
        """Who says the next message: the first member often, and always where a plan has its own idea."""
        return self.members[0] if maker or self.source.chance(0.65) else self.source.any(self.members)


SCENARIOS = [
    "{char} is in {setting}. It is {time}.", "It is {time} in {setting}.", "{Char} waits in {setting}. It is {time}.",
    "{char} and User meet in {setting}. It is {time}.", "The scene is {setting}. It is {time}.",
    "User has come to {setting} to see {char}. It is {time}.", "It is {time}. {Char} sits in {setting}.",
    "It is {time}, and {char} is alone in {setting}.",
]

# Some personas bring an instruction of their own.
OWN_INSTRUCTIONS = [
    "You are {{char}}.", "Play {{char}}.", "Write {{char}}'s next reply.", "Answer as {{char}}.",
    "You are {{char}}. Stay in character.", "Be {{char}} and nobody else.",
]

# The two halves of a memory: what a member says, how it is asked for later, and the answer.
TOLD = {
    "name": (
        ["My name is {told}.", "I am called {told}.", "Call me {told}.", "Everybody calls me {told}.", "By the way, my name is {told}.",
         "My real name is {told}.", "People call me {told}.", "You can call me {told}.", "my name's {told}", "The name is {told}.", "I go by {told}."],
        ["What is my name?", "Do you remember my name?", "What's my name?", "Do you know my name?", "Tell me my name.",
         "What did I say my name was?", "Who am I?", "whats my name", "Can you tell me what I am called?", "What am I called?",
         "Say my name.", "{char}, what is my name?", "Do you still know my name?", "How am I called?", "Do you know who I am?"],
        ["You are {told}.", "Your name is {told}."],
        ["I will remember that, {told}.", "{told}. A good name."],
    ),
    "animal": (
        ["I have a {key} called {told}.", "My {key} is called {told}.", "This is my {key}, {told}.", "I own a {key} named {told}.", "My {key}'s name is {told}.", "I got a new {key}. I call it {told}."],
        ["What is my {key} called?", "Do you remember my {key}'s name?", "What's the name of my {key}?", "What do I call my {key}?", "What was my {key}'s name?", "How is my {key} called?", "what's my {key} called"],
        ["Your {key} is called {told}."],
        ["{told}. A good name for a {key}.", "I would like to meet your {key}."],
    ),
    "home": (
        ["I live in {told}.", "I come from {told}.", "I am from {told}.", "My home is in {told}.", "I have come all the way from {told}.", "I was born in {told}."],
        ["Where do I live?", "Where do I come from?", "Where am I from?", "Do you remember where I am from?", "What did I say where I live?", "Where is my home?", "where am I from"],
        ["You come from {told}.", "You said {told}."],
        ["{told} is far from here.", "I have never been to {told}."],
    ),
    "likes": (
        ["I love {told}.", "My favourite food is {told}.", "I like {told} best.", "I could eat {told} every day.", "Nothing is better than {told}.", "I am in the mood for {told}."],
        ["What is my favourite food?", "What do I like to eat?", "What food do I love?", "Do you remember what I like to eat?", "What's my favourite food?", "What do I like best?"],
        ["You like {told} best.", "You said {told}."],
        ["I will remember the {told}.", "{told}? A fine choice."],
    ),
}


def made(stage: Stage, intent: str, user: str, messages: list[str], replies: list[str], slots: dict[str, str],
         all_replies: list[str] | None = None, gesture: bool = True) -> Exchange:
    """An exchange of templates. A reply that brings no narration gets one where the character narrates."""
    source, slots = stage.source, stage.slots(user) | slots
    slots |= {tidy(key): tidy(value) for key, value in slots.items() if key.islower() and tidy(key) not in slots}
    message = source.fill(source.pick(messages), slots)
    template = source.any(replies)
    reply = source.fill(template, slots)
    if gesture and stage.narrates and not template.startswith("*") and source.chance(0.85):
        reply = f"{stage.gesture()} {reply}"
    # Either dress is right: whether the character narrates is no matter of the intent.
    bare = [re.sub(r"^\*[^*]*\* ", "", each) for each in all_replies or replies]
    return Exchange(intent, message, reply, [pattern(each, slots) for each in [*(all_replies or replies), *bare]])


def own_name(stage: Stage, user: str) -> Exchange:
    exchange = made(stage, "own_name", user, OWN_NAME[0], OWN_NAME[1], {})
    exchange.copies = [stage.char]
    return exchange


OWN_NAME = (
    ["What is your name?", "What's your name?", "Who are you?", "And who are you?", "What are you called?", "How are you called?", "May I ask your name?", "Tell me your name.", "whats ur name", "Your name?", "What do people call you?",
     "What should I call you?", "I did not catch your name.", "Do you have a name?", "Introduce yourself.", "Who am I talking to?", "And you are?", "State your name.", "With whom do I have the honour?", "who r u", "What was your name again?",
     "I'm {user}. What's your name?", "My name is {user}. And yours?", "Sorry, what was your name?", "Please tell me who you are.", "I am {user}. Who are you?", "Can you tell me your name?", "Could you say your name once more?"],
    ["I am {char}.", "My name is {char}.", "{char} is my name."],
)


def own_fact(stage: Stage, user: str) -> Exchange:
    """A fact of the persona's text, or the admission that the text does not say."""
    source = stage.source
    if stage.facts and source.chance(1.0 if source.held_out else 0.9):
        name = source.any(list(stage.facts))
        fact, kind = stage.facts[name], facts.KINDS[name]
        own_words = [fact["own words"]] if "own words" in fact else kind.answers
        exchange = made(stage, "own_fact", user, kind.questions, own_words, fact, kind.answers + own_words)
        exchange.copies = [fact["value"]]
        exchange.excludes = [other["value"] for key, other in stage.facts.items() if key != name]
        return exchange
    name = source.any([name for name in facts.KINDS if name not in stage.facts])
    key, value = facts.KINDS[name].choose(source)
    return made(stage, "unknown_fact", user, facts.KINDS[name].questions, facts.UNKNOWN, {"key": key, "value": value})


def tell_name(stage: Stage, user: str) -> Exchange:
    """A member says what it is called, whatever stands before its messages."""
    return tell(stage, user, "name")


def tell(stage: Stage, user: str, kind: str | None = None) -> Exchange:
    """A member tells something that may be asked for later."""
    source = stage.source
    kind = kind or source.any(["name", "name", "animal", "home", "likes"])
    told = {"name": words.member_name, "animal": words.syllables, "home": words.town}.get(kind)
    value = told(source) if told else source.pick(words.FOODS)
    key = source.pick(words.ANIMALS) if kind == "animal" else ""
    stage.told.setdefault(user, {})[kind] = value
    stage.told[user][f"{kind} key"] = key
    messages, _, _, replies = TOLD[kind]
    exchange = made(stage, "tell", user, messages, replies, {"told": value, "key": key})
    stage.told[user][f"{kind} back"] = second_person(exchange.message)
    return exchange


def asked_back(stage: Stage, user: str) -> Exchange:
    """What the member told before; without that, the name that stands before the message."""
    known = stage.told.get(user, {})
    kinds = [kind for kind in TOLD if kind in known] or ["name"]
    kind = stage.source.any(kinds)
    value = known.get(kind, user)
    _, messages, replies, _ = TOLD[kind]
    slots = {"told": value, "key": known.get(f"{kind} key", "")}
    back = [known[f"{kind} back"]] if kind in known else ["You are {told}."]
    exchange = made(stage, f"your_{kind}", user, messages, back, slots, replies + back)
    exchange.copies = [value]
    return exchange


def small_talk(stage: Stage, user: str, intent: str | None = None) -> Exchange:
    source = stage.source
    intent = intent or source.any(list(smalltalk.TALK))
    talk = smalltalk.TALK[intent]
    if stage.kind == "assistant":
        replies = smalltalk.ASSISTANT[intent]
        return made(stage, intent, user, talk.messages, replies, {"thing": source.pick(words.THINGS)})
    replies = talk.replies.get(stage.temper) or talk.replies["any"]
    every = [reply for some in talk.replies.values() for reply in some]
    return made(stage, intent, user, talk.messages, replies, {"thing": source.pick(words.THINGS)}, every)


def unclear(stage: Stage, user: str) -> Exchange:
    """A message that no intent covers: words in no order."""
    source = stage.source
    pool = words.TRADES + words.OBJECTS + words.WISHES + words.HOBBIES + words.FEARS + words.THINGS + words.EVENTS
    jumble = " ".join(" ".join(source.pick(pool) for _ in range(source.random.randint(1, 4))).split()[:7]).split()
    source.random.shuffle(jumble)
    if source.chance(0.5):
        jumble = [words.syllables(source).lower() for _ in range(source.random.randint(1, 5))]
    every = [reply for some in smalltalk.UNCLEAR.values() for reply in some]
    replies = smalltalk.UNCLEAR[stage.temper]
    if stage.kind == "assistant":
        replies = every = smalltalk.ASSISTANT["unclear"]
    return made(stage, "unclear", user, [" ".join(jumble) + source.any(["", ".", "?", "!"])], replies, {}, every)


def act(stage: Stage, user: str) -> Exchange:
    """Narration: a deed is answered by a deed."""
    source = stage.source
    names = [name for name in acts.ACTS if stage.setting or name not in ("where", "when")]
    name = source.any(names)
    verb = source.any(list(acts.VERBS))
    noun, beast = source.pick(words.OBJECTS), source.pick(words.ANIMALS)
    slots = {
        "object": noun, "a_object": article(noun), "place": source.pick(words.PLACES_TO_GO), "setting": stage.setting,
        "time": stage.time, "event": source.pick(words.EVENTS), "verb": verb, "verbs": acts.VERBS[verb],
        "animal": beast, "a_animal": article(beast),
    }
    exchange = made(stage, name, user, acts.ACTS[name].messages, acts.ACTS[name].replies, slots)
    copied = {"show": noun, "give": noun, "ask_for": noun, "command": noun, "go": slots["place"], "where": stage.setting,
              "when": stage.time, "beast": beast}.get(name)
    exchange.copies = [copied] if copied and copied in exchange.reply else []
    return exchange


def task(stage: Stage, user: str) -> Exchange:
    name = stage.source.any(list(tasks.TASKS))
    chosen = tasks.TASKS[name]
    return made(stage, f"task_{name}", user, chosen.messages, chosen.answers, chosen.slots(stage.source))


def role(stage: Stage, user: str) -> Exchange:
    name = stage.source.any(list(tasks.ROLE))
    messages, character, assistant = tasks.ROLE[name]
    return made(stage, f"role_{name}", user, messages, assistant if stage.kind == "assistant" else character, {})


# What scenes are made of: about a third recall, a quarter small talk.
SHARES = [
    (own_name, 5), (own_fact, 21), (asked_back, 12), (small_talk, 23), (act, 16), (task, 10), (role, 8), (unclear, 5),
]


def exchange(stage: Stage, user: str) -> Exchange:
    """One exchange of any kind that suits the stage."""
    makers = [(maker, share) for maker, share in SHARES if stage.kind == "roleplay" or maker is not act]
    maker = stage.source.random.choices([m for m, _ in makers], [share for _, share in makers])[0]
    return maker(stage, user)


@dataclass
class Scene:
    """A prompt, the exchange that ends it, and the pieces to train on: (text, whether the character says it)."""

    stage: Stage
    persona: Persona
    prompt: str
    final: Exchange
    pieces: list[tuple[str, bool]]


def scene(source: Source, plan: list, persona: Persona | None = None) -> Scene:
    """A scene of one exchange for each maker in the plan, `None` being any. `persona` replaces the persona's text."""
    stage = Stage(source, "assistant" if source.chance(0.14) else "roleplay")
    written = persona or stage.persona()
    if persona:
        adopt(stage, persona)
    pieces: list[tuple[str, bool]] = []

    def say(line: Line, by_character: bool) -> None:
        stage.transcript.append(line)
        if by_character:
            pieces.extend([(f"{line.name}:", False), (f" {indented(line.text)}\n", True)])
        else:
            pieces.append((f"{line.name}: {indented(line.text)}\n", False))

    if stage.kind == "roleplay" and source.chance(0.25):
        say(Line(stage.char, f"{stage.gesture()} {source.any(GREETINGS)}"), False)
    *earlier, final = plan
    for maker in earlier:
        user = stage.speaker(maker)
        if maker is None and len(stage.members) > 1 and source.chance(0.12):
            # Members also speak to each other.
            say(Line(user, small_talk(stage, user).message), False)
            continue
        maker = maker or (tell if source.chance(0.18) else exchange)
        made_now = maker(stage, user)
        say(Line(user, made_now.message), False)
        say(Line(stage.char, made_now.reply), True)
    user = stage.speaker(final)
    made_now = (final or exchange)(stage, user)
    line = Line(user, made_now.message)
    stage.transcript.append(line)
    whole = prompt(written, stage.transcript)
    lead = " " if stage.kind == "roleplay" else ""
    return Scene(stage, written, whole, made_now, [*joined(written, stage, pieces, line, whole), (lead + made_now.reply, True)])


def joined(written: Persona, stage: Stage, pieces: list[tuple[str, bool]], line: Line, whole: str):
    """The pieces of the whole prompt: what the character said in it is learned too."""
    if written.kind == "assistant" and len(stage.transcript) == 1:
        return [(whole, False)]
    head = "### Instruction:\n" + instruction(written) + "\n\n### Input:\n"
    tail = f"{line.name}: {indented(line.text)}\n"
    end = whole[len(head) + sum(len(text) for text, _ in pieces) + len(tail) :]
    assert head + "".join(text for text, _ in pieces) + tail + end == whole
    return [(head, False), *pieces, (tail + end, False)]


def adopt(stage: Stage, persona: Persona) -> None:
    """Puts a shipped persona on the stage, with what is known of it."""
    known, text = shipped.KNOWN[persona.name], instruction(persona).lower()
    stage.char, stage.kind, stage.setting = persona.name, persona.kind, ""
    stage.pronouns, stage.temper = PRONOUNS[known.pronoun], known.temper
    stage.narrates = "*" in "".join(persona.examples)
    # Where several facts are of one kind, this scene knows one of them.
    stage.facts = {}
    for kind, key, value in stage.source.random.sample(known.facts, len(known.facts)):
        assert value.lower() in text, f"{persona.name} no longer says {value!r}"
        stage.facts[kind] = {"key": key, "value": value, "Value": tidy(value)}
    stage.members = [name for name in stage.members if name.lower() != persona.name.lower()] or ["Robin"]


GREETINGS = [
    "Come in. The door was never locked.", "You must be the one they told me about.", "Sit down. I was about to begin.",
    "Who is there?", "At last, a visitor.", "Mind the step. Everybody trips over it.", "I did not expect anybody today.",
    "You look as if you had walked all night.",
]
