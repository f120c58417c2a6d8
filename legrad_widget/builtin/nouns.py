"""What the built-in world is about: the nouns, the named backgrounds, and the sentences they are put into."""

from __future__ import annotations

NOUNS: tuple[str, ...] = tuple(
    noun.strip()
    for noun in """
    cat, dog, wolf, fox, lion, tiger, horse, cow, pig, sheep, camel, elephant, mouse, rabbit, bear, panda, koala,
    monkey, chicken, penguin, duck, eagle, owl, frog, crocodile, turtle, snake, whale, dolphin, fish, octopus, crab,
    shrimp, snail, butterfly, bee, ant, spider, ladybug, tree, palm, cactus, rose, sunflower, tulip, mushroom, leaf,
    clover, apple, banana, grapes, lemon, orange, peach, pear, pineapple, strawberry, watermelon, cherries, tomato,
    carrot, corn, eggplant, bread, cheese, pizza, hamburger, fries, egg, cake, cookie, ice cream, doughnut,
    lollipop, coffee, beer, wine, car, taxi, bus, truck, tractor, bicycle, motorcycle, train, airplane, helicopter,
    rocket, boat, ship, football, basketball, guitar, violin, trumpet, saxophone, piano, camera, phone, computer,
    television, clock, watch, book, pencil, scissors, key, lock, hammer, umbrella, backpack, hat, shoe, shirt,
    dress, glasses, crown, ring, gift, balloon, bell, candle, lamp, house, castle, tent, star, moon, sun, cloud,
    fire, snowman, heart, anchor, trophy, hourglass, magnet
    """.split(",")
)

BACKGROUNDS: tuple[str, ...] = ("grass", "snow", "sand", "water", "bricks", "wood", "night sky")

SYNONYMS: dict[str, tuple[str, ...]] = {
    "phone": ("mobile phone", "smartphone"),
    "computer": ("laptop",),
    "doughnut": ("donut",),
    "airplane": ("plane", "aeroplane"),
    "football": ("soccer ball",),
    "hamburger": ("burger",),
    "rabbit": ("bunny",),
    "dog": ("puppy",),
    "cat": ("kitten",),
    "car": ("automobile",),
    "bicycle": ("bike",),
    "motorcycle": ("motorbike",),
    "boat": ("sailboat",),
    "television": ("tv",),
    "lamp": ("light bulb",),
    "fire": ("flame",),
    "house": ("home",),
    "fries": ("french fries",),
    "chicken": ("hen",),
    "corn": ("maize",),
    "eggplant": ("aubergine",),
    "palm": ("palm tree",),
    "mouse": ("rat",),
    "shirt": ("t shirt",),
    "backpack": ("rucksack",),
    "gift": ("present",),
    "clock": ("alarm clock",),
    "ladybug": ("ladybird",),
    "beer": ("glass of beer",),
    "wine": ("glass of wine",),
    "coffee": ("cup of coffee",),
    "hourglass": ("sand timer",),
    "egg": ("fried egg",),
    "sun": ("sunshine",),
    "hat": ("top hat",),
    "crocodile": ("alligator",),
    "cake": ("birthday cake",),
    "bricks": ("brick wall",),
    "night sky": ("stars at night",),
    "grass": ("lawn",),
    "water": ("sea",),
    "sand": ("beach",),
    "wood": ("wooden floor",),
    "snow": ("snowy ground",),
}

IRREGULAR_PLURALS: dict[str, str] = {
    "wolf": "wolves",
    "mouse": "mice",
    "leaf": "leaves",
    "snowman": "snowmen",
    "cherries": "cherries",
    "fish": "fish",
    "fries": "fries",
    "glasses": "glasses",
    "grapes": "grapes",
    "scissors": "scissors",
    "sheep": "sheep",
}

TEMPLATES: tuple[str, ...] = (
    "a photo of a {}",
    "a photo of the {}",
    "a picture of a {}",
    "an image of a {}",
    "{}",
    "a {}",
    "the {}",
    "a photo of one {}",
    "this is a {}",
    "there is a {} here",
    "a drawing of a {}",
    "a small {}",
    "a large {}",
    "an emoji of a {}",
    "a photo of {}",
    "a scene with a {}",
    "a close up of a {}",
)

PAIR_TEMPLATES: tuple[str, ...] = (
    "a {} and a {}",
    "a photo of a {} and a {}",
    "{} and {}",
    "a {} next to a {}",
    "a picture of a {} with a {}",
    "a {}, a {}",
)

# Function words and plain nouns a person may put around a noun; they are tokens of their own but name no object.
FILLER: tuple[str, ...] = tuple(
    "a an the of and with on in is are there here this that photo picture image some many two three one no background "
    "animal fruit food vehicle object red green blue white black yellow".split()
)


def plural(noun: str) -> str:
    """Return the plural of a one-word noun."""
    if noun in IRREGULAR_PLURALS:
        return IRREGULAR_PLURALS[noun]
    if noun.endswith(("s", "sh", "ch", "x")):
        return noun + "es"
    if noun.endswith("y") and noun[-2] not in "aeiou":
        return noun[:-1] + "ies"
    return noun + "s"


def names(noun: str) -> tuple[str, ...]:
    """Return every name a noun or background is trained under: itself, its synonyms, its plural."""
    many = (plural(noun),) if noun in NOUNS and " " not in noun else ()
    return (noun, *SYNONYMS.get(noun, ()), *many)
