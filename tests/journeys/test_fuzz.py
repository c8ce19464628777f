"""Experiment files, import files and manifests that anybody may have written: a clear error or success.

Never a traceback, never a control character in the terminal, never a write outside the folders that were named.
"""

import copy
import gzip
import io
import json
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from click.testing import CliRunner, Result
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from gsr_dagster.commands.main import main
from gsr_dagster.definitions import build_definitions
from gsr_dagster.experiment.keys import ArtifactKey
from gsr_dagster.experiment.loading import ExperimentError, load_experiment
from resources.grading.worker import seconds
from resources.store.hashes import sha256
from resources.store.manifests import signed
from tests import school
from tests.journeys.audited import written
from tests.journeys.reliability import times

CASES = settings(
    max_examples=times(100, 10_000),
    deadline=None,
    database=None,
    derandomize=times(1, 0) == 1,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate],  # a case that fails is small enough as it is
)
ROLLOUT = {"temperature": 1.0, "max_new_tokens": 16}

NAMES = st.sampled_from([
    "", ".", "..", "../x", "../../etc/passwd", "/etc/passwd", "a/../../b", "a\0b", "x" * 300, "x" * 5000, "a|b", "a,b",
    "*", "[a-z]", "~", "~nobody/x", "a b", "\x1b[31m", "\u202ea", "\ud800", "é", "x...y", "con", "-rf", "$HOME", "%s",
    "{0}", "{{7*7}}", "<b>", "[bold]", "[/x]", "a:b", "s3://x/y", "http://127.0.0.1:9/", "file:///etc/passwd", "nan",
])  # fmt: skip
# What fits here and there: so that not every file is refused at the door.
FITTING = st.sampled_from([1, 2, 3, 4, 8, 64, 0.5, 0.9, True, None, "x", "7b", "1e3", "llama-tiny", "said-1b", "exact"])
SCALARS = (
    NAMES
    | st.text(max_size=20)
    | st.integers()
    | st.sampled_from([0, -1, 1, 2**31, 2**63, 2**64, 10**30, 10**400, -(10**30)])
    | st.floats()
    | st.booleans()
    | st.none()
    | st.dates()
)
VALUES = st.recursive(SCALARS, lambda v: st.lists(v, max_size=3) | st.dictionaries(NAMES, v, max_size=3), max_leaves=6)
# As they stand in a YAML file: what a structure cannot say.
FRAGMENTS = [
    "k: " + "1" * 5000, "k: 1:59:59:59", "k: 0o9", "k: 2024-13-45", "k: !!int x", "k: !!bool x", "k: !!timestamp x",
    "k: !!float x", "k: !!binary x", "k: !!python/object/apply:os.system [id]", "k: &a [*a]", "a: &a {b: *a}",
    "k: 4\nk: 5", "? [a]\n: b", "? {a: b}\n: c", "<<: [{k: 1}, {k: 2}]", "<<: 3", "k: *nowhere", "=: 1", "%YAML 9.9",
    "k: " + "[" * 3000, "k: " + "{a: " * 3000, "k: " + "[" * 60 + "]" * 60, "--- 1\n--- 2", "k: \0", "k: \x1b[31m",
    "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 40)),
    "m0: &m0 {k: 1}\n" + "".join(f"m{n}: &m{n} {{<<: [*m{n - 1}, *m{n - 1}]}}\n" for n in range(1, 40)),
    "# " + "x" * 300_000, "\ufeff", "\ud7ff\ufffe", "k: !!set {a}", "k: !!omap 3", "k: |\n  \u2028", "\t", "@", "`", "''",
    "# fitting", "", "seed: 9", "ks: [1]", "contamination: block", "students: {}", "aggregations: {}",
]  # fmt: skip


def mutated(document: Any, data: st.DataObject, values: st.SearchStrategy) -> Any:
    """Return a document with some places changed: another value, gone, another name, one more."""
    document = copy.deepcopy(document)
    for _ in range(data.draw(st.sampled_from([1, 1, 2, 3]))):
        node = document
        while True:
            keys = list(node) if isinstance(node, dict) else list(range(len(node)))
            if not keys:
                break
            key = data.draw(st.sampled_from(keys))
            if isinstance(node[key], dict | list) and data.draw(st.integers(0, 3)):
                node = node[key]
                continue
            change = data.draw(st.sampled_from(["value", "gone", "renamed", "more"]))
            if change == "value":
                node[key] = data.draw(FITTING if data.draw(st.booleans()) else values)
            elif change == "gone":
                del node[key]
            elif isinstance(node, dict):
                name = data.draw(NAMES)
                node[name] = node.pop(key) if change == "renamed" else data.draw(values)
            break
    return document


def broken(content: bytes, data: st.DataObject) -> bytes:
    """Return bytes cut off, changed in a place, written twice, in another encoding, or other bytes."""
    where = data.draw(st.integers(0, len(content)))
    return data.draw(
        st.one_of(
            st.just(content[:where]),
            st.binary(max_size=4).map(lambda some: content[:where] + some + content[where + len(some) :]),
            st.just(content[where:] + content),
            st.just(content.decode("utf-8", "replace").encode("utf-16")),
            st.just(b"\xef\xbb\xbf" + content),
            st.binary(max_size=200),
        )
    )


def told(result: Result) -> str:
    """Return what a command said, which is success or one clear error."""
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise AssertionError(f"a traceback: {result.exception!r}") from result.exception
    assert result.exit_code in (0, 1, 2), result.output
    if result.exit_code:
        assert "Error: " in result.output or "BROKEN, " in result.output
    assert "Traceback" not in result.output
    assert all(c.isprintable() or c in "\n\t" for c in result.output), result.output
    return result.output


def gsr(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture
def outside(tmp_path_factory, monkeypatch) -> Callable[[set[str]], set[str]]:
    """What keeps the commands in folders of the test, and tells which of the paths written lie elsewhere."""
    folder = tmp_path_factory.mktemp("fuzz-home")
    for name, value in {"GSR_HOME": "home", "DAGSTER_HOME": "home/dagster", "GSR_CACHE": "cache"}.items():
        monkeypatch.setenv(name, str(folder / value))
    monkeypatch.setenv("GSR_ARTIFACTS", str(folder / "home" / "artifacts"))
    monkeypatch.setenv("GSR_EXPERIMENT", "demo")
    roots = (str(folder.parent), "/dev/", "/tmp/pymp-", "/dev/shm/")
    return lambda paths: {path for path in paths if not path.startswith(roots) and "__pycache__" not in path}


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
