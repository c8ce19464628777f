"""Problems of lines: one start, a guess, and what can be read afterwards."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from gsr_dagster.experiment.problems.problem_sets import MOST_STATIONS, ProblemSet
from resources.problems.lines import STATIONS
from resources.problems.sources import load_problems, problem_set_identity

sizes = st.tuples(st.integers(1, 10), st.integers(2, 10)).filter(lambda size: size[0] * size[1] <= MOST_STATIONS)


def lines_set(lines: int, stations: int, seed: int = 0, problems: int = 5, **options: int) -> ProblemSet:
    return ProblemSet(source=f"lines:{lines}x{stations}", seed=seed, problems=problems, options=options)


@given(sizes, st.integers(0, 10**6), st.sampled_from([{}, {"syllables": 4}, {"syllables": 5}]))
def test_the_answer_is_the_one_line_through_the_station_that_is_asked_for(size, seed, options):
    for row in load_problems("few", lines_set(*size, seed, **options)).rows:
        after = dict[str, list[str]]()
        for here, there in re.findall(r"(\w+) > (\w+)", row["problem"]):
            after.setdefault(here, []).append(there)
        lines = []
        for first in after["start"]:
            line = [first]
            while line[-1] in after:
                (there,) = after[line[-1]]
                line.append(there)
            lines.append(line)
        (asked,) = re.findall(r"through (\w+)\?", row["problem"])
        (answer,) = [line for line in lines if asked in line]
        assert row["answer"] == ", ".join(answer)
        assert asked != answer[0], "the first station would give the line away"
        assert [len(line) for line in lines] == [size[1]] * size[0]


def test_a_seed_gives_the_same_problems_and_more_problems_keep_them():
    few, more = (load_problems("few", lines_set(4, 3, 7, count)).rows for count in (5, 9))
    assert more[:5] == few
    assert load_problems("few", lines_set(4, 3, 8)).rows != few
    texts = {row["problem"] for row in few}
    assert not texts & {row["problem"] for row in load_problems("few", lines_set(4, 3, 7), texts).rows}


def test_stations_are_made_up_names_of_so_many_syllables_where_that_is_asked_for():
    (row,) = load_problems("few", lines_set(1, 3, problems=1, syllables=5)).rows
    assert row["problem"].startswith("1 line of 3 stations leaves start: ")
    names = row["answer"].split(", ")
    assert len(set(names)) == 3
    assert all(re.fullmatch(r"([kr][ai]){5}", name) for name in names)
    assert problem_set_identity(lines_set(1, 3)) != problem_set_identity(lines_set(1, 3, syllables=5))


def test_there_is_a_word_for_every_station_and_the_wording_is_part_of_what_pins_them():
    assert len(set(STATIONS)) == len(STATIONS) >= MOST_STATIONS
    assert problem_set_identity(lines_set(4, 3))["version"]


@pytest.mark.parametrize(
    "source", ["lines", "lines:4", "lines:0x3", "lines:4x1", "lines:14x10", "lines:4×3", "lines:0x0"]
)
def test_another_size_is_refused_with_one_that_is_right(source):
    with pytest.raises(ValidationError, match='as in "lines:4x3"'):
        ProblemSet(source=source, problems=3)


def test_it_needs_a_number_and_has_one_option():
    with pytest.raises(ValidationError, match="lines makes as many as are wanted"):
        ProblemSet(source="lines:4x3")
    with pytest.raises(ValidationError, match="its size stands in the source"):
        ProblemSet(source="lines:4x3", problems=3, options={"lines": 4})
    for syllables in (3, 9, "five", True, None):
        with pytest.raises(ValidationError, match="a whole number from 4 to 8"):
            ProblemSet(source="lines:4x3", problems=3, options={"syllables": syllables})
