"""A hosted reasoning model as the only model: no weights, no torch, no hub, and every answer read."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from gsr_dagster.experiment.keys import ArtifactKey
from resources.store.artifacts import ArtifactStore
from tests.resources.engines.served.played import PlayedServer, chat, playing

GSR = Path(sys.executable).with_name("gsr")
ROLLOUT = {"temperature": 0.7, "max_new_tokens": 200}
FORMS = {
    "reasoning_content": lambda thinking, answer: chat(answer, reasoning_content=thinking),
    "reasoning": lambda thinking, answer: chat(answer, reasoning=thinking),
    "one text": lambda thinking, answer: chat(f"<think>\n{thinking}\n</think>\n\n{answer}"),
}


def reasoned(form):
    """A model that is right where the number is even, and thinks of a wrong answer in a box before it answers."""

    def play(body):
        asked = re.search(r"What is (\d+) \+", body["messages"][-1]["content"])
        number = int(asked[1]) if asked else 1
        return FORMS[form](f"Perhaps \\boxed{{{number}}}, no.", f"It is \\boxed{{{2 * number + number % 2}}}.")

    return play


def experiment(folder: Path, server: PlayedServer, **options) -> Path:
    rows = "\n".join(f'{{"problem": "What is {i} + {i}?", "answer": "{2 * i}"}}' for i in range(1, 5))
    (folder / "problems.jsonl").write_text(rows)
    engine = {"kind": "openai", "base_url": server.url, "model": "served", "concurrency": 4, **options}
    document = {
        "name": "hosted",
        "k": 2,
        "benchmarks": {"sums": {"source": "file:problems.jsonl", "samples": 4, "domain": "math"}},
        "families": {"r": {"x": {"thinking_end": "</think>", "engine": engine}}},
        "evaluation": {"direct": ROLLOUT, "refinement": ROLLOUT, "candidate_tokens": 64},
    }
    path = folder / "hosted.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


@pytest.fixture
def without_torch(tmp_path):
    """An environment in which torch and transformers cannot be imported, and no hub is asked."""
    for name in ("torch", "transformers", "peft", "vllm"):
        (tmp_path / "missing" / name).mkdir(parents=True)
        (tmp_path / "missing" / name / "__init__.py").write_text(f"raise ImportError('{name} is not there')")
    own = {"GSR_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "1", "COLUMNS": "160"}
    own["PYTHONPATH"] = os.pathsep.join([str(tmp_path / "missing"), os.environ.get("PYTHONPATH", "")])
    return {name: value for name, value in {**os.environ, **own}.items() if name != "DAGSTER_HOME"}


def gsr_run(path: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [str(GSR), "-e", str(path), "run"]
    return subprocess.run(command, env=environment, cwd=path.parent, capture_output=True, text=True, timeout=600)


@pytest.mark.parametrize("form", FORMS)
def test_a_hosted_reasoning_model_is_scored_right_in_every_form(tmp_path, without_torch, form):
    with playing(reasoned(form)) as server:
        ran = gsr_run(experiment(tmp_path, server), without_torch)
    assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr[-3000:]
    assert re.search(r"r-x +50\.0 +50\.0 +50\.0", ran.stdout), ran.stdout[-3000:]
    store = ArtifactStore(root=str(tmp_path / "home" / "artifacts" / "hosted"))
    candidates = store.read(ArtifactKey("base/candidate_pools", "sums|r-x"))
    assert all(row["text"].count("</think>") == 1 for row in candidates)
    assert any("Candidate Response" in str(body["messages"]) for body in server.samples_asked)
    assert not any("Perhaps" in str(body["messages"]) for body in server.samples_asked)


def test_a_run_that_has_spent_its_most_keeps_what_it_has_and_goes_on_where_more_is_allowed(tmp_path, without_torch):
    spent = {"prompt_tokens": 10, "completion_tokens": 90}

    def play(body):
        return chat("\\boxed{2}", reasoning="so", usage=spent)

    with playing(play) as server:
        ran = gsr_run(experiment(tmp_path, server, n=1, concurrency=1, most_tokens=1000), without_torch)
        assert ran.returncode == 1
        said = " ".join(ran.stderr.split())
        assert "SpendingLimitError: 9 of 16 samples are drawn. served: most_tokens 1,000 is reached" in said
        assert "resources.engines" not in said
        ran = gsr_run(experiment(tmp_path, server, n=1, concurrency=1, most_tokens=10_000), without_torch)
    assert ran.returncode == 0, ran.stderr[-3000:]
    assert len(server.samples_asked) == 16 + 8
