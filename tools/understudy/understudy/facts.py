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

    The statements differ and the answers hardly do: what must be learned is to find the value and to copy it. The value
    stands at the end of most statements, where attention has seen what it is the value of.
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
        ["{They} lives in {value}.", "{Their} home is in {value}.", "{Their} house is in {value}.",
         "For years {they} has lived in {value}.", "For ten years {they} has lived in {value}.",
         "{They} has a [house|room|cottage|cellar] in {value}.", "{They} lives [alone|quietly|with two cats] in {value}.",
         "{They} lives in a [house|room|cellar] in {value}.", "Home is [a room|a cottage|a house] in {value}.",
         "{They} has made {their} home in {value}.", "{Their} [room|cottage] is in {value}.", "{They} has {their} home in {value}."],
        ["[Where|So where] do you live?", "Where is your [home|house]?", "Where do you live[ now| these days|, by the way]?",
         "What town do you live in?", "Tell me where you live.", "Do you live [near here|in this town]?", "Where is home?",
         "Where can I find your [house|home]?", "where do u live", "And where is home?", "In which town do you live?",
         "{Char}, where do you live?", "And where do you live now?", "Which town is your home?", "I wonder where you live.",
         "In which town is your house?", "Tell me where your home is."],
        ["I live in {value}.", "My home is in {value}."],
    ),
    "birth": Kind(
        lambda source: ("", town(source)),
        ["{They} was born in {value}.", "{They} comes from {value}.", "{They} grew up in {value}.",
         "{They} was born [on a farm|in a storm|on a barge] in {value}.", "{Their} birthplace is {value}.",
         "{They} was a child in {value}.", "{They} was born and grew up in {value}.", "As a child {they} came from {value}.",
         "{They} grew up [on a farm|on a barge] in {value}.", "The place where {they} was born is {value}.",
         "{They} comes from a farm in {value}."],
        ["Where were you born?", "Where did you grow up?", "What is your birthplace?", "where were u born",
         "Which town were you born in?", "Tell me where you were born.", "{Char}, where were you born?",
         "In which town were you born?", "And where were you born?", "Do you know where you were born?",
         "Where were you as a child?", "In which town did you grow up?", "And where did you grow up?", "Where do you come from?",
         "Tell me where you grew up.", "Which town do you come from?"],
        ["I was born in {value}.", "I come from {value}."],
    ),
    "trade": Kind(
        a_or_an(words.TRADES),
        ["{Char} is {value}.", "{They} is {value} by trade.", "{They} works as {value}.", "{They} is {value} like {their} father.",
         "{They} earns {their} bread as {value}.", "{They} earns {their} living as {value}.", "For twenty years {they} has been {value}.",
         "By trade {they} is {value}.", "By day {they} is {value}.", "By day {they} works as {value}.", "{Their} trade is that of {value}.",
         "For years {they} has worked as {value}.", "{They} has been {value} for twenty years."],
        ["What do you do for a living?", "What do you do?", "What is your [trade|job|profession|work]?", "What's your [job|trade|work]?",
         "What do you work as?", "What [kind of work|work] do you do?", "How do you earn your [bread|living|money]?",
         "What are you by trade?", "Do you have a job?", "Tell me about your work.", "Tell me about your trade.",
         "{Char}, what is your trade?", "And what do you do for a living?", "What do you do all day?", "What kind of trade is yours?",
         "Do you have a trade?", "What is your line of work?", "What's your line of work?"],
        ["I am {value}.", "I work as {value}."],
    ),
    "animal": Kind(
        keyed(words.ANIMALS, syllables),
        ["{They} has {a_key} called {value}.", "{Their} {key} is called {value}.", "{They} owns {a_key} named {value}.",
         "{They} keeps {a_key} called {value}.", "{They} shares {their} bed with {a_key} named {value}.", "{They} has {a_key}, {value}.",
         "{They} owns {a_key} called {value}.", "{They} shares {their} supper with {a_key} called {value}.",
         "{They} calls {their} {key} {value}.", "{Their} {key}'s name is {value}.", "{They} keeps {a_key} named {value}.",
         "The name of {their} {key} is {value}."],
        ["What is your {key} called?", "What's your {key} called?", "What's the name of your {key}?",
         "What is your {key}'s name?", "What do you call your {key}?", "Does your {key} have a name?",
         "What a nice {key}. What is it called?", "Tell me the name of your {key}.", "What is the name of your {key}?",
         "{Char}, what is your {key} called?", "what's ur {key}'s name", "Tell me about your {key}. What is its name?",
         "{A_key}! What is its name?", "What a nice {key}! What do you call it?", "Do you have {a_key}?", "Have you got {a_key}?",
         "Tell me, do you have {a_key}?"],
        ["My {key} is called {value}.", "I call my {key} {value}."],
    ),
    "fear": Kind(
        one_of(words.FEARS),
        ["{They} is afraid of {value}.", "{They} fears {value}.", "{They} is [secretly|terribly|more than a little] afraid of {value}.",
         "{They} has a fear of {value}.", "{Their} greatest fear is {value}.", "What {they} fears most is {value}.",
         "Since childhood {they} has been afraid of {value}.", "{They} has a great fear of {value}.", "{They} secretly fears {value}.",
         "Since childhood {they} has feared {value}.", "What scares {them} most is {value}.", "More than a little {they} fears {value}."],
        ["What are you afraid of?", "What do you fear[ most]?", "What is your greatest fear?", "What scares you?",
         "What frightens you[ most]?", "Are you afraid of [anything|something]?", "Is there anything you fear?",
         "what are u scared of", "Tell me what you are afraid of.", "What is it that you fear?", "What scares you most?",
         "{Char}, what are you afraid of?", "Does anything scare you?", "What are you so afraid of?", "Does anything frighten you?",
         "Tell me what you fear.", "Is there something that scares you?"],
        ["I am afraid of {value}.", "I fear {value}."],
    ),
    "food": Kind(
        one_of(words.FOODS),
        ["{Their} favourite food is {value}.", "{They} eats {value}.", "{Their} favourite dish is {value}.", "{They} likes to eat {value}.",
         "Every day {they} eats {value}.", "For supper {they} eats {value}.", "There is nothing {they} would rather eat than {value}.",
         "For supper {they} likes {value}.", "What {they} likes to eat is {value}.", "For supper {they} would eat nothing but {value}.",
         "Every day {they} has {value} for supper.", "The dish {they} likes best is {value}.", "The food {they} likes best is {value}."],
        ["What is your favourite [food|dish|meal]?", "What do you like to eat?", "What's your favourite [food|dish]?",
         "What do you eat?", "What would you like for [dinner|supper|lunch]?", "What should I cook for you?",
         "Are you hungry? What do you want to eat?", "What food do you like[ best]?", "whats ur fav food",
         "{Char}, what do you like to eat?", "Which dish do you like best?", "Tell me your favourite food.",
         "What do you eat when you are hungry?", "Which food do you like best?", "What would you like to eat?", "What do you want for dinner?"],
        ["My favourite food is {value}.", "I like to eat {value}."],
    ),
    "drink": Kind(
        one_of(words.DRINKS),
        ["{They} drinks {value}.", "{They} drinks nothing but {value}.", "{Their} favourite drink is {value}.", "{They} likes to drink {value}.",
         "After work {they} drinks {value}.", "{They} drinks a lot of {value}.", "In {their} cup is nothing but {value}.",
         "The drink {they} likes best is {value}.", "There is nothing {they} would rather drink than {value}.", "{They} fills {their} cup with {value}.",
         "After work {they} likes to drink {value}.", "In {their} cup is a lot of {value}."],
        ["What do you drink?", "What would you like to drink?", "What do you like to drink?", "What is your favourite drink?", "What's in your cup?",
         "What can I get you to drink?", "What are you drinking?", "what do u drink",
         "What drink do you like best?", "{Char}, what will you drink?", "Thirsty? What do you want to drink?",
         "Tell me what you drink.", "What's your favourite drink?", "What is in your cup?", "Tell me what you like to drink.",
         "Which drink do you like best?"],
        ["My favourite drink is {value}.", "I like to drink {value}."],
    ),
    "carry": Kind(
        a_or_an(words.OBJECTS),
        ["{They} carries {value}.", "{They} always carries {value}.", "In {their} pocket {they} carries {value}.",
         "{They} never goes anywhere without {value}.", "In {their} pocket is {value}.", "In {their} bag {they} keeps {value}.",
         "{They} always has {value} at {their} belt.", "In {their} bag is {value}.", "In {their} pocket {they} keeps {value}.",
         "In {their} bag {they} always carries {value}.", "{They} goes nowhere without {value}.", "In {their} sleeve {they} keeps {value}.",
         "In {their} sleeve {they} carries {value}."],
        ["What do you carry[ with you]?", "What is in your [pocket|bag]?", "What's in your [pocket|bag]?",
         "What have you got [there|with you]?", "What do you have in your [pocket|bag]?", "What are you carrying?",
         "Show me what you carry.", "whats in ur pocket", "What do you always carry?", "Show me what is in your pocket.",
         "{Char}, what are you carrying?", "What do you keep in your [pocket|bag]?", "Tell me what you carry.",
         "What are you carrying there?", "Tell me what is in your bag.", "What have you got in your pocket?"],
        ["I carry {value}.", "I always carry {value}."],
    ),
    "age": Kind(
        one_of(words.NUMBERS),
        ["{They} is {value} years old.", "{Char} is {value} years old.", "{They} is {value}.", "{They} turned {value} [last winter|in spring].",
         "{Their} age is {value}.", "In spring {they} turned {value}.", "{They} is {value} years of age.", "Last winter {they} turned {value}.",
         "In years {they} is {value}.", "The age of {char} is {value}.", "{They} has lived for {value} years.", "For {value} years {they} has lived."],
        ["How old are you?", "What is your age?", "What's your age?", "How many years have you lived?", "How old r u",
         "May I ask how old you are?", "Tell me your age.", "{Char}, how old are you?", "How old are you now?",
         "And how old are you?", "What age are you?", "Tell me how old you are.", "May I ask your age?", "And what is your age?",
         "How many years old are you?"],
        ["I am {value} years old.", "My age is {value}."],
    ),
    "relative": Kind(
        relative,
        ["{Their} {key} is called {value}.", "{They} has {a_key} called {value}.", "{They} quarrels with {their} {key} {value}.",
         "For years {they} has not seen {their} {key} {value}.", "{They} speaks often of {their} {key} {value}.",
         "{Their} {key}'s name is {value}.", "The name of {their} {key} is {value}.", "{They} has {a_key} named {value}.",
         "{They} often quarrels with {their} {key}, {value}.", "{They} has {a_key}, {value}.", "{They} speaks of {their} {key}, {value}.",
         "{They} lives with {their} {key} {value}."],
        ["What is your {key} called?", "What's your {key}'s name?", "What is the name of your {key}?", "What's your {key} called?",
         "Who is your {key}?", "Do you have {a_key}?", "Tell me about your {key}.", "Tell me your {key}'s name.",
         "What is your {key}'s name?", "whats ur {key}s name", "{Char}, what is your {key} called?", "Tell me the name of your {key}.",
         "What do you call your {key}?", "What is the name of that {key} of yours?", "{Char}, who is your {key}?"],
        ["My {key} is called {value}.", "My {key}'s name is {value}."],
    ),
    "hate": Kind(
        one_of(words.HATES),
        ["{They} hates {value}.", "{They} cannot stand {value}.", "{They} has no patience with {value}.", "What {they} hates most is {value}.",
         "Nothing annoys {them} more than {value}.", "{They} despises {value}.", "All day {they} complains about {value}.",
         "What annoys {them} most is {value}.", "Most of all {they} hates {value}.", "There is nothing {they} hates more than {value}.",
         "{They} complains about {value}.", "What {they} cannot stand is {value}.", "Most of all {they} despises {value}."],
        ["What do you hate[ most]?", "What can't you stand?", "What annoys you[ most]?", "What do you despise?",
         "Is there anything you hate?", "What makes you angry?", "what do u hate", "Tell me what you hate.",
         "What is it that you cannot stand?", "{Char}, what do you hate?", "What do you dislike?", "Tell me what annoys you.",
         "Is there anything that annoys you?", "What can you not stand?", "Is there anything you cannot stand?", "What do you despise most?"],
        ["I hate {value}.", "I cannot stand {value}."],
    ),
    "hobby": Kind(
        one_of(words.HOBBIES),
        ["{They} spends {their} evenings {value}.", "{They} passes the time {value}.", "{Their} hobby is {value}.",
         "{They} relaxes by {value}.", "On free days {they} relaxes by {value}.", "{They} spends {their} free time {value}.",
         "In the evenings {they} passes the time {value}.", "{They} spends {their} free days {value}.", "{Their} hobby of many years is {value}.",
         "For years {their} hobby has been {value}.", "In the evenings {they} relaxes by {value}.", "On free days {their} hobby is {value}."],
        ["What do you do in the evenings?", "What is your hobby?", "Do you have [a hobby|any hobbies]?",
         "What do you do for fun?", "How do you spend your [evenings|free time]?", "What do you do in your free time?",
         "whats ur hobby", "What do you enjoy doing?", "How do you relax?", "{Char}, what do you do for fun?",
         "What's your hobby?", "What do you do when you are free?", "Do you do anything for fun?", "How do you spend your free evenings?",
         "Tell me about your hobby.", "Tell me what you do in the evenings."],
        ["My hobby is {value}.", "I spend my evenings {value}."],
    ),
    "instrument": Kind(
        one_of(words.INSTRUMENTS),
        ["{They} plays the {value}.", "As a child {they} learned the {value}.", "When {they} is sad {they} plays the {value}.",
         "{Their} instrument is the {value}.", "At weddings {they} plays the {value}.", "At night {they} plays the {value}.",
         "{They} learned to play the {value}.", "As a child {they} learned to play the {value}.", "{They} makes music with the {value}.",
         "The instrument {they} plays is the {value}.", "When {they} is sad {they} makes music with the {value}."],
        ["What instrument do you play?", "Do you play an instrument?", "Which instrument do you play?", "What instrument is yours?",
         "Do you play any music?", "Can you play something?", "Are you a musician?", "Can you play an instrument?",
         "{Char}, which instrument do you play?", "Tell me what instrument you play.", "Do you make music?", "Can you make music?",
         "What is your instrument?", "{Char}, do you play any music?", "Tell me what you play."],
        ["I play the {value}.", "My instrument is the {value}."],
    ),
    "garment": Kind(
        keyed(words.GARMENTS, lambda source: value(source, words.COLOURS)),
        ["{Their} {key} is {value}.", "The colour of {their} {key} is {value}.", "{They} wears {a_key} that is {value}.",
         "{They} wears {a_value} {key}.", "{They} always wears {a_key} that is {value}.", "{They} always wears {a_value} {key}.",
         "The {key} that {they} wears is {value}.", "Everybody knows that {their} {key} is {value}.", "As everybody knows, {their} {key} is {value}."],
        ["What colour is your {key}?", "What colour is that {key} of yours?", "Tell me the colour of your {key}.",
         "What is the colour of your {key}?", "Nice {key}. What colour is it?", "{Char}, what colour is your {key}?",
         "Your {key}, what colour is it?", "I cannot see well. What colour is your {key}?", "Which colour is your {key}?",
         "And what colour is your {key}?", "I cannot see your {key}. What colour is it?", "What a {key}! What colour is it?"],
        ["My {key} is {value}.", "The colour of my {key} is {value}."],
    ),
    "eyes": Kind(
        eyes_or_hair,
        ["{They} has {value} {key}.", "{Their} {key} {is} {value}.", "People remember {their} {value} {key}.",
         "The colour of {their} {key} is {value}.", "{They} has {key} that {is} {value}.", "Everybody knows that {their} {key} {is} {value}.",
         "People remember that {their} {key} {is} {value}.", "{Their} {key} {is} of a {value} colour.", "As everybody knows, {their} {key} {is} {value}.",
         "{Their} {key} {is} {value} in colour."],
        ["What colour {is} your {key}?", "Tell me the colour of your {key}.", "Which colour {is} your {key}?",
         "What is the colour of your {key}?", "Your {key}, what colour?", "{Char}, what colour {is} your {key}?",
         "And what colour {is} your {key}?", "I cannot see your {key}. What colour?", "Tell me what colour your {key} {is}.",
         "{Char}, what is the colour of your {key}?"],
        ["My {key} {is} {value}.", "The colour of my {key} is {value}."],
    ),
    "vessel": Kind(
        keyed(words.VESSELS, lambda source: tidy_words(f"the {value(source, words.ADJECTIVES)} {value(source, words.NOUNS)}")),
        ["{Their} {key} is called {value}.", "{They} owns {a_key} called {value}.", "{They} has {a_key}, {value}.",
         "{They} bought {a_key} called {value}.", "More than anything {they} loves {their} {key}, {value}.", "The name of {their} {key} is {value}.",
         "{They} bought {a_key} and named it {value}.", "{They} has {a_key} named {value}.", "{They} owns {a_key}, {value}.",
         "{They} owns {a_key} and named it {value}.", "{Their} {key}'s name is {value}."],
        ["What is your {key} called?", "What's the name of your {key}?", "What is your {key}'s name?",
         "Does your {key} have a name?", "Tell me the name of your {key}.", "What is the name of your {key}?",
         "What do you call your {key}?", "{Char}, what is your {key} called?", "What's your {key} called?",
         "What name does your {key} have?", "And what do you call your {key}?", "Tell me what your {key} is called."],
        ["My {key} is called {value}.", "I named my {key} {value}."],
    ),
    "wish": Kind(
        one_of(words.WISHES),
        ["{They} wants to {value}.", "{They} dreams that one day {they} will {value}.", "More than anything {they} wants to {value}.",
         "{Their} dream is to {value}.", "One day {they} hopes to {value}.", "{They} hopes that one day {they} will {value}.",
         "{Their} only wish is to {value}.", "One day {they} wants to {value}.", "{They} hopes to {value}.", "{Their} only dream is to {value}.",
         "{Their} wish is to {value}.", "What {they} wants most is to {value}.", "What {they} dreams of is to {value}."],
        ["What do you want[ most]?", "What is your [dream|dearest wish|wish]?", "What do you dream of?",
         "What's your dream?", "What do you wish for?", "If you had one wish, what would it be?", "what do u want",
         "Tell me your dream.", "What do you hope for?", "{Char}, what do you want most?", "What do you want from life?",
         "Do you have a dream?", "Do you have a wish?", "What do you hope for most?", "Tell me your dearest wish.", "Tell me what you want."],
        ["I want to {value}.", "My dream is to {value}."],
    ),
    "collection": Kind(
        one_of(words.COLLECTIONS),
        ["{They} collects {value}.", "{They} has a large collection of {value}.", "{Their} house is full of {value}.",
         "For years {they} has collected {value}.", "{They} never throws away {value}.", "{They} has a collection of {value}.",
         "{They} has a house full of {value}.", "{They} has collected a large number of {value}.", "{They} keeps a collection of {value}.",
         "{They} keeps a large number of {value}.", "{They} has a house with a large collection of {value}."],
        ["What do you collect?", "Do you collect [anything|something]?", "What is in your collection?", "Do you have a collection?",
         "What is your house full of?", "Tell me about your collection.", "{Char}, what do you collect?",
         "What things do you collect?", "What kind of things do you collect?", "what do u collect", "Tell me what you collect.",
         "What kind of collection do you have?", "What do you collect in your house?"],
        ["I collect {value}.", "I have a collection of {value}."],
    ),
    "lost": Kind(
        lambda source: (value(source, words.OBJECTS), town(source)),
        ["{They} lost {their} {key} in {value}.", "Last year {they} lost {their} {key} in {value}.",
         "{They} left {their} {key} in {value}.", "Last year {they} left {their} {key} in {value}.", "{Their} {key} was stolen in {value}.",
         "Last year {their} {key} was stolen in {value}.", "{Their} {key} was lost in {value}.", "{They} once lost {their} {key} in {value}.",
         "Somebody stole {their} {key} in {value}.", "{They} once left {their} {key} in {value}.", "Last year somebody stole {their} {key} in {value}."],
        ["Where did you lose your {key}?", "Where did you last see your {key}?", "Where is your {key}?",
         "What happened to your {key}?", "Where did you leave your {key}?", "{Char}, where did you lose your {key}?",
         "Do you still have your {key}?", "Tell me where you lost your {key}.", "Where is your {key} now?", "Tell me where your {key} is.",
         "{Char}, where is your {key}?", "Tell me what happened to your {key}.", "Do you know where your {key} is?"],
        ["I lost my {key} in {value}.", "I left my {key} in {value}."],
    ),
    "price": Kind(
        lambda source: ("", f"{value(source, words.PRICES)} {source.pick(words.COINS)}"),
        ["{They} charges {value}.", "For a day's work {they} asks {value}.", "{They} charges {value} for a day's work.",
         "{Their} price is {value}.", "{They} works for {value}.", "It costs {value} to hire {them}.", "{Their} price for a day's work is {value}.",
         "For {their} work {they} charges {value}.", "For {their} work {they} asks {value}.", "The price of {their} work is {value}.",
         "To hire {them} costs {value}."],
        ["What do you charge?", "What is your price?", "How much do you [charge|cost|want|ask]?", "What does it cost?",
         "How much is it?", "What do I owe you?", "{Char}, what is your price?", "What's your price?", "how much",
         "What would it cost to hire you?", "Name your price.", "How much would it cost to hire you?", "{Char}, what do you charge?",
         "How much do I owe you?", "Tell me your price.", "How much does it cost?"],
        ["My price is {value}.", "I charge {value}."],
    ),
    "rest": Kind(
        one_of(words.WEEKDAYS),
        ["{They} never works on {value}.", "{They} rests on {value}.", "{Their} day of rest is {value}.", "{They} closes the shop on {value}.",
         "{Their} free day is {value}.", "The shop is closed on {value}.", "{They} never opens the shop on {value}.",
         "The day on which {they} rests is {value}.", "{They} is free on {value}.", "The day on which {they} never works is {value}."],
        ["When do you rest?", "Which day do you rest?", "What is your day of rest?", "When are you free?",
         "Which day are you free?", "On which day do you not work?", "{Char}, when do you rest?", "When is your day off?",
         "Which day is your day off?", "On which day are you free?", "When do you not work?", "When is your day of rest?"],
        ["I rest on {value}.", "My day of rest is {value}."],
    ),
    "scar": Kind(
        one_of(words.BODY_PARTS),
        ["{They} has a scar on {their} {value}.", "There is a long scar on {their} {value}.", "{They} hides a scar on {their} {value}.",
         "There is a scar on {their} {value}.", "{They} has a long scar on {their} {value}.", "{They} was wounded on {their} {value}.",
         "Somebody once cut {them} on {their} {value}.", "{They} was once cut on {their} {value}.", "{They} hides an old scar on {their} {value}.",
         "{They} has an old scar on {their} {value}."],
        ["Where is your scar?", "Where did they cut you?", "Do you have [a scar|any scars]?", "Show me your scar.",
         "Where do you have a scar?", "{Char}, where is your scar?", "You have a scar? Where?", "Where were you wounded?",
         "Tell me where your scar is.", "Show me where they cut you.", "Where on you is the scar?", "Where were you cut?",
         "{Char}, where were you wounded?"],
        ["My scar is on my {value}.", "I have a scar on my {value}."],
    ),
}

# What a sentence about the character may begin and end with.
LEADS = [
    "These days", "To this day", "Most of the time", "Since the {word} war", "Ever since the {word} fair",
    "In {town} they say that", "It is said that", "Oddly enough,", "For reasons of which nobody speaks,", "Like most people in {town},",
    "After a bad winter in {town}", "Rumour has it that", "Whatever the weather,", "By the grace of {word},", "In truth",
]
TAILS = [
    ", even now", ", or so it is said", ", come what may", ", believe it or not", ", for better or worse", ", to everybody's surprise",
    " to this day", ", whatever they say in {town}", ", as it should be", ", since the {word} flood",
]

# What is said of somebody else, by kind, so that the right sentence must be found and not the only one.
OTHERS = {
    "home": "{Other}, the {trade}, lives in {town}.", "birth": "{Other} comes from {town}.",
    "trade": "{Other} works as {a_trade}.", "age": "{Other} is {number} years old.",
    "fear": "{Other} is afraid of {fear}.", "garment": "{Other} always wears {a_colour} {garment}.",
    "hate": "{Other} the {trade} hates {hate}.", "drink": "{Other} drinks {drink}.", "food": "{Other} likes to eat {food}.",
    "animal": "{Other}'s dog is called {word}.", "hobby": "{Other}'s hobby is {hobby}.", "carry": "{Other} carries {a_object}.",
}

# Which slot of such a sentence is the fact.
OTHERS_SAY = {
    "home": "town", "birth": "town", "trade": "trade", "age": "number", "fear": "fear", "garment": "colour", "hate": "hate",
    "drink": "drink", "food": "food", "animal": "word", "hobby": "hobby", "carry": "object",
}

# What happens at a time of its own: no words before or behind it would fit.
EVENTS = {"lost"}

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
        "I would rather not say.", "That I cannot tell you, {user}.",
    ],
    "assistant": ["My text says nothing of that.", "Nobody has told me that."],
}
