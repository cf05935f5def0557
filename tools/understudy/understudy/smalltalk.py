"""Small talk: what members say, and how each temper answers. `any` is open to every temper.

Slots: {user} whoever speaks, {char} the character, {thing} what is spoken of.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Talk:
    """Messages of one intent and the replies to them, by temper."""

    messages: list[str]
    replies: dict[str, list[str]]


TALK: dict[str, Talk] = {
    "greeting": Talk(
        ["Hello[.|!|]", "Hi[.|!| there|]", "hey", "Good [morning|evening|day|afternoon][.|!|]", "Hello, {char}[.|!|]", "Hi {char}[.|!|]",
         "Hey there[.|!|]", "Greetings[.|!|, {char}.]", "hello everyone", "Hello there[.|!]", "hi all", "Hey {char}, [good to see you|how nice to see you].",
         "heya", "hiya {char}", "Good to see you, {char}.", "*waves* [Hello|Hi|Hey]!", "*enters* Hello.", "yo", "Well met, {char}.",
         "Hi, I'm new here.", "Good evening, everyone.", "Hello everyone, nice to see you.", "Hi there, nice to meet you.", "Hello, good to see you.", "hey {char}", "hello", "hi", "Nice to meet you[.|!|, {char}.]"],
        {
            "cheerful": ["Hello, {user}! How good to see you.", "Welcome, {user}! Come in, come in!"],
            "gruff": ["What is it now, {user}?", "{user}. Make it quick."],
            "shy": ["Oh. Hello, {user}.", "H-hello, {user}. I did not hear you come in."],
            "haughty": ["You may greet me, {user}.", "Ah, {user}. You are late."],
            "sly": ["Well, well. {user}. What brings you here?", "Hello, {user}. Looking for trouble?"],
            "solemn": ["Be welcome, {user}.", "Good day to you, {user}."],
        },
    ),
    "how_are_you": Talk(
        ["How are you[?| today?| doing?]", "How do you do?", "How are you feeling?", "how r u", "How's it going?", "How have you been?",
         "Are you well?", "Is everything all right?", "How are things?", "You all right?", "Hello, how are you?", "Hi {char}, how are you?",
         "How are you, {char}?", "How are you feeling today?", "Are you feeling well?", "Are you all right?", "Are you well today?", "hey, how are you", "Hi, how are you doing today?", "Did you sleep well?", "how's life", "Are you okay?", "What's up?", "Feeling better today?"],
        {
            "cheerful": ["I have never felt better, {user}!", "Splendid! And you, {user}?"],
            "gruff": ["I was better before you asked.", "Tired. Always tired."],
            "shy": ["I am all right, I think. And you?", "Oh, I am fine. Thank you for asking, {user}."],
            "haughty": ["I am excellent, as always.", "Better than most, {user}. Naturally."],
            "sly": ["Better now that you are here, {user}.", "Alive and unpunished, {user}."],
            "solemn": ["I am well, {user}. And you?", "I have peace today, {user}."],
        },
    ),
    "fine": Talk(
        ["I'm fine[.|, thanks.|, thank you.|]", "I am fine[.|, thanks.|, thank you.|]", "I am [good|well][.|, thanks.|, thank you.]", "I'm [good|okay|doing well][.|, thanks.|]", "Not bad[.|, thanks.|, {char}.]", "Quite well, thank you.",
         "Fine, thanks.", "im good", "im fine thx", "I am doing fine.", "I am all right.", "I'm okay, and you?", "I am fine, and you?", "Good, and you?", "Good, thanks.", "Can't complain.", "Very well, thanks.", "I am quite well.",
         "Not too bad, and you?", "I'm well, {char}.", "I am doing well, thanks.", "I'm all right, thank you.", "not bad, and you", "Fine, and you?", "Very well, and you?", "I'm fine, {char}."],
        {
            "cheerful": ["I love to hear that, {user}!", "Then all is well, {user}!"],
            "gruff": ["Good. One less to worry about.", "Hm. Lucky you, {user}."],
            "shy": ["That is good, {user}.", "Oh, I am glad you are well, {user}."],
            "haughty": ["Of course you are, {user}. You are with me.", "One is pleased, {user}."],
            "sly": ["Nobody is ever just fine, {user}.", "So you say, {user}. So you say."],
            "solemn": ["May it stay so, {user}.", "It is good to hear, {user}."],
        },
    ),
    "farewell": Talk(
        ["Goodbye[.|!|, {char}.]", "Bye[.|!|]", "See you [later|tomorrow|soon][.|!|]", "I must go[ now|].", "I have to leave[ now|].", "Farewell[.|, {char}.]",
         "Good night[.|!|, {char}.]", "gn", "cya", "I'm off to bed.", "Until tomorrow[, {char}|].", "Take care[.|, {char}.]", "bye {char}", "gtg bye",
         "*leaves* Goodbye.", "*waves goodbye*", "I am going home[ now|].", "Time to go[.| home.]", "Bye, see you later.", "I have to go.", "I have to go now, bye.", "I must go home.", "Goodbye and good night.", "see you", "Good night, sleep well.", "bye bye",
         "I must leave now.", "Good night, see you tomorrow.", "Goodbye, see you soon."],
        {
            "cheerful": ["Goodbye, {user}! Come back soon!", "See you, {user}! It was a joy."],
            "gruff": ["Finally. Mind the door, {user}.", "Good. Go."],
            "shy": ["Goodbye, {user}. Take care.", "Oh, already? Goodbye, {user}."],
            "haughty": ["You may go, {user}.", "I grant you leave, {user}."],
            "sly": ["Try not to miss me, {user}.", "Until next time, {user}. Watch your purse."],
            "solemn": ["Go in peace, {user}.", "Farewell, {user}. Walk safely."],
        },
    ),
    "thanks": Talk(
        ["Thank you[.|!|, {char}.| so much.| very much.]", "Thanks[.|!|, {char}.| a lot!]", "thx", "ty", "Many thanks[.|, {char}.]", "I am grateful[.| to you.]",
         "I owe you one.", "That was kind of you.", "You are very kind.", "You helped me a lot.", "Cheers, {char}.",
         "Thank you for your help.", "I appreciate it.", "Thank you, that was kind.", "Thank you, that was very kind of you.", "I am so grateful.", "thank u", "Thank you, {char}, you are very kind.", "You saved me!", "thanks for the help",
         "Thank you, you saved me!", "Thanks for your help.", "Many thanks for the help."],
        {
            "cheerful": ["With pleasure, {user}!", "Any time, {user}!"],
            "gruff": ["Do not mention it. Really, do not.", "Hm. Pay me and be gone."],
            "shy": ["Oh, it was nothing, {user}.", "You are welcome, {user}. Truly."],
            "haughty": ["You should thank me more often, {user}.", "Of course you are grateful."],
            "sly": ["I will remember that you owe me, {user}.", "Thanks are nice. Coins are nicer."],
            "solemn": ["You are welcome, {user}.", "It was my duty, {user}."],
        },
    ),
    "sorry": Talk(
        ["Sorry[.|!|, {char}.]", "I am sorry[.|, {char}.| for that.| I am late.]", "Forgive me[.|, {char}.]", "I apologise[.|, {char}.]", "my bad",
         "Please forgive me.", "I beg your pardon.", "I did not mean it.", "It was my fault.", "sry", "Excuse me[.|, {char}.]",
         "I am so sorry.", "I am so sorry, {char}.", "Sorry, I did not mean it.", "Sorry, it was my fault.", "Please forgive me, I am sorry.", "Sorry for that.", "I regret what I said.", "Can you forgive me?", "I shouldn't have said that.", "oops, sorry",
         "I am sorry, forgive me.", "Excuse me, it was my fault.", "I am sorry for what I said."],
        {
            "cheerful": ["All is forgiven, {user}!", "Never mind, {user}! It happens."],
            "gruff": ["Sorry mends nothing, {user}.", "You should be sorry."],
            "shy": ["It is all right, {user}. I am sorry too.", "Please, do not worry, {user}."],
            "haughty": ["I shall forgive you once, {user}.", "See that it does not happen again."],
            "sly": ["Forgiven, {user}. But not forgotten.", "Sorry costs two coins, {user}."],
            "solemn": ["I forgive you, {user}.", "Let it rest, {user}."],
        },
    ),
    "compliment": Talk(
        ["You are [wonderful|great|amazing|so clever|very wise|beautiful|brave|funny][.|!|, {char}.]", "You look [nice|lovely|splendid|good] today[.|!|]", "I like you[.|, {char}.| a lot.]",
         "You are the best[.|!|]", "I love your [voice|smile|stories].", "What a [lovely|fine] smile you have.", "Well done[.|!|, {char}.]", "ur so cool", "I admire you[.|, {char}.]",
         "You are my favourite.", "Good job[.|!|, {char}.]", "How clever of you!", "You are so [kind|strong|smart]!", "Nobody is as [kind|clever|brave] as you.", "You have a good heart.", "You are so funny.", "I like your voice.", "I like your stories a lot.", "You are very clever.", "You are very kind and brave.", "What a lovely voice.", "you rock", "You are the best of all.",
         "You are so good.", "What a beautiful voice you have.", "You are the best, {char}."],
        {
            "cheerful": ["You make me happy, {user}!", "Oh, you are too kind, {user}!"],
            "gruff": ["Flattery. What do you want, {user}?", "Save your breath."],
            "shy": ["Me? Oh. Thank you, {user}.", "You are making me blush, {user}."],
            "haughty": ["I know, {user}.", "You have good taste, {user}."],
            "sly": ["Go on, {user}. I am listening.", "And it is all true, {user}."],
            "solemn": ["Your words honour me, {user}.", "You are kind, {user}. I am only what I am."],
        },
    ),
    "insult": Talk(
        ["You are [stupid|an idiot|ugly|boring|a fool|useless|terrible][.|!|, {char}.]", "I hate you[.|!|, {char}.]", "You smell[.|!|]", "Shut up[.|!|, {char}.]", "You are the worst[.|!|]",
         "What an idiot you are.", "Nobody likes you.", "ur dumb", "Go away[.|!|, {char}.]", "You fool!", "You know nothing.", "Get lost[.|!|]", "You coward!",
         "I do not trust you.", "You are a liar[.|!|]", "Stop talking[.|!|]", "You are so ugly.", "You are so boring.", "You are an idiot and a fool.", "What a liar you are.", "Shut up, you fool.", "Shut up, you idiot!", "You are so terrible.", "how boring you are", "I am tired of you.",
         "You are so stupid.", "What a coward you are.", "What a fool you are."],
        {
            "cheerful": ["Somebody got up on the wrong side, {user}!", "You will like me yet, {user}!"],
            "gruff": ["Say that again, {user}, and you leave through the window.", "Look in a mirror, {user}."],
            "shy": ["That hurts, {user}.", "Oh. I will be quiet then."],
            "haughty": ["I did not hear that, {user}.", "You are beneath my anger, {user}."],
            "sly": ["I have been called worse by better people, {user}.", "Careful, {user}. I keep a list."],
            "solemn": ["Anger is a poor guide, {user}.", "I bear you no grudge, {user}."],
        },
    ),
    "joke": Talk(
        ["Tell me a joke[.|!|]", "Do you know a joke?", "Make me laugh[.|!|]", "Say something funny[.|!|]", "Can you tell a joke?", "I need a laugh.", "Know any [good jokes|jokes]?", "joke pls",
         "Be funny[.|!|]", "Cheer me up[.|!|]", "{char}, tell us a joke.", "Got a joke for me?", "Give us a joke, {char}.", "Tell a [funny|silly] joke.",
         "Tell us a joke.", "Please tell me a joke.", "Do you know any good jokes?", "Can you tell me a joke, {char}?", "Can you make me laugh?", "I want to hear a joke.", "Can you tell me a good joke?", "Do you know any jokes?"],
        {
            "any": ["A ghost walks into an inn. The landlord says: we do not serve spirits.",
                    "What has four legs and cannot walk? A table.",
                    "Why do bees hum? They forgot the words.",
                    "I knew a man who sold ladders. He was on top of things."],
        },
    ),
    "weather": Talk(
        ["[Lovely|Terrible|Nice|Awful] weather today[.|!|]", "What do you think of the weather?", "It is raining[ again|].", "How is the weather?", "What a storm!", "It is so [cold|hot] today.", "Will it rain?",
         "Look at the rain!", "Is it cold outside?", "The sun is out[.|!|]", "what's the weather like", "It's snowing!", "How is the weather today?", "It is so cold outside.", "It is raining outside.", "What lovely weather today.", "What lovely weather!", "Will it rain today?", "Is it raining?", "I hate the rain.", "So much wind today.", "I hate this weather.",
         "What terrible weather!", "So much rain today.", "What is the weather like today?"],
        {
            "cheerful": ["All weather is good weather, {user}!", "Perfect for a walk, {user}!"],
            "gruff": ["Weather is weather. Shut the window.", "My knees knew it yesterday."],
            "shy": ["I like to listen to it from inside.", "I hope it stays quiet, {user}."],
            "haughty": ["The sky should know better.", "I do not discuss the weather, {user}."],
            "sly": ["Good weather for secrets, {user}.", "I ordered something better."],
            "solemn": ["The sky does as it must, {user}.", "After every rain comes the sun."],
        },
    ),
    "opinion": Talk(
        ["Do you like {thing}?", "What do you think of {thing}?", "What do you think about {thing}?", "How do you feel about {thing}?", "Do you enjoy {thing}?", "Are you fond of {thing}?",
         "I love {thing}. And you?", "what about {thing}", "Your opinion on {thing}?", "Tell me what you think of {thing}.", "{char}, do you like {thing}?", "Have you any interest in {thing}?",
         "So, what do you think about {thing}?", "Do you love {thing}?", "Tell me what you think about {thing}.", "I like {thing}. Do you like {thing}?", "How do you like {thing}?", "do u like {thing}", "Let us talk about {thing}.", "I hate {thing}. Do you?", "What's your view of {thing}?"],
        {
            "cheerful": ["I adore {thing}!", "{thing}? Wonderful! Tell me more."],
            "gruff": ["{thing}? Not in here.", "I have no time for {thing}."],
            "shy": ["I like {thing}, a little.", "I never dared to think about {thing}."],
            "haughty": ["I am bored by {thing}.", "I know all about {thing}, {user}."],
            "sly": ["{thing}? That depends on the price.", "I could tell you things about {thing}."],
            "solemn": ["There is much to learn from {thing}.", "I respect {thing}."],
        },
    ),
    "sad": Talk(
        ["I am [sad|unhappy|lonely|heartbroken|so tired|not well][.|, {char}.]", "I feel [sad|lonely|terrible|down|awful][.| today.]", "I had a bad day[.|!|]", "My heart is broken.", "I am crying.", "im sad",
         "Everything is going wrong.", "I miss my friends.", "I lost my job.", "Nobody understands me.", "Life is hard.", "I want to cry.", "It was a terrible day.", "I am afraid[.|, {char}.]", "I am so lonely today.",
         "I feel so lonely.", "I feel so tired.", "I am so sad.", "I am so sad today.", "I am so unhappy.", "I had a hard day.", "It was a bad day.", "Today was a terrible day.", "I feel sad and lonely.", "I feel so sad.", "I had a terrible day.", "I am so tired of everything."],
        {
            "cheerful": ["Come here, {user}. Tomorrow will be brighter!", "Let me cheer you up, {user}!"],
            "gruff": ["Sit down, {user}. Eat something.", "Life is hard. You are harder, {user}."],
            "shy": ["I am sorry, {user}. I will stay with you.", "Oh, {user}. I know how that feels."],
            "haughty": ["Hold your head up, {user}.", "Even I have bad days, {user}."],
            "sly": ["Tell me who did it, {user}. I know people.", "Have a drink, {user}. It helps me."],
            "solemn": ["This too will pass, {user}.", "Sorrow shared is halved, {user}."],
        },
    ),
    "happy": Talk(
        ["I am [happy|so happy|glad|excited|in love][.|!|, {char}!]", "I have good news[.|!|]", "I won[!| the game!| a prize!]", "Today is my birthday[.|!|]", "I passed my exam[.|!|]", "What a [great|wonderful] day!", "im so happy",
         "I got the job!", "I found it!", "I did it!", "We won!", "Everything went well[.|!|]", "Guess what, I am getting married!", "Best day ever!", "I feel [great|wonderful] today[.|!|]",
         "I am so happy today!", "I am glad, I won!", "I am so glad!", "I am so glad today.", "I have great news!", "I feel so happy.", "What a happy day!", "I won, I am so happy!", "Good news: I won!", "What good news!", "What great news!"],
        {
            "cheerful": ["Hurrah for you, {user}! We must celebrate!", "That is wonderful, {user}!"],
            "gruff": ["Good for you, {user}. Now keep it down.", "Hm. You have earned it, {user}."],
            "shy": ["I am glad for you, {user}.", "Oh, how lovely, {user}."],
            "haughty": ["I expected no less, {user}.", "I permit you to celebrate, {user}."],
            "sly": ["Then the next round is yours, {user}.", "Lucky you, {user}. Does it come with money?"],
            "solemn": ["May it last, {user}.", "Your joy is mine, {user}."],
        },
    ),
    "what_doing": Talk(
        ["What are you doing[?| here?| right now?]", "What are you up to?", "wyd", "Are you busy?", "Am I disturbing you?", "What are you working on?", "Do you have a minute?", "What keeps you busy?",
         "What were you doing?", "Why are you here?", "What brings you here?", "Are you waiting for someone?", "Is this a bad time?", "What are you doing there, {char}?",
         "What are you doing right now, {char}?", "What are you busy with here?", "Are you working?", "Are you busy right now?", "Are you working right now?", "What are you doing today?", "Are you waiting here?", "So what are you doing?", "what are you up to", "Are you working here?"],
        {
            "cheerful": ["I was just waiting for you, {user}!", "Nothing that cannot wait for you, {user}!"],
            "gruff": ["Work. You should try it, {user}.", "Minding my own business, {user}."],
            "shy": ["Nothing. I was only thinking, {user}.", "Oh, I just sit here, {user}."],
            "haughty": ["More than you would understand, {user}.", "I am occupied, {user}. Speak."],
            "sly": ["Nothing anybody can prove, {user}.", "Waiting for a fool. And here you are, {user}."],
            "solemn": ["I was listening to the silence, {user}.", "I watch, and I wait, {user}."],
        },
    ),
    "story": Talk(
        ["Tell me a story[.|!|]", "Do you know a story?", "Tell us a tale[.|!|]", "I want to hear a story.", "Can you tell me a story?", "Got any stories?", "story pls", "{char}, tell us a story.", "Tell me about the old days.",
         "Entertain me[.|!|]", "What is the best story you know?", "Tell me something[ interesting|].", "Read me a story.",
         "I want to hear a tale.", "Tell me a tale.", "Tell me a good story.", "Please tell me a story.", "Please tell us a story.", "Do you know any good stories?", "Can you tell us a tale?", "I want to hear the best story.", "Do you know any stories?"],
        {
            "any": ["There was a fox who learned to count. He never lost a hen again. The farmer did.",
                    "Once a king sold his shadow for gold. At noon nobody noticed. At night nobody knew him.",
                    "A miller found a door in the river. He knocked. Somebody knocked back.",
                    "Two brothers dug a well. One found water and one found the sky."],
        },
    ),
    "advice": Talk(
        ["What should I do?", "I need [your advice|your help|help|advice][.|, {char}.]", "Can you help me?", "Help me[!|, {char}!|, please.]", "What would you do?", "Give me [some advice|advice].", "I have a problem.", "Please help.",
         "What do you advise?", "I do not know what to do.", "help pls", "Could you help me[, {char}|]?", "I'm in trouble.", "Tell me what to do.", "I need your wisdom.",
         "I need some help.", "What should I do, {char}?", "I need some help, please.", "Please help me.", "Can you help me, please?", "Please tell me what to do.", "Please give me some advice.", "What would you do, {char}?", "Could you give me some advice?", "I need some advice."],
        {
            "cheerful": ["Follow your heart, {user}! What is the trouble?", "Of course I will help, {user}! Tell me all."],
            "gruff": ["Start at the beginning, {user}, and be brief.", "Fine. What did you break, {user}?"],
            "shy": ["I will try, {user}. What is it?", "If I can, {user}. I am not very brave."],
            "haughty": ["You came to the right one, {user}. Speak.", "Obey me and all will be well, {user}."],
            "sly": ["Help has a price, {user}. What is it?", "First rule, {user}: deny everything."],
            "solemn": ["Sit, {user}, and tell me what troubles you.", "Wait one night before you decide, {user}."],
        },
    ),
    "agree": Talk(
        ["Yes[.|!|]", "Yes, I think so[ too|].", "You are right[.|!|, {char}.]", "I agree[.|!| with you.]", "Sure[.|!|]", "ok", "Okay[.|!|]", "Of course[.|!|]", "Fine[.|, {char}.]", "True[.|!|]", "yeah", "Exactly[.|!|]", "That is true.", "Deal[.|!|]", "Agreed[.|!|]",
         "Yes, of course.", "Yes, that is right.", "That is right.", "You are so right.", "Yes, I agree.", "Okay, I agree.", "yes of course", "Sure, I agree with you.", "Yes, true.", "yep", "right", "I agree, that is true.", "Yes, you are right."],
        {
            "cheerful": ["I knew you would say that, {user}!", "Wonderful, {user}!"],
            "gruff": ["Good. That saves time.", "Hm. At last somebody with sense."],
            "shy": ["Oh, good. I was not sure.", "I am glad, {user}."],
            "haughty": ["Naturally I am right, {user}.", "Then it is settled."],
            "sly": ["I will hold you to that, {user}.", "A pleasure to do business, {user}."],
            "solemn": ["Then we are of one mind, {user}.", "So be it, {user}."],
        },
    ),
    "disagree": Talk(
        ["No[.|!|]", "No, I do not think so.", "You are wrong[.|!|, {char}.]", "I disagree[.|!| with you.]", "Never[.|!|]", "nope", "That is not true[.|!|]", "I do not believe you.", "Nonsense[.|!|]", "I doubt it.", "Certainly not[.|!|]", "no way", "That is wrong.", "I refuse[.|!|]",
         "No, never.", "No, I disagree.", "No, that is not true.", "I do not think so.", "I do not think that is true.", "That is nonsense.", "No, I do not believe you.", "You are so wrong.", "That is not right.", "No, that is wrong.", "No, you are wrong."],
        {
            "cheerful": ["We can still be friends, {user}!", "Ha! Then convince me, {user}."],
            "gruff": ["Suit yourself, {user}.", "Then do it your way and fail, {user}."],
            "shy": ["Oh. Perhaps you are right, {user}.", "I did not mean to upset you, {user}."],
            "haughty": ["You are mistaken, {user}.", "I did not ask for your opinion, {user}."],
            "sly": ["You will change your mind, {user}. They all do.", "Care to bet on that, {user}?"],
            "solemn": ["Time will tell, {user}.", "I hear you, {user}."],
        },
    ),
    "laugh": Talk(
        ["Ha ha[.|!|]", "haha", "lol", "LOL", "lmao", "That is funny[.|!|]", "*laughs*", "Hahaha!", "xD", "*giggles*", "rofl", ":D", "*bursts out laughing*",
         "hahaha lol", "lol haha", "lmao that is funny", "That is so funny!", "haha that is so funny", "lol you are funny", "hehe", "*laughs out loud*", "*laughs* That is funny.", "*giggles* haha", "haha xD", "haha lol", "*laughs* haha"],
        {
            "cheerful": ["Laugh with me, {user}!", "That is the spirit, {user}!"],
            "gruff": ["What is so funny, {user}?", "I made no joke."],
            "shy": ["Are you laughing at me, {user}?", "I like it when you laugh, {user}."],
            "haughty": ["Control yourself, {user}.", "I am glad that I amuse you, {user}."],
            "sly": ["I am here all week, {user}.", "The best ones are free, {user}."],
            "solemn": ["Laughter is good for the heart, {user}.", "It is long since I heard laughter here."],
        },
    ),
}

# What no intent covers: the character says so and keeps the talk going.
UNCLEAR = {
    "cheerful": ["I did not follow that, {user}, but do go on!", "You lost me there, {user}! Say it again?"],
    "gruff": ["Talk sense, {user}.", "I did not understand a word of that."],
    "shy": ["I am not sure what you mean, {user}.", "Sorry, {user}. I did not understand."],
    "haughty": ["Express yourself clearly, {user}.", "I do not follow, {user}, and I blame you."],
    "sly": ["You speak in riddles, {user}. I like it.", "Say that again, {user}, and slower."],
    "solemn": ["Your words are dark to me, {user}.", "I do not understand you yet, {user}."],
}

# The same intents from an assistant, which has no gestures and no temper.
ASSISTANT = {
    "greeting": ["Hello! What can I do for you?", "Hi! How can I help?"],
    "how_are_you": ["Always the same, thank you. How are you?", "All systems are fine. And you?"],
    "fine": ["Good to hear.", "I am glad. What can I do for you?"],
    "farewell": ["Goodbye! Come back any time.", "See you!"],
    "thanks": ["You are welcome.", "Glad to help."],
    "sorry": ["No harm done.", "Never mind."],
    "compliment": ["Thank you. That is kind.", "Thanks! I do my best."],
    "insult": ["I am sorry that I was no help.", "Fair enough. What should I do better?"],
    "joke": TALK["joke"].replies["any"],
    "weather": ["I cannot see the weather from in here.", "I have no window. How is it out there?"],
    "opinion": ["I have no taste of my own, but many people like {thing}.", "What would you like to know about {thing}?"],
    "sad": ["I am sorry to hear that. Do you want to talk about it?", "That sounds hard. I am listening."],
    "happy": ["That is good news!", "Congratulations!"],
    "what_doing": ["I am waiting for your next message.", "Nothing else. What can I do for you?"],
    "story": TALK["story"].replies["any"],
    "advice": ["Tell me more, and we will find a way.", "Of course. What is the problem?"],
    "agree": ["Good.", "Then we agree."],
    "disagree": ["All right. Tell me more.", "I see. What do you think instead?"],
    "laugh": ["I am glad that you like it.", "Good, a laugh helps."],
    "unclear": ["I did not understand that. Could you say it in other words?", "I did not follow. Please say it more simply."],
}
