r"""Made-up problems, answers and solutions, all by a seed: what `bench.grid` records in the place of a model.

A solution is a derivation of which no sentence means much, with the LaTeX, braces and length of real ones, and
`\boxed{ANSWER}` at its end. Answers are integers, decimals, fractions, expressions and intervals. Wrong ones are few
for each problem, so that models share them; a few cannot be read, and a few solutions break off before their answer.
"""

import math
import random
import re
from dataclasses import dataclass

# The gold with the value n and the numbers a, b and p of its problem, the same in another spelling, and how often.
SPELLINGS = (
    ("{n}", "{n}.0", 55),
    (r"\frac{{{n}}}{{{p}}}", "{n}/{p}", 15),
    ("{n}.5", r"{n} + \frac{{1}}{{2}}", 8),
    (r"{n}\sqrt{{{p}}} + {a}", r"{a} + {n}\sqrt{{{p}}}", 8),
    ("{n}x^2 - {a}x + {p}", "{p} - {a}x + {n}x^2", 7),
    ("[{n}, {b})", r"\left[{n}, {b}\right)", 7),
)
OFF = (1, -1, 2, 4, -2, 7, -3, 5, 9, -5)  # wrong answers are the value and so much, the first most often
HOW_OFTEN = (12, 6, 4, 2, 2, 1, 1, 1, 1, 1)
# What the grader cannot read, or reads as no mathematics.
STRANGE = ("2 +", r"\frac{1}{}", r"2^{3^{4^{5}}}", "123456!", r"\text{see above}")
BROKEN_OFF = STRANGELY_ANSWERED = 0.02  # shares of the solutions

THINGS = re.findall(
    r"\w+",
    """anchors baskets bridges candles cards chairs chords circles coins corners cubes disks doors edges faces flags
gardens grids hexagons islands keys ladders lamps lattices lines maps marbles matrices mirrors paths pawns pearls planes
points prisms pumps queens rays ribbons roots sails shelves spheres squares stones stairs tables tiles towers trains
triangles tunnels vertices wheels windows""",
)
PLACES = re.findall(
    r"\w+",
    """Aster Birch Cedar Dorn Elm Fenwick Grove Harrow Iris Juniper Kestrel Linden Maple Noor Oak Pine Quill Rowan
Sorrel Tamar Ulm Verbena Willow Xanten Yarrow Zinnia""",
)
PROBLEM = (
    r"{name}: in {place} {a} {one} and {b} {two} stand beside {c} {three}, and $f(x) = \frac{{x^{{{d}}} + {a}}}{{{b}}}$ "
    r"counts {four}. {other} takes every {d}th of the {five} while ${c} \le x < {b}{c}$ holds for {six}. Find the {seven}."
)
BEGINNINGS = [
    "Now,",
    "So",
    "Hence",
    "Then",
    "But",
    "Note that",
    "Recall that",
    "It follows that",
    "Wait,",
    "By symmetry,",
]
SENTENCES = (
    r"the {one} can be chosen in $\binom{{{b}}}{{{d}}}$ ways, of which {a} leave the {two} where they are.",
    r"we write $x_{{{d}}} = \frac{{{a}}}{{{b}}}\left(1 + \frac{{{c}}}{{y_{{{d}}}}}\right)$, so that the {one} cancel.",
    r"$\sum_{{i=1}}^{{{b}}} \left(i^{{{d}}} - {a}i\right) = {c}$, and nothing else depends on the {one}.",
    r"each of the {a} {one} meets {b} of the {two}, which gives ${a} \cdot {b} - {c}$ pairs to be counted.",
    r"if $n \equiv {d} \pmod{{{b}}}$, the {one} fall into {c} classes, and the {two} into at most {a} more.",
    r"the line through $A = ({a}, {d})$ and $B = ({b}, {c})$ has the slope $\frac{{{c} - {d}}}{{{b} - {a}}}$.",
    r"$\sqrt{{{a}x^2 + {b}}} \le {c}$ holds exactly where $\lvert x - {d} \rvert$ is small enough for the {one}.",
    r"let $S = \{{{d}, {a}, {b}, \dots\}}$ be the set of all {one} that touch {two}; it has {c} elements.",
)
ENDINGS = ("Therefore the answer is", "So the final answer is", "Altogether we obtain", "This leaves")


@dataclass(frozen=True)
class Problem:
    """A made-up problem: right answers with the gold first, wrong ones with the most plausible first, and how hard it is."""

    id: str
    text: str
    right: tuple[str, ...]
    wrong: tuple[str, ...]
    hardness: float

    def chance(self, parameters: float) -> float:
        """Return how probable it is that a model of so many parameters is right."""
        return 1 / (1 + math.exp(self.hardness - 1.3 * math.log10(parameters / 3e9)))

    def answer(self, rng: random.Random, chance: float) -> tuple[str | None, bool]:
        """Return a solution's answer, None for one that breaks off, and whether it is right."""
        if (kind := rng.random()) < BROKEN_OFF:
            return None, False
        if kind < BROKEN_OFF + STRANGELY_ANSWERED:
            return rng.choice(STRANGE), False
        if rng.random() < chance:
            return rng.choices(self.right, (9, 1))[0], True
        return rng.choices(self.wrong, HOW_OFTEN)[0], False


def made_problem(seed: int, name: str, number: int, hardness: float) -> Problem:
    """Return a problem of a set that is as hard as that in the mean."""
    rng = random.Random(f"{seed}:{name}:{number}")
    place, other = rng.sample(PLACES, 2)
    things = dict(zip(("one", "two", "three", "four", "five", "six", "seven"), rng.sample(THINGS, 7), strict=True))
    problem_id = f"{name}-{number:05d}"
    text = PROBLEM.format(name=problem_id, place=place, other=other, **things, **_numbers(rng))
    gold, again, _ = rng.choices(SPELLINGS, [often for *_, often in SPELLINGS])[0]
    n = rng.randint(10, 400)
    beside = {"a": rng.randint(2, 9), "b": n + rng.randint(10, 90), "p": rng.choice((2, 3, 5, 7, 11, 13))}
    right = (gold.format(n=n, **beside), again.format(n=n, **beside))
    return Problem(
        problem_id, text, right, tuple(gold.format(n=n + off, **beside) for off in OFF), rng.gauss(hardness, 1.5)
    )


class Writer:
    """Writes solutions from a few thousand made-up sentences."""

    def __init__(self, seed: int, sentences: int = 4096):
        rng = random.Random(f"{seed}:sentences")
        self.sentences = [self._sentence(rng) for _ in range(sentences)]

    @staticmethod
    def _sentence(rng: random.Random) -> str:
        one, two = rng.sample(THINGS, 2)
        sentence = rng.choice(SENTENCES).format(one=one, two=two, **_numbers(rng))
        return f"{rng.choice(BEGINNINGS)} {sentence}{rng.choice((' ', ' ', ' ', chr(10)))}"

    def solution(self, rng: random.Random, characters: int, answer: str | None, thinking_end: str | None = None) -> str:
        """Return a solution about so long. A model that thinks first ends that after two thirds, and sums up."""
        if answer is None:
            return self._derivation(rng, characters)
        thinking = f"{self._derivation(rng, 2 * characters // 3)}{thinking_end}\n\n" if thinking_end else ""
        rest = self._derivation(rng, characters - len(thinking) - 60)
        return rf"{thinking}{rest}{rng.choice(ENDINGS)} $\boxed{{{answer}}}$."

    def _derivation(self, rng: random.Random, characters: int) -> str:
        parts, length = [], 0
        while length < characters:
            parts.append(rng.choice(self.sentences))
            length += len(parts[-1])
        return "".join(parts)


def _numbers(rng: random.Random) -> dict[str, int]:
    return {"a": rng.randint(11, 99), "b": rng.randint(100, 999), "c": rng.randint(100, 999), "d": rng.randint(2, 9)}
