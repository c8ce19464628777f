"""Real students taken away: an adapter, one on another student, and whole weights, loaded as anybody would load them.

What they answer greedily to the prompts of their cards is what the engine of this project answers. All of it
is in float32, in which an adapter that is merged rounds nothing that a token could hang on.
"""

import asyncio
import json
from pathlib import Path

import pytest
from huggingface_hub import ModelCard
from markdown_it import MarkdownIt

from assets.evaluation.evaluation_run import EvaluationRun
from gsr_dagster.answering.asked import read_request
from gsr_dagster.answering.server import ready_solver
from gsr_dagster.answering.subject import answering
from gsr_dagster.experiment.keys import EvaluationKey
from gsr_dagster.experiment.loading import load_experiment
from gsr_dagster.experiment.settings import RolloutSettings
from gsr_dagster.method.prompting.prompts import refinement_messages
from resources.engines.base import Request
from resources.engines.loading import Engines
from tests.hub import WRITER, Hub

FIRST, SECOND, WHOLE = "llama-student", "llama-second", "llama-whole"
GREEDY = RolloutSettings(temperature=0, max_new_tokens=16)
ANSWERS = ["The answer is \\boxed{7}.", "The answer is \\boxed{-2}."]
ADAPTER = {"adapter_model.safetensors", "adapter_config.json"}
TOKENIZER = {"tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "README.md"}


def with_more_students(document: dict) -> None:
    """Add a student on the first one, and one that is trained whole; evaluate all of them on little."""
    first = document["students"][FIRST]
    whole = {**first, "lora": None, "training": {**first["training"], "learning_rate": 3e-4}}
    document["students"] |= {SECOND: {**first, "base": FIRST}, WHOLE: whole}
    document["benchmarks"]["sums"] |= {"problems": 8, "samples": 2}
    del document["ks"], document["aggregations"]


@pytest.fixture(scope="module")
def journey(tmp_path_factory, start_journey):
    folder = tmp_path_factory.mktemp("export")
    return start_journey(folder, {"GSR_CACHE": str(folder / "cache")}, change=with_more_students)


@pytest.fixture(scope="module")
def exported(journey):
    """Return what exports a student into a folder of its own, and what was said."""

    def export(student: str, *options: str) -> tuple[Path, str]:
        folder = journey.folder / "-".join([student, *(option.strip("-") for option in options)])
        ran = journey.gsr("export", student, "--to", folder.name, *options)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return folder, ran.stdout

    return export


def asked_by_the_card(folder: Path, problems: list[str]) -> list[list[dict[str, str]]]:
    """Return the chats that a reader of a card would write: a direct one a problem, and a refinement of it."""
    tokens = MarkdownIt("commonmark").parse(ModelCard.load(folder / "README.md").text)
    direct, refinement = (token.content.removesuffix("\n") for token in tokens if token.type == "fence")
    chats = []
    for problem in problems:
        refined = refinement.replace("{problem}", problem)
        for number, answer in enumerate(ANSWERS, start=1):
            refined = refined.replace(f"{{candidate {number}}}", answer)
        chats += [[{"role": "user", "content": text}] for text in (direct.replace("{problem}", problem), refined)]
    return chats


def answered_by_transformers(model, tokenizer, chats: list[list[dict[str, str]]]) -> list[str]:
    import torch

    texts = []
    for chat in chats:
        asked = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_tensors="pt", return_dict=True)
        with torch.no_grad():
            written = model.generate(**asked, do_sample=False, max_new_tokens=GREEDY.max_new_tokens)
        texts.append(tokenizer.decode(written[0, asked["input_ids"].shape[1] :], skip_special_tokens=True))
    return texts


@pytest.fixture(scope="module")
def problems(journey) -> list[str]:
    return [row["problem"] for row in journey.rows("benchmark_problems", "sums")]


@pytest.fixture
def ours(journey, problems, monkeypatch):
    """Return what the engine of this project answers as a student, to a direct prompt and a refinement of each problem."""
    import torch

    monkeypatch.setattr("resources.engines.cpu.native_dtype", lambda: torch.float32)
    monkeypatch.setenv("GSR_CACHE", str(journey.folder / "cache"))

    def answers(student: str) -> list[str]:
        experiment = load_experiment(journey.path)
        run = EvaluationRun(experiment, journey.store, EvaluationKey("student", "sums", student))
        chats = []
        for problem in problems:
            refinement = refinement_messages(problem, ANSWERS, experiment.prompts.ask_refinement)
            chats += [run.direct_chat({"problem": problem}), refinement]
        requests = [Request(f"{number:02}", chat, (0,), (0,)) for number, chat in enumerate(chats)]
        drawn = [sample for samples in run.engine(Engines())().sample(requests, GREEDY) for sample in samples]
        Engines().release()
        return [sample.text for sample in sorted(drawn, key=lambda sample: sample.request_id)]

    return answers


def tells_of_this_machine(folder: Path, journey) -> list[str]:
    places = [str(journey.folder).encode(), str(journey.model).encode(), str(Path.home()).encode(), b"/tmp/"]
    return [file.name for file in folder.iterdir() if any(place in file.read_bytes() for place in places)]


def test_an_adapter_on_its_base_answers_as_the_engine_does(journey, exported, ours, problems):
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder, said = exported(FIRST)
    assert {path.name for path in folder.iterdir()} == ADAPTER | TOKENIZER
    assert "There are no public weights of llama-tiny" in said
    assert tells_of_this_machine(folder, journey) == []
    config = json.loads((folder / "adapter_config.json").read_text())
    assert (config["base_model_name_or_path"], config["revision"], config["r"]) == (None, None, 16)
    base = AutoModelForCausalLM.from_pretrained(journey.model)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    chats = asked_by_the_card(folder, problems)
    untaught = answered_by_transformers(base, tokenizer, chats)
    student = PeftModel.from_pretrained(base, str(folder)).eval()
    taught = answered_by_transformers(student, tokenizer, chats)
    assert taught == ours(FIRST)
    assert taught != untaught, "the adapter is no adapter of nothing"


@pytest.mark.parametrize(("student", "options"), [(FIRST, ["--merged"]), (SECOND, ["--merged"]), (WHOLE, [])])
def test_whole_weights_answer_as_the_engine_does(journey, exported, ours, problems, student, options):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder, said = exported(student, *options)
    assert {path.name for path in folder.iterdir()} == {
        "model.safetensors",
        "config.json",
        "generation_config.json",
        *TOKENIZER,
    }
    assert "no public weights" not in said
    assert tells_of_this_machine(folder, journey) == []
    card = ModelCard.load(folder / "README.md")
    assert (card.data.library_name, len(card.data.eval_results)) == ("transformers", 4)
    assert (folder / "model.safetensors").read_bytes() != (journey.model / "model.safetensors").read_bytes()
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    assert answered_by_transformers(model, tokenizer, asked_by_the_card(folder, problems)) == ours(student)


@pytest.mark.parametrize("student", [FIRST, SECOND])
def test_a_student_is_served_with_the_weights_that_were_evaluated(journey, ours, problems, student):
    evaluated = ours(student)[::2]
    experiment = load_experiment(journey.path)
    solver = ready_solver(experiment, student, answering(experiment, journey.store, student))
    greedy = {"k": 1, "method": "vote", "temperature": 0, "max_tokens": GREEDY.max_new_tokens}

    async def answer(problem: str) -> str:
        body = {"model": student, "messages": [{"role": "user", "content": problem}], **greedy}
        asked = read_request(body, solver.subject)
        return (await solver.solve(asked, problem, solver.direct_chat(asked))).final.sample.text

    served = [asyncio.run(answer(problem)) for problem in problems]
    solver.queue.close()
    Engines().release()
    assert served == evaluated


def test_an_adapter_on_another_student_is_refused_with_what_to_do(journey):
    ran = journey.gsr("export", SECOND, "--to", "refused")
    assert ran.returncode == 1
    assert f"{SECOND} is an adapter on the merged weights of the student {FIRST}" in ran.stderr
    assert "--merged writes all of its weights" in ran.stderr
    assert not (journey.folder / "refused").exists()


def test_a_pushed_student_arrives_on_the_hub_that_the_environment_names(journey):
    hub = Hub()
    journey.environment |= {"HF_ENDPOINT": hub.address, "HF_TOKEN": WRITER, "HF_HUB_OFFLINE": "0"}
    try:
        ran = journey.gsr("export", FIRST, "--to", "pushed", "--push", "team/student")
        refused = journey.gsr("export", FIRST, "--to", "not-pushed", "--push", "others/student")
    finally:
        hub.close()
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert f"Pushed: {hub.address}/team/student/commit/" in ran.stdout
    assert hub.repositories == {"team/student": {p.name: p.read_bytes() for p in (journey.folder / "pushed").iterdir()}}
    assert hub.private == {"team/student"}
    assert refused.returncode == 1
    assert "the token may not write there" in refused.stderr
    assert f"`hf upload --private others/student {journey.folder / 'not-pushed'}` pushes it too" in refused.stderr
    assert (journey.folder / "not-pushed" / "README.md").exists()
