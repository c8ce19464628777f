"""The section `tracking`: its mistakes, and what is said of each."""

import copy

import pytest
import yaml

from gsr_dagster.experiment.tracking import WandB
from tests.gsr_dagster.experiment.faults.refused import RIGHT, changed, said
from tests.gsr_dagster.experiment.faults.test_every_value import WRONG, held

# What stands there, and the line that is said.
MISTAKES = [
    (
        '{kind: mlflow, uri: "http://me:pw@box:5000"}',
        "tracking.uri: an address with a name, a password or a query is not taken: write http://HOST:PORT alone",
    ),
    (
        "{kind: mlflow, uri: box:5000}",
        "tracking.uri: 'box:5000' is not an address that begins with http:// or https://, as http://box:5000 does",
    ),
    (
        "{kind: wandb, project: a/b}",
        "tracking.project: 'a/b' cannot be a project of W&B: write up to 128 letters without any of / \\ # ? % :",
    ),
    (
        "mlflow",
        "tracking: a section with the kind mlflow or wandb is wanted, as in tracking: {kind: mlflow}, and it says 'mlflow': write tracking: {kind: mlflow}",
    ),
]


@pytest.mark.parametrize(("written", "line"), MISTAKES, ids=[line[:40] for _, line in MISTAKES])
def test_a_mistake_is_told_by_its_line_with_what_would_be_right(tmp_path, written, line):
    assert said(tmp_path, changed("students:", f"tracking: {written}\nstudents:")) == [f"line 20, {line}"]


def test_a_wrong_value_of_wandb_is_told_in_plain_words(tmp_path):
    """Those of mlflow are with all others, in test_every_value.py: one of the two stands in a file."""
    for wrong in WRONG:
        section = {key: copy.deepcopy(wrong) for key in WandB.model_fields} | {"kind": "wandb"}
        document = {**yaml.safe_load(RIGHT), "tracking": section}
        held(said(tmp_path, yaml.safe_dump(document, sort_keys=False)))
