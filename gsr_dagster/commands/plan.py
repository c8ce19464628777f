"""What a run of an experiment costs before it starts: `gsr plan`.

    plan(experiment)[0]
    Step(what="candidate_pools", model="qwen2.5-7b", prompts=1318, samples=22528, ...)

Tokens are counted to the limits of the rollout settings: no run costs more, but for what a
reward model reads, whose size the file does not say. What models really write is a share of
it (on AIME 13,000 of 32,768, arXiv 2509.00084).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import click
from rich.table import Table

from gsr_dagster.commands.options import console, with_experiment
from gsr_dagster.commands.tables import new_table
from gsr_dagster.experiment.datasets import REGISTRY
from gsr_dagster.experiment.engines import RecordedSamples
from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.experiment.problem_sets import ProblemSet
from gsr_dagster.experiment.students import Student
from resources.problems.sources import load_problems

# A rate is that of a model of so many parameters; others are slower in proportion.
RATED_PARAMETERS = 7e9
# Stored text compresses to about this many bytes a token.
BYTES_A_TOKEN = 2.0
BYTES_A_WEIGHT = 2
# arXiv 2509.00084: 56K problems have an extracted answer and a pass rate within the filter.
PAPERS_PROBLEMS = 56_000


@dataclass(frozen=True)
class Step:
    """The sampling or training of one model: ``tokens`` is at most, ``parameters`` the model's."""

    what: str
    model: str
    parameters: float
    prompts: int
    samples: int
    tokens: int

    @property
    def trains(self) -> bool:
        return self.what == "lora_checkpoints"

    def hours(self, rate: float, share: float) -> float:
        """Return hours at ``rate`` tokens/s of a 7B model, where ``share`` of the limit is written."""
        return self.tokens * share * self.parameters / RATED_PARAMETERS / rate / 3600


@click.command("plan")
@click.option(
    "--rate", default=5000, type=click.IntRange(1), show_default=True, help="Tokens/s a GPU samples with a 7B model."
)
@click.option(
    "--training-rate",
    default=10_000,
    type=click.IntRange(1),
    show_default=True,
    help="Tokens/s a GPU trains a 7B model with.",
)
@click.option(
    "--share",
    default=0.4,
    type=click.FloatRange(0, 1),
    show_default=True,
    help="Of the token limits, what is really written.",
)
@with_experiment
def command(experiment: Experiment, rate: float, training_rate: float, share: float) -> None:
    """Print what a run would cost before it starts; nothing is loaded or sampled."""
    steps = plan(experiment)
    console.print(plan_table(steps, rate, training_rate, share))
    hours = sum(step.hours(training_rate if step.trains else rate, share) for step in steps)
    disk = disk_bytes(experiment, steps, share)
    samples = sum(step.samples for step in steps if not step.trains)
    console.print(
        f"\n{samples:,} samples; {hours:,.0f} GPU hours where {share:.0%} of the tokens are written, at {rate:,} tokens/s "
        f"of sampling and {training_rate:,} of training with a 7B model, others in proportion to their parameters; "
        f"{disk['weights'] / 1e9:,.1f} GB of weights, {disk['samples'] / 1e9:,.2f} GB of samples.",
        soft_wrap=True,
    )


def plan_table(steps: Sequence[Step], rate: float, training_rate: float, share: float) -> Table:
    """Return what a run would cost: samples, tokens at most, and hours of one GPU at the stated rates."""
    table = new_table("a run from nothing", "step", "model")
    for label in ("prompts", "samples", "tokens at most", "GPU hours"):
        table.add_column(label, justify="right", no_wrap=True)
    for step in steps:
        hours = step.hours(training_rate if step.trains else rate, share)
        table.add_row(
            step.what, step.model, *(f"{n:,}" for n in (step.prompts, step.samples, step.tokens)), f"{hours:,.1f}"
        )
    return table


def plan(experiment: Experiment) -> list[Step]:
    """Return the steps of a run from nothing, in the order of the graph."""
    steps, drawn = [], set()
    for name in experiment.models:
        steps += _evaluation(experiment, name, name)
        steps += _aggregations(experiment, name, name)
    for name, student in experiment.students.items():
        steps += _teaching(experiment, name, student, drawn)
        steps += _evaluation(experiment, name, student.base)
        steps += _aggregations(experiment, name, student.base)
    return steps


def disk_bytes(experiment: Experiment, steps: list[Step], share: float) -> dict[str, float]:
    """Return what is downloaded as weights, and what is stored as samples, in bytes."""
    loaded = [model for model in experiment.models.values() if not isinstance(model.engine, RecordedSamples)]
    return {
        "weights": sum(model.parameters for model in loaded) * BYTES_A_WEIGHT,
        "samples": sum(step.tokens for step in steps if not step.trains) * share * BYTES_A_TOKEN,
    }


def problems_of(problem_set: ProblemSet) -> int:
    """Return how many problems a set has, without loading those of the hub."""
    if problem_set.problems:
        return problem_set.problems
    kind, _, name = problem_set.source.partition(":")
    if kind == "hub":
        return REGISTRY[name].problems or PAPERS_PROBLEMS
    return len(load_problems("plan", problem_set).rows)


def _evaluation(experiment: Experiment, subject: str, model: str) -> Iterator[Step]:
    """Yield the direct samples and the refinements of a subject over all benchmarks."""
    if isinstance(experiment.models[model].engine, RecordedSamples):
        return
    counts = [(problems_of(b), b.samples) for b in experiment.benchmarks.values()]
    parameters = experiment.models[model].parameters
    direct = experiment.rollout("direct", subject)
    refinement = experiment.rollout("refinement", subject)
    samples = sum(problems * n for problems, n in counts)
    groups = sum(problems * (n // k) for problems, n in counts for k in (experiment.k, *experiment.further_ks))
    prompts = sum(problems for problems, _ in counts)
    yield Step("candidate_pools", subject, parameters, prompts, samples, samples * direct.max_new_tokens)
    yield Step("self_refinements", subject, parameters, groups, groups, groups * refinement.max_new_tokens)


def _aggregations(experiment: Experiment, subject: str, model: str) -> Iterator[Step]:
    """Yield what the aggregations of a subject's groups draw, over all benchmarks."""
    k = experiment.k
    groups = sum(problems_of(benchmark) * (benchmark.samples // k) for benchmark in experiment.benchmarks.values())
    for name, aggregation in experiment.aggregations.items():
        if not aggregation.draws:
            continue
        sampler, rollout = model, experiment.rollout("refinement", subject)
        if aggregation.refiner is not None:
            sampler, rollout = aggregation.refiner, experiment.rollout("refinement", aggregation.refiner)
        prompts, samples = aggregation.cost(groups, k, len(experiment.benchmarks))
        parameters = experiment.models[sampler].parameters
        yield Step(name, subject, parameters, prompts, samples, samples * rollout.max_new_tokens)


def _teaching(experiment: Experiment, name: str, student: Student, drawn: set) -> Iterator[Step]:
    """Yield what is sampled to teach a student, and its training: at most all solutions and as many refinements.

    What another student's teaching has ``drawn`` with the same settings is not drawn again.
    """
    assert experiment.training_problems is not None, "refused by the experiment file's checks"
    problems = problems_of(experiment.training_problems)
    candidates = ("training_candidates", student.sampler, student.candidates)
    refinements = ("teacher_refinements", student.teacher, student.refinements)
    solutions = ("teacher_solutions", student.teacher, student.solutions)
    for settings in (candidates, (*refinements, candidates), solutions):
        if settings in drawn:
            continue
        drawn.add(settings)
        what, model, rollouts = settings[:3]
        samples = problems * rollouts.samples
        parameters = experiment.models[model].parameters
        yield Step(what, model, parameters, problems, samples, samples * rollouts.max_new_tokens)
    direct, refined = student.solutions.samples, student.refinements.samples
    rows = problems * {"direct": direct, "refinement": refined, "hybrid": 2 * min(direct, refined)}[student.rows]
    rows = min(rows, student.most_rows or rows)
    longest = min(student.training.max_length, student.prompt_tokens + student.refinements.max_new_tokens)
    tokens = int(rows * student.training.epochs * longest)
    yield Step("lora_checkpoints", name, experiment.models[student.base].parameters, rows, rows, tokens)
