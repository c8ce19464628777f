"""From a file of problems and a server's address to a first table, as a newcomer goes."""

import csv
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from click.testing import CliRunner

from gsr_dagster.commands.init.columns import ColumnsError, columns
from gsr_dagster.commands.init.document import FirstModel
from gsr_dagster.commands.main import main
from gsr_dagster.experiment.loading import load_experiment
from resources.problems.sources import load_problems
from tests.resources.engines.served.played import PlayedServer, chat, error, playing

SUMS = [(number, f"What is {number} + {number}?", 2 * number) for number in range(1, 21)]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GSR_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("GSR_EXPERIMENT", raising=False)
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    return tmp_path


def csv_file(path: str, header: tuple[str, ...] = ("id", "question", "gold"), rows: list[tuple] = SUMS) -> str:
    with Path(path).open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def gsr(*arguments: str, fails: bool = False) -> str:
    result = CliRunner().invoke(main, arguments)
    assert not result.exception or isinstance(result.exception, SystemExit), result.exception
    assert bool(result.exit_code) is fails, result.output
    return result.output


def listing(*names: str, **details: Any) -> Callable[[Any], Any]:
    return lambda _: (200, {"data": [{"id": name, **details} for name in names]})


def sum_of(body: dict[str, Any]) -> str:
    found = re.search(r"(\d+) \+ (\d+)", body["messages"][-1]["content"])
    assert found
    return f"\\boxed{{{int(found[1]) + int(found[2])}}}"


def adds(body: dict[str, Any]) -> Any:
    return chat(*[sum_of(body)] * body.get("n", 1))


@pytest.fixture
def server() -> Iterator[PlayedServer]:
    with playing(adds, models=listing("Qwen/Qwen2.5-7B-Instruct", max_model_len=32768)) as server:
        yield server


def model_of(path: str) -> Any:
    (model,) = load_experiment(Path(path).resolve()).models.values()
    return model


def test_twenty_problems_and_an_address_are_a_table_at_the_first_try(server):
    said = gsr("init", "--problems", csv_file("mine.csv"), "--server", server.url)
    assert "mine.csv: 20 problems. Taken are the column question as the problem, gold as the answer" in said
    assert "serves Qwen/Qwen2.5-7B-Instruct, with a context of 32,768 tokens: qwen2.5instruct-7b in the file" in said
    commands = re.findall(r"^  gsr (-e \S+ \w+)", said, re.MULTILINE)
    assert commands == ["-e mine.yaml plan", "-e mine.yaml run"]
    assert "200 samples; 0 GPU hours" in gsr(*commands[0].split())
    assert re.search(r"mine +qwen2.5instruct-7b +100.0 +100.0 +100.0 +100.0", gsr(*commands[1].split()))


def test_the_file_has_what_was_found_and_short_comments(server):
    gsr("init", "--problems", csv_file("mine.csv"), "--server", server.url)
    experiment = load_experiment(Path("mine.yaml").resolve())
    model = model_of("mine.yaml")
    assert (model.engine.base_url, model.engine.model) == (server.url, "Qwen/Qwen2.5-7B-Instruct")
    assert (model.parameters, model.thinking_end) == (7e9, None)
    assert experiment.benchmarks["mine"].options == {"problem": "question", "answer": "gold"}
    assert (experiment.k, experiment.benchmarks["mine"].samples) == (4, 8)
    assert experiment.evaluation.direct.max_new_tokens == 4096
    assert max(map(len, Path("mine.yaml").read_text().splitlines())) < 120


def test_a_file_that_is_there_is_written_over_only_when_told(server):
    csv_file("mine.csv")
    Path("mine.yaml").write_text("mine")
    said = gsr("init", "--problems", "mine.csv", "--server", server.url, fails=True)
    assert "mine.yaml is there already: say --overwrite, or another name with --to FILE" in said
    assert Path("mine.yaml").read_text() == "mine"
    gsr("init", "--problems", "mine.csv", "--server", server.url, "--overwrite")
    gsr("init", "--problems", "mine.csv", "--server", server.url, "--to", "other/one.yaml")
    first, other = (load_experiment(Path(path).resolve()) for path in ("mine.yaml", "other/one.yaml"))
    assert first.benchmarks == other.benchmarks
    assert other.name == "one"


def test_the_file_of_the_problems_is_never_written_over(server):
    before = Path(csv_file("mine.csv")).read_text()
    to = ("--to", "./mine.csv", "--overwrite")
    told = gsr("init", "--problems", "mine.csv", "--server", server.url, *to, fails=True)
    assert "mine.csv holds the problems: name another file with --to FILE" in told
    assert Path("mine.csv").read_text() == before


def test_an_empty_address_is_no_wish_for_a_model_in_this_process(here):
    told = gsr("init", "--problems", csv_file("mine.csv"), "--server", "", fails=True)
    assert "--server: 'http://' names no machine, or no port from 1 to 65535, as http://localhost:8000/v1 does" in told


def test_nothing_is_written_where_something_is_wrong(here):
    csv_file("mine.csv", rows=[(1, "What is 1 + 1?", "")])
    assert "has 0 distinct problems" in gsr("init", "--problems", "mine.csv", fails=True)
    assert not Path("mine.yaml").exists()


@pytest.mark.parametrize(
    "answer",
    [
        lambda body: chat("\\boxed{2}", reasoning_content="1 and 1 are 2"),
        lambda body: chat("\\boxed{2}", reasoning="1 and 1 are 2"),
        lambda body: chat("<think>1 and 1 are 2"),
        lambda body: chat("1 and 1", reason="length") if body["max_tokens"] < 100 else chat("are 2</think>\\boxed{2}"),
    ],
    ids=["apart", "apart by another name", "within", "within, and longer than a first look"],
)
def test_a_model_that_thinks_first_gets_the_end_of_its_thinking(answer):
    with playing(answer, models=listing("QwQ-32B")) as server:
        said = gsr("init", "--problems", csv_file("mine.csv"), "--server", server.url)
    assert "It thinks before it answers." in said
    assert model_of("mine.yaml").thinking_end == "</think>"
    assert load_experiment(Path("mine.yaml").resolve()).evaluation.direct.max_new_tokens == 16384


def test_limits_fit_into_a_short_context():
    with playing(adds, models=listing("tiny", max_model_len=2048)) as server:
        gsr("init", "--problems", csv_file("mine.csv"), "--server", server.url)
    evaluation = load_experiment(Path("mine.yaml").resolve()).evaluation
    assert (evaluation.direct.max_new_tokens, evaluation.candidate_tokens) == (1024, 512)


def test_of_several_models_the_one_that_is_named_is_taken():
    with playing(adds, models=listing("llama3.2:1b", "Qwen/QwQ-32B")) as server:
        arguments = ("init", "--problems", csv_file("mine.csv"), "--server", server.url)
        assert "serves 2 models: llama3.2:1b, Qwen/QwQ-32B. Say which, as in --model llama3.2:1b" in gsr(
            *arguments, fails=True
        )
        assert "serves no model 'Qwen/QwQ32B': did you mean Qwen/QwQ-32B?" in gsr(
            *arguments, "--model", "Qwen/QwQ32B", fails=True
        )
        gsr(*arguments, "--model", "llama3.2:1b")
    assert list(load_experiment(Path("mine.yaml").resolve()).models) == ["llama3.2-1b"]


@pytest.mark.parametrize(
    "form", ["{host}", "http://{host}", "http://{host}/", "{host}/v1", "http://{host}/v1/chat/completions"]
)
def test_an_address_is_found_as_people_write_it(server, form):
    host = server.url.removeprefix("http://").removesuffix("/v1")
    gsr("init", "--problems", csv_file("mine.csv"), "--server", form.format(host=host))
    assert model_of("mine.yaml").engine.base_url == server.url


def test_no_server_there_is_said_with_what_is_right():
    said = gsr("init", "--problems", csv_file("mine.csv"), "--server", "http://127.0.0.1:9/v1", fails=True)
    assert "no server answers at http://127.0.0.1:9/v1" in said
    assert "as in http://localhost:8000/v1" in said


def test_a_server_that_wants_a_key_and_one_that_is_none_are_told_apart():
    csv_file("mine.csv")
    with playing(adds, models=lambda _: error(401, "no key")) as server:
        said = gsr("init", "--problems", "mine.csv", "--server", server.url, fails=True)
        assert "refuses the key (401): set OPENAI_API_KEY to one that it takes" in said
    with playing(adds) as server:
        said = gsr("init", "--problems", "mine.csv", "--server", server.url, fails=True)
        assert "lists no models: is it the address of an OpenAI-compatible server" in said
        gsr("init", "--problems", "mine.csv", "--server", server.url, "--model", "served")
    with playing(lambda _: error(400, "no chats"), models=listing("m")) as server:
        said = gsr("init", "--problems", "mine.csv", "--server", server.url, "--to", "x.yaml", fails=True)
        assert "takes no request" in said


def rows_of(path: str) -> list[tuple[str, str]]:
    benchmark = next(iter(load_experiment(Path(path).resolve()).benchmarks.values()))
    return [(row["problem"], row["answer"]) for row in load_problems("x", benchmark).rows]


def test_the_same_problems_are_read_of_every_kind_of_file(server):
    rows = [{"prompt": problem, "target": str(answer)} for _, problem, answer in SUMS]
    csv_file("a.csv", ("prompt", "target"), [tuple(row.values()) for row in rows])
    Path("b.jsonl").write_text("\n".join(map(json.dumps, rows)))
    Path("c.json").write_text(json.dumps(rows))
    pq.write_table(pa.Table.from_pylist(rows), "d.parquet")
    for file in ("a.csv", "b.jsonl", "c.json", "d.parquet"):
        gsr("init", "--problems", file, "--server", server.url)
        assert rows_of(f"{file[0]}.yaml") == [tuple(row.values()) for row in rows]


def test_a_model_that_is_loaded_here_needs_no_server(here):
    gsr("init", "--problems", csv_file("mine.csv"), "--model", "hf:Qwen/Qwen3-8B@main")
    assert (model_of("mine.yaml").source, model_of("mine.yaml").parameters) == ("hf:Qwen/Qwen3-8B@main", 8e9)
    said = gsr("init", "--problems", "mine.csv", "--model", "Qwen/Qwen3-8B", "--overwrite", fails=True)
    assert "--model: 'Qwen/Qwen3-8B' is not hf:ORG/NAME@REVISION" in said
    assert 'write "hf:Qwen/Qwen3-8B@main"' in said
    said = gsr("init", "--problems", "mine.csv", "--model", "path:nowhere", "--overwrite", fails=True)
    assert "--model path:nowhere: the folder holds no *.safetensors file" in said


def test_without_server_and_model_it_is_the_demos_model_where_that_is_installed(monkeypatch):
    gsr("init", "--problems", csv_file("mine.csv"))
    assert list(load_experiment(Path("mine.yaml").resolve()).models) == ["smollm2-135m"]
    monkeypatch.setattr("gsr_dagster.commands.init.command.find_spec", lambda _: None)
    said = gsr("init", "--problems", "mine.csv", "--overwrite", fails=True)
    assert "say which model: --server http://localhost:8000/v1" in said


def test_letters_alone_are_multiple_choice(server):
    csv_file("mine.csv", ("question", "answer"), [("Which? A) 1 B) 2", "A"), ("Which? A) 3 B) 4", "(B)")])
    assert "Every answer is a letter: domain multiple_choice" in gsr(
        "init", "--problems", "mine.csv", "--server", server.url
    )
    assert load_experiment(Path("mine.yaml").resolve()).benchmarks["mine"].domain == "multiple_choice"


@pytest.mark.parametrize("name", ["my problems", "2026-01", "Zahlen über 10", "yes", "007", "a...b", "x" * 80, "…"])
def test_whatever_a_file_is_called_the_experiment_runs(server, name):
    gsr("init", "--problems", csv_file(f"{name}.csv"), "--server", server.url, "--to", "out.yaml")
    assert len(rows_of("out.yaml")) == 20


@pytest.mark.parametrize(
    "name", ["a", "gpt-4o", "7b", "Qwen/Qwen3-30B-A3B", "./models/x.Q4_K_M.gguf", "no", "模型", "x" * 90, "a...b"]
)
def test_whatever_a_model_is_called_it_has_a_key_and_keeps_its_name(name):
    with playing(adds, models=listing(name)) as server:
        gsr("init", "--problems", csv_file("mine.csv"), "--server", server.url)
    assert model_of("mine.yaml").engine.model == name


def test_a_models_size_is_that_of_its_name():
    assert FirstModel("Qwen/Qwen2.5-Math-1.5B-Instruct", "u").key.parameters == 1.5e9
    assert FirstModel("gpt-4o", "u").key.parameters is None
    assert FirstModel("llama3.2:1b", "u").key.key == "llama3.2-1b"


def test_columns_are_known_by_the_names_that_people_give_them():
    def of(*names: str, **given: str) -> tuple[str, str, str | None]:
        found = columns([dict.fromkeys(names, "1"), dict.fromkeys(names, "2")], given)
        return found.problem, found.answer, found.id

    assert of("id", "problem", "answer") == ("problem", "answer", "id")
    assert of("Question", "Correct Answer") == ("Question", "Correct Answer", None)
    assert of("uid", "Problem Statement", "level", "final_answer") == ("Problem Statement", "final_answer", "uid")
    assert of("problem", "solution", "answer") == ("problem", "answer", None)
    assert of("problemText", "goldAnswer") == ("problemText", "goldAnswer", None)
    assert of("math_question", "value") == ("math_question", "value", None)
    assert of("a", "b", "c", problem="c", answer="a", id="b") == ("c", "a", "b")
    assert of("question", "answer", "text", problem="text") == ("text", "answer", None)


def test_an_id_that_repeats_is_none():
    rows = [{"nr": "1", "question": "?", "answer": "1"}, {"nr": "1", "question": "!", "answer": "1"}]
    assert columns(rows, {}).id is None


@pytest.mark.parametrize(
    ("rows", "given", "said"),
    [
        ([], {}, "the file has no rows"),
        ([{"x": "1", "y": "2"}], {}, "no column is known as the problem: name it, as in --problem-column NAME. There are x ('1'), y ('2')"),
        ([{"question": "1", "y": "2", "z": "3"}], {}, "no column is known as the answer: name it, as in --answer-column NAME"),
        ([{"question": "1", "answer": "2"}], {"id": "nr"}, "--id-column: there is no column 'nr'. There are question"),
        ([{"question": "1", "answer": "2"}], {"answer": "anser"}, "there is no column 'anser': did you mean answer? There are"),
    ],
)  # fmt: skip
def test_columns_that_cannot_be_told_apart_are_named(rows, given, said):
    with pytest.raises(ColumnsError) as refused:
        columns(rows, given)
    assert said in str(refused.value)


def test_the_text_is_yaml_that_says_what_is_meant(server):
    gsr("init", "--problems", csv_file("mine.csv", ("q: 1", "a # b", "#"), [(p, a, i) for i, p, a in SUMS]), "--server",
        server.url, "--problem-column", "q: 1", "--answer-column", "a # b", "--id-column", "#")  # fmt: skip
    options = yaml.safe_load(Path("mine.yaml").read_text())["benchmarks"]["mine"]["options"]
    assert options == {"problem": "q: 1", "answer": "a # b", "id": "#"}
    assert len(rows_of("mine.yaml")) == 20
