"""Files that an experiment reads and that are not there."""

from collections.abc import Iterator
from pathlib import Path

from gsr_dagster.experiment.aggregations.kinds.choosing.recorded_scores import RecordedScores
from gsr_dagster.experiment.engines import RecordedSamples
from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.experiment.likeness import did_you_mean
from gsr_dagster.experiment.line_numbers import Fault, Place
from gsr_dagster.experiment.problems.problem_sets import ProblemSet


def problem_sets(experiment: Experiment) -> Iterator[tuple[Place, ProblemSet]]:
    """Yield every problem set of the file, by its place."""
    for name, benchmark in experiment.benchmarks.items():
        yield ("benchmarks", name), benchmark
    if experiment.training_problems:
        yield ("training_problems",), experiment.training_problems


def missing_inputs(experiment: Experiment) -> Iterator[Fault]:
    """Yield every file of problems or scores, and every folder of samples, that is not there."""
    for place, path, is_folder in _inputs(experiment):
        if not (path.is_dir() if is_folder else path.is_file()):
            yield Fault(place, _not_there(path, is_folder))


def _inputs(experiment: Experiment) -> Iterator[tuple[Place, Path, bool]]:
    for place, problem_set in problem_sets(experiment):
        if problem_set.source.startswith("file:"):
            yield (*place, "source"), Path(problem_set.source.removeprefix("file:")), False
    for family, scales in experiment.families.items():
        for scale, model in scales.items():
            if isinstance(model.engine, RecordedSamples):
                yield ("families", family, scale, "engine", "path"), model.engine.path, True
    for name, aggregation in experiment.aggregations.items():
        if isinstance(aggregation, RecordedScores):
            yield ("aggregations", name, "path"), aggregation.path, False


def _not_there(path: Path, is_folder: bool) -> str:
    """Return that something is not there, and what is there that may be meant."""
    what = "folder" if is_folder else "file"
    nearest = path.parent
    while not nearest.is_dir():
        nearest = nearest.parent
    beside = [one.name for one in nearest.iterdir() if one.is_dir() or not is_folder] if nearest == path.parent else []
    near = did_you_mean(path.name, beside)
    where = near or f". Write its path, from the experiment file's folder; the nearest folder there is {nearest}"
    return f"there is no {what} {path}{where}"
