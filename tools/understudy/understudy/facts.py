"""Facts: what a persona's text says of the character, how it is asked for, and how the character answers.

Slots: {Char} the name, {They} {they} {their} {them} the pronouns, {value} the fact, {key} what it is about (the kind
of animal, the relative), {a_value} and {a_key} the same with an article, {is} the verb after {key}, {user} whoever asks.
"""

from collections.abc import Callable
from dataclasses import dataclass

from . import words
from .templates import Source, article, tidy
from .words import character_name, syllables, town, value


@dataclass(frozen=True)
class Kind:
    """One kind of fact. `choose` gives (key, value).

    A character answers with the sentence of its text, in the first person: that can be learned, since it copies. The
    `answers` are for a fact whose sentence is not known to the generator.
    """

    choose: Callable[[Source], tuple[str, str]]
    statements: list[str]
    questions: list[str]
    answers: list[str]


def one_of(items: list[str]) -> Callable[[Source], tuple[str, str]]:
    """A value without a key."""
    return lambda source: ("", value(source, items))


def a_or_an(items: list[str]) -> Callable[[Source], tuple[str, str]]:
    """A value with its article."""
    return lambda source: ("", article(value(source, items)))


def keyed(keys: list[str], named: Callable[[Source], str]) -> Callable[[Source], tuple[str, str]]:
    """A value and what it belongs to."""
    return lambda source: (value(source, keys), named(source))


def relative(source: Source) -> tuple[str, str]:
    """Somebody's place in the character's life, and a name that fits it."""
    place = source.pick(list(words.PEOPLE))
    return place, character_name(source, source.any(words.PEOPLE[place].split()))


def eyes_or_hair(source: Source) -> tuple[str, str]:
    """What has a colour on everybody, and the colour."""
    return source.any(["eyes", "hair"]), value(source, words.COLOURS)


def tidy_words(name: str) -> str:
    """A name with a capital at every word but the article."""
    return " ".join(word if word == "the" else tidy(word) for word in name.split(" "))


KINDS: dict[str, Kind] = {
    "home": Kind(
        lambda source: ("", town(source)),
        ["{They} lives in {value}.", "{Their} home is in {value}.", "{They} [has lived|lives] in {value} for years.",
         "{They} has a [small house|room|cottage|cellar] in {value}.", "{They} lives [alone|with two cats|quietly] in {value}.",
         "Home is [a room|a cabin|a house] in {value}.", "For ten years {they} has lived in {value}."],
        ["[Where|So where] do you live?", "Where is your [home|house]?", "Where do you live[ now| these days|, by the way]?",
         "What town do you live in?", "Tell me where you live.", "Do you live [near here|in the city]?",
         "Where can I find your [house|home]?", "where do u live", "And where is home?", "In which town do you live?",
         "{Char}, where do you live?", "Where's home for you?", "Which town is your home?", "I wonder where you live."],
        ["I live in {value}.", "My home is in {value}.", "In {value}."],
    ),
    "birth": Kind(
        lambda source: ("", town(source)),
        ["{They} was born in {value}.", "Born in {value}, {they} left [early|young|at twelve].", "{They} comes from {value}.",
         "{They} grew up in {value}.", "{They} was born [on a farm|in a storm|on a barge] in {value}.",
         "{Their} birthplace is {value}."],
        ["Where were you born?", "Where did you grow up?", "What is your birthplace?", "where were u born",
         "Which town were you born in?", "Tell me where you were born.", "{Char}, where were you born?",
         "Where did your life begin?", "In which town were you born?", "And where were you born?",
         "Do you know where you were born?"],
        ["I was born in {value}.", "I come from {value}.", "From {value}."],
    ),
    "trade": Kind(
        a_or_an(words.TRADES),
        ["{Char} is {value}.", "{They} is {value} [by trade|by day|of some fame].", "{They} works as {value}.",
         "{Char} is {value} [and a good one|and proud of it|like {their} father].", "{They} earns {their} bread as {value}.",
         "For twenty years {they} has been {value}.", "By trade {they} is {value}."],
        ["What do you do for a living?", "What is your [trade|job|profession|work]?", "What's your [job|trade|work]?",
         "What do you work as?", "What [kind of work|work] do you do?", "How do you earn your [bread|living|money]?",
         "What are you by trade?", "Do you have a job?", "what do you do", "Tell me about your work.",
         "{Char}, what is your trade?", "What's your line of work?", "What do you do all day?", "Which trade is yours?"],
        ["I am {value}.", "I work as {value}.", "By trade I am {value}."],
    ),
    "animal": Kind(
        keyed(words.ANIMALS, syllables),
        ["{They} has {a_key} called {value}.", "{Their} {key} is called {value}.", "{They} owns {a_key} named {value}.",
         "{a_key} called {value} follows {them} everywhere.", "{They} keeps {a_key}, {value}.",
         "{They} shares {their} bed with {a_key} named {value}.", "Never far away is {value}, {their} {key}."],
        ["What is your {key} called?", "What's your {key} called?", "What's the name of your {key}?",
         "What is your {key}'s name?", "What do you call your {key}?", "Does your {key} have a name?",
         "What a nice {key}. What is it called?", "Tell me the name of your {key}.",
         "{Char}, what is your {key} called?", "and ur {key}, whats its name",
         "What name did you give your {key}?"],
        ["My {key} is called {value}.", "{value}. That is my {key}.", "I call my {key} {value}."],
    ),
    "fear": Kind(
        one_of(words.FEARS),
        ["{They} is afraid of {value}.", "{They} fears {value}.", "{They} is [secretly|terribly|more than a little] afraid of {value}.",
         "One thing frightens {them}: {value}.", "{Their} greatest fear is {value}.", "What {they} fears most is {value}.",
         "{They} has been afraid of {value} since childhood.", "Nothing scares {them} but {value}."],
        ["What are you afraid of?", "What do you fear[ most]?", "What is your greatest fear?", "What scares you?",
         "What frightens you[ most]?", "Are you afraid of [anything|something]?", "Is there anything you fear?",
         "what are u scared of", "Tell me what you are afraid of.", "What is it that you fear?",
         "{Char}, what are you afraid of?", "Does anything scare you?", "What are you so afraid of?"],
        ["I am afraid of {value}.", "I fear {value}.", "{value}. I fear nothing else."],
    ),
    "food": Kind(
        one_of(words.FOODS),
        ["{Their} favourite food is {value}.", "{They} loves {value}.", "{They} eats {value} [every day|whenever {they} can|on Sundays].",
         "{They} would do anything for {value}.", "There is nothing {they} would rather eat than {value}.",
         "{They} lives on {value}.", "For supper {they} likes {value}."],
        ["What is your favourite [food|dish|meal]?", "What do you like to eat?", "What's your favourite food?",
         "What do you eat?", "What would you like for [dinner|supper|lunch]?", "What should I cook for you?",
         "Are you hungry? What do you want to eat?", "What food do you like[ best]?", "whats ur fav food",
         "{Char}, what do you like to eat?", "Which dish do you like best?", "Tell me your favourite food.",
         "What do you eat when you are hungry?"],
        ["I like {value} best.", "My favourite is {value}.", "{value}, always."],
    ),
    "drink": Kind(
        one_of(words.DRINKS),
        ["{They} drinks {value}.", "{They} drinks nothing but {value}.", "{Their} favourite drink is {value}.",
         "{They} never says no to {value}.", "{They} likes {value} after work.", "There is always {value} in {their} cup."],
        ["What do you drink?", "What would you like to drink?", "What is your favourite drink?", "What's in your cup?",
         "What can I get you to drink?", "What are you drinking?", "What shall I pour you?", "what do u drink",
         "What drink do you like best?", "{Char}, what will you drink?", "Thirsty? What do you want to drink?",
         "Tell me what you drink."],
        ["I drink {value}.", "For me it is {value}.", "{value}, please."],
    ),
    "carry": Kind(
        a_or_an(words.OBJECTS),
        ["{They} carries {value}.", "{They} always carries {value} [with {them}|in {their} pocket].",
         "{They} never goes anywhere without {value}.", "In {their} pocket is {value}.", "In {their} bag {they} keeps {value}.",
         "{They} has {value} [hidden in {their} sleeve|at {their} belt]."],
        ["What do you carry[ with you]?", "What is in your [pocket|bag]?", "What's in your [pocket|bag]?",
         "What have you got [there|with you]?", "What do you have in your [pocket|bag]?", "What are you carrying?",
         "Show me what you carry.", "whats in ur pocket", "What do you always carry?", "Empty your pockets!",
         "{Char}, what are you carrying?", "What do you keep in your pocket?"],
        ["I carry {value}.", "I have {value}.", "Only {value}."],
    ),
    "age": Kind(
        one_of(words.NUMBERS),
        ["{They} is {value} years old.", "{Char} is {value} years old.", "{They} is {value}, [and {they} feels it|and {they} looks younger|or so {they} says].",
         "{They} turned {value} [last winter|in spring].", "At {value}, {they} has seen a lot.", "{Their} age is {value}."],
        ["How old are you?", "What is your age?", "What's your age?", "How many years have you lived?", "How old r u",
         "May I ask how old you are?", "Tell me your age.", "{Char}, how old are you?", "How old are you now?",
         "And how old might you be?", "What age are you?"],
        ["I am {value} years old.", "I am {value}.", "{value} years."],
    ),
    "relative": Kind(
        relative,
        ["{Their} {key} is called {value}.", "{They} has {a_key} called {value}.", "{Their} {key}, {value}, [lives far away|writes every month|is never home].",
         "{They} has not seen {their} {key} {value} for years.", "{They} quarrels with {their} {key} {value}.",
         "{Their} {key}'s name is {value}.", "{They} speaks often of {value}, {their} {key}."],
        ["What is your {key} called?", "What's your {key}'s name?", "What is the name of your {key}?",
         "Who is your {key}?", "Do you have {a_key}?", "Tell me about your {key}.",
         "What is your {key}'s name?", "whats ur {key}s name", "{Char}, what is your {key} called?",
         "What do you call your {key}?", "Remind me of your {key}'s name."],
        ["My {key} is called {value}.", "{value} is my {key}.", "That is {value}, my {key}."],
    ),
    "hate": Kind(
        one_of(words.HATES),
        ["{They} hates {value}.", "{They} cannot stand {value}.", "{They} has no patience with {value}.",
         "Nothing annoys {them} more than {value}.", "{They} despises {value}.", "{They} complains about {value} all day."],
        ["What do you hate[ most]?", "What can't you stand?", "What annoys you[ most]?", "What do you despise?",
         "Is there anything you hate?", "What makes you angry?", "what do u hate", "Tell me what you hate.",
         "What is it that you cannot stand?", "{Char}, what do you hate?", "What do you dislike?"],
        ["I hate {value}.", "I cannot stand {value}.", "{value}. I cannot bear it."],
    ),
    "hobby": Kind(
        one_of(words.HOBBIES),
        ["{They} spends {their} evenings {value}.", "{They} passes the time {value}.", "{Their} hobby is {value}.",
         "{They} relaxes by {value}.", "On free days {they} can be found {value}.", "{They} loves {value}."],
        ["What do you do in the evenings?", "What is your hobby?", "Do you have [a hobby|any hobbies]?",
         "What do you do for fun?", "How do you spend your [evenings|free time]?", "What do you do in your free time?",
         "whats ur hobby", "What do you enjoy doing?", "How do you relax?", "{Char}, what do you do for fun?",
         "What's your hobby?", "What do you do when you are not working?"],
        ["I spend my evenings {value}.", "My hobby is {value}.", "Mostly {value}."],
    ),
    "instrument": Kind(
        one_of(words.INSTRUMENTS),
        ["{They} plays the {value}.", "{They} plays the {value} [badly|very well|at weddings|at night].",
         "{They} learned the {value} as a child.", "When {they} is sad {they} plays the {value}.",
         "{They} is never seen without {their} {value}."],
        ["What instrument do you play?", "Do you play an instrument?", "Which instrument do you play?",
         "Do you play any music?", "Can you play something?", "Are you a musician?",
         "{Char}, which instrument do you play?", "Tell me, what instrument is yours?", "Do you make music?"],
        ["I play the {value}.", "The {value} is my instrument.", "Yes, the {value}."],
    ),
    "garment": Kind(
        keyed(words.GARMENTS, lambda source: value(source, words.COLOURS)),
        ["{They} wears {a_value} {key}.", "{They} always wears {a_value} {key}.", "{They} is known for {their} {value} {key}.",
         "{They} is dressed in {a_value} {key}.", "{Their} {key} is {value}.", "Nobody has seen {them} without {their} {value} {key}."],
        ["What colour is your {key}?", "What colour do you call your {key}?", "Tell me the colour of your {key}.",
         "What is the colour of your {key}?", "Nice {key}. What colour is it?", "{Char}, what colour is your {key}?",
         "Your {key}, what colour is it?", "I cannot see well. What colour is your {key}?"],
        ["My {key} is {value}.", "It is {value}.", "{value}, as you can see."],
    ),
    "eyes": Kind(
        eyes_or_hair,
        ["{They} has {value} {key}.", "{Their} {key} {is} {value}.", "People remember {their} {value} {key}.",
         "{They} has long lashes and {value} {key}." , "{They} is tall, with {value} {key}."],
        ["What colour {is} your {key}?", "Tell me the colour of your {key}.", "Which colour {is} your {key}?",
         "What is the colour of your {key}?", "Your {key}, what colour?", "{Char}, what colour {is} your {key}?"],
        ["I have {value} {key}.", "My {key}? They say {value}.", "{value}, like my mother's."],
    ),
    "vessel": Kind(
        keyed(words.VESSELS, lambda source: tidy_words(f"the {value(source, words.ADJECTIVES)} {value(source, words.NOUNS)}")),
        ["{Their} {key} is called {value}.", "{They} owns {a_key} called {value}.", "{They} has {a_key}, {value}.",
         "{Their} {key} is {value}.", "{They} loves {their} {key}, {value}, more than anything.",
         "{They} bought {a_key} and named it {value}."],
        ["What is your {key} called?", "What's the name of your {key}?", "What is your {key}'s name?",
         "Does your {key} have a name?", "Tell me the name of your {key}.",
         "What do you call your {key}?", "{Char}, what is your {key} called?", "What's your {key} called?",
         "What name does your {key} have?"],
        ["My {key} is called {value}.", "She is called {value}.", "{value}. There is no better {key}."],
    ),
    "wish": Kind(
        one_of(words.WISHES),
        ["{They} wants to {value}.", "{They} dreams that one day {they} will {value}.", "More than anything {they} wants to {value}.",
         "{Their} dream is to {value}.", "{They} hopes to {value} before {they} dies.", "One day {they} means to {value}.",
         "{Their} only wish is to {value}."],
        ["What do you want[ most]?", "What is your [dream|dearest wish|wish]?", "What do you dream of?",
         "What's your dream?", "What do you wish for?", "If you had one wish, what would it be?", "what do u want",
         "Tell me your dream.", "What do you hope for?", "{Char}, what do you want most?", "What do you want from life?",
         "Do you have a dream?"],
        ["I want to {value}.", "My dream is to {value}.", "One day I will {value}."],
    ),
    "collection": Kind(
        one_of(words.COLLECTIONS),
        ["{They} collects {value}.", "{They} has a large collection of {value}.", "{Their} house is full of {value}.",
         "{They} collects {value} [and {they} counts them every night|from all over the world].", "{They} never throws away {value}."],
        ["What do you collect?", "Do you collect [anything|something]?", "What is in your collection?",
         "What is your house full of?", "Tell me about your collection.", "{Char}, what do you collect?",
         "What sort of things do you collect?", "Are you a collector?", "what do u collect"],
        ["I collect {value}.", "I have a collection of {value}.", "Mostly {value}."],
    ),
    "lost": Kind(
        lambda source: (value(source, words.OBJECTS), town(source)),
        ["{They} lost {their} {key} in {value}.", "Last year {they} lost {their} {key} in {value}.",
         "{They} left {their} {key} behind in {value}.", "{Their} {key} was stolen in {value}.",
         "{They} still looks for the {key} that {they} lost in {value}."],
        ["Where did you lose your {key}?", "Where did you last see your {key}?", "Where is your {key}?",
         "What happened to your {key}?", "Where did you leave your {key}?", "{Char}, where did you lose your {key}?",
         "Do you still have your {key}?", "Tell me where you lost your {key}."],
        ["I lost it in {value}.", "My {key} stayed in {value}.", "In {value}, to my sorrow."],
    ),
    "price": Kind(
        lambda source: ("", f"{value(source, words.PRICES)} {source.pick(words.COINS)}"),
        ["{They} charges {value} [a day|an hour|for {their} work].", "{They} asks {value} for a day's work.",
         "{Their} price is {value}.", "{They} works for {value} and a hot meal.", "Hiring {them} costs {value}."],
        ["What do you charge?", "What is your price?", "How much do you [charge|cost|want|ask]?", "What does it cost?",
         "How much is it?", "What do I owe you?", "{Char}, what is your price?", "What's your price?", "how much",
         "What would it cost to hire you?", "Name your price."],
        ["I charge {value}.", "My price is {value}.", "{value}, and not a penny less."],
    ),
    "rest": Kind(
        one_of(words.WEEKDAYS),
        ["{They} never works on {value}.", "On {value} {they} rests.", "{Value} is {their} day of rest.", "{They} closes the shop on {value}."],
        ["When do you rest?", "Which day do you rest?", "What is your day of rest?", "When are you free?",
         "Which day are you free?", "On which day do you not work?", "{Char}, when do you rest?", "When is your day off?"],
        ["I rest on {value}.", "On {value}.", "{value} is my day of rest."],
    ),
    "scar": Kind(
        one_of(words.BODY_PARTS),
        ["{They} has a scar on {their} {value}.", "A long scar marks {their} {value}.", "{They} hides a scar on {their} {value}.",
         "There is a scar on {their} {value} that {they} never explains.", "{Their} {value} is scarred."],
        ["Where is your scar?", "Where did they cut you?", "Do you have [a scar|any scars]?", "Show me your scar.",
         "Where do you have a scar?", "{Char}, where is your scar?", "You have a scar? Where?", "Where were you wounded?"],
        ["My scar is on my {value}.", "I have a scar on my {value}.", "Here, on my {value}."],
    ),
}

# What a sentence about the character may begin and end with. The character says it too.
LEADS = [
    "These days", "To this day", "Most of the time", "As everybody knows,", "Since the {word} war", "Ever since the {word} fair",
    "In {town} they say that", "It is said that", "Oddly enough,", "For reasons of which nobody speaks,", "Like most people in {town},",
    "After a bad winter in {town}", "Rumour has it that", "Whatever the weather,", "By the grace of {word},", "In truth",
]
TAILS = [
    ", even now", ", or so it is said", ", come what may", ", believe it or not", ", for better or worse", ", to everybody's surprise",
    " to this day", ", whatever they say in {town}", ", as it should be", ", more or less", ", on most days", ", since the {word} flood",
]

# What a question may begin with.
OPENINGS = [
    "Tell me, ", "Say, ", "One question: ", "I wonder: ", "By the way, ", "Be honest, ", "Just between us, ", "Quick, ", "I forgot, ",
    "{word} wants to know: ", "Excuse me, ", "Now, ", "Hm, ",
]

# What is said of somebody else, so that the right sentence must be found and not the only one.
OTHERS = [
    "{Other}, the {trade}, lives in {town}.", "{Other} comes from {town}.", "{Other} is afraid of {fear}.",
    "{Other} always wears {a_colour} {garment}.", "{Other} the {trade} hates {hate}.", "{Other} drinks {drink}.",
    "{Other} loves {food}.", "{Other}'s dog is called {word}.",
]

# Colour without a question.
DECORATION = [
    "{They} talks too much when it rains.", "{They} has never been on time.", "People trust {them}.",
    "{They} sleeps badly.", "{They} laughs at {their} own jokes.", "{They} keeps {their} promises.",
    "Nobody knows where {they} learned to cook.", "{They} is never in a hurry.", "{They} knows everybody in the street.",
    "{They} has bad knees.", "{They} walks with a limp.", "{They} is taller than most.", "{They} speaks slowly.",
    "{They} never forgets a face.", "{They} cheats at cards.", "{They} whistles when {they} works.",
    "{They} owes money to half the town.", "{They} has a good memory for songs.", "{They} trusts no one before noon.",
    "{They} once saved a child from the river.", "{They} gives the last word to nobody.", "{They} reads by candlelight.",
]

# A question about something the persona's text does not say.
UNKNOWN = {
    "roleplay": [
        "That is nothing I talk about, {user}.", "I would rather not say.", "That I cannot tell you, {user}.",
        "I do not know, {user}.",
    ],
    "assistant": ["I have nothing of the kind.", "That I do not know."],
}
