import json
from contextlib import suppress
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gsr_dagster.experiment.settings import RolloutSettings
from resources.engines.base import EngineError, Request
from resources.engines.recorded import RecordedEngine
from resources.problems.importers import FORMS, read_recorded
from resources.problems.recorded_samples import ImportFileError, Recorded, read_samples, write_recorded

SETTINGS = RolloutSettings(temperature=1, max_new_tokens=8)


def lines(folder: Path, *rows: dict) -> Path:
    path = folder / "recorded.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def pool(problems: int, samples: int) -> list[Recorded]:
    return [
        Recorded(f"p{p}", f"{p} + 1?", str(p + 1), f"text {p}.{s}") for p in range(problems) for s in range(samples)
    ]


def test_lm_eval_writes_a_document_with_its_responses(tmp_path):
    row = {"doc_id": 7, "doc": {"question": "1 + 1?"}, "target": "2", "arguments": {}, "resps": [["a", "b"]]}
    found = list(read_recorded(lines(tmp_path, row), "lm-eval", {}))
    assert found == [Recorded("7", "1 + 1?", "2", "a"), Recorded("7", "1 + 1?", "2", "b")]


def test_lighteval_writes_a_doc_and_its_model_response_as_parquet(tmp_path):
    doc = {"id": "3", "query": "1 + 1?", "choices": ["2", "3"], "gold_index": 0}
    response = {"text": ["a", "b"], "output_tokens": [[1, 2], [1]]}
    path = tmp_path / "details.parquet"
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist([{"doc": doc, "model_response": response}]), path)
    found = list(read_recorded(path, "lighteval", {}))
    assert [(r.problem_id, r.answer, r.text, r.generated_tokens) for r in found] == [
        ("3", "2", "a", 2),
        ("3", "2", "b", 1),
    ]


def test_nemo_skills_writes_a_generation_a_line(tmp_path):
    row = {"problem": "1 + 1?", "expected_answer": 2, "generation": "a", "num_generated_tokens": 5}
    (found,) = read_recorded(lines(tmp_path, row), "nemo-skills", {})
    assert found == Recorded("1 + 1?", "1 + 1?", "2", "a", generated_tokens=5)


def test_fields_with_other_names_are_mapped(tmp_path):
    row = {"question": "1 + 1?", "gold": 2.0, "output": "a", "tokens": 3}
    fields = {"problem": "question", "answer": "gold", "response": "output", "generated_tokens": "tokens"}
    (found,) = read_recorded(lines(tmp_path, row), "rows", fields)
    assert found == Recorded("1 + 1?", "1 + 1?", "2", "a", generated_tokens=3)


@pytest.mark.parametrize("form", FORMS)
@settings(max_examples=50, deadline=None)
@given(text=st.text() | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(json.dumps) | st.dictionaries(st.sampled_from(["doc", "resps", "problem", "answer", "response", "model_response"]), st.none() | st.text() | st.lists(st.integers())).map(json.dumps))  # fmt: skip
def test_whatever_a_file_holds_is_read_or_refused_by_name(tmp_path_factory, form, text):
    path = tmp_path_factory.mktemp("fuzz") / "recorded.jsonl"
    path.write_text(text, encoding="utf-8", errors="surrogatepass")
    with suppress(ImportFileError):
        list(read_recorded(path, form, {}))


def test_a_refinement_brings_the_candidates_it_was_shown(tmp_path):
    refinement = Recorded("p", "1 + 1?", "2", "refined", candidates=("a", "b"))
    other = Recorded("p", "1 + 1?", "2", "of three", candidates=("a", "b", "c"))
    made = write_recorded([refinement, other], tmp_path, k=2)
    assert (made.samples, made.refinements, made.left_out) == (2, 1, {"refinements of 3 candidates, not 2": 1})
    texts = {(row["prompt_id"], row["sample_index"]): row["text"] for row in read_samples(tmp_path)}
    assert texts == {("p", 0): "a", ("p", 1): "b", ("p/g0", 0): "refined"}


def test_a_problem_named_like_anothers_refinement_is_refused(tmp_path):
    with pytest.raises(ImportFileError, match="problem p/g0 has the name of a refinement of problem p"):
        write_recorded([Recorded("p", "q", "1", "a"), Recorded("p/g0", "r", "1", "a")], tmp_path, k=1)


def test_a_problem_with_two_answers_is_refused(tmp_path):
    with pytest.raises(ImportFileError, match="problem p has two texts or answers"):
        write_recorded([Recorded("p", "q", "1", "a"), Recorded("p", "q", "2", "b")], tmp_path, k=1)


def test_the_engine_gives_what_is_recorded_and_says_what_is_not(tmp_path):
    write_recorded(pool(2, 2), tmp_path, k=2)
    engine = RecordedEngine(tmp_path)
    wanted = [Request(f"model/bench/p{p}", [], (0, 1, 2), (5, 6, 7)) for p in range(2)]
    drawn = engine.sample(wanted, SETTINGS)
    found = [*next(drawn), *next(drawn)]
    with pytest.raises(EngineError, match=r"2 samples are not recorded in .*, first p0 \(2\)"):
        next(drawn)
    assert [(s.request_id, s.index, s.text) for s in found] == [
        (f"model/bench/p{p}", i, f"text {p}.{i}") for p in range(2) for i in range(2)
    ]
