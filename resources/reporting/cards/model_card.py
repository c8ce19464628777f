"""The model card of a student: README.md with the hub's metadata, from manifests and summaries alone.

model_card.md.j2 lays it out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gsr_dagster.experiment.engines import OpenAI, RecordedSamples
from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.experiment.problems.datasets import REGISTRY, HubDataset
from gsr_dagster.experiment.problems.problem_sets import ProblemSet
from gsr_dagster.experiment.students import Student
from gsr_dagster.method.prompting.prompts import (
    CUT_MARK,
    NO_ANSWER,
    Message,
    direct_messages,
    refinement_messages,
)
from resources.reporting.cards.rendering import rendered
from resources.reporting.markdown import plain
from resources.reporting.numbers import between, percent, points, vote_and_refinement
from resources.reporting.report_page import COMPARED, SCORES
from resources.reporting.report_rows import ReportedGap
from resources.store.manifests import Manifest

if TYPE_CHECKING:
    from huggingface_hub import EvalResult, ModelCardData

LICENCE = "unknown"  # of the hub's list
TASK = "text-generation"
# What a training set was chosen from, in words.
COUNTS = {
    "teacher_refinements": "refinements that the teacher wrote",
    "correct_refinements": "of them right",
    "over_long_refinements": "of them left out, since the student does not read so long a prompt",
    "kept_refinements": "of them kept",
    "kept_from_all_wrong_groups": "of these of groups without a right candidate",
    "teacher_solutions": "direct solutions that the teacher wrote",
    "correct_solutions": "of them right",
    "kept_solutions": "of them kept",
    "timed_out": "answers that the grader gave up on",
    "left_out_identical": "left out, since another row has their text",
    "left_out_of_a_problem": "left out, since their problem has enough",
    "left_out_easy": "left out of groups whose vote is right",
    "refinement_rows": "refinements in the training set",
    "hard_rows": "of these of groups whose vote is wrong",
    "direct_rows": "direct solutions in the training set",
}
# What the prompts of a student that learned from rewards were chosen from.
COUNTS_OF_PROMPTS = {
    "over_long_refinements": "refinement prompts left out, since the student does not read so long a prompt",
    "left_out_of_a_problem": COUNTS["left_out_of_a_problem"],
    "left_out_easy": COUNTS["left_out_easy"],
    "refinement_rows": "refinement prompts in the training set",
    "hard_rows": COUNTS["hard_rows"],
    "direct_rows": "direct prompts in the training set",
}


@dataclass(frozen=True)
class StudentCard:
    """What a card tells. ``whole``: all weights are there, else an adapter.

    ``checkpoint`` is the manifest of its weights, ``counts`` what its training set was chosen from,
    ``gaps`` its gap reports and those of its base, without those that are not there.
    ``lineage`` has a row a part: ``part``, ``artifact``, ``model`` and ``data version``.
    """

    experiment: Experiment
    name: str
    whole: bool
    checkpoint: Manifest
    counts: Mapping[str, int | None]
    gaps: Sequence[ReportedGap]
    lineage: Sequence[Mapping[str, str]]

    @property
    def student(self) -> Student:
        return self.experiment.students[self.name]

    @property
    def root(self) -> str:
        """The model that it is trained from, over all rounds."""
        return self.experiment.root(self.name)

    @property
    def public_base(self) -> tuple[str, str] | None:
        """The repository and revision of the model that it is trained from, None where no hub has it."""
        return hub_source(self.experiment.models[self.root].source)

    @property
    def own_gaps(self) -> list[ReportedGap]:
        return [gap for gap in self.gaps if gap.subject == self.name]

    @property
    def not_measured(self) -> list[str]:
        """The benchmarks on which the student has no gap report."""
        measured = {gap.benchmark for gap in self.own_gaps}
        return [benchmark for benchmark in self.experiment.benchmarks if benchmark not in measured]

    @property
    def base_is_shown_more(self) -> list[str]:
        """The benchmarks of its gap reports on which its base saw solved problems or refinements that it did not see."""
        sets = {gap.benchmark: self.experiment.benchmarks[gap.benchmark] for gap in self.own_gaps}
        of_model = self.student.base in self.experiment.models
        return [
            name
            for name, one in sets.items()
            if of_model and (one.examples(of_student=False) != one.examples(of_student=True) or one.worked_refinements)
        ]

    @property
    def training_settings(self) -> dict[str, Any]:
        """What it was trained with, as its manifest has it."""
        settings = self.checkpoint.settings
        adapter = {f"LoRA {name}": value for name, value in (settings["lora"] or {}).items()}
        return {
            **(adapter or {"LoRA": "none, all weights were trained"}),
            **settings["training"],
            "seed": settings["seed"],
        }

    @property
    def direct_chat(self) -> list[Message]:
        """The chat of a direct prompt, with the solved problems before it that the student was trained with."""
        problems = self.experiment.training_problems
        shown = problems.examples(of_student=True) if problems else ()
        return direct_messages("{problem}", shown, self.experiment.prompts.ask_direct)

    @property
    def refinement_chat(self) -> list[Message]:
        candidates = [f"{{candidate {number}}}" for number in range(1, self.experiment.k + 1)]
        return refinement_messages("{problem}", candidates, self.experiment.prompts.ask_refinement)

    @property
    def other_examples(self) -> list[str]:
        """The benchmarks where other solved problems stand before the student's direct prompt than in training."""
        problems = self.experiment.training_problems
        trained = problems.examples(of_student=True) if problems else []
        return [name for name, one in self.experiment.benchmarks.items() if one.examples(of_student=True) != trained]


def render_card(card: StudentCard) -> str:
    """Return the card as README.md holds it: metadata in YAML, and Markdown in which every stranger's text is escaped."""
    labels = COUNTS_OF_PROMPTS if card.student.by_rewards else COUNTS
    return rendered(
        "model_card.md.j2",
        card=card,
        experiment=card.experiment,
        student=card.student,
        k=card.experiment.k,
        metadata=card_data(card).to_yaml(),
        scores=[label.format(k=card.experiment.k) for label in SCORES.values()],
        counts=[(labels[name], count) for name in labels if (count := card.counts.get(name)) is not None],
        cut_mark=CUT_MARK.strip(),
        no_answer=NO_ANSWER,
        score_cells=score_cells,
        origin=origin,
        problems_of=problems_of,
    )


def card_data(card: StudentCard) -> "ModelCardData":
    """Return the metadata by which the hub files a student."""
    from huggingface_hub import ModelCardData

    problems = card.experiment.training_problems
    learned_from = hub_dataset(problems) if problems else None
    base = card.public_base
    return ModelCardData(
        model_name=card.name,
        base_model=base[0] if base else None,
        library_name="transformers" if card.whole else "peft",
        pipeline_tag=TASK,
        license=LICENCE,
        datasets=[learned_from.repository] if learned_from else None,
        tags=["generative-self-refinement", *([] if card.whole else ["lora"])],
        eval_results=[result for gap in card.own_gaps for result in eval_results(card.experiment, gap)] or None,
    )


def eval_results(experiment: Experiment, gap: ReportedGap) -> "list[EvalResult]":
    """Return the scores of a gap report in percent, and the gap in points, for the hub's model-index."""
    from huggingface_hub import EvalResult

    benchmark = experiment.benchmarks[gap.benchmark]
    dataset = hub_dataset(benchmark)
    config = dataset.configs[0] if dataset and len(dataset.configs) == 1 else None
    labels = {**{score: SCORES[score].format(k=gap.k) for score in COMPARED}, "refinement_gap": "Refinement Gap"}
    return [
        EvalResult(
            task_type=TASK,
            dataset_type=dataset.repository if dataset else gap.benchmark,
            dataset_name=gap.benchmark,
            dataset_config=config,
            dataset_split=dataset.split if dataset else None,
            dataset_revision=dataset.revision if dataset else None,
            metric_type=label,
            metric_name=label,
            metric_value=round(100 * interval.estimate, 1),
            metric_args={
                "benchmark": gap.benchmark,
                "unit": "points" if score == "refinement_gap" else "percent",
                "interval_95": [round(100 * bound, 1) for bound in (interval.low, interval.high)],
            },
        )
        for score, label in labels.items()
        if (interval := gap.intervals.get(score))
    ]


def score_cells(gap: ReportedGap) -> list[str]:
    """Return a report's scores in percent and its gap in points, each with its interval."""
    vote, refinement = vote_and_refinement(gap)
    printed = {score: percent(getattr(gap, score)) for score in SCORES}
    printed |= {"maj_at_k": vote, "self_ref_at_k": refinement, "refinement_gap": points(gap.refinement_gap)}
    return [
        f"{text} {plain(between(gap.intervals[score]))}" if score in gap.intervals else text
        for score, text in printed.items()
    ]


def hub_source(source: str | None) -> tuple[str, str] | None:
    """Return the repository and the revision of a source hf:ORG/NAME@REVISION, None of any other.

    >>> hub_source("hf:org/name@v1.0")
    ('org/name', 'v1.0')
    """
    kind, _, name = (source or "").partition(":")
    repository, _, revision = name.partition("@")
    return (repository, revision) if kind == "hf" else None


def hub_dataset(problems: ProblemSet) -> HubDataset | None:
    """Return the data set of the hub that problems come from, None where they come from elsewhere."""
    kind, _, name = problems.source.partition(":")
    return REGISTRY[name] if kind == "hub" else None


def problems_of(problems: ProblemSet) -> tuple[str, str]:
    """Return where problems come from and under which licence, in words. Of a file's path only the name is told."""
    if dataset := hub_dataset(problems):
        return f"{dataset.repository} at {dataset.revision}, {dataset.split}", dataset.licence
    kind, _, name = problems.source.partition(":")
    if public := hub_source(problems.source):
        return "{} at {}".format(*public), "not known: see its page at the hub"
    if kind == "file":
        return f"a file, {Path(name).name}", "not known"
    return f"made by {problems.source}", "generated"


def origin(experiment: Experiment, name: str) -> str:
    """Return where a model's texts or weights come from, in words. A path of this machine is not told."""
    if name in experiment.students:
        return "a student of the same experiment"
    model = experiment.models[name]
    if isinstance(model.engine, RecordedSamples):
        return "recorded samples"
    if public := hub_source(model.source):
        return "{} at {}".format(*public)
    return f"{model.engine.model}, on a server" if isinstance(model.engine, OpenAI) else "local weights"
