r"""A multiple-choice problem of its right answer and its wrong ones: lettered, in an order that the seed decides.

>>> problem, letter = lettered("What is 1 + 1?", "2", ["3", "4"], "seed")
>>> problem
'What is 1 + 1?\n\nA) 4\nB) 2\nC) 3'
>>> letter
'B'
"""

import random
from collections.abc import Sequence
from string import ascii_uppercase

from gsr_dagster.experiment.problems.golds import GoldError


def lettered(question: str, right: str, wrong: Sequence[str], seed: str) -> tuple[str, str]:
    """Return the question with its options, and the letter of the right one.

    The order depends on ``seed`` and the question alone, so that one problem more or less leaves
    the others as they are. Raises GoldError where there is no wrong answer, the right one stands
    among them, or there are more than letters. Two equal wrong ones both stay.
    """
    options = [right.strip(), *(option.strip() for option in wrong if option.strip())]
    if len(options) < 2:
        raise GoldError("without a wrong answer: options.wrong names the columns that hold them")
    if options[0] in options[1:]:
        raise GoldError(f"among the wrong answers too: {options[0][:60]}")
    if len(options) > len(ascii_uppercase):
        raise GoldError(f"one of {len(options)} options: there are {len(ascii_uppercase)} letters")
    order = sorted(options)  # however the columns are named
    random.Random(f"{seed}:{question}").shuffle(order)
    lines = [f"{letter}) {option}" for letter, option in zip(ascii_uppercase, order, strict=False)]
    return "\n".join([question.strip(), "", *lines]), ascii_uppercase[order.index(options[0])]
