"""Problems of lines: several lines leave one start, and one of them passes through a station.

    2 lines of 3 stations leave start: river > stone; start > river; start > lamp; stone > cloud; lamp > house; house > snow.
    Which passes through cloud? Name its stations in order.                                          river, stone, cloud

Whoever writes a line from its start must guess the first station: what stands there says nothing of where the line
goes (arXiv 2403.06963). Afterwards the guess can be checked by reading. So several attempts differ in what no vote
can mend, and a reader can. With one line there is nothing to guess: where made-up names are alike, errors are slips
of copying, as in most short tasks, and a vote mends them.

    1 line of 2 stations leaves start: kirakari > karakika; start > kirakari.
    Which passes through karakika? Name its stations in order.                                    kirakari, karakika
"""

import random
from collections.abc import Iterator

# Common words, each one token of most tokenizers when it follows a space.
STATIONS = [
    "apple",
    "bird",
    "boat",
    "book",
    "bottle",
    "box",
    "bread",
    "bridge",
    "butter",
    "camera",
    "candle",
    "castle",
    "cat",
    "chair",
    "church",
    "circle",
    "city",
    "cloud",
    "coat",
    "corn",
    "cup",
    "desk",
    "dog",
    "door",
    "dress",
    "drum",
    "duck",
    "earth",
    "egg",
    "eye",
    "farm",
    "field",
    "fire",
    "fish",
    "flag",
    "flower",
    "foot",
    "forest",
    "fox",
    "garden",
    "gate",
    "glass",
    "gold",
    "grass",
    "hall",
    "hand",
    "hat",
    "heart",
    "hill",
    "horse",
    "house",
    "ice",
    "island",
    "key",
    "king",
    "kitchen",
    "knife",
    "lake",
    "lamp",
    "leaf",
    "letter",
    "lion",
    "market",
    "milk",
    "mirror",
    "money",
    "moon",
    "mountain",
    "mouse",
    "nose",
    "ocean",
    "orange",
    "paper",
    "pencil",
    "phone",
    "piano",
    "picture",
    "pig",
    "pocket",
    "pool",
    "queen",
    "rabbit",
    "radio",
    "rain",
    "ring",
    "river",
    "road",
    "rock",
    "roof",
    "room",
    "rope",
    "rose",
    "salt",
    "school",
    "ship",
    "shirt",
    "shoe",
    "silver",
    "snow",
    "soap",
    "song",
    "spoon",
    "spring",
    "square",
    "star",
    "stone",
    "storm",
    "street",
    "sugar",
    "summer",
    "sun",
    "table",
    "tail",
    "tea",
    "tiger",
    "tower",
    "train",
    "tree",
    "valley",
    "village",
    "violin",
    "wagon",
    "wall",
    "water",
    "wheel",
    "wind",
    "window",
    "winter",
    "wolf",
    "wood",
    "yard",
]
START = "start"
# Part of every fingerprint: change it with the words or the wording.
LINES_VERSION = "2"
SOUNDS = "ka", "ki", "ra", "ri"


def lines_problems(lines: int, stations: int, seed: int, syllables: int | None = None) -> Iterator[tuple[str, str]]:
    """Yield problems without end, each with its answer: the stations of one line, with commas between.

    The station that is named is never the first of its line. With ``syllables`` the stations are
    made-up names of so many, which are easily mistaken for one another.
    """
    draw = random.Random(seed)
    leave = "line of {} stations leaves" if lines == 1 else "lines of {} stations leave"
    while True:
        wanted = lines * stations
        names = draw.sample(STATIONS, wanted) if syllables is None else made_up(wanted, syllables, draw)
        each = [names[number : number + stations] for number in range(0, len(names), stations)]
        connections = [pair for line in each for pair in zip([START, *line], line, strict=False)]
        draw.shuffle(connections)
        asked = draw.choice(each)
        listed = "; ".join(f"{here} > {there}" for here, there in connections)
        yield (
            # Few words in a row are the same in all: the check of contamination takes 13 of them for a copy.
            f"{lines} {leave.format(stations)} {START}: {listed}.\n"
            f"Which passes through {draw.choice(asked[1:])}? Name its stations in order.",
            ", ".join(asked),
        )


def made_up(count: int, syllables: int, draw: random.Random) -> list[str]:
    """Return so many different names, as "kirakari", of so many syllables each. Of four there are 256."""
    names = dict[str, None]()
    while len(names) < count:
        names["".join(draw.choices(SOUNDS, k=syllables))] = None
    return list(names)
