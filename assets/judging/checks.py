"""Checks of a judge: how its samples were drawn, and whether its verdicts can be read."""

import dagster as dg

from assets import quality
from assets.checking import CheckedArtifact, asset_checks, within
from assets.sample_checks import HOW_DRAWN
from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.experiment.keys import JUDGE_SAMPLES, LaneName
from gsr_dagster.experiment.partitions import Partitions


def few_unread(artifact: CheckedArtifact) -> dg.AssetCheckResult:
    """Few of the judge's verdicts cannot be read. Those decide nothing."""
    rows = artifact.columns("sample_id", "judge_verdict")
    share = quality.share_of(rows, lambda row: row["judge_verdict"] == "unread", "sample_id", of="verdicts")
    advice = "look at the texts: raise max_new_tokens of judge where they are cut off, or take a judge that keeps to the form"
    return within(artifact, "most_unread", "cannot be read", share, advice=advice)


def judging_checks(experiment: Experiment, lane: LaneName, round_number: int = 1) -> list[dg.AssetChecksDefinition]:
    """Return the checks of a lane's judge; none where the experiment names none."""
    if experiment.judge is None:
        return []
    partitions = Partitions.of(experiment, round_number).lane(lane)
    return [
        asset_checks(experiment, partitions, f"{lane}/{name}", checks, round_number)
        for name, checks in {JUDGE_SAMPLES: HOW_DRAWN, "judge_verdicts": [few_unread]}.items()
    ]
