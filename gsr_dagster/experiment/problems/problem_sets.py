"""Problem sets of the experiment file: benchmarks, and the problems that students learn from."""

import re
from math import prod
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field, ValidationInfo, model_validator

from gsr_dagster.experiment.likeness import nearest, which
from gsr_dagster.experiment.problems.datasets import REGISTRY, Domain
from gsr_dagster.experiment.settings import HUB_SOURCE, Count, Section, Seed, from_folder, refuse_path

FILES = (".jsonl", ".json", ".parquet", ".csv")
# Kinds of sources that make problems, as many as are wanted.
GENERATED = ("reasoning-gym", "lines")
MOST_STATIONS = 130
# The option of lines that makes stations of made-up names.
SYLLABLES = "syllables"
FEWEST_SYLLABLES, MOST_SYLLABLES = 4, 8
# The option of a file, or of a data set of the hub, that names the columns of wrong answers.
WRONG = "wrong"
FILE_OPTIONS = ("id", "problem", "answer", WRONG)
# What can be said of each kind of source but reasoning-gym, whose tasks have options of their own.
OPTIONS = {
    "file": ("a file", FILE_OPTIONS),
    "hf": ("a data set of the hub", ("config", "split", *FILE_OPTIONS)),
    "hub": ("a data set that the project knows by its name", ()),
}


def _problem_source(source: str, info: ValidationInfo) -> str:
    """Check a source; a file's path is taken from the experiment file's folder."""
    kind, _, name = source.partition(":")
    if kind == "hub" and name not in REGISTRY:
        raise ValueError(f"{source!r} is not hub:NAME{which(name, REGISTRY)}")
    if kind == "file" and not name.endswith(FILES):
        raise ValueError(f"{source!r} is not a .jsonl, .json, .parquet or .csv file")
    if kind == "lines":
        size = [int(number) for number in name.split("x")] if re.fullmatch(r"\d{1,3}x\d{1,3}", name) else [0]
        if size[0] < 1 or size[-1] < 2 or prod(size) > MOST_STATIONS:
            raise ValueError(
                f'{source!r} is not lines:LINESxSTATIONS, as in "lines:4x3": 2 or more stations a line, and '
                f"{MOST_STATIONS} in all at most"
            )
    elif kind == "hf" and re.fullmatch(HUB_SOURCE, source):
        return refuse_path(source)
    elif kind not in ("hub", "file") and not re.fullmatch(r"reasoning-gym:[\w .-]+", source):
        raise ValueError(
            f"{source!r} is not hub:NAME, hf:ORG/NAME@REVISION, file:PATH, reasoning-gym:TASK or "
            f"lines:LINESxSTATIONS{_meant_source(source)}"
        )
    return f"file:{from_folder(Path(name), info)}" if kind == "file" else source


def _meant_source(source: str) -> str:
    """Return what was meant by a source of another form, where that can be known."""
    kind, _, name = source.partition(":")
    if source.endswith(FILES):
        return f': write "file:{name if kind in ("path", "files") and name else source}"'
    if nearest(kind, ["reasoning-gym"]) and re.fullmatch(r"\w+", name):
        return f': write "reasoning-gym:{name}"'
    if kind == "reasoning-gym":
        return ', as in "reasoning-gym:chain_sum"'
    last = re.split("[:/]", source)[-1].partition("@")[0]
    if known := nearest(last, REGISTRY, 0.8):
        return f': did you mean "hub:{known}"?'
    if found := re.fullmatch(r"(?:hf:|https://huggingface\.co/datasets/)?([\w.-]+/[\w.-]+)", source):
        return f': write "hf:{found[1]}@main", with a tag or a commit in place of main'
    return ', as in "file:mine.csv"'


def _names_syllables(options: dict[str, Any]) -> bool:
    """Return whether options are the one that lines has, with a number that it takes."""
    syllables = options.get(SYLLABLES)
    return len(options) == 1 and type(syllables) is int and FEWEST_SYLLABLES <= syllables <= MOST_SYLLABLES


class WorkedExample(Section):
    """A solved problem shown before the real one, as a turn of the chat."""

    problem: str
    solution: str


class WorkedRefinement(Section):
    """A worked refinement: a problem with candidates, and the text that refines them, shown before the real one as a turn."""

    problem: str
    candidates: Annotated[tuple[str, ...], Field(min_length=1)]
    refinement: str


class ProblemSet(Section):
    """Where problems come from, how many, and how their answers are graded.

    ``options`` go to a reasoning-gym task; of a file, or of a data set of the hub by its id (``hf:``), they name the
    columns that are not called ``id``, ``problem`` and ``answer``; ``wrong``, one or several, holds the wrong answers of
    multiple choice, which are lettered with the right one; of the hub also the ``split``, and the ``config`` where there
    are several; ``syllables`` of lines gives the stations
    made-up names of so many, much alike. ``seed`` decides their order, and which
    problems, where they are fewer than the source has; without ``problems`` it is all of them.

    ``worked_examples`` stand before every direct prompt. With ``students_see_examples: false``
    students are trained and evaluated without them. ``worked_refinements`` stand before the
    refinement prompts of models alone: what a student sees, and learns from, is the plain prompt.
    """

    source: Annotated[str, AfterValidator(_problem_source)]
    options: dict[str, Any] = Field(default={})
    seed: Seed = 0
    problems: Count | None = None
    domain: Domain | None = None
    worked_examples: tuple[WorkedExample, ...] = ()
    worked_refinements: tuple[WorkedRefinement, ...] = ()
    students_see_examples: bool = True

    @model_validator(mode="after")
    def _finite(self) -> Self:
        kind = self.source.partition(":")[0]
        if self.problems is None and kind in GENERATED:
            raise ValueError(f"problems: say how many; {kind} makes as many as are wanted, as in problems: 100")
        if kind == "lines" and self.options and not _names_syllables(self.options):
            raise ValueError(
                f"options: lines has {SYLLABLES} alone, a whole number from {FEWEST_SYLLABLES} to {MOST_SYLLABLES}; its size "
                'stands in the source, as in "lines:4x3"'
            )
        if kind in OPTIONS:
            of, known = OPTIONS[kind]
            if unknown := [name for name in self.options if name not in known]:
                meant = which(str(unknown[0]), known) if known else ": it has none, leave options out"
                raise ValueError(f"options: {of} has no option {unknown[0]!r}{meant}")
            named = {name: column for name, column in self.options.items() if name != WRONG}
            if not all(isinstance(column, str) for column in (*named.values(), *self.wrong_columns)):
                raise ValueError(f"options of {of} are names of its columns, as in options: {{problem: question}}")
            if self.wrong_columns and self.domain != "multiple_choice":
                raise ValueError(
                    "options.wrong makes lettered options of right and wrong answers: write domain: multiple_choice too"
                )
        if kind == "hf" and "split" not in self.options:
            raise ValueError("options.split is missing: name the split of the data set, as in options: {split: test}")
        return self

    @property
    def wrong_columns(self) -> tuple[str, ...]:
        """The columns that hold wrong answers, of which options are made; none where the problems have theirs."""
        named = self.options.get(WRONG, ()) if self.source.startswith(("file:", "hf:")) else ()
        return tuple(named) if isinstance(named, list | tuple) else (named,)

    def examples(self, of_student: bool) -> list[tuple[str, str]]:
        """Return the (problem, solution) pairs that a model, or a student, is shown before a direct prompt."""
        shown = self.worked_examples if self.students_see_examples or not of_student else ()
        return [(example.problem, example.solution) for example in shown]

    def refinements(self, of_student: bool) -> list[tuple[str, tuple[str, ...], str]]:
        """Return the (problem, candidates, refinement) that a model is shown before a refinement prompt; a student none."""
        shown = () if of_student else self.worked_refinements
        return [(example.problem, example.candidates, example.refinement) for example in shown]


class Benchmark(ProblemSet):
    """A problem set for evaluation, with the number of direct samples per problem.

    ``out_of_distribution`` marks one unlike anything that students are trained on.
    """

    samples: Count
    out_of_distribution: bool = False
