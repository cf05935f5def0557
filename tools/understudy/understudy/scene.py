"""Scenes: a persona, what was said to it, and what it should answer. The one place where the parts come together."""

import re
from dataclasses import dataclass, field

from . import acts, facts, memories, shipped, smalltalk, tasks, words
from .layout import Line, Persona, expand, indented, instruction, prompt
from .temper import TEMPERS
from .templates import FILLERS, NAMES, OPENINGS, SLOT, Source, article, pattern, put, tidy

PRONOUNS = {
    "he": {"They": "He", "they": "he", "Their": "His", "their": "his", "them": "him"},
    "she": {"They": "She", "they": "she", "Their": "Her", "their": "her", "them": "her"},
    "it": {"They": "It", "they": "it", "Their": "Its", "their": "its", "them": "it"},
}
NOUNS = {"he": ["man", "person", "figure"], "she": ["woman", "person", "figure"]}


@dataclass
class Exchange:
    """A message, a right answer, and how to know any right answer."""

    intent: str
    message: str
    reply: str
    # Patterns of the right answers, and of the gestures that may stand before them.
    accepts: list[str]
    gestures: list[str]
    # What must stand in the answer word for word, and what must not.
    copies: list[str] = field(default_factory=list)
    excludes: list[str] = field(default_factory=list)

    def fits(self, answer: str) -> bool:
        """Whether this grammar could have given the answer to this message, in this character's temper."""
        gesture = rf"(?:\*(?:{'|'.join(self.gestures)})\* )?" if self.gestures else ""
        return any(re.fullmatch(gesture + each, answer.strip()) for each in self.accepts)


@dataclass
class Fact:
    """One thing that the persona's text says of the character."""

    kind: str
    key: str
    value: str
    # The sentence of the text; empty where the text is not of this grammar.
    statement: str = ""

    def slots(self) -> dict[str, str]:
        return with_articles({"key": self.key, "value": self.value}) | {"is": "are" if self.key == "eyes" else "is"}


@dataclass
class Told:
    """What a member has told."""

    kind: str
    key: str
    value: str


class Stage:
    """A persona with its facts, the members who are there, and what was said so far."""

    def __init__(self, source: Source, kind: str):
        self.source = source
        self.kind = kind
        self.pronoun = source.any(["he", "she"])
        self.pronouns = PRONOUNS[self.pronoun]
        self.char = words.character_name(source, self.pronoun)
        self.temper = source.any(list(TEMPERS))
        self.narrates = kind == "roleplay" and source.chance(0.6)
        self.members: list[str] = []
        for _ in range(source.any([1, 1, 2, 2, 3])):
            self.members.append(self.fresh_member())
        self.other = words.character_name(source, source.any(["he", "she"]))
        self.setting = words.place_or_time(source, words.SETTINGS)
        self.time = words.place_or_time(source, words.TIMES)
        self.facts = self.choose_facts(source.random.randint(2, 6))
        # What the text says of others.
        self.others: list[str] = []
        # Whether the facts are all that the persona's text says.
        self.knows_all = True
        self.told: dict[str, list[Told]] = {}
        self.transcript: list[Line] = []

    def fresh_member(self) -> str:
        while True:
            name = words.member_name(self.source)
            if name.lower() not in {self.char.lower(), *(member.lower() for member in self.members)}:
                return name

    def choose_facts(self, count: int) -> list[Fact]:
        """Facts of different kinds that do not speak of the same thing."""
        chosen, things = [], set()
        for kind in self.source.random.sample(list(facts.KINDS), count):
            key, value = facts.KINDS[kind].choose(self.source)
            if {key, value, article(key or value)} & things:
                continue
            things |= {key, value, article(key)} if key else {value}
            fact = Fact(kind, key, value)
            statement = self.source.phrasing(facts.KINDS[kind].statements)
            statement = statement if kind in facts.EVENTS else self.dressed(statement)
            fact.statement = put(statement, self.slots() | fact.slots())
            chosen.append(fact)
        return chosen

    def dressed(self, statement: str) -> str:
        """A statement with words before and behind it, so that no two are alike and only copying helps."""
        source = self.source
        slots = {"word": words.syllables(source), "town": words.town(source)}
        often = 0.1 if source.held_out else 0.3
        if source.chance(often):
            lead = put(source.pick(facts.LEADS), slots)
            first = SLOT.match(statement)
            rest = statement if first and first[1] in ("Char", "value") else statement[0].lower() + statement[1:]
            statement = f"{lead} {re.sub(r'^{(They|Their)}', lambda match: '{' + match[1].lower() + '}', rest)}"
        if source.chance(often):
            statement = statement.rstrip(".") + put(source.pick(facts.TAILS), slots) + "."
        return statement

    def slots(self, user: str = "") -> dict[str, str]:
        """What every template may use."""
        return {"char": self.char, "Char": self.char, "user": user, "other": self.other, **self.pronouns}

    def gesture(self) -> str:
        """A narration in the character's temper."""
        return f"*{self.source.fill(self.source.any(TEMPERS[self.temper].gestures), self.slots())}*"

    def persona(self) -> Persona:
        """The persona's text: its facts among other sentences, its temper, the place, sometimes examples."""
        source = self.source
        persona = Persona(name=self.char, kind=self.kind, description=self.description())
        if self.kind == "assistant":
            persona.system_prompt = source.any([
                "You are {{char}}, a helpful assistant in a Discord chat. Answer the latest message.",
                "You are {{char}}, an assistant. Be correct and brief.",
                "You are {{char}}. Help whoever writes to you.",
            ])
            return persona
        traits = source.random.sample(TEMPERS[self.temper].traits, 2)
        # The long instruction is the rule for members; in training the short ones leave time for more replies.
        if source.chance(0.3 if source.held_out else 0.6):
            persona.system_prompt = source.any(OWN_INSTRUCTIONS)
        persona.personality = f"{self.char} is {traits[0]} and {traits[1]}."
        if source.chance(0.8):
            place = {"char": "{{char}}", "user": "{{user}}", "setting": self.setting, "time": self.time}
            persona.scenario = source.fill(source.pick(SCENARIOS), place)
        else:
            self.setting = ""
        persona.examples = [self.example() for _ in range(source.any([0, 1, 1, 2]))]
        if source.chance(0.05):
            persona.post_history = source.any(NOTES)
        return persona

    def description(self) -> str:
        """The facts and sentences of no consequence about the character, and a fact of somebody else's between them."""
        source = self.source
        own = [fact.statement for fact in self.facts]
        own += [put(source.choose(each), self.slots()) for each in source.sample(facts.DECORATION, source.any([0, 0, 1, 2]))]
        source.random.shuffle(own)
        others = [self.about_somebody_else() for _ in range(source.any([0, 1, 1, 2]))]
        sentences = []
        if source.chance(0.5) or self.named(own[0]) == own[0]:
            sentences.append(f"{self.char} is a {source.any(NOUNS[self.pronoun])} of few words.")
        else:
            own[0] = self.named(own[0])
        for index, sentence in enumerate(own):
            sentences.append(sentence)
            # After somebody else's sentence a pronoun would be theirs.
            following = own[index + 1] if index + 1 < len(own) else ""
            if others and (not following or self.named(following) != following) and source.chance(0.6):
                sentences.append(others.pop())
                if following:
                    own[index + 1] = self.named(following)
        sentences += others
        if source.chance(0.15):
            # Texts come in paragraphs.
            where = source.random.randrange(len(sentences))
            return "\n\n".join(" ".join(part) for part in (sentences[:where], sentences[where:]) if part)
        return " ".join(sentences)

    def named(self, sentence: str) -> str:
        """The sentence with the character's name for the pronoun that it begins with; as it is when there is none."""
        sentence = re.sub(rf"^{self.pronouns['Their']}\b(?! is| was)", f"{self.char}'s", sentence)
        return re.sub(rf"^{self.pronouns['They']}\b", self.char, sentence)

    def about_somebody_else(self) -> str:
        """A fact that belongs to another: the wrong answer to a question about the character."""
        source = self.source
        rivals = [fact.kind for fact in self.facts if fact.kind in facts.OTHERS]
        kind = source.any(rivals if rivals and source.chance(0.6) else list(facts.OTHERS))
        slots = {
            "other": words.character_name(source, source.any(["he", "she"])), "trade": words.value(source, words.TRADES),
            "town": words.town(source), "fear": words.value(source, words.FEARS), "hate": words.value(source, words.HATES),
            "colour": words.value(source, words.COLOURS), "garment": source.pick(words.GARMENTS),
            "drink": words.value(source, words.DRINKS), "food": words.value(source, words.FOODS), "word": words.syllables(source),
            "hobby": words.value(source, words.HOBBIES), "object": words.value(source, words.OBJECTS),
            "number": words.value(source, words.NUMBERS),
        }
        sentence = source.fill(facts.OTHERS[kind], self.slots() | with_articles(slots))
        self.others.append(slots[facts.OTHERS_SAY[kind]])
        return sentence

    def example(self) -> str:
        """A block of example dialogue, as persona files have them."""
        exchange = small_talk(self, "{{user}}")
        return f"{{{{user}}}}: {exchange.message}\n{{{{char}}}}: {exchange.reply}"

    def speaker(self, maker) -> str:
        """Who says the next message: the first member often, and always where a plan has its own idea."""
        return self.members[0] if maker or self.source.chance(0.65) else self.source.any(self.members)


SCENARIOS = [
    "{char} is {setting}. It is {time}.", "It is {time}, {setting}.", "{char} waits {setting}. It is {time}.",
    "{char} and {user} meet {setting}. It is {time}.", "The scene plays {setting}. It is {time}.",
    "{user} has come to see {char}, who is {setting}. It is {time}.", "It is {time}. {char} sits {setting}.",
    "It is {time}, and {char} is alone {setting}.",
]

# Some personas bring an instruction of their own.
OWN_INSTRUCTIONS = [
    "You are {{char}}.", "Play {{char}}.", "Write {{char}}'s next reply.", "Answer as {{char}}.",
    "You are {{char}}. Stay in character.", "Be {{char}} and nobody else.",
]

# And some a reminder behind the transcript.
NOTES = ["{{char}} answers in one or two sentences.", "Stay in the role of {{char}}.", "Keep it short."]


def with_articles(slots: dict[str, str]) -> dict[str, str]:
    """The slots, and for each a second one with an article, and both with a capital."""
    articles = {f"a_{name}": article(value) for name, value in slots.items() if value}
    capitals = {tidy(name): tidy(value) for name, value in (slots | articles).items()}
    return slots | articles | capitals


def exchange_of(stage: Stage, intent: str, user: str, messages: list[str], replies: list[str],
                slots: dict[str, str]) -> Exchange:
    """An exchange of templates. A reply that brings no narration gets one where the character narrates."""
    source, slots = stage.source, stage.slots(user) | with_articles(slots)
    message = as_typed(source, source.phrasing(messages), slots)
    template = source.any(replies)
    reply = source.fill(template, slots)
    # Nobody beams at somebody who is crying.
    if stage.narrates and intent != "sad" and not template.startswith("*") and source.chance(0.85):
        reply = f"{stage.gesture()} {reply}"
    # Whether a character shows what it feels is no matter of the intent. What it does with a thing is.
    right = [*replies, *(words_alone for each in replies if (words_alone := without_gesture(each)))]
    gestures = TEMPERS[stage.temper].gestures if stage.kind == "roleplay" else []
    return Exchange(intent, message, reply, [accepted(each, slots) for each in right],
                    [pattern(gesture, slots) for gesture in gestures])


def accepted(template: str, slots: dict[str, str]) -> str:
    """The pattern of a reply, with a capital where `put` writes one."""
    first = SLOT.match(template)
    if first and first[1] not in NAMES:
        return pattern(template, slots | {first[1]: tidy(slots[first[1]])})
    return pattern(template, slots)


def without_gesture(template: str) -> str:
    """What is said in a reply that begins with a deed; nothing when it has none, or when the deed is the answer."""
    deed = re.match(r"\*([^*]*)\* (.+)", template)
    if not deed or set(SLOT.findall(deed[1])) - {"They", "they", "Their", "their", "them", "user"}:
        return ""
    return deed[2]


def as_typed(source: Source, phrase: str, slots: dict[str, str]) -> str:
    """The message as people type it: often without a capital or an end, and with words before and behind it."""
    message, char = put(phrase, slots), slots["char"]
    spoken = "*" not in message
    if spoken and char not in message and source.chance(0.1):
        if source.chance(0.5):
            message = f"{char}, {without_capital(message, char)}"
        else:
            ends = re.search(r"[.!?]*$", message)[0]
            message = f"{message.removesuffix(ends)}, {char}{ends}"
    elif spoken and source.chance(0.08):
        message = f"{source.pick(FILLERS)} {without_capital(message, char)}"
    if source.chance(0.2):
        message = without_capital(message, char)
    if spoken and message[-1] in ".!?" and source.chance(0.15):
        message = message.rstrip(".!?") + source.any(["", "", "", "!", "!!", "...", "??" if message.endswith("?") else ""])
    # Names and what is asked for by its name stay as they are.
    return message.lower() if not SLOT.search(phrase) and char not in message and source.chance(0.06) else message


def without_capital(message: str, char: str) -> str:
    """The message without a capital at its start, unless it begins with what has one everywhere."""
    return message if message.startswith((char, "I ", "I'")) else message[:1].lower() + message[1:]


def own_name(stage: Stage, user: str) -> Exchange:
    exchange = exchange_of(stage, "own_name", user, OWN_NAME[0], OWN_NAME[1], {})
    if user in exchange.message:
        # Who says its name while it asks for another's has told it.
        stage.told.setdefault(user, []).append(Told("name", "", user))
    exchange.copies = [stage.char]
    exchange.excludes = stage.members
    return exchange


OWN_NAME = (
    ["What is your name?", "Who are you?", "Tell me your name.", "Your name?", "And you are?", "What's your name?", "And who are you?", "What are you called?", "What do they call you?", "May I ask your name?", "whats ur name", "What do people call you?",
     "What should I call you?", "I did not catch your name.", "Do you have a name?", "Introduce yourself.", "Who am I talking to?", "State your name.", "With whom do I have the honour?", "who r u", "What was your name again?",
     "I'm {user}. What's your name?", "My name is {user}. And yours?", "Sorry, what was your name?", "Please tell me who you are.", "I am {user}. Who are you?", "Can you tell me your name?", "Could you say your name once more?", "Sorry, who are you?", "Please tell me your name.", "So what is your name?", "So who are you?", "Can you tell me who you are?", "I am {user}. What is your name?", "My name is {user}. Who are you?"],
    ["I am {char}.", "My name is {char}."],
)


def own_fact(stage: Stage, user: str) -> Exchange:
    """A fact of the persona's text, and one that has not been spoken of if there is any."""
    if not stage.facts:
        return unknown_fact(stage, user)
    spoken = " ".join(line.text for line in stage.transcript)
    fact = stage.source.any([fact for fact in stage.facts if fact.value not in spoken] or stage.facts)
    kind = facts.KINDS[fact.kind]
    exchange = exchange_of(stage, "own_fact", user, kind.questions, kind.answers, fact.slots())
    if stage.source.chance(0.1 if stage.source.held_out else 0.25):
        opening = put(stage.source.pick(OPENINGS), {"word": words.syllables(stage.source)})
        exchange.message = opening + without_capital(exchange.message, stage.char)
    exchange.copies = [fact.value]
    wrong = [*(other.value for other in stage.facts if other is not fact), *stage.others]
    exchange.excludes = [value for value in wrong if value not in fact.value]
    return exchange


def unknown_fact(stage: Stage, user: str) -> Exchange:
    """What the persona's text does not say."""
    known = {fact.kind for fact in stage.facts}
    kind = stage.source.any([kind for kind in facts.KINDS if kind not in known])
    spoken_of = {each for fact in stage.facts for each in (fact.key, fact.value, article(fact.key) if fact.key else "")}
    key, value = facts.KINDS[kind].choose(stage.source)
    while key and {key, article(key)} & spoken_of:
        # The text names it, if for something else.
        key, value = facts.KINDS[kind].choose(stage.source)
    slots = Fact(kind, key, value).slots()
    exchange = exchange_of(stage, "unknown_fact", user, facts.KINDS[kind].questions, facts.UNKNOWN[stage.kind], slots)
    exchange.excludes = [*(fact.value for fact in stage.facts), *stage.others]
    return exchange


def tell_name(stage: Stage, user: str) -> Exchange:
    """A member says what it is called, whatever stands before its messages."""
    return tell(stage, user, "name")


def tell(stage: Stage, user: str, kind: str | None = None) -> Exchange:
    """A member tells something that may be asked for later."""
    source = stage.source
    kind = kind or source.any(["name", "name", "animal", "home", "likes"])
    memory = memories.MEMORIES[kind]
    key, value = memory.choose(source)
    stage.told.setdefault(user, []).append(Told(kind, key, value))
    return exchange_of(stage, "tell", user, memory.tells, memory.replies, {"told": value, "key": key})


def asked_back(stage: Stage, user: str) -> Exchange:
    """What the member told before; without that, the name that stands before the message."""
    told = stage.source.any(stage.told.get(user) or [Told("name", "", user)])
    # Of two things of one kind the last one holds.
    told = [each for each in stage.told.get(user, [told]) if each.kind == told.kind][-1]
    memory = memories.MEMORIES[told.kind]
    slots = {"told": told.value, "key": told.key}
    exchange = exchange_of(stage, f"your_{told.kind}", user, memory.questions, memory.answers, slots)
    exchange.copies = [told.value]
    exchange.excludes = [] if told.value == user else [user]
    return exchange


def untold(stage: Stage, user: str) -> Exchange:
    """What the member never told, though others may have."""
    told = {each.kind for each in stage.told.get(user, [])}
    kind = stage.source.any([kind for kind in memories.MEMORIES if kind != "name" and kind not in told] or ["animal"])
    key, _ = memories.MEMORIES[kind].choose(stage.source)
    if key in {each.key for each in stage.told.get(user, []) if each.key}:
        return asked_back(stage, user)
    exchange = exchange_of(stage, "untold", user, memories.MEMORIES[kind].questions, memories.UNTOLD, {"key": key})
    exchange.excludes = [each.value for tellings in stage.told.values() for each in tellings]
    return exchange


def small_talk(stage: Stage, user: str, intent: str | None = None) -> Exchange:
    source = stage.source
    intent = intent or source.any(list(smalltalk.TALK))
    talk = smalltalk.TALK[intent]
    if stage.kind == "assistant":
        replies = smalltalk.ASSISTANT[intent]
    else:
        replies = talk.replies.get(stage.temper) or talk.replies["any"]
    return exchange_of(stage, intent, user, talk.messages, replies, {"thing": words.value(source, words.THINGS)})


def unclear(stage: Stage, user: str) -> Exchange:
    """A message that no intent covers: words in no order."""
    source = stage.source
    lists = (words.TRADES, words.OBJECTS, words.WISHES, words.HOBBIES, words.FEARS, words.THINGS, words.EVENTS)
    if source.chance(0.5):
        jumble = [words.syllables(source).lower() for _ in range(source.random.randint(1, 5))]
    else:
        jumble = [word for _ in range(source.random.randint(1, 4)) for word in source.pick(source.any(lists)).split()]
        source.random.shuffle(jumble)
    message = " ".join(jumble[:7]) + source.any(["", ".", "?", "!"])
    replies = smalltalk.ASSISTANT["unclear"] if stage.kind == "assistant" else smalltalk.UNCLEAR[stage.temper]
    return exchange_of(stage, "unclear", user, [message], replies, {})


def act(stage: Stage, user: str) -> Exchange:
    """Narration: a deed is answered by a deed."""
    source = stage.source
    # Where and when must be copied, which takes longest to learn: they come twice as often.
    names = [*acts.ACTS, "where", "when"]
    if not stage.setting:
        names = [name for name in names if name not in ("where", "when")]
    name = source.any(names)
    verb = source.any(list(acts.VERBS))
    slots = {
        "object": words.value(source, words.OBJECTS), "place": words.value(source, words.PLACES_TO_GO),
        "setting": stage.setting, "time": stage.time, "event": source.pick(words.EVENTS), "verb": verb,
        "verbs": acts.VERBS[verb], "animal": words.value(source, words.ANIMALS),
    }
    exchange = exchange_of(stage, name, user, acts.ACTS[name].messages, acts.ACTS[name].replies, slots)
    copied = slots.get(acts.ACTS[name].copies, "")
    exchange.copies = [copied] if copied and copied in exchange.reply else []
    return exchange


def task(stage: Stage, user: str) -> Exchange:
    # What must be copied or worked out takes longest to learn: it comes more often.
    name = stage.source.any([*tasks.TASKS, "say", "say", "twice", "twice", "add", "add"])
    chosen = tasks.TASKS[name]
    return exchange_of(stage, f"task_{name}", user, chosen.messages, chosen.answers, chosen.slots(stage.source))


def role(stage: Stage, user: str) -> Exchange:
    name = stage.source.any([*tasks.ROLE, "break"])
    messages, character, assistant = tasks.ROLE[name]
    return exchange_of(stage, f"role_{name}", user, messages, assistant if stage.kind == "assistant" else character, {})


# What scenes without a plan are made of.
SHARES = [
    (own_name, 8), (own_fact, 16), (unknown_fact, 6), (asked_back, 8), (untold, 2), (small_talk, 25), (act, 16), (task, 12),
    (role, 8), (unclear, 3),
]


def exchange(stage: Stage, user: str) -> Exchange:
    """One exchange of any kind that suits the stage."""
    makers = [(maker, share) for maker, share in SHARES
              if (stage.kind == "roleplay" or maker is not act) and (stage.knows_all or maker is not unknown_fact)]
    maker = stage.source.random.choices([maker for maker, _ in makers], [share for _, share in makers])[0]
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

    if written.greeting and source.chance(0.6):
        say(Line(stage.char, expand(written.greeting.strip(), written, stage.members[0])), False)
    elif stage.kind == "roleplay" and source.chance(0.25):
        say(Line(stage.char, f"{stage.gesture()} {source.any(GREETINGS)}"), False)
    *earlier, final = plan
    for maker in earlier:
        user = stage.speaker(maker)
        if maker is None and len(stage.members) > 1 and source.chance(0.12):
            # Members also speak to each other, and the character is silent.
            friend = source.any([member for member in stage.members if member != user])
            say(Line(user, source.fill(source.pick(ASIDES), {"friend": friend})), False)
            continue
        maker = maker or (tell if source.chance(0.1) else exchange)
        made = maker(stage, user)
        say(Line(user, made.message), False)
        say(Line(stage.char, made.reply), True)
    user = stage.speaker(final)
    last = (final or (tell if source.chance(0.1) else exchange))(stage, user)
    # Some press return before they come to the point.
    line = Line(user, f"{source.any(OPENERS)}\n{last.message}" if source.chance(0.04) else last.message)
    stage.transcript.append(line)
    whole = prompt(written, stage.transcript)
    lead = " " if stage.kind == "roleplay" else ""
    return Scene(stage, written, whole, last, [*joined(written, stage, pieces, line, whole), (lead + last.reply, True)])


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
    # An assistant's text says nothing of it, so that everything is unknown.
    stage.knows_all = persona.kind == "assistant"
    # Where several facts are of one kind, this scene knows one of them.
    chosen: dict[str, Fact] = {}
    for kind, key, value in stage.source.random.sample(known.facts, len(known.facts)):
        assert value.lower() in text, f"{persona.name} no longer says {value!r}"
        chosen[kind] = Fact(kind, key, value)
    stage.facts = list(chosen.values())
    stage.members = [name for name in stage.members if name.lower() != persona.name.lower()] or ["Robin"]


GREETINGS = [
    "Come in. The door was never locked.", "You must be the one they told me about.", "Sit down. I was about to begin.",
    "Who is there?", "At last, a visitor.", "Mind the step. Everybody trips over it.", "I did not expect anybody today.",
    "You look as if you had walked all night.",
]

OPENERS = ["hey", "so", "ok", "hm", "well", "Listen.", "One more thing.", "Wait."]

# What members say to each other.
ASIDES = [
    "{friend}, did you see that?", "Be quiet, {friend}.", "{friend} is right.", "What do you think, {friend}?", "lol {friend}",
    "I told you so, {friend}.", "{friend}, are you coming later?", "Wait for me, {friend}.", "Hi {friend}!",
    "{friend}, have you eaten?", "You started it, {friend}.", "Thanks, {friend}.",
]
