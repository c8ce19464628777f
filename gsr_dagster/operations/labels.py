"""What the page says of every asset beside its description: owners, family and scales, code version."""

import hashlib
from collections.abc import Sequence
from typing import Any

import dagster as dg

from assets.evaluation.fingerprints import REPORT_VERSION, CandidatePools, EvaluationStep, GradedCandidates
from assets.judging.fingerprints import JudgeStep
from assets.steps import Step
from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.experiment.keys import asset_of, benchmark_of
from gsr_dagster.method.judging import JUDGE_PROMPT_VERSION, VERDICT_VERSION
from gsr_dagster.method.prompting.prompts import PROMPT_VERSION
from gsr_dagster.operations.lanes import all_steps
from resources.grading.grader import grader_version
from resources.store.manifests import canonical_json

MOST_OF_A_TAG = 63
DIGITS = 12


def labelled(experiment: Experiment, assets: Sequence[dg.AssetsDefinition]) -> list[dg.AssetsDefinition]:
    """Return the assets with the experiment's owners, a tag a family that holds its scales, and the code version.

    The code version is what, beside the settings, decides an artifact: the wording of the
    prompts, the grader and the reports; how many rows are wanted, and how they are drawn. So
    the page says that a pool is stale once N is raised in the file, and for every benchmark.
    """
    steps = all_steps(experiment)
    families = {
        f"gsr/family-{family}": "_".join(scales)[:MOST_OF_A_TAG] for family, scales in experiment.families.items()
    }
    version = f"prompts {PROMPT_VERSION}, {grader_version(experiment.evaluation.grader)}, reports {REPORT_VERSION}"

    def label(spec: dg.AssetSpec) -> dg.AssetSpec:
        step = steps.get(asset_of(spec.key))
        asked = [rows_wanted(step), drawn_as(step)] if step else []
        return spec.replace_attributes(
            owners=list(experiment.owners),
            tags={**spec.tags, "gsr/experiment": experiment.name, **families},
            code_version=", ".join([version, *filter(None, asked)]),
        )

    return [asset.map_asset_specs(label) for asset in assets]


def rows_wanted(step: Step) -> str:
    """Return how many rows of a step's artifacts are wanted, "" where nothing says so.

    Where benchmarks differ it is a hash. The models do not count, so that one more leaves the others as they are.
    """
    wanted = {benchmark_of(partition): step.wanted(partition) for partition in step.partitions}
    if not any(wanted.values()):
        return ""
    first, *others = wanted.values()
    if any(other != first for other in others):
        return f"wanted {_digest(wanted)}"
    return ", ".join(f"{name} {value}" for name, value in first.items())


def drawn_as(step: Step) -> str:
    """Return a hash of how the experiment file says that an evaluation's rows are drawn, "" for any other step."""
    if not isinstance(step, EvaluationStep):
        return ""
    experiment, asked = step.experiment, step.experiment.evaluation
    settings: dict[str, Any] = {"seed": experiment.seed, "direct": asked.direct.model_dump()}
    if experiment.prompts.direct:
        settings["direct_prompt"] = experiment.prompts.version("direct")
    if step.name not in (CandidatePools.name, GradedCandidates.name):
        refined = {"refinement": asked.refinement.model_dump(), "candidate_tokens": asked.candidate_tokens}
        settings |= {**refined, "k": experiment.k}
        if experiment.prompts.refinement:
            settings["refinement_prompt"] = experiment.prompts.version("refinement")
    if isinstance(step, JudgeStep):
        settings["judge"] = {"prompt": JUDGE_PROMPT_VERSION, "verdicts": VERDICT_VERSION, **step.judge.model_dump()}
    return f"drawn as {_digest(settings)}"


def _digest(value: Any) -> str:
    return hashlib.sha256(canonical_json(value)).hexdigest()[:DIGITS]
