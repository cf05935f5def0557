"""What members tell, how it is asked for later, and how the character says it back.

Slots: {told} what was told, {key} the kind of animal and {a_key} with its article.
"""

from collections.abc import Callable
from dataclasses import dataclass

from . import words
from .templates import Source


@dataclass(frozen=True)
class Memory:
    """One kind of thing that is told. `choose` gives (key, value)."""

    choose: Callable[[Source], tuple[str, str]]
    tells: list[str]
    # What the character says when it hears it; the thing itself stays the member's word.
    replies: list[str]
    questions: list[str]
    # How the character says it back.
    answers: list[str]


MEMORIES = {
    "name": Memory(
        lambda source: ("", words.member_name(source)),
        ["My name is {told}.", "I am {told}.", "I'm {told}.", "Call me {told}.", "Hi, I'm {told}.", "Please call me {told}.",
         "My friends call me {told}.", "They call me {told}.", "Hello, I'm {told}.", "In truth my name is {told}.", "Hello, I am {told}.", "Hello, my name is {told}.", "I am called {told}.",
         "Everybody calls me {told}.", "By the way, my name is {told}.", "My real name is {told}.",
         "People call me {told}.", "You can call me {told}.", "my name's {told}", "The name is {told}.", "I go by {told}.",
         "I am {told}, by the way.", "They named me {told}.", "At home they call me {told}.", "By the way, I am called {told}.",
         "You can all call me {told}.", "Hi, I am {told}.", "Hi, my name is {told}.", "hey, I am {told}", "I am {told}, nice to meet you.", "Please call me {told} from now on.", "From now on call me {told}."],
        ["I will remember that.", "A good name.", "I have heard worse names.", "Then I know what to call you."],
        ["What is my name?", "Who am I?", "Do you remember my name?", "What's my name?", "Tell me my name.", "Do you know my name?",
         "What did I say my name was?", "whats my name", "Can you tell me what I am called?", "What am I called?",
         "Say my name.", "{char}, what is my name?", "Do you still know my name?", "What do they call me?", "Do you know who I am?",
         "Can you tell me my name?", "Do you remember what I am called?", "So what is my name?", "And what is my name?", "Do you know what my name is?", "Please tell me my name.", "Do you remember who I am?", "What is my name, {char}?"],
        ["Your name is {told}.", "You are {told}."],
    ),
    "animal": Memory(
        lambda source: (words.value(source, words.ANIMALS), words.syllables(source)),
        ["I have {a_key} called {told}.", "My {key} is called {told}.", "This is my {key}, {told}.", "I own {a_key} named {told}.",
         "My {key}'s name is {told}.", "I call my {key} {told}.", "I named my {key} {told}.", "I have {a_key} named {told}.",
         "I own {a_key} called {told}.", "The name of my {key} is {told}.", "I have {a_key}, {told}."],
        ["I would like to meet your {key}.", "A fine name for {a_key}.", "Does it bite?"],
        ["What is my {key} called?", "What is my {key}'s name?", "Do you remember my {key}'s name?", "What's the name of my {key}?",
         "What do I call my {key}?", "What was my {key}'s name?", "Who is my {key}?", "what's my {key} called", "Tell me my {key}'s name.",
         "What is the name of my {key}?", "Do you remember my {key}?", "Do you know my {key}'s name?", "Tell me the name of my {key}.", "Do you remember the name of my {key}?", "So what is my {key} called?", "Do you know what my {key} is called?", "{char}, what is my {key} called?"],
        ["Your {key} is called {told}."],
    ),
    "home": Memory(
        lambda source: ("", words.town(source)),
        ["I live in {told}.", "I come from {told}.", "I am from {told}.", "My home is in {told}.", "I grew up in {told}.",
         "I was born in {told}.", "I am a child of {told}.", "I have a house in {told}.", "My house is in {told}.",
         "I was born and grew up in {told}.", "By the way, I come from {told}.", "My home is {told}."],
        ["That is far from here.", "I have never been there.", "I have heard of it."],
        ["Where do I come from?", "Where am I from?", "Where do I live?", "Do you remember where I am from?", "Where is my home?",
         "Do you remember where I live?", "where am I from", "Which town am I from?", "Do you know where I come from?", "Tell me where I am from.", "Do you know where my home is?",
         "Which town do I come from?", "Do you remember where I come from?", "Tell me where I come from.", "So where do I come from?", "{char}, where am I from?",
         "Tell me where I live.", "Do you know where I live?", "{char}, where do I live?"],
        ["Your home is {told}."],
    ),
    "likes": Memory(
        lambda source: ("", words.value(source, words.FOODS)),
        ["I love {told}.", "My favourite food is {told}.", "I like {told} best.", "I could eat {told} every day.",
         "I would walk a mile for {told}.", "Every day I eat {told}.", "The food I love is {told}.", "I love to eat {told}.",
         "Nothing is better than {told}.", "My favourite dish is {told}.", "The dish I like best is {told}.", "I would love to eat {told}."],
        ["I will remember that.", "A fine choice.", "I have eaten worse."],
        ["What is my favourite food?", "What do I like to eat?", "What food do I love?", "Do you remember what I like to eat?",
         "What's my favourite food?", "Which dish do I like best?", "what do i like to eat", "Tell me what I like to eat.",
         "Which food do I like best?", "Do you remember my favourite food?", "What do I love to eat?", "What is my favourite dish?", "So what is my favourite food?", "Do you know my favourite food?", "Tell me my favourite food.", "{char}, what do I like to eat?"],
        ["You like {told} best."],
    ),
}

# The answer to a question for what the member never told.
UNTOLD = ["You have not told me that.", "I do not know that of you yet."]
