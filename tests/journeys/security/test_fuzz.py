"""Experiment files, import files and manifests that anybody may have written: a clear error or success.

Never a traceback, never a control character in the terminal, never a write outside the folders that were named.
"""

import gzip
import io
import json
import shutil
from contextlib import suppress

import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from hypothesis import given
from hypothesis import strategies as st

from gsr_dagster.definitions import build_definitions
from gsr_dagster.experiment.keys import ArtifactKey
from gsr_dagster.experiment.loading import ExperimentError, load_experiment
from resources.grading.worker import seconds
from resources.store.hashes import sha256
from resources.store.manifests import signed
from tests import school
from tests.journeys.reliability.full_numbers import times
from tests.journeys.security.audited import written
from tests.journeys.security.fuzzing import CASES, FRAGMENTS, NAMES, ROLLOUT, VALUES, broken, gsr, mutated, told

DOCUMENT = {
    "name": "fuzzed",
    "owners": ["team:gsr", "someone@example.org"],
    "seed": 7,
    "k": 2,
    "ks": [4],
    "families": {
        "llama": {
            "tiny": {"source": "path:model", "parameters": 5e5, "engine": {"kind": "transformers", "batch_size": 8}},
            "api": {
                "source": "hf:org/name@main",
                "parameters": 7e9,
                "thinking_end": "</think>",
                "engine": {"kind": "openai", "base_url": "http://127.0.0.1:9/v1", "model": "m", "concurrency": 2},
            },
        },
        "said": {"1b": {"parameters": 1e9, "engine": {"kind": "recorded", "path": "said"}}},
        "other": {"3b": {"source": "gguf:nothing", "parameters": 3e9, "engine": {"kind": "vllm"}}},
    },
    "benchmarks": {
        "sums": {
            "source": "file:problems.jsonl",
            "samples": 4,
            "options": {"problem": "question"},
            "worked_examples": [{"problem": "1?", "solution": "1"}],
        },
        "made": {"source": "reasoning-gym:chain_sum", "options": {"min_terms": 2}, "problems": 3, "samples": 4},
    },
    "evaluation": {"direct": ROLLOUT, "refinement": {**ROLLOUT, "top_p": 0.9}, "candidate_tokens": 64, "grader": "exact"},
    "aggregations": {
        "best": {"kind": "recorded_scores", "path": "scores.jsonl"},
        "reward": {"kind": "reward_model", "source": "path:reward"},
    },
    "training_problems": {"source": "file:problems.jsonl", "options": {"problem": "question"}},
    "contamination": "report",
    "students": {
        "llama-student": {
            "base": "llama-tiny",
            "teacher": "llama-api",
            **{step: {"samples": 2, **ROLLOUT} for step in ("candidates", "refinements", "solutions")},
            "training": {"epochs": 2, "batch_size": 16, "rows_at_once": 4},
            "lora": {"rank": 8},
        }
    },
    "checks": {"most_truncated": 0.5},
}  # fmt: skip


def test_a_file_that_is_not_fuzzed_is_accepted(tmp_path):
    (tmp_path / "experiment.yaml").write_text(yaml.safe_dump(DOCUMENT))
    assert build_definitions(load_experiment(tmp_path / "experiment.yaml"))


def test_what_yaml_can_do_is_refused_at_once_or_harmless(tmp_path):
    """Bombs of aliases, files that hold themselves, depth, dates and numbers that there are not."""
    path = tmp_path / "experiment.yaml"
    document = yaml.safe_dump(DOCUMENT, sort_keys=False)
    for text in (part for fragment in FRAGMENTS for part in (fragment, f"{document}\n{fragment}")):
        path.write_text(text)
        with seconds(2), suppress(ExperimentError):
            load_experiment(path)


def test_an_experiment_file_is_refused_clearly_or_can_be_planned_and_served(tmp_path, outside):
    path = tmp_path / "experiment.yaml"
    (tmp_path / "problems.jsonl").write_text('{"question": "1 + 1?", "answer": "2"}\n')
    accepted = 0

    @CASES
    @given(st.data())
    def fuzz(data: st.DataObject) -> None:
        nonlocal accepted
        kind = data.draw(st.sampled_from(["structure", "structure", "structure", "fragment", "bytes"]))
        document = mutated(DOCUMENT, data, VALUES) if kind == "structure" else DOCUMENT
        text = yaml.safe_dump(document, sort_keys=False)
        if kind == "fragment":
            lines = text.splitlines()
            lines.insert(data.draw(st.integers(0, len(lines))), data.draw(st.sampled_from(FRAGMENTS)))
            text = "\n".join(lines)
        content = text.encode("utf-8", "surrogatepass")
        path.write_bytes(broken(content, data) if kind == "bytes" else content)
        with written() as paths:
            told(gsr("-e", path, "plan"))
            with suppress(ExperimentError):
                assert build_definitions(load_experiment(path))
                accepted += 1
        assert outside(paths) == set()

    fuzz()
    assert accepted > times(2, 300), "nearly all are refused: the mutations are too coarse"


ROWS = [
    {"problem_id": f"p{n}", "problem": f"{n} + 1?", "answer": str(n + 1), "response": f"\\boxed{{{n + wrong}}}"}
    | {"generated_tokens": 7, "finish_reason": "stop"}
    | ({"candidates": [f"\\boxed{{{n}}}", "no"]} if wrong else {})
    for n in range(2)
    for wrong in (0, 1, 0)
]
FORMS = {
    "rows": ROWS,
    "lm-eval": [{"doc": {"question": "1?"}, "doc_id": 0, "target": "1", "resps": [["1", "2"]]}],
    "lighteval": [{"doc": {"query": "1?", "choices": ["1"], "gold_index": 0, "id": "0"}, "model_response": {"text": ["1"]}}],
    "nemo-skills": [{"problem": "1?", "expected_answer": "1", "generation": "1", "num_generated_tokens": 1}],
}  # fmt: skip
KINDS = ("structure", "structure", "structure", "bytes", "parquet", "gz")


def test_an_import_file_is_refused_clearly_or_imported(tmp_path, outside):
    imported = 0

    @CASES
    @given(st.data())
    def fuzz(data: st.DataObject) -> None:
        nonlocal imported
        kind, form = data.draw(st.sampled_from(KINDS)), data.draw(st.sampled_from(["rows", *FORMS]))
        rows = mutated(FORMS[form], data, VALUES)
        content = "".join(json.dumps(row, default=str) + "\n" for row in rows).encode()
        path = tmp_path / {"parquet": "rows.parquet", "gz": "rows.jsonl.gz"}.get(kind, "rows.jsonl")
        if kind == "parquet":
            content = as_parquet(rows, FORMS[form])
        if kind == "gz":
            content = gzip.compress(content)
        path.write_bytes(content if kind == "structure" or data.draw(st.booleans()) else broken(content, data))
        folder = tmp_path / "imported"
        model = "a-b" if data.draw(st.integers(0, 7)) else data.draw(NAMES.filter(usable))
        shutil.rmtree(folder, ignore_errors=True)
        named = [
            "--to",
            folder,
            "--model",
            model,
            "--parameters",
            "1",
            "-k",
            "2",
        ]
        named += ["--from", form, *data.draw(st.sampled_from([[], ["--field", "response=text"], ["--samples", "3"]]))]
        with written() as paths:
            result = gsr("import", path, *named)
        told(result)
        imported += result.exit_code == 0
        assert outside(paths) == set()
        assert {place.name for place in tmp_path.iterdir()} <= {
            "imported",
            "rows.jsonl",
            "rows.jsonl.gz",
            "rows.parquet",
        }

    fuzz()
    assert imported > times(5, 500), "nearly all are refused: the mutations are too coarse"


def as_parquet(rows: list, written: list[dict]) -> bytes:
    """Return rows as Parquet, those that were written where they fit no table."""
    buffer = io.BytesIO()
    try:
        table = pa.Table.from_pylist(rows)
        pq.write_table(table, buffer)
    except (pa.ArrowException, TypeError, ValueError, AttributeError, OverflowError):
        buffer = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(written), buffer)
    return buffer.getvalue()


def usable(name: str) -> bool:
    """Whether a shell can say it."""
    return "\0" not in name and "\ud800" not in name


def test_a_manifest_that_was_written_by_another_hand_is_refused_clearly_or_read(
    tmp_path, outside, monkeypatch, finished_school
):
    monkeypatch.setenv("GSR_ARTIFACTS", str(tmp_path))
    root = tmp_path / "school"
    shutil.copytree(finished_school.store.root, root)
    path = tmp_path / "school.yaml"
    path.write_text(yaml.safe_dump(finished_school.written))
    manifests = sorted(root.rglob("manifest.json"))
    (problem, *_) = finished_school.store.read(ArtifactKey("training_problems"))
    commands = [
        ["lineage", school.STUDENT],
        ["lineage", "--problem", problem["problem_id"]],
        ["sql", "from base_candidate_pools"],
        ["report"],
        ["verify", "--drop"],
        ["plan"],
    ]
    for command in commands:
        assert gsr("-e", path, *command).exit_code == 0
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    lists = sorted(root.rglob("SHA256SUMS"))

    @CASES
    @given(st.data())
    def fuzz(data: st.DataObject) -> None:
        chosen = data.draw(st.sampled_from(manifests if data.draw(st.integers(0, 4)) else lists))
        content = chosen.read_bytes()
        changed, folder = broken(content, data), chosen.parent
        if data.draw(st.integers(0, 3)):
            # By a hand that knows how it is signed: it is held against its own sha256 no longer.
            if chosen.name == "manifest.json":
                document = mutated(json.loads(content), data, VALUES)
                changed = signed(json.loads(json.dumps(document, default=str)))
            else:
                name = data.draw(NAMES).encode("utf-8", "surrogatepass")
                changed = data.draw(st.sampled_from([b"", content])) + b"0" * 64 + b"  " + name + b"\n"
                folder = folder.rename(folder.with_name(f"files-{sha256(changed)[:16]}"))
        try:
            (folder / chosen.name).write_bytes(changed)
            with written() as paths:
                told(gsr("-e", path, *data.draw(st.sampled_from(commands))))
        finally:
            if folder != chosen.parent:
                folder.rename(chosen.parent)
            for lost in (file for file in before if file == chosen or not file.exists()):
                lost.write_bytes(before[lost])
        assert outside(paths) == set()

    fuzz()
    assert {path: path.read_bytes() for path in root.rglob("*") if path.is_file()} == before
