"""Problems from their source: rows of ``problem_id``, ``problem``, ``answer`` and ``domain``."""

import importlib.util
import sys
import types
from collections.abc import Collection, Iterator
from itertools import islice

from gsr_dagster.experiment import ProblemSet
from resources.artifacts import ArtifactError, Row

MOST_GENERATED_PER_PROBLEM = 50


def load_problems(name: str, problem_set: ProblemSet, excluded: Collection[str] = ()) -> list[Row]:
    """Return the set's problems, each text once, without those whose text is excluded.

    Ids are NAME/NUMBER in the order of the source. Raises ArtifactError where the
    source has too few, or refuses the options.
    """
    seen = set(excluded)
    rows: list[Row] = []
    for problem, answer in _generated(name, problem_set):
        if problem in seen:
            continue
        seen.add(problem)
        rows.append(
            {
                "problem_id": f"{name}/{len(rows):05d}",
                "problem": problem,
                "answer": answer,
                "domain": problem_set.domain,
            }
        )
        if len(rows) == problem_set.problems:
            return rows
    raise ArtifactError(f"{name}: {problem_set.source} has {len(rows)} distinct problems, not {problem_set.problems}")


def _generated(name: str, problem_set: ProblemSet) -> Iterator[tuple[str, str]]:
    """Yield question and answer from a reasoning-gym task, for as long as new ones can be hoped for."""
    # pycosat has no wheel and needs a compiler; of all tasks only zebra puzzles call it.
    if "pycosat" not in sys.modules and importlib.util.find_spec("pycosat") is None:
        sys.modules["pycosat"] = types.ModuleType("pycosat")
    import reasoning_gym

    task = problem_set.source.removeprefix("reasoning-gym:")
    most = MOST_GENERATED_PER_PROBLEM * problem_set.problems
    try:
        dataset = reasoning_gym.create_dataset(task, size=most, seed=problem_set.seed, **problem_set.options)
    except (TypeError, ValueError, AssertionError) as error:
        raise ArtifactError(f"{name}: {problem_set.source} refuses its options: {error}") from None
    for entry in islice(dataset, most):
        yield entry["question"], str(entry["answer"])
