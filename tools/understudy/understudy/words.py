"""Slot values. Names are made afresh from syllables each time; everything else comes from these sets, if with changes."""

from collections.abc import Callable

from .templates import Source, article, is_held_out


def words(text: str) -> list[str]:
    """A set written as a comma-separated block."""
    return [word.strip() for word in text.replace("\n", " ").split(",") if word.strip()]


ONSETS = words(
    "b, br, c, ch, d, dr, f, fl, g, gr, h, j, k, l, m, n, p, pr, qu, r, s, sh, sk, st, t, th, tr, v, w, y, z, "
    "bl, cr, gl, kn, kr, ph, sl, sn, sp, sw, tw, vr, zh"
)
VOWELS = words("a, e, i, o, u, a, e, i, o, ae, ai, au, ea, ee, ia, ie, io, oa, oo, ou, y")
CODAS = words("b, ck, d, g, l, ll, m, n, nd, ng, nk, p, r, rd, rk, rn, rt, s, sk, ss, st, t, th, v, x, z")
ENDINGS = words("a, o, i, en, in, el, is, on, ar, us, a, ia, ie, y, et, ock, ane, ine, ette, wyn, mar, ric, bert")
TITLES = {
    "he": words("Mr., Captain, Old, Doctor, Brother, Lord, Sir, Uncle, Master, Professor"),
    "she": words("Mrs., Captain, Old, Doctor, Sister, Lady, Aunt, Professor"),
}
TOWN_ENDINGS = words("ford, ton, wick, mouth, dale, holm, stead, gate, bridge, haven, mere, moor, port, field, well")
HANDLES = words("x, 99, 7, _, _xx, 42, 2000, TV, _the_great, 13, -chan, OwO")


def syllables(source: Source) -> str:
    """A fresh word. Which side of the split it falls on is decided by its spelling."""
    while True:
        r = source.random
        word = r.choice(ONSETS + [""]) + r.choice(VOWELS)
        shape = r.random()
        if shape < 0.35:
            word += r.choice(CODAS)
        elif shape < 0.75:
            word += r.choice(CODAS) + r.choice(ENDINGS)
        else:
            word += r.choice(ONSETS) + r.choice(VOWELS) + r.choice(CODAS + ENDINGS)
        if 3 <= len(word) <= 10 and is_held_out(word) == source.held_out and not any(bad in word for bad in UNWANTED):
            return word.capitalize()


# What chance should not make of syllables.
UNWANTED = words("porn, fag, rape, slut, shit, piss, cunt, cock, dick, tits, anus, nazi, nigg, puss, cum, sex, whor, coon, chink, twat, turd")


def value(source: Source, items: list[str]) -> str:
    """One of the entries; in training four fifths of them with a word that is not theirs, so that values are copied and not
    learned by heart."""
    chosen = source.pick(items)
    if source.held_out or source.chance(0.2):
        return chosen
    parts = chosen.split(" ")
    parts[source.random.randrange(len(parts))] = stranger(source)
    return " ".join(parts)


def place_or_time(source: Source, items: list[str]) -> str:
    """Where or when a scene is; in training seven in ten with a last word that is not theirs. The words before it are needed
    for the sense."""
    chosen = source.pick(items)
    if source.held_out or source.chance(0.3):
        return chosen
    *before, _ = chosen.split(" ")
    if before and before[-1] in ("a", "an"):
        return " ".join([*before[:-1], article(stranger(source))])
    return " ".join([*before, stranger(source)])


def stranger(source: Source) -> str:
    """A word that stands where no one would expect it; a long one now and then, whose every piece must be copied."""
    shape = source.random.random()
    if shape < 0.4:
        return source.any(source.pick(source.any(STRANGERS)).split(" "))
    if shape < 0.7:
        return blend(source)
    word = syllables(source).lower()
    return joined(source, word, lambda: syllables(source).lower()) if source.chance(0.2) else word


def blend(source: Source) -> str:
    """The beginning of one word and the end of another, of either side: so every piece of the vocabulary must be copied now
    and then, and none is known never to be an answer."""
    first, second = (source.any(source.any(source.any(BLENDED)).split(" ")) for _ in range(2))
    return first[: source.random.randint(min(2, len(first)), len(first))] + second[-source.random.randint(min(2, len(second)), len(second)) :]


def joined(source: Source, word: str, ending: Callable[[], str]) -> str:
    """A made-up word with an ending, of this side of the split and without what chance should not make."""
    while True:
        longer = word + ending()
        if is_held_out(longer.capitalize()) == source.held_out and not any(bad in longer.lower() for bad in UNWANTED):
            return longer
        word = syllables(source) if word[0].isupper() else syllables(source).lower()


def character_name(source: Source, pronoun: str) -> str:
    """What a persona of this pronoun (`he` or `she`) is called."""
    shape = source.random.random()
    if shape < 0.6:
        return syllables(source)
    if shape < 0.85:
        return f"{syllables(source)} {syllables(source)}"
    return f"{source.any(TITLES[pronoun])} {syllables(source)}"


def member_name(source: Source) -> str:
    """What a member is called: most have a word, some what people call themselves on Discord."""
    shape = source.random.random()
    if shape < 0.62:
        return syllables(source)
    if shape < 0.72:
        return syllables(source).lower()
    if shape < 0.8:
        return f"{syllables(source)} {syllables(source)}"
    if shape < 0.88:
        return syllables(source).lower() + source.any(HANDLES)
    return source.pick(FIRST_NAMES)


def town(source: Source) -> str:
    """A place name."""
    if source.chance(0.5):
        return syllables(source)
    return joined(source, syllables(source), lambda: source.any(TOWN_ENDINGS))


FIRST_NAMES = words("""
Robin, Alex, Sam, Jamie, Kim, Max, Anna, Tom, Maria, Ben, Lea, Jonas, Nina, Paul, Lucy, Omar, Yuki, Chen, Priya,
Elena, Marco, Sofia, Ivan, Fatima, David, Sarah, Leo, Mia, Noah, Emma, Liam, Olivia, Jack, Grace, Oscar, Ruby,
Bob, Alice, Carol, Dave, Eve, Frank, Heidi, Judy, Peggy, Victor, Walter, Zoe, User, Guest
""")

TRADES = words("""
tinker, baker, smith, carpenter, healer, sailor, fisher, hunter, potter, weaver, miller, cook, guard, thief, spy,
scribe, herbalist, bard, juggler, merchant, pedlar, farmer, shepherd, beekeeper, brewer, clockmaker, cobbler,
tailor, barber, mason, glassblower, locksmith, mapmaker, messenger, miner, painter, sculptor, tanner, innkeeper,
librarian, judge, detective, pilot, mechanic, engineer, navigator, soldier, knight, squire, witch, wizard, ranger,
gravedigger, gardener, dancer, actor, singer, puppeteer, fortune teller, ferryman, lamplighter, chandler, cooper,
printer, surgeon, dentist, postman, teacher, tutor, astronomer, alchemist, bookbinder, candlemaker, chimney sweep,
diver, falconer, furrier, goldsmith, harper, jeweller, lighthouse keeper, night watchman, ropemaker, saddler
""")
ANIMALS = words("""
dog, cat, horse, goat, crow, raven, owl, mouse, rat, ferret, fox, hare, rabbit, donkey, mule, pig, hen, duck,
goose, parrot, lizard, snake, toad, frog, turtle, hedgehog, squirrel, bat, falcon, pigeon, sheep, cow, pony,
wolf, bear, badger, otter, newt, beetle, spider, magpie, jackdaw, lamb, calf, gecko, weasel
""")
FOODS = words("""
plum cake, onion soup, roast duck, black bread, goat cheese, honey cakes, fried eels, apple pie, pea soup, lentils,
mushroom stew, pickled herring, boiled eggs, cherry tart, barley porridge, smoked ham, fish pie, pancakes, dumplings,
rice pudding, grilled trout, carrot soup, garlic bread, blackberry jam, roast chestnuts, cold chicken, potato salad,
gingerbread, turnip mash, rabbit stew, bean soup, fresh bread, salted butter, pear tart, nut cake, fig rolls, noodles,
oat biscuits, spiced sausages, baked apples, cabbage rolls, walnut bread, toffee, marzipan, crab cakes, corn bread
""")
DRINKS = words("""
black tea, mint tea, cold milk, dark beer, red wine, apple cider, hot chocolate, plum brandy, ginger beer, mead,
strong coffee, rain water, elderflower wine, pale ale, buttermilk, pear juice, nettle tea, cherry wine, rum, gin,
lemonade, birch sap, goat milk, spiced wine, carrot juice, barley water, honey wine, tomato juice
""")
OBJECTS = words("""
brass key, silver coin, wooden spoon, broken umbrella, glass eye, copper pot, leather bag, pocket watch, tin whistle,
old map, red candle, blue scarf, iron lantern, bone comb, small mirror, clay pipe, steel knife, torn letter, gold ring,
black feather, green bottle, rusty nail, paper fan, wool hat, stone idol, velvet box, crystal ball, long rope,
cracked bell, dusty book, silk glove, rubber duck, wicker basket, bent fork, dry rose, music box, chess piece,
seashell, walking stick, magnifying glass, ball of string, sack of flour, jar of honey, bag of salt, hand drum,
fishing rod, garden spade, tea cup, straw doll, wax seal, quill, compass, hammer, shovel, lute, bucket, blanket,
pillow, ladder, whistle, tankard, helmet, shield, saddle, goblet, scroll, needle, thimble, broom, kettle
""")
FEARS = words("""
thunder, deep water, spiders, the dark, ghosts, heights, fire, wolves, mirrors, crowds, silence, geese, needles,
snakes, moths, clowns, bees, horses, ice, storms, bats, the sea, tunnels, rats, dolls, bears, lightning, owls,
cellars, bridges, dentists, magic, goblins, old age, loud bells, wet leaves, cows, ladders, fog, tax collectors,
the moon, empty rooms, long letters, cold soup, strangers, doctors, swans, eels
""")
HATES = words("""
rain, liars, onions, early mornings, loud music, cats, dust, waiting, flies, cold soup, wet socks, gossip, taxes,
crows, mud, perfume, garlic, noise, bad jokes, long speeches, beetroot, cheap wine, snow, wind, kings, poets, fish,
lawyers, sand, smoke, turnips, slow horses, cheats, sticky doors, flattery, whistling, card games, hot weather
""")
HOBBIES = words("""
carving spoons, reading old letters, playing chess, mending nets, painting birds, counting stars, knitting socks,
writing poems, baking bread, feeding pigeons, polishing boots, growing roses, fishing, singing, dancing, sewing,
repairing clocks, brewing beer, collecting shells, drawing maps, walking the dog, keeping bees, playing cards,
watching ships, folding paper, telling stories, climbing trees, pressing flowers, tuning pianos, whittling,
catching moths, swimming, gardening, weaving baskets, learning languages, building kites, juggling, solving riddles
""")
INSTRUMENTS = words("""
fiddle, flute, harp, drum, lute, trumpet, piano, bagpipes, banjo, cello, horn, accordion, zither, oboe, tuba,
mandolin, organ, guitar, tambourine, whistle, viola, clarinet, bassoon, triangle
""")
COLOURS = words("""
red, blue, green, yellow, black, white, grey, brown, purple, orange, pink, golden, silver, scarlet, violet, crimson,
turquoise, ivory, amber, copper
""")
GARMENTS = words("coat, hat, scarf, cloak, shirt, dress, apron, hood, cap, vest, shawl, robe, belt, waistcoat, tunic")
BODY_PARTS = words("""
left cheek, chin, right hand, left arm, forehead, neck, nose, right knee, left shoulder, upper lip, right ear,
left eyebrow, throat, back, left thumb, right ankle
""")
# Who somebody may be to a character, and the pronouns that fit.
PEOPLE = {
    "brother": "he", "sister": "she", "friend": "he she", "uncle": "he", "aunt": "she", "cousin": "he she", "master": "he",
    "neighbour": "he she", "partner": "he she", "rival": "he she", "daughter": "she", "son": "he", "teacher": "he she",
    "landlord": "he", "boss": "he she", "apprentice": "he she", "captain": "he she", "grandmother": "she", "nephew": "he",
    "husband": "he", "wife": "she", "enemy": "he she",
}
WISHES = words("""
see the sea, find a treasure, sleep for a week, learn to fly, go home, build a boat, write a book, open an inn,
buy a farm, win a race, meet the king, climb a mountain, marry for love, ride a dragon, learn to read, be left alone,
cross the desert, find the lost city, pay the rent, catch a whale, grow old in peace, paint the moon, own a horse,
see snow, break the curse, find a friend, become a captain, learn to swim, live in a tower, eat well every day
""")
COLLECTIONS = words("""
buttons, shells, stamps, old coins, bottle caps, feathers, stones, keys, spoons, teapots, maps, beetles, bones, bells,
postcards, hats, thimbles, corks, masks, candles, clocks, leaves, marbles, pipes, dolls, knives, riddles, songs
""")
VESSELS = words("ship, boat, horse, inn, cart, shop, mule, wagon, sword, farm, ferry, theatre, airship, tavern")
ADJECTIVES = words("""
Patient, Merry, Black, Golden, Silent, Lucky, Broken, Green, Old, Quick, Blind, Drunken, Iron, White, Lonely, Happy,
Second, Crooked, Proud, Sleepy, Salty, Brave, Red, Hungry, Laughing, Last, Silver, Wandering
""")
NOUNS = words("""
Margaret, Goose, Lantern, Anchor, Star, Fox, Boar, Widow, Crown, Bell, Heron, Oak, Moon, Swan, Kettle, Lion, Wheel,
Raven, Rose, Mermaid, Badger, Duchess, Hammer, Whale, Pilgrim, Candle, Salmon, Wren
""")
NUMBERS = words("""
seventeen, eighteen, nineteen, twenty, twenty-two, twenty-five, twenty-eight, thirty, thirty-one, thirty-four,
thirty-seven, forty, forty-one, forty-six, fifty, fifty-two, fifty-five, sixty, sixty-three, sixty-seven, seventy,
seventy-four, eighty, eighty-one, ninety, ninety-nine, one hundred, two hundred, three hundred and six, a thousand
""")
WEEKDAYS = words("Monday, Tuesday, Wednesday, Thursday, Friday, Saturday, Sunday")
MONTHS = words(
    "January, February, March, April, May, June, July, August, September, October, November, December"
)
COINS = words("crowns, pennies, silver coins, shillings, gold pieces, copper coins, guilders, florins, marks, groats")
PRICES = words("two, three, four, five, six, seven, eight, nine, ten, twelve, fifteen, twenty, thirty, forty, fifty")
# Where a scene may be, with the preposition.
SETTINGS = words("""
in an old mill, in a smoky tavern, in a dark forest, in a ruined castle, in a quiet library, at a busy market,
in a small kitchen, on a frozen lake, on a ship at sea, in an empty theatre, in a narrow alley, on a mountain pass,
in a damp cellar, in a rose garden, at a train station, in a lighthouse, in a crowded inn, in a burning village,
on a stone bridge, in a desert camp, on a space station, in a dusty attic, at a police station, in a hospital ward,
in a wizard's tower, in a graveyard, on a beach at low tide, in a court room, in a throne room, in a green valley,
in a bakery, in a barn, in a cave behind a waterfall, on a rooftop, on an underground river, in a laundrette,
in a clock tower, in a wheat field, in a swamp, in a prison cell, in a school yard, in an observatory, in a silver mine,
in a fishing boat
""")
TIMES = words("""
dawn, noon, dusk, midnight, early morning, late evening, a rainy morning, a cold evening, a hot afternoon, a quiet night,
a winter evening, a stormy night, a Sunday morning, a foggy morning, late afternoon, a clear night
""")
THINGS = words("""
dragons, the sea, music, magic, winter, the king, money, books, cats, dogs, war, love, the moon, wine, cheese, horses,
rain, summer, old songs, chess, poetry, snow, ghosts, the stars, school, tea, coffee, spiders, the city, mountains,
robots, pirates, flowers, trains, bread, football, the forest, computers, birds, pancakes, storms, kings, mushrooms
""")
PLACES_TO_GO = words("""
market, harbour, tower, forest, river, castle, library, tavern, garden, church, mill, cellar, bridge, village, beach,
kitchen, stable, gate, well, cave, hill, square, roof, temple, graveyard, camp
""")
EVENTS = words("""
it begins to rain, the lights go out, a bell rings far away, somebody screams, the door slams, the wind rises,
a stranger walks in, the ground shakes, a glass breaks, snow begins to fall, the music stops, a horse whinnies outside,
smoke comes from the kitchen, the clock strikes twelve, a letter falls through the door, the fire goes out,
a dog barks in the street, the floor creaks, a shadow moves behind the curtain, thunder rolls over the hills
""")

# Where blends come from.
BLENDED = [
    TRADES, ANIMALS, FOODS, DRINKS, OBJECTS, FEARS, HATES, HOBBIES, INSTRUMENTS, COLOURS, WISHES, COLLECTIONS, NUMBERS, WEEKDAYS,
    THINGS, BODY_PARTS, GARMENTS,
]

# Where words come from that stand in a place that is not theirs.
STRANGERS = [TRADES, ANIMALS, FOODS, DRINKS, OBJECTS, INSTRUMENTS, VESSELS, PLACES_TO_GO, COLOURS, ADJECTIVES]
