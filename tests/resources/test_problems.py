import pytest

from gsr_dagster.experiment import ProblemSet
from resources.artifacts import ArtifactError
from resources.problems import load_problems

SUMS = {"source": "reasoning-gym:chain_sum", "options": {"min_terms": 2, "max_terms": 2, "max_digits": 1}}


def test_the_same_seed_gives_the_same_problems_each_once():
    rows = load_problems("sums", ProblemSet(problems=50, seed=1, **SUMS))
    assert rows == load_problems("sums", ProblemSet(problems=50, seed=1, **SUMS))
    assert len({row["problem"] for row in rows}) == len({row["problem_id"] for row in rows}) == 50


def test_more_problems_begin_with_the_same_ones():
    few, more = (load_problems("sums", ProblemSet(problems=n, seed=1, **SUMS)) for n in (5, 20))
    assert more[:5] == few


def test_excluded_texts_are_left_out():
    held_out = {row["problem"] for row in load_problems("sums", ProblemSet(problems=30, seed=1, **SUMS))}
    rows = load_problems("training", ProblemSet(problems=30, seed=1, **SUMS), excluded=held_out)
    assert not held_out & {row["problem"] for row in rows}


def test_a_source_with_too_few_problems_says_how_many_it_has():
    with pytest.raises(ArtifactError, match=r"sums: reasoning-gym:chain_sum has \d+ distinct problems, not 5000"):
        load_problems("sums", ProblemSet(problems=5000, **SUMS))


@pytest.mark.parametrize("options", [{"min_terms": 0}, {"no_such_option": 1}])
def test_options_that_the_source_refuses_are_named(options):
    with pytest.raises(ArtifactError, match="sums: reasoning-gym:chain_sum refuses its options"):
        load_problems("sums", ProblemSet(source="reasoning-gym:chain_sum", problems=3, options=options))
