"""Data sets of the hub by their id, against a hub on loopback: GPQA's own shape, and what a gated one says."""

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from gsr_dagster.experiment.problems.problem_sets import ProblemSet
from resources.problems.sources import load_problems, problem_set_identity
from tests.places import PROJECT
from tests.resources.problems.hub import COMMIT, MEMBER, REPOSITORY, Hub, serving
from tests.resources.problems.test_multiple_choice import COLUMNS, GPQA, HARD

LOAD = """
import json, sys
from gsr_dagster.experiment.errors import UserError
from gsr_dagster.experiment.problems.problem_sets import ProblemSet
from resources.models.weights import fetch
from resources.problems.sources import load_problems

asked = json.loads(sys.argv[1])
try:
    print(json.dumps(fetch(asked) if isinstance(asked, str) else load_problems("gpqa", ProblemSet(**asked)).rows))
except UserError as error:
    print(json.dumps(str(error)))
"""
NONE = ["rec4", "Which is it?", "None", "NA", "1e3", "007"]


def settings(**options) -> dict:
    named = {"config": "gpqa_diamond", "split": "train", **COLUMNS, **options}
    return {"source": f"hf:{REPOSITORY}@{COMMIT}", "domain": "multiple_choice", "seed": 1, "options": named}


def as_csv(*rows: list[str]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer).writerows([GPQA, *rows])
    return buffer.getvalue()


def loaded(hub: Hub, folder: Path, token: str | None, source: str | None = None, **options):
    """Return the problems that a process of its own loads from a hub, or what it says; of a model's source too."""
    with serving(hub) as address:
        own = {"HF_ENDPOINT": address, "HF_HOME": str(folder), "PYTHONPATH": str(PROJECT), "HF_HUB_DISABLE_XET": "1"}
        environment = {name: value for name, value in os.environ.items() if not name.startswith("HF_")} | own
        done = subprocess.run(
            [sys.executable, "-c", LOAD, json.dumps(source or settings(**options))],
            env=environment | ({"HF_TOKEN": token} if token else {}),
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_gpqa_by_its_id_is_what_its_file_is(tmp_path):
    content = as_csv(*HARD, NONE)
    path = tmp_path / "gpqa_diamond.csv"
    path.write_text(content, newline="")
    # A folder of the same name beside is not the hub's.
    (tmp_path / REPOSITORY).mkdir(parents=True)
    (tmp_path / REPOSITORY / "gpqa_diamond.csv").write_text(as_csv())
    hub = Hub({"gpqa_diamond.csv": content, "gpqa_main.csv": as_csv(HARD[1])}, card_is_open=True)
    of_the_file = ProblemSet.model_validate(
        {"source": f"file:{path}", "domain": "multiple_choice", "seed": 1, "options": COLUMNS}
    )
    assert loaded(hub, tmp_path, MEMBER) == load_problems("gpqa", of_the_file).rows


@pytest.mark.parametrize("card_is_open", [True, False])
@pytest.mark.parametrize(
    ("token", "told"),
    [
        (None, "accept its terms on its page at the hub, and set HF_TOKEN to a token of the account that did"),
        ("hf_ofAStranger", "the account of your token has no access: accept its terms on its page at the hub"),
    ],
)
def test_a_gated_one_that_cannot_be_had_says_what_gives_access(tmp_path, card_is_open, token, told):
    said = loaded(Hub({"gpqa_diamond.csv": as_csv(*HARD)}, card_is_open), tmp_path, token)
    assert f"gpqa: hf:{REPOSITORY}@{COMMIT} cannot be had: " in said
    assert told in said
    assert "hf_" not in said


@pytest.mark.parametrize(
    ("source", "token", "told"),
    [
        (f"hf:{REPOSITORY}@main", None, "It is gated: accept its terms on its page at the hub, and set HF_TOKEN"),
        (f"hf:{REPOSITORY}@main", "hf_ofAStranger", "the account of your token has no access: accept its terms"),
        ("hf:someone/secret@main", None, "Check its name; a private one needs a token with access to it in HF_TOKEN"),
    ],
)
def test_a_closed_model_says_what_gives_access_too(tmp_path, source, token, told):
    said = loaded(Hub({"config.json": "{}"}, card_is_open=True), tmp_path, token, source)
    assert said.startswith(f"{source} cannot be had: ")
    assert told in said
    assert "hf_" not in said


def test_a_split_or_a_config_that_there_is_not_is_told(tmp_path):
    hub = Hub({"gpqa_diamond.csv": as_csv(*HARD), "gpqa_main.csv": as_csv(HARD[1])}, card_is_open=True)
    assert "gpqa_diamond" in loaded(hub, tmp_path, MEMBER, config="diamond")
    assert "train" in loaded(hub, tmp_path, MEMBER, split="test")
    assert "has no column Title" in loaded(hub, tmp_path, MEMBER, id="Title")


def test_the_order_of_the_options_and_the_revision_are_part_of_what_pins_the_problems():
    one = settings()
    others = [{**one, "seed": 2}, {**one, "source": f"hf:{REPOSITORY}@main"}, settings(wrong="Incorrect Answer 1")]
    identities = [problem_set_identity(ProblemSet.model_validate(each)) for each in (one, one, *others)]
    assert identities[0] == identities[1]
    assert all(identity != identities[0] for identity in identities[2:])


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"options": {"problem": "Question"}}, "options.split is missing: name the split of the data set"),
        (
            {"options": {"split": "train", "subset": "x"}},
            "options: a data set of the hub has no option 'subset'; there are config, split",
        ),
        ({"options": {"split": 1}}, "options of a data set of the hub are names of its columns"),
        ({"domain": "math"}, "write domain: multiple_choice too"),
        ({"source": f"hf:{REPOSITORY}"}, f'write "hf:{REPOSITORY}@main", with a tag or a commit in place of main'),
        ({"source": "hf:../gpqa@main"}, "is not hf: with a name that can be one"),
    ],
)
def test_what_is_no_data_set_of_the_hub_is_refused_at_the_door(changed, told):
    with pytest.raises(ValidationError, match=told.replace("(", r"\(")):
        ProblemSet.model_validate({**settings(), **changed})
