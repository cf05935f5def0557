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
    # What is said, and how it is said back: a copy with small changes.
    tells: list[tuple[str, str]]
    # What the character says when it hears it; the thing itself stays the member's word.
    replies: list[str]
    questions: list[str]
    # Other right answers.
    answers: list[str]


MEMORIES = {
    "name": Memory(
        lambda source: ("", words.member_name(source)),
        [("My name is {told}.", "Your name is {told}."), ("I am called {told}.", "You are called {told}."),
         ("Call me {told}.", "I call you {told}."), ("Everybody calls me {told}.", "Everybody calls you {told}."),
         ("By the way, my name is {told}.", "Your name is {told}."), ("My real name is {told}.", "Your real name is {told}."),
         ("People call me {told}.", "People call you {told}."), ("You can call me {told}.", "I can call you {told}."),
         ("my name's {told}", "Your name is {told}."), ("The name is {told}.", "Your name is {told}."),
         ("I go by {told}.", "You go by {told}."), ("I am {told}, by the way.", "You are {told}."),
         ("They named me {told}.", "They named you {told}."), ("At home they call me {told}.", "At home they call you {told}.")],
        ["I will remember that.", "A good name.", "I have heard worse names.", "Then I know what to call you."],
        ["What is my name?", "Do you remember my name?", "What's my name?", "Do you know my name?", "Tell me my name.",
         "What did I say my name was?", "Who am I?", "whats my name", "Can you tell me what I am called?", "What am I called?",
         "Say my name.", "{char}, what is my name?", "Do you still know my name?", "What do they call me?", "Do you know who I am?"],
        ["You are {told}.", "Your name is {told}."],
    ),
    "animal": Memory(
        lambda source: (words.value(source, words.ANIMALS), words.syllables(source)),
        [("I have {a_key} called {told}.", "You have {a_key} called {told}."), ("My {key} is called {told}.", "Your {key} is called {told}."),
         ("This is my {key}, {told}.", "Your {key} is called {told}."), ("I own {a_key} named {told}.", "You own {a_key} named {told}."),
         ("My {key}'s name is {told}.", "Your {key}'s name is {told}."), ("I call my {key} {told}.", "You call your {key} {told}."),
         ("I named my {key} {told}.", "You named your {key} {told}."), ("{told} is my {key}.", "{told} is your {key}.")],
        ["I would like to meet your {key}.", "A fine name for {a_key}.", "Does it bite?"],
        ["What is my {key} called?", "Do you remember my {key}'s name?", "What's the name of my {key}?", "What do I call my {key}?",
         "What was my {key}'s name?", "Who is my {key}?", "what's my {key} called", "Tell me my {key}'s name."],
        ["Your {key} is called {told}."],
    ),
    "home": Memory(
        lambda source: ("", words.town(source)),
        [("I live in {told}.", "You live in {told}."), ("I come from {told}.", "You come from {told}."), ("I am from {told}.", "You are from {told}."),
         ("My home is in {told}.", "Your home is in {told}."), ("I grew up in {told}.", "You grew up in {told}."),
         ("I was born in {told}.", "You were born in {told}."), ("I am a child of {told}.", "You are a child of {told}."),
         ("I have a house in {told}.", "You have a house in {told}.")],
        ["That is far from here.", "I have never been there.", "I have heard of it."],
        ["Where do I come from?", "Where am I from?", "Do you remember where I am from?", "Where is my home?", "where am I from",
         "Which town am I from?", "Do you know where I come from?", "Tell me where I am from."],
        ["You come from {told}."],
    ),
    "likes": Memory(
        lambda source: ("", words.value(source, words.FOODS)),
        [("I love {told}.", "You love {told}."), ("My favourite food is {told}.", "Your favourite food is {told}."),
         ("I like {told} best.", "You like {told} best."), ("I could eat {told} every day.", "You could eat {told} every day."),
         ("I would walk a mile for {told}.", "You would walk a mile for {told}."), ("Give me {told} any day.", "You like {told} best."),
         ("I dream of {told}.", "You dream of {told}."), ("I live on {told}.", "You live on {told}.")],
        ["I will remember that.", "A fine choice.", "I have eaten worse."],
        ["What is my favourite food?", "What do I like to eat?", "What food do I love?", "Do you remember what I like to eat?",
         "What's my favourite food?", "Which dish do I like best?", "what do i like to eat", "Tell me what I like to eat."],
        ["You like {told} best."],
    ),
}
