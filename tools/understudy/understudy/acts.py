"""Scenes and narration: members act, the world changes, and the character answers with a deed and a word.

Slots: {user}, {They} {they} {their} {them}, {object}, {a_object} with its article, {place}, {setting}, {time},
{event}, {verb} and {verbs} (first and third person), {animal}, {a_animal}.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Act:
    """What a member does or asks, and what follows. A reply here brings its own narration."""

    messages: list[str]
    replies: list[str]
    # The slot that a good answer repeats.
    copies: str = ""


VERBS = {
    "open": "opens", "close": "closes", "take": "takes", "hide": "hides", "polish": "polishes", "drop": "drops",
    "kick": "kicks", "lift": "lifts", "examine": "examines", "touch": "touches", "shake": "shakes", "throw": "throws",
    "hold": "holds", "turn": "turns", "clean": "cleans", "bury": "buries", "kiss": "kisses", "break": "breaks",
    "paint": "paints", "weigh": "weighs",
}

ACTS: dict[str, Act] = {
    "show": Act(
        ["*shows you {a_object}* [What is this?|Look!|See this?|]", "*puts {a_object} on the table*", "Look what I found: {a_object}!", "I found {a_object}.", "*holds up {a_object}*",
         "*pulls out {a_object}* Do you know this?", "Have you ever seen {a_object} like this?", "*lays {a_object} before {char}*", "What do you make of this {object}?", "Here is {a_object}. [What do you think?|Look.]",
         "*points at {a_object}*", "i found {a_object} outside", "Look what I have found. It is {a_object}.", "Here, look: {a_object}.", "*shows {char} {a_object}*", "*puts {a_object} before you*", "Have you ever seen {a_object}?", "I found {a_object} on the table."],
        ["*{They} looks at the {object}.* Where did you find it, {user}?", "*{They} picks up the {object} and turns it over.* Curious.",
         "*{They} bends over the {object}.* I have seen one like it before."],
        "object",
    ),
    "give": Act(
        ["*gives you {a_object}*", "*hands {char} {a_object}* [This is for you.|For you.|]", "I brought you {a_object}.", "This {object} is for you.", "*offers you {a_object}*", "Please take this {object}.", "Here, have {a_object}.",
         "I have a present for you: {a_object}.", "*presents {char} with {a_object}*", "You can have my {object}.", "i got u {a_object}", "Take this {object}[, it is yours|, {char}|].",
         "Here, this {object} is for you.", "Here is {a_object} for you.", "Take my {object}, please.", "You can have this {object}.", "*gives {char} the {object}*", "*hands you {a_object}*", "I have {a_object} for you.", "This is for you: {a_object}.", "*gives {char} {a_object}*", "Please have my {object}."],
        ["*{They} takes the {object}.* Thank you, {user}.", "*{They} holds the {object} close.* For me? Thank you, {user}."],
        "object",
    ),
    "ask_for": Act(
        ["Give me the {object}[.|, please.|!]", "Can I have the {object}?", "Hand me the {object}[.|, please.]", "Could you pass me the {object}?", "May I borrow your {object}?", "I need the {object}[.|, {char}.]", "*reaches for the {object}*",
         "Lend me the {object}[.|, please.]", "{char}, give me that {object}.", "Let me have the {object}.", "pass the {object}",
         "Can you give me that {object}?", "Please give me the {object}.", "Could you give me the {object}?", "Please hand me the {object}.", "Can I borrow the {object}?", "Can I have your {object}, please?", "give me the {object} pls", "{char}, hand me the {object}.", "Could I have your {object}?", "Please pass me the {object}."],
        ["*{They} hands {user} the {object}.* Be careful with it.", "*{They} gives {user} the {object}.* I want it back."],
        "object",
    ),
    "command": Act(
        ["{Verb} the {object}[.|!|, please.]", "Could you {verb} the {object}?", "Please {verb} the {object}.", "{char}, {verb} the {object}[.|!]", "I want you to {verb} the {object}.", "Would you {verb} the {object} for me?", "You must {verb} the {object}[.|!]",
         "Go and {verb} the {object}.", "Can you {verb} that {object}?", "Quick, {verb} the {object}!", "It is time to {verb} the {object}.", "{verb} the {object} pls",
         "{char}, please {verb} that {object}.", "I want you to {verb} that {object}.", "Can you {verb} the {object}, please?", "Now {verb} the {object}.", "Please {verb} that {object}, {char}.", "I want you to {verb} my {object}.", "Please {verb} the {object} for me.", "You should {verb} the {object}.", "Go, {verb} the {object}!", "Can you {verb} the {object} for me?"],
        ["*{They} {verbs} the {object}.* [There.|Done.|As you wish.]", "*{They} {verbs} the {object} without a word.* Is that what you wanted, {user}?"],
        "object",
    ),
    "go": Act(
        ["Come with me to the {place}[.|!|, {char}.]", "Let us go to the {place}[.|!]", "Follow me to the {place}[.|!]", "Shall we go to the {place}?", "We must go to the {place}[.|!| at once!]", "Take me to the {place}[.|, please.]", "I am going to the {place}. [Are you coming?|Come along!]",
         "*walks towards the {place}* Come!", "How about a walk to the {place}?", "Meet me at the {place}.", "lets go to the {place}", "Will you come to the {place} with me?",
         "Let us go to the {place} at once!", "Come with me to the {place}, please.", "We must go to the {place}, {char}.", "Will you go to the {place} with me?", "Shall we walk to the {place}?", "I want to go to the {place}.", "*goes to the {place}*", "Come to the {place}!", "Come along to the {place}.", "We must walk to the {place}."],
        ["*{They} follows {user} to the {place}.* [Lead on.|After you.]", "*{They} looks towards the {place}.* To the {place}, then.", "*{They} gets up.* I know the way to the {place}."],
        "place",
    ),
    "where": Act(
        ["Where are we[?| now?]", "What is this place?", "*looks around* Where am I?", "Where am I?", "What kind of place is this?", "Tell me where we are.", "Do you know where we are[?|, {char}?]", "where r we", "I am lost. Where are we?", "What place is this[?|, {char}?]",
         "*wakes up* Where am I?", "*looks around* Where are we?", "{char}, where are we?", "Do you know where I am?", "Tell me where I am.", "I am lost, where am I?", "Can you tell me where we are?", "So where are we now?", "Describe this place."],
        ["We are {setting}, {user}.", "We must be {setting}.", "*{They} looks around.* You are {setting}."],
        "setting",
    ),
    "when": Act(
        ["What time is it?", "What time of day is it?", "Is it very late?", "Do you know what time it is?", "When is it?", "Is it late[ already|]?", "what time is it", "Is it morning or evening?", "{char}, what time is it?",
         "Tell me what time it is.", "Can you tell me what time it is?", "What time is it now?", "Is it late now?", "Do you know the time?", "What time of day is it now, {char}?", "Do you know what time of day it is?", "Is it evening already?", "What time of the day is it?", "Do you know if it is late?", "Is it very late already?"],
        ["It is {time}, {user}.", "*{They} glances outside.* It is {time}."],
        "time",
    ),
    "event": Act(
        ["*{event}*", "*Suddenly {event}.*", "*Then {event}.*", "*Outside, {event}.*", "*At that moment {event}.*", "Did you notice? {Event}!", "Listen, {event}!", "*{event}, and nobody speaks*", "*For a moment {event}.*", "Look, {event}!",
         "Did you notice? Suddenly {event}.", "Listen! At that moment {event}.", "*And then {event}.*", "*And suddenly {event}*", "Look! Suddenly {event}.", "*{event} outside*", "Listen! {Event}."],
        ["*{They} turns around.* What was that, {user}?", "*{They} stops and listens.* Stay close to me, {user}.", "*{They} looks up.* It has begun."],
    ),
    "enter": Act(
        ["*walks in*", "*opens the door and walks in*", "*comes in and sits down*", "*steps into the room*", "*sits down beside you*", "*enters quietly*", "*takes a seat*", "*pulls up a chair*", "*knocks at the door*", "*leans against the wall*", "*comes closer*", "*sits by the fire*",
         "*opens the door quietly*", "*walks in and takes a seat*", "*walks in quietly*", "*comes in*", "*comes in quietly*", "*enters and sits down*", "*enters the room*", "*walks into the room*", "*opens the door*", "*comes in and takes a chair*", "*sits down by the fire*"],
        ["*{They} looks up.* Come in, {user}.", "*{They} makes room.* Sit with me, {user}.", "*{They} turns to {user}.* I have been expecting you."],
    ),
    "attack": Act(
        ["*draws a [sword|knife|dagger]*", "*attacks {char}*", "*swings {a_object} at you*", "*throws a {object} at {char}*", "*punches {char}*", "I will kill you[!|, {char}!]", "Fight me[!|, {char}!]", "*raises a fist*", "*pushes {char}*", "*aims at you*", "*kicks {char}*", "Draw your weapon!",
         "*draws a sword and attacks you*", "*swings a fist at {char}*", "*raises a sword*", "*attacks you*", "*attacks you with a sword*", "*raises a knife*", "*punches you*", "*kicks you*", "*draws a sword* Fight me!", "I will fight you!"],
        ["*{They} steps aside.* Not today, {user}.", "*{They} catches {user} by the wrist.* Think again.", "*{They} does not move.* Put that away, {user}."],
    ),
    "affection": Act(
        ["*hugs you*", "*hugs {char}*", "*pats your head*", "*pats {char} on the back*", "*takes your hand*", "*kisses {char} on the cheek*", "*puts an arm around {char}*", "*smiles at you*", "*pokes {char}*", "*holds {char} tight*", "*winks at you*", "*bows to {char}*",
         "*pats you on the back*", "*smiles at {char}*", "*kisses you on the hand*", "*pats you on the head*", "*hugs you tight*", "*smiles at {char} and winks*", "*smiles*", "*kisses you*", "*takes your hand and smiles*", "*puts an arm around you*"],
        ["*{They} smiles at {user}.* You are good company.", "*{They} stands still for a moment.* That was kind, {user}."],
    ),
    "beast": Act(
        ["*{a_animal} runs into the room*", "Look, {a_animal}!", "There is {a_animal} outside.", "*brings in {a_animal}*", "I saw {a_animal} in the garden.", "*points at {a_animal}* Whose is that?", "Is that {a_animal}?", "Watch out, {a_animal}!", "*{a_animal} appears at the door*", "theres {a_animal} behind u",
         "There is {a_animal} in the room.", "Look, there is {a_animal} behind you!", "I saw {a_animal} outside.", "Look, {a_animal} in the garden!", "There is {a_animal} in the garden.", "There is {a_animal} at the door.", "I saw {a_animal} in the room.", "*{a_animal} runs in*", "Is there {a_animal} behind you?", "Watch out, there is {a_animal}!"],
        ["*{They} watches the {animal}.* It will not hurt us, {user}.", "*{They} kneels beside the {animal}.* Be gentle with it, {user}.", "*{They} points at the {animal}.* Whose {animal} is this?"],
        "animal",
    ),
}
