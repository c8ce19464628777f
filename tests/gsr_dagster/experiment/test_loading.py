from pathlib import Path

import pytest
import yaml

from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.experiment.loading import SHIPPED, ExperimentError, load_experiment
from tests.places import FORMER_DEMO


@pytest.fixture
def document() -> dict:
    return yaml.safe_load(FORMER_DEMO.read_text())


def refusal(document: dict, folder: Path) -> str:
    path = folder / "experiment.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    with pytest.raises(ExperimentError) as error:
        load_experiment(path)
    return str(error.value)


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_experiment_is_accepted(path):
    experiment = load_experiment(path)
    assert experiment.models


def test_a_student_of_an_unknown_teacher_is_refused_with_the_models_there_are(document, tmp_path):
    name, student = next(iter(document["students"].items()))
    student["teacher"] = "qwen-72b"
    message = refusal(document, tmp_path)
    assert f"students.{name}.teacher: no model 'qwen-72b'; there are smollm2-135m" in message


def test_the_line_of_a_fault_is_named(document, tmp_path):
    document["k"] = "four"
    line = 1 + yaml.safe_dump(document, sort_keys=False).splitlines().index("k: four")
    assert f"line {line}, k: " in refusal(document, tmp_path)


def test_every_fault_is_listed_at_once(document, tmp_path):
    document["k"] = 0
    document["sede"] = 3
    message = refusal(document, tmp_path)
    assert ", k: " in message
    assert ", sede: the file has no key 'sede': did you mean seed?" in message


@pytest.mark.parametrize("key", ["a|b", "a,b", "a b", "a/b", "[a]", ""])
def test_a_key_that_cannot_be_a_partition_is_refused(document, tmp_path, key):
    document["benchmarks"][key] = next(iter(document["benchmarks"].values()))
    assert "cannot be a partition key" in refusal(document, tmp_path)


def test_more_candidates_in_a_group_than_samples_are_refused(document, tmp_path):
    name, benchmark = next(iter(document["benchmarks"].items()))
    benchmark["samples"] = document["k"] - 1
    assert f"benchmarks.{name}.samples: {document['k'] - 1} samples cannot fill a group" in refusal(document, tmp_path)


def test_a_further_group_size_beyond_the_samples_is_refused_and_the_main_one_is_no_further_one(document, tmp_path):
    document["ks"] = [document["k"], 2]
    path = tmp_path / "accepted.yaml"
    path.write_text(yaml.safe_dump(document))
    assert load_experiment(path).further_ks == [2]
    document["ks"] = [64]
    assert "samples cannot fill a group of k=64 candidates" in refusal(document, tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rows": "refine"}, "rows: hybrid, direct or refinement is wanted"),
        ({"most_rows": 1}, "most_rows: a whole number from 2 is wanted"),
        ({"rows": "direct", "training": {"refine_weight": 1}}, "gives rows: direct no weight at all"),
    ],
)
def test_a_mixture_that_cannot_train_is_refused(document, tmp_path, change, message):
    document["students"]["smollm2-135m-gsr"] |= change
    assert message in refusal(document, tmp_path)


def test_families_that_one_wildcard_would_name_are_refused(document, tmp_path):
    model = {"source": "path:models", "parameters": 1e6}
    document["families"] |= {"qwen2.5": {"7b": model}, "qwen2.5-coder": {"1b": model}}
    message = refusal(document, tmp_path)
    assert "families.qwen2.5-coder: the wildcard qwen2.5-* would name this family too" in message


def test_a_student_outside_its_base_family_is_refused(document, tmp_path):
    document["students"] = {"mine": next(iter(document["students"].values()))}
    assert "students.mine: must start with its base's family, as in smollm2-mine" in refusal(document, tmp_path)


def test_a_benchmark_without_problems_and_a_file_without_benchmarks_are_refused(document, tmp_path):
    next(iter(document["benchmarks"].values()))["problems"] = 0
    assert "a whole number from 1 is wanted" in refusal(document, tmp_path)
    document["benchmarks"] = {}
    assert "benchmarks: a section with a name for each entry is wanted" in refusal(document, tmp_path)


@pytest.mark.parametrize("source", ["SmolLM2", "hf:org/name", "hf:name@main", "s3:x", "path:"])
def test_a_source_of_another_form_is_refused_with_the_forms(document, tmp_path, source):
    document["families"]["smollm2"]["135m"]["source"] = source
    assert "is not hf:ORG/NAME@REVISION, path:FOLDER or gguf:PACKAGE-OR-PATH" in refusal(document, tmp_path)


def test_a_repeated_key_and_broken_yaml_and_a_missing_file_are_refused(tmp_path):
    path = tmp_path / "experiment.yaml"
    path.write_text(FORMER_DEMO.read_text() + "\nk: 5\n")
    with pytest.raises(ExperimentError, match="k: this key stands here twice"):
        load_experiment(path)
    path.write_text("k: [")
    with pytest.raises(ExperimentError, match="is not YAML"):
        load_experiment(path)
    with pytest.raises(ExperimentError, match="No such file"):
        load_experiment(tmp_path / "missing.yaml")


def test_what_to_do_about_contamination_is_one_of_two_words_and_blocks_where_it_is_left_out(document, tmp_path):
    document["contamination"] = "ignore"
    assert "contamination: block or report is wanted" in refusal(document, tmp_path)
    del document["contamination"]
    path = tmp_path / "experiment.yaml"
    path.write_text(yaml.safe_dump(document))
    assert load_experiment(path).contamination == "block"


@pytest.mark.parametrize(
    ("name", "value", "says"), [("most_cut", 0.1, "no key"), ("most_truncated", 10, "a number from 0 to 1 is wanted")]
)
def test_a_check_that_there_is_not_and_a_share_over_one_are_refused(document, tmp_path, name, value, says):
    document["checks"] = {name: value}
    message = refusal(document, tmp_path)
    assert f"checks.{name}: " in message
    assert says in message


def test_a_student_ends_its_thinking_as_the_teacher_does_whose_texts_it_learned():
    paper = load_experiment(SHIPPED / "paper.yaml")
    assert paper.thinking_end("qwen2.5-7b") is None
    assert paper.thinking_end("qwen2.5-7b-gsr") == "</think>"


def test_what_only_the_evaluation_would_find_out_after_the_training_is_refused(document, tmp_path):
    name, student = next(iter(document["students"].items()))
    base = document["families"]["smollm2"]["135m"]
    base["engine"] = {"kind": "vllm"}
    student["lora"] = {"rank": 513}
    assert f"students.{name}.lora.rank: vLLM serves an adapter of a rank up to 512" in refusal(document, tmp_path)
    base["trust_remote_code"] = True
    assert f"students.{name}.base: its base needs code of its own" in refusal(document, tmp_path)


def test_replicas_inside_one_vllm_process_which_would_hang_are_refused_with_what_gives_them(document, tmp_path):
    document["families"]["smollm2"]["135m"]["engine"] = {"kind": "vllm", "data_parallel_size": 2}
    message = refusal(document, tmp_path)
    assert "families.smollm2.135m.engine: data_parallel_size: vLLM 0.32 has no replicas inside one" in message
    assert "{kind: ray, replicas: N}" in message


def accepted(document: dict, folder: Path) -> Experiment:
    path = folder / "experiment.yaml"
    path.write_text(yaml.safe_dump(document))
    return load_experiment(path)


@pytest.mark.parametrize(
    ("section", "place"),
    [
        (lambda d: d["evaluation"]["direct"], "evaluation.direct"),
        (lambda d: d["evaluation"]["refinement"], "evaluation.refinement"),
        (lambda d: d["students"]["smollm2-135m-gsr"]["candidates"], "students.smollm2-135m-gsr.candidates"),
        (lambda d: d["students"]["smollm2-135m-gsr"]["solutions"], "students.smollm2-135m-gsr.solutions"),
    ],
)
def test_thinking_is_bounded_only_where_a_model_thinks_first(document, tmp_path, section, place):
    section(document)["thinking_tokens"] = 4
    message = refusal(document, tmp_path)
    assert f"{place}.thinking_tokens: no model that is sampled with them thinks first: none of smollm2-135m" in message
    document["families"]["smollm2"]["135m"]["thinking_end"] = "</think>"
    accepted(document, tmp_path)


def test_a_students_thinking_is_its_teachers(document, tmp_path):
    document["families"]["smollm2"]["360m"] = {"source": "path:models", "thinking_end": "</think>"}
    document["students"]["smollm2-135m-gsr"]["teacher"] = "smollm2-360m"
    document["students"]["smollm2-135m-gsr"]["refinements"]["thinking_tokens"] = 4
    accepted(document, tmp_path)
    document["students"]["smollm2-135m-gsr"]["candidates"]["thinking_tokens"] = 4
    assert "candidates.thinking_tokens: no model" in refusal(document, tmp_path)


def test_a_models_own_limit_leaves_room_for_an_answer_after_its_thinking(document, tmp_path):
    document["families"]["smollm2"]["135m"] |= {"thinking_end": "</think>", "max_new_tokens": 10}
    document["evaluation"]["direct"] |= {"thinking_tokens": 10, "max_new_tokens": 100}
    assert "families.smollm2.135m.max_new_tokens: 10 leave no room for an answer" in refusal(document, tmp_path)


def test_recorded_samples_take_no_chat_template(document, tmp_path):
    del document["students"]
    document["families"]["smollm2"]["135m"] |= {
        "engine": {"kind": "recorded", "path": "samples"},
        "chat_template_kwargs": {"enable_thinking": False},
    }
    message = refusal(document, tmp_path)
    assert "families.smollm2.135m.chat_template_kwargs: recorded samples are not sampled" in message
    document["evaluation"]["direct"]["thinking_tokens"] = 4
    assert "evaluation.direct.thinking_tokens: no model that is sampled with them thinks first" in refusal(
        document, tmp_path
    )
