"""Files as tools write them. Those in logs/ were written by lm-eval 0.4.13, lighteval 0.13.0 and NeMo-Skills
(8b18f39) on problems of our own; inspect_ai writes its log in the test, where it is installed."""

import json
import sys
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from resources.problems.forms.fields import Reading
from resources.problems.importers import read_files, read_recorded
from resources.problems.recorded_samples import ImportFileError, Recorded
from resources.problems.repeats import told_apart, without_repeats

LOGS = Path(__file__).with_name("logs")
(GSM8K,), (MATH,), (AIME,) = (list(LOGS.glob(f"samples_tiny_{task}_*.jsonl")) for task in ("gsm8k", "math", "aime"))
SEEDS = [LOGS / "output-rs0.jsonl", LOGS / "output-rs1.jsonl"]


def rows(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def written(path: Path, *rows: dict) -> Path:
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def test_lm_eval_logs_a_sample_under_every_filter_and_it_is_one_sample():
    reading = Reading()
    (file,) = read_files([GSM8K], "lm-eval", reading)
    assert [(s.problem_id, s.answer, s.text) for s in file.samples] == [
        ("0", "7", "She has 7 pens.\n#### 7"),
        ("0", "7", "3 * 4 = 12.\n#### 12"),
        ("1", "2000", "#### 2,000"),
        ("1", "2000", "#### 2,000"),  # within one file the same text twice is two samples
    ]
    assert reading.left_out == {"rows of lm-eval with the samples of another filter or metric": 2}


def test_the_targets_of_lm_evals_math_and_aime_are_read():
    assert [s.answer for s in read_recorded(MATH, "lm-eval", {})] == ["\\frac{3}{2}"] * 2 + ["32"] * 2
    aime = list(read_recorded(AIME, "lm-eval", {}))
    assert [(s.problem, s.answer) for s in aime[::2]] == [
        ("Find $6 \\cdot 7$.", "42"),
        ("Find $10 - 1$, with three digits.", "9"),
    ]


def test_the_targets_of_minervas_solutions_are_read(tmp_path):
    row = {**rows(MATH)[0], "target": "So $x = \\boxed{\\frac{3}{2}}$.\nFinal Answer: The final answer is $\\frac32$."}
    (first, _) = read_recorded(written(tmp_path / "samples.jsonl", row), "lm-eval", {})
    assert first.answer == "\\frac{3}{2}"


def test_one_response_is_right_for_lm_eval_if_it_is_under_any_filter(tmp_path):
    strict, flexible = ({**row, "resps": [["It is 7."]]} for row in rows(GSM8K)[::2])
    path = written(tmp_path / "samples.jsonl", {**strict, "exact_match": 0.0}, {**flexible, "exact_match": 1.0})
    (sample,) = read_recorded(path, "lm-eval", {})
    assert sample.label == 1.0


def test_log_likelihoods_are_no_samples(tmp_path):
    row = {**rows(GSM8K)[0], "resps": [[[-1.5, False]], [[-0.5, True]]]}
    with pytest.raises(ImportFileError, match="row 1: resps hold log-likelihoods"):
        list(read_recorded(written(tmp_path / "samples.jsonl", row), "lm-eval", {}))


def test_two_tasks_of_lm_eval_have_the_same_ids_and_other_problems():
    reading = Reading()
    files = without_repeats(read_files([GSM8K, MATH, GSM8K], "lm-eval", reading), reading)
    samples = told_apart(files)
    assert list(dict.fromkeys(s.problem_id for s in samples)) == [
        "tiny_gsm8k/0",
        "tiny_gsm8k/1",
        "tiny_math/0",
        "tiny_math/1",
    ]
    assert len(samples) == 8
    assert reading.left_out[f"samples of {GSM8K.name} that {GSM8K.name} holds too: the same log"] == 4


def test_the_task_of_a_tools_file_can_name_the_benchmark():
    samples = read_files([GSM8K, AIME], "lm-eval", Reading(benchmark="task"))
    assert [{s.benchmark for s in file.samples} for file in samples] == [{"tiny_gsm8k"}, {"tiny_aime"}]


@pytest.mark.parametrize(("task", "labels"), [("one", [1.0, 1.0]), ("sums", [None] * 4)])
def test_lighteval_writes_a_doc_its_model_response_and_metrics_as_parquet(tmp_path, task, labels):
    (log,) = LOGS.glob(f"details_tiny_{task}_*.jsonl")
    path = tmp_path / f"{log.stem}.parquet"
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows(log)), path)
    found = list(read_recorded(path, "lighteval", {}))
    assert {(s.problem_id, s.answer) for s in found} == {("0", "7"), ("1", "2,000")}
    assert found[-1].problem == "Question: Ann has 3 pens and buys 4 more. How many pens has she?\nAnswer:"
    assert [s.label for s in found] == labels
    assert {s.text: s.generated_tokens for s in found}["She has \\boxed{7} pens."] == 4


def test_lightevals_metric_of_several_is_named_by_the_label_field(tmp_path):
    (log,) = LOGS.glob("details_tiny_one_*.jsonl")
    row = {**rows(log)[0], "metric": {"length": 12.0, "extractive_match": 0.0}}
    path = tmp_path / "details.parquet"
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist([row]), path)
    assert [s.label for s in read_recorded(path, "lighteval", {})] == [None]
    assert [s.label for s in read_recorded(path, "lighteval", {"label": "metric.extractive_match"})] == [0.0]


def test_nemo_skills_writes_a_file_a_seed_and_two_seeds_may_write_the_same():
    reading = Reading()
    files = without_repeats(read_files(SEEDS, "nemo-skills", reading), reading)
    samples = told_apart(files)
    assert samples[:2] == [
        Recorded("own/0", "Ann has 3 pens and buys 4 more. How many pens has she?", "7", "She has \\boxed{7} pens.", generated_tokens=5),
        Recorded("own/1", "A box holds 1,000 screws. How many screws do 2 boxes hold?", "2000", "So \\boxed{2000}", generated_tokens=5),
    ]  # fmt: skip
    assert samples[2:] == samples[:2]
    assert list(reading.notes.values()) == [2]
    assert not reading.left_out


def completion(texts: list[str | None], **more) -> dict:
    """A response as OpenAI's own client has it."""
    from openai.types.chat import ChatCompletion

    choices = [
        {"index": i, "finish_reason": "length" if text == "" else "stop", "logprobs": None, "message": {"role": "assistant", "content": text, "refusal": None}}
        for i, text in enumerate(texts)
    ]  # fmt: skip
    usage = {"prompt_tokens": 9, "completion_tokens": 5, "total_tokens": 14}
    body = {"id": "c", "object": "chat.completion", "created": 1, "model": "gpt", "choices": choices, "usage": usage}
    return ChatCompletion.model_validate(body).model_dump(mode="json")


def request(custom_id: str, *texts: str | None, status: int = 200, error: dict | None = None) -> dict:
    response = {"status_code": status, "request_id": "r", "body": completion(list(texts))}
    return {"id": "batch_req_1", "custom_id": custom_id, "response": None if error else response, "error": error}


PROBLEMS = {"p": ("1 + 1?", "2"), "p-1": ("1 + 2?", "3")}


def test_a_batch_of_openai_is_read_with_the_problems_of_a_second_file(tmp_path):
    path = written(
        tmp_path / "output.jsonl",
        request("p", "a", "b"),
        request("p-1", "c"),
        request("p-1_7", ""),
        request("p-2-0", None),
        request("p", "x", status=429),
        request("p", error={"code": "batch_expired", "message": "This request expired."}),
    )
    reading = Reading(problems=PROBLEMS)
    (file,) = read_files([path], "openai-batch", reading)
    assert {sample.prompt_tokens for sample in file.samples} == {9}
    assert [(s.problem_id, s.answer, s.text, s.generated_tokens, s.finish_reason) for s in file.samples] == [
        ("p", "2", "a", None, "stop"),
        ("p", "2", "b", None, "stop"),
        ("p-1", "3", "c", 5, "stop"),
        ("p-1", "3", "", 5, "length"),
        ("p", "2", "", 5, "stop"),
    ]
    assert reading.left_out == {"requests that failed": 2}
    assert list(reading.notes.values()) == [1]


def said(message: dict, reading: Reading, tmp_path: Path, reason: str = "stop") -> tuple[str, str]:
    row = request("p", "")
    row["response"]["body"]["choices"] = [{"index": 0, "finish_reason": reason, "message": message}]
    (sample,) = read_recorded(written(tmp_path / "output.jsonl", row), "openai-batch", reading)
    return sample.text, sample.finish_reason


def test_a_batchs_thinking_in_a_field_of_its_own_is_joined_to_the_answer(tmp_path):
    for field in ("reasoning_content", "reasoning"):
        message = {"content": "So \\boxed{2}", field: "1 and 1 make 2."}
        named = Reading(problems=PROBLEMS, thinking_end="</think>")
        assert said(message, named, tmp_path)[0] == "1 and 1 make 2.</think>So \\boxed{2}"
        assert said({**message, "content": None}, named, tmp_path, "length") == ("1 and 1 make 2.", "length")
        reading = Reading(problems=PROBLEMS)
        assert said(message, reading, tmp_path)[0] == "So \\boxed{2}"
        assert list(reading.notes) == [
            "responses have their thinking in a field of its own: without --thinking-end it is left out"
        ]


def test_a_batchs_refusals_parts_and_finish_reasons_are_kept(tmp_path):
    reading = Reading(problems=PROBLEMS)
    assert said({"content": None, "refusal": "I cannot help."}, reading, tmp_path) == ("", "refusal")
    assert said({"content": "half", "refusal": None}, reading, tmp_path, "content_filter") == ("half", "content_filter")
    parts = [{"type": "text", "text": "a "}, {"type": "image_url", "image_url": {}}, {"type": "text", "text": "b"}]
    assert said({"content": parts}, reading, tmp_path)[0] == "a b"


def test_a_batch_without_its_problems_says_what_is_missing(tmp_path):
    path = written(tmp_path / "output.jsonl", request("q-1", "a"))
    with pytest.raises(ImportFileError, match=r"row 1: a batch's output holds no problems: .* --problems"):
        list(read_recorded(path, "openai-batch", {}))
    with pytest.raises(ImportFileError, match="row 1: custom_id 'q-1' is no id of the file of problems"):
        list(read_recorded(path, "openai-batch", Reading(problems=PROBLEMS)))
    row = {**request("q", "a"), "metadata": {"question": "1 + 1?", "gold": 2}}
    fields = {"problem": "metadata.question", "answer": "metadata.gold"}
    (found,) = read_recorded(written(tmp_path / "with.jsonl", row), "openai-batch", fields)
    assert (found.problem_id, found.problem, found.answer, found.text) == ("q", "1 + 1?", "2", "a")


WRITTEN = ["ANSWER: 5", "ANSWER: 5", "so 14", "ANSWER: 14"]


@pytest.fixture(scope="module")
def inspect_logs(tmp_path_factory) -> dict[str, Path]:
    """The same task of two problems, two epochs each, as .eval and as .json."""
    inspect = pytest.importorskip("inspect_ai", reason="pip install inspect-ai to read its logs")
    from inspect_ai.dataset import MemoryDataset, Sample
    from inspect_ai.model import ModelOutput, ModelUsage, get_model
    from inspect_ai.scorer import includes, match
    from inspect_ai.solver import generate

    folder = tmp_path_factory.mktemp("inspect")
    samples = [Sample(input="What is 2 + 3?", target="5", id="sum-1"), Sample(input="10 + 4?", target=["14", "14.0"], id=2)]  # fmt: skip
    for form in ("eval", "json"):
        outputs = [ModelOutput.from_content("mockllm/model", text) for text in WRITTEN]
        for output in outputs:  # else it would fetch a tokenizer to count them
            output.usage = ModelUsage(input_tokens=9, output_tokens=3, total_tokens=12)
        task = inspect.Task(
            MemoryDataset(samples), solver=generate(), scorer=[match(numeric=True), includes()], epochs=2, name="sums"
        )
        model = get_model("mockllm/model", custom_outputs=outputs)
        inspect.eval(task, model=model, log_dir=str(folder / form), log_format=form, display="none", max_samples=1)
    return {path.suffix: path for path in folder.rglob("*.*") if path.is_file() and path.suffix in (".eval", ".json")}


@pytest.mark.parametrize("suffix", [".eval", ".json"])
def test_inspects_log_has_samples_epochs_and_scores(inspect_logs, suffix):
    reading = Reading(benchmark="task", model="model")
    (file,) = read_files([inspect_logs[suffix]], "inspect", reading)
    assert sorted({(s.problem_id, s.problem, s.answer) for s in file.samples}) == [
        ("2", "10 + 4?", "14"),
        ("sum-1", "What is 2 + 3?", "5"),
    ]
    assert sorted(s.text for s in file.samples) == sorted(WRITTEN)
    assert {s.generated_tokens for s in file.samples} == {3}
    assert {(s.benchmark, s.model) for s in file.samples} == {("sums", "mockllm/model")}
    for sample in file.samples:
        assert sample.label == (sample.answer in sample.text)
    assert reading.notes == {"samples accept several targets: the first is the gold": 2}


def test_an_inspect_log_given_twice_is_counted_once(inspect_logs):
    reading = Reading()
    twice = [inspect_logs[".eval"], inspect_logs[".eval"]]
    assert [len(f.samples) for f in without_repeats(read_files(twice, "inspect", reading), reading)] == [4, 0]


def test_without_inspect_ai_its_log_says_how_to_read_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "inspect_ai.log", None)
    with pytest.raises(ImportFileError, match="pip install inspect-ai"):
        list(read_recorded(tmp_path / "log.eval", "inspect", {}))


def test_what_is_no_log_of_inspect_is_refused_by_name(tmp_path):
    pytest.importorskip("inspect_ai")
    (tmp_path / "log.json").write_text('{"a": 1}')
    with pytest.raises(ImportFileError, match="is no log that inspect_ai reads"):
        list(read_recorded(tmp_path / "log.json", "inspect", {}))
