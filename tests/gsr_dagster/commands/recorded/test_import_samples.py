import gzip
import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from gsr_dagster.commands.main import main
from gsr_dagster.experiment.loading import load_experiment
from resources.engines.base import Request
from resources.engines.recorded import RecordedEngine
from resources.problems.recorded_samples import read_samples
from resources.problems.sources import load_problems
from tests.places import DATA

RECORDED = DATA / "recorded"
needs_data = pytest.mark.skipif(not RECORDED.is_dir(), reason="the shared recorded samples are not here")


ONE_MODEL = ["--model", "a-1b", "--parameters", "1e9"]
MODELS = [("org/Alpha-1.5B", 1), ("org/Alpha-7B", 2)]


def rows(path: Path, *rows: dict) -> str:
    path.write_text("\n".join(map(json.dumps, rows)))
    return str(path)


def sample(problem: int, text: str, **more) -> dict:
    return {"problem_id": str(problem), "problem": f"{problem} + 1?", "answer": problem + 1, "response": text, **more}


def boxed(*answers: object) -> list[str]:
    return [f"\\boxed{{{answer}}}" for answer in answers]


def at_k(k: int, told: str) -> list[str]:
    """Return pass@k and maj@k of the first table that was printed."""
    return next(line.split() for line in told.splitlines() if line.startswith(f"{k} "))[1:3]


def experiment(folder: Path) -> dict:
    return yaml.safe_load((folder / "experiment.yaml").read_text())


def refused(*arguments: str) -> str:
    result = CliRunner().invoke(main, ["import", *arguments])
    assert result.exit_code, result.output
    return result.output


def gsr(*arguments: str) -> str:
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    return result.output


@needs_data
def test_recorded_refinements_become_an_experiment_that_runs_without_a_model(tmp_path, monkeypatch):
    with gzip.open(RECORDED / "gpt-3.5-turbo.math500.refined.jsonl.gz", "rt") as rows:
        some = [line for line, _ in zip(rows, range(120), strict=False)]
    (tmp_path / "some.jsonl").write_text("".join(some))
    folder = tmp_path / "gpt"
    told = gsr(
        "import", str(tmp_path / "some.jsonl"), "--to", str(folder), "--model", "gpt3.5-turbo", "--parameters", "2e10"
    )
    assert "samples: their words are counted instead" in told
    assert RecordedEngine(folder).counts_by.endswith("samples without a number of tokens")
    monkeypatch.setenv("GSR_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home" / "dagster"))
    ran = gsr("-e", str(folder / "experiment.yaml"), "run")
    (imported,) = [line.split() for line in told.splitlines() if line.startswith("4 ")]
    reported = next(line.split() for line in ran.splitlines() if line.startswith("recorded "))
    vote, refinement, gap = reported[3], reported[4], reported[6:]
    assert imported[-5:] == [vote, refinement, *gap], "the import's table and the gap report's agree"
    printed = float(gap[0].replace("−", "-"))
    assert float(refinement) - float(vote) == pytest.approx(printed), "and what they print adds up"


@needs_data
def test_the_first_comment_names_the_file_as_it_is_typed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    source = rows(tmp_path / "rows.jsonl", sample(1, "\\boxed{2}"))
    for folder, typed in (("imported/mine", "imported/mine"), ("my folder/mine", "'my folder/mine")):
        gsr("import", source, "--to", folder, "--model", "a-b", "--parameters", "1", "-k", "1")
        assert f"run by `gsr -e {typed}/experiment.yaml" in Path(folder, "experiment.yaml").read_text()


def test_fields_that_do_not_exist_are_named(tmp_path):
    (tmp_path / "rows.jsonl").write_text('{"prompt": "1 + 1?"}')
    arguments = ["--to", str(tmp_path / "to"), "--model", "a-b", "--parameters", "1"]
    result = CliRunner().invoke(main, ["import", str(tmp_path / "rows.jsonl"), *arguments])
    assert result.exit_code == 1
    assert "row 1: no field 'problem'" in result.output
    assert "it has prompt" in result.output


def test_lists_of_responses_become_a_pool(tmp_path):
    path = rows(tmp_path / "rows.jsonl", *({**sample(p, ""), "response": boxed(p + 1, 0)} for p in range(3)))
    told = gsr("import", path, "--to", str(tmp_path / "to"), *ONE_MODEL)
    assert "3 problems, 6 candidates, 0 refinements" in told
    assert at_k(2, told) == ["100.0", "50.0"]


def test_the_groups_have_the_size_that_all_refinements_have(tmp_path):
    refined = [sample(p, *boxed(p + 1), candidates=boxed(p + 1, 0, 0)) for p in range(2)]
    path = rows(tmp_path / "rows.jsonl", *refined)
    assert "2 problems, 6 candidates, 2 refinements" in gsr("import", path, "--to", str(tmp_path / "to"), *ONE_MODEL)
    assert experiment(tmp_path / "to")["k"] == 3
    assert "There are 2 of 3: say -k 3" in refused(path, "--to", str(tmp_path / "to"), *ONE_MODEL, "-k", "4")


def test_refinements_of_several_sizes_say_which_k_takes_which(tmp_path):
    refined = [sample(0, *boxed(1), candidates=boxed(*range(size))) for size in (2, 3, 3)]
    path = rows(tmp_path / "rows.jsonl", *refined)
    assert "1 of 2, 2 of 3. Say -k 3" in refused(path, "--to", str(tmp_path / "to"), *ONE_MODEL)
    told = gsr("import", path, "--to", str(tmp_path / "to"), *ONE_MODEL, "-k", "2")
    assert "2 refinements were shown 3 candidates: -k 3 takes them instead." in told
    path = rows(tmp_path / "four.jsonl", *refined, sample(0, *boxed(1), candidates=boxed(1, 2, 3, 4)))
    told = gsr("import", path, "--to", str(tmp_path / "to"), *ONE_MODEL)
    assert "1 refinements were shown 2 candidates: -k 2 takes them instead." in told


def test_what_ends_the_thinking_is_named_for_cut_off_texts(tmp_path):
    texts = ["<think>so \\boxed{1}", "<think>hm</think>\\boxed{1}"]
    path = rows(tmp_path / "rows.jsonl", {**sample(0, ""), "response": texts})
    told = gsr("import", path, "--to", str(tmp_path / "to"), *ONE_MODEL)
    assert "Warning: 2 of 2 texts of a-1b hold <think> or </think>, and no end of thinking was named" in told
    assert at_k(1, told) == ["100.0", "100.0"]
    assert "thinking_end" not in experiment(tmp_path / "to")["families"]["a"]["1b"]
    told = gsr("import", path, "--to", str(tmp_path / "to"), *ONE_MODEL, "--thinking-end", "</think>")
    assert "1 of 2 texts of a-1b hold no '</think>': they have no answer." in told
    assert at_k(1, told) == ["50.0", "50.0"]
    assert experiment(tmp_path / "to")["families"]["a"]["1b"]["thinking_end"] == "</think>"


def test_labels_of_someone_else_are_kept_and_compared(tmp_path):
    rows_ = [sample(0, boxed(1)[0], correct=True), sample(0, boxed(2)[0], correct=True), sample(0, "?", correct=False)]
    path = rows(tmp_path / "rows.jsonl", *rows_)
    told = gsr("import", path, "--to", str(tmp_path / "to"), *ONE_MODEL)
    assert (
        "Labels: 1 of 3 differ from ours, in 1 of 1 problems: 1 are labelled right and are not right here, 0 are right "
        "here and labelled wrong. Alike, in percent: 66.7 [66.7, 66.7] of 3, κ 0.40." in told
    )
    assert "a-1b/recorded/0 (1) is labelled right, incorrect here: the answer '2', 0 with the gold '1'" in told
    assert [row["label"] for row in read_samples(tmp_path / "to")] == [1.0, 1.0, 0.0]


def test_problems_that_are_not_scored_are_counted_by_the_reason(tmp_path):
    golds = {0: "A", 1: "17", 2: "no letter: 19", 3: "B"}
    lines = [{**sample(p, *boxed(gold)), "answer": gold} for p, gold in golds.items()]
    path = rows(tmp_path / "rows.jsonl", *lines[:3], {**lines[3], "problem": lines[0]["problem"]})
    told = gsr("import", path, "--to", str(tmp_path / "to"), *ONE_MODEL, "--domain", "multiple_choice")
    assert "a-1b: 1 problems, in percent" in told
    assert "Not scored: 2 of 3 problems, whose gold cannot be read, first 1 with the gold '17'." in told
    assert "Not scored: 1 problems: repeated." in told
    assert "4 problems, 4 candidates" in told


def two_by_two(folder: Path) -> str:
    """Two models on two benchmarks of two problems, in one file."""
    return rows(
        folder / "rows.jsonl",
        *(
            {**sample(p + shift, ""), "problem_id": str(p), "set": name, "by": model, "response": boxed(*answers)}
            for model, right in MODELS
            for name, shift in (("sums/easy", 0), ("sums/hard", 10))
            for p in range(2)
            for answers in [[p + shift + 1] * right + [0] * (4 - right)]
        ),
    )


def test_several_models_and_benchmarks_become_one_experiment(tmp_path):
    folder = tmp_path / "to"
    told = gsr("import", two_by_two(tmp_path), "--to", str(folder), "--group-by", "set", "--model-column", "by")
    assert "4 problems, 32 candidates, 0 refinements" in told
    firsts = {}
    for block in told.split(" problems, in percent")[:-1]:
        title, table = block.splitlines()[-1], told.split(f"{block.splitlines()[-1]} problems, in percent")[1]
        firsts[title] = next(line for line in table.splitlines() if line.startswith("1 ")).split()[1]
    assert firsts == {
        f"{key} on {benchmark}: 2": score
        for key, score in (("alpha-1.5b", "25.0"), ("alpha-7b", "50.0"))
        for benchmark in ("sums-easy", "sums-hard")
    }
    written = experiment(folder)
    assert {scale: model["parameters"] for scale, model in written["families"]["alpha"].items()} == {"1.5b": 1.5e9, "7b": 7e9}  # fmt: skip
    assert {name: section["samples"] for name, section in written["benchmarks"].items()} == {"sums-easy": 4, "sums-hard": 4}  # fmt: skip


def test_the_engine_finds_the_samples_of_each_benchmark(tmp_path):
    folder = tmp_path / "to"
    gsr("import", two_by_two(tmp_path), "--to", str(folder), "--group-by", "set", "--model-column", "by")
    loaded = load_experiment(folder / "experiment.yaml")
    for subject, model in loaded.models.items():
        for benchmark, settings in loaded.benchmarks.items():
            problems = load_problems(benchmark, settings).rows
            requests = [Request(f"{subject}/{row['problem_id']}", [], (0, 1, 2, 3), (0, 0, 0, 0)) for row in problems]
            drawn = RecordedEngine(model.engine.path).sample(requests, loaded.evaluation.direct)
            assert [s.text for found in drawn for s in found][::4] == boxed(*(row["answer"] for row in problems))


def test_models_are_named_where_the_column_does_not_say_enough(tmp_path):
    path = rows(tmp_path / "rows.jsonl", *({**sample(0, *boxed(1)), "by": name} for name in ("gpt-4o", "o3")))
    to = ["--to", str(tmp_path / "to"), "--model-column", "by"]
    sizes = ["--parameters", "gpt-4o=2e11", "--parameters", "o3=3e11"]
    assert "'o3' gives no FAMILY-SCALE: name it, as in --model 'o3=family-7b'" in refused(path, *to, *sizes)
    gsr("import", path, *to, *sizes, "--model", "o3=openai-o3")
    assert experiment(tmp_path / "to")["families"].keys() == {"gpt", "openai"}
    assert "'../o-3' is no FAMILY-SCALE" in refused(path, *to, *sizes, "--model", "o3=../o-3")
    assert "no model has this name; there are gpt-4o, o3" in refused(path, *to, "--parameters", "o4=1")


def test_problems_that_not_every_model_has_are_left_out_and_counted(tmp_path):
    lines = [{**sample(p, *boxed(1)), "by": name} for name, _ in MODELS for p in range(2)]
    path = rows(tmp_path / "rows.jsonl", *lines[:-1])
    told = gsr("import", path, "--to", str(tmp_path / "to"), "--model-column", "by")
    assert "Left out: 1 problems that not every model has." in told


def test_a_size_that_nobody_says_is_left_out_and_said(tmp_path):
    path = rows(tmp_path / "rows.jsonl", *({**sample(0, *boxed(1)), "by": name} for name in ("gpt-4o", "llama-8b")))
    told = gsr("import", path, "--to", str(tmp_path / "to"), "--model-column", "by")
    assert "Note: the number of parameters of gpt-4o is unknown: tables hold them, and no curve" in told
    families = experiment(tmp_path / "to")["families"]
    assert "parameters" not in families["gpt"]["4o"]
    assert families["llama"]["8b"]["parameters"] == 8e9
    assert load_experiment(tmp_path / "to" / "experiment.yaml").models["gpt-4o"].parameters is None


def test_one_model_needs_its_key_and_has_the_size_that_it_says(tmp_path):
    path = rows(tmp_path / "rows.jsonl", sample(0, *boxed(1)))
    assert "--model is missing" in refused(path, "--to", str(tmp_path / "to"), "--parameters", "1e9")
    gsr("import", path, "--to", str(tmp_path / "to"), "--model", "a-1b")
    assert experiment(tmp_path / "to")["families"]["a"]["1b"]["parameters"] == 1e9
    assert "of a-large is unknown" in gsr("import", path, "--to", str(tmp_path / "to"), "--model", "a-large")
    assert "--parameters stands there twice" in refused(
        path, "--to", str(tmp_path / "to"), "--model", "a-1b", "--parameters", "1", "--parameters", "2"
    )
    assert "a number is wanted" in refused(path, "--to", str(tmp_path / "to"), "--model", "a-1b", "--parameters", "x")


def test_the_same_log_twice_is_counted_once_and_said(tmp_path):
    path = rows(tmp_path / "rows.jsonl", sample(0, *boxed(1)), sample(0, *boxed(1)))
    told = gsr("import", path, path, "--to", str(tmp_path / "to"), *ONE_MODEL)
    assert "1 problems, 2 candidates" in told
    assert "Left out: 2 samples of rows.jsonl that rows.jsonl holds too: the same log." in told
