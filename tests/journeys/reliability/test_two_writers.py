"""Two runs on one partition at once: one whole artifact, no mixture, and the one that lost says so."""

import json
import os
import subprocess
import sys
import uuid
from collections import Counter
from pathlib import Path

import pytest

from tests.journeys.reliability.full_numbers import times
from tests.school import BENCHMARK, School

LOST = "another run published it in the meantime, and its artifact stays"


@pytest.fixture(params=["local", "s3"], scope="module")
def rounds(request, tmp_path_factory, finished_school: School) -> list[dict]:
    """What happened in every round: tests/journeys/two_writers.py."""
    folder = tmp_path_factory.mktemp("two-writers")
    (folder / "dagster").mkdir()
    (folder / "dagster" / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    (folder / "written.json").write_text(json.dumps(finished_school.written))
    (folder / "artifacts").symlink_to(finished_school.store.root)
    environment = {**os.environ, "DAGSTER_HOME": str(folder / "dagster"), "GSR_EXPERIMENT": ""}
    root = str(folder / "stores")
    if request.param == "s3":
        root = f"s3://artifacts/{uuid.uuid4()}"
        environment |= {
            "AWS_ENDPOINT_URL": request.getfixturevalue("s3_endpoint"),
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
            "GSR_CACHE": str(folder / "cache"),
        }
    count = times(5 if request.param == "local" else 2, 50)
    main = "from tests.journeys.reliability.two_writers import main; main()"  # no module: the graders' processes would load it
    command = [sys.executable, "-c", main, folder / "small", root, str(count), folder]
    with (folder / "log").open("w") as log:
        done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=log, text=True, timeout=3000)
    assert done.returncode == 0, Path(folder, "log").read_text()[-3000:]
    found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"kind"')]
    assert len(found) == count
    return found


def named(round_: dict) -> str:
    return f"{round_['kind']}: {round_['told']}"


def test_equal_runs_agree_and_of_others_one_loses_and_says_so(rounds):
    for round_ in rounds:
        lost = [told for told in round_["told"] if told]
        assert len(lost) == (0 if round_["kind"][1] == "nothing" else 1), named(round_)
        assert all(LOST in told for told in lost), named(round_)


def test_the_artifact_is_the_winners_whole(rounds):
    for round_ in rounds:
        winner = round_["told"].index("")
        assert round_["after"] == round_["alone"][winner], named(round_)
        assert round_["after"]["damage"] == []


def test_what_the_loser_left_makes_no_sample_count_twice_when_it_runs_again(rounds):
    for round_ in rounds:
        again = round_["again"]
        assert again["damage"] == []
        if round_["kind"][0] != "checkpoint":
            ids = Counter(row[0] for row in again["holds"])
            wanted = 6 if round_["kind"][1] == "wanted" else 4
            assert set(ids.values()) == {1}, named(round_)
            assert len(ids) == wanted * len(BENCHMARK)
            kept = dict(round_["after"]["holds"])
            if round_["kind"][1] != "temperature":
                assert {name: text for name, text in again["holds"] if name in kept} == kept
