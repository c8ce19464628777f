"""The card of samples that are taken away: README.md with the hub's metadata of a data set, from manifests alone.

samples_card.md.j2 lays it out.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gsr_dagster.experiment.experiment import Experiment, Stage
from gsr_dagster.experiment.keys import TRAINING_PROBLEMS, EvaluationKey
from gsr_dagster.experiment.problems.problem_sets import ProblemSet
from gsr_dagster.method.prompting.prompts import CUT_MARK, NO_ANSWER
from resources.reporting.cards.model_card import LICENCE, origin, problems_of
from resources.reporting.cards.rendering import rendered
from resources.store.manifests import Manifest

if TYPE_CHECKING:
    from huggingface_hub import DatasetCardData

# The grader's verdicts, and what each means.
VERDICTS = {
    "correct": "the answer equals the reference answer",
    "incorrect": "it does not",
    "no answer": "no answer was found in the text, or the thinking never ended",
    "unreadable": "the answer cannot be read",
    "timed out": "the grader gave up on the answer: it counts as wrong",
    "comparison failed": "the same, since a library failed",
    "gold unparseable": "the reference answer cannot be read: nothing of this problem is scored",
}
# The steps whose prompts a card shows, each with the asset whose manifests say how it was worded.
PROMPTED: dict[Stage, str] = {"direct": "candidate_pools", "refinement": "self_refinements"}


@dataclass(frozen=True)
class Part:
    """One table, or one tool's logs: its name, its files within the folder, and how many samples of whom.

    ``problems`` names the benchmark, or the training problems; ``columns`` are name, type and what it holds.
    """

    name: str
    files: str
    split: str
    kind: str
    problems: str
    models: Sequence[str]
    rows: int
    columns: Sequence[tuple[str, str, str]] = ()


@dataclass(frozen=True)
class SamplesCard:
    """What a card tells. ``form`` is what the files are written as, ``manifests`` are of the artifacts that were read.

    ``missing`` says why an artifact is not here, ``left_out`` what of one is not here. ``gated`` says of a problem
    set why it should not be published; ``with_gated``: its problems are here all the same.
    """

    experiment: Experiment
    form: str
    parts: Sequence[Part]
    manifests: Sequence[Manifest]
    missing: Mapping[str, str]
    left_out: Mapping[str, str]
    gated: Mapping[str, str]
    with_gated: bool

    @property
    def problem_sets(self) -> dict[str, ProblemSet]:
        """The problem sets whose problems are here."""
        training = self.experiment.training_problems
        sets = {**self.experiment.benchmarks, **({str(TRAINING_PROBLEMS): training} if training else {})}
        here = {part.problems for part in self.parts}
        return {name: one for name, one in sets.items() if name in here}

    @property
    def models(self) -> dict[str, str]:
        """Where each model comes from that wrote what is here, in words."""
        known = {*self.experiment.models, *self.experiment.students}
        return {
            model: origin(self.experiment, model) if model in known else "not in the experiment file any more"
            for part in self.parts
            for model in part.models
        }

    @property
    def tables(self) -> dict[str, Sequence[tuple[str, str, str]]]:
        """The columns of each kind of table."""
        return {part.kind: part.columns for part in self.parts if part.columns}

    def of(self, name: str) -> list[Manifest]:
        """Return the manifests of an asset, whatever its lane."""
        return [manifest for manifest in self.manifests if manifest.key.name == name]

    @property
    def settings(self) -> list[tuple[str, str, str, str]]:
        """How samples were drawn: benchmark, model, what, and the settings of its manifest as JSON."""
        found = []
        for what, asset in (("candidates", "candidate_pools"), ("refinements", "self_refinements")):
            for manifest in self.of(asset):
                key = EvaluationKey.of(manifest.key)
                found.append((key.benchmark, key.subject, what, json.dumps(manifest.settings["rollout"])))
        return sorted(found)

    @property
    def prompts(self) -> dict[Stage, str]:
        """The prompts as they were worded for all that is here; one that the file words otherwise now is left out."""
        prompts = self.experiment.prompts
        candidates = [f"{{candidate {number}}}" for number in range(1, self.experiment.k + 1)]
        written: dict[Stage, str] = {
            "direct": prompts.ask_direct("{problem}"),
            "refinement": prompts.ask_refinement("{problem}", candidates),
        }
        return {
            stage: text
            for stage, text in written.items()
            if (made := self.of(PROMPTED[stage]))
            and all(one.settings["prompt"] == prompts.version(stage) for one in made)
        }

    @property
    def versions(self) -> dict[str, str]:
        """The versions of the packages that made what is here."""
        found: dict[str, set[str]] = {}
        for manifest in self.manifests:
            for name, version in manifest.versions.items():
                found.setdefault(name, set()).add(version)
        return {name: ", ".join(sorted(versions)) for name, versions in sorted(found.items())}


def render_samples_card(card: SamplesCard) -> str:
    """Return the card as README.md holds it: metadata in YAML, and Markdown in which every stranger's text is escaped."""
    return rendered(
        "samples_card.md.j2",
        card=card,
        experiment=card.experiment,
        k=card.experiment.k,
        metadata=card_data(card).to_yaml(),
        verdicts=VERDICTS,
        cut_mark=CUT_MARK.strip(),
        no_answer=NO_ANSWER,
        problems_of=problems_of,
    )


def card_data(card: SamplesCard) -> "DatasetCardData":
    """Return the metadata by which `load_dataset` finds the tables, and the hub files them."""
    from huggingface_hub import DatasetCardData

    data = DatasetCardData(
        pretty_name=f"Samples of {card.experiment.name}", license=LICENCE, tags=["generative-self-refinement"]
    )
    if card.form == "datasets":
        data["configs"] = [
            {"config_name": part.name, "data_files": [{"split": part.split, "path": part.files}]} for part in card.parts
        ]
    return data
