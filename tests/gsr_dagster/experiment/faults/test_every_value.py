"""Wrong values of every key of every section: nothing of pydantic and no pattern comes through, and each is told by its line."""

import copy
import re
from collections.abc import Iterator
from datetime import date
from typing import Any, get_args

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gsr_dagster.experiment.aggregations import aggregation_kinds
from gsr_dagster.experiment.faults.wanted import (
    every_section,
    example_of,
    in_words,
    is_union,
    kind_of,
    plain,
    sections_of,
    tag_of,
)
from gsr_dagster.experiment.settings import Section
from tests.gsr_dagster.experiment.faults.refused import RIGHT, said

ENGINES: dict[str, dict[str, Any]] = {
    "transformers": {"kind": "transformers"},
    "vllm": {"kind": "vllm"},
    "ray": {"kind": "ray"},
    "openai": {"kind": "openai", "base_url": "http://box/v1", "model": "big", "price": {"prompt": 1, "generated": 1}},
    "recorded": {"kind": "recorded", "path": "samples"},
}
TRACKING = ("mlflow", "wandb")
TAGS = ("kind", "method")
WRONG: list[Any] = [
    None, True, False, -1, 0, 3, 1.5, 1e300, 10**30, float("nan"), float("inf"), "", "x", "5e5", "95%", "a b/c", "[", "\0",
    [], [1], [None], ["x", True], {}, {"x": 1}, {1: 2}, {None: None}, date(2026, 1, 1), "hf:", "file:", "http://", "{0}",
]  # fmt: skip
RAW = re.compile(
    r"Input should|Extra inputs|Field required|valid (dictionary|string|integer|number|tuple|list|boolean)|instance of|"
    r"should (be|have|match)|discriminator|Input tag|Value error|pydantic|validation(?!_rows)|<class|NoneType|Keys should|"
    r"unable to|expected tags|type=|ctx|\[\^|\\w|\\d|\\s|\(\?|\]\*|\]\+|\.\*"
)
RIGHT_WOULD_BE = re.compile(
    r"wanted|write|as in|there are|did you mean|belongs|is not|leave|Take|Write|must|only|as .* does|is no path|is missing"
)


def whole(tracking: str = "mlflow") -> dict[str, Any]:
    """Return an experiment that has every section of every kind, of tracking the one that is given."""
    document = yaml.safe_load(RIGHT)
    document["families"] = {
        "qwen": {name: {"source": "path:x", "engine": engine} for name, engine in copy.deepcopy(ENGINES).items()}
    }
    required = {"path": "scores.jsonl", "groups_per_stratum": 2, "source": "path:x", "model": "qwen-vllm"}
    required["prompt"] = "rsa"
    document["aggregations"] = {}
    for kind in aggregation_kinds():
        needed = {
            key: required[key] for key, field in kind.model_fields.items() if field.is_required() and key != "kind"
        }
        document["aggregations"][kind_of(kind)] = {"kind": kind_of(kind), **needed}
    document["benchmarks"]["own"]["worked_examples"] = [{"problem": "1 + 1?", "solution": "2"}]
    document["benchmarks"]["own"]["worked_refinements"] = [{"problem": "1?", "candidates": ["1"], "refinement": "1"}]
    document["students"]["qwen-gsr"] |= {"base": "qwen-vllm", "teacher": "qwen-openai", "lora": {}}
    document["students"]["qwen-gsr"]["training"]["trainer"] = {"packing": True}
    two = {"refinements": "qwen-openai", "solutions": "qwen-vllm"}
    document["students"]["qwen-two"] = {**copy.deepcopy(document["students"]["qwen-gsr"]), "teacher": two}
    by_rewards = {"method": "grpo", "rollouts": {"samples": 2, "temperature": 1, "max_new_tokens": 8}, "vllm": {}}
    candidates = copy.deepcopy(document["students"]["qwen-gsr"]["candidates"])
    document["students"]["qwen-rewards"] = {
        "base": "qwen-vllm",
        "candidates": candidates,
        "training": {**by_rewards, "trainer": {"scale_rewards": "none"}},
    }
    document["checks"] = {}
    document["judge"] = {"model": "qwen-openai"}
    document["prompts"] = {"refinement": "rsa"}
    document["tracking"] = {"kind": tracking}
    return document


def sections(data: Any, annotation: Any) -> Iterator[tuple[dict[str, Any], type[Section]]]:
    """Yield every section of a document with its class."""
    annotation, _ = plain(annotation)
    if is_union(annotation) and not sections_of(annotation) and isinstance(data, dict):
        annotation = next(member for member in get_args(annotation) if sections_of(member))
    members = sections_of(annotation)
    if isinstance(data, list):
        for one in data:
            yield from sections(one, get_args(annotation)[0])
    elif isinstance(data, dict) and members:
        section = next((one for one in members if kind_of(one) == data.get(tag_of(one))), members[0])
        yield data, section
        for key, field in section.model_fields.items():
            if isinstance(data.get(key), dict | list):
                yield from sections(data[key], field.annotation)
    elif isinstance(data, dict):
        for one in data.values():
            yield from sections(one, get_args(annotation)[1])


def held(lines: list[str]) -> None:
    for line in lines:
        assert re.match(r"line \d+(, .+)?: \S", line), line
        assert not RAW.search(line.replace("\\boxed", "")), line
        assert RIGHT_WOULD_BE.search(line), line


def experiment() -> Any:
    return next(section for place, section in every_section() if not place)


def test_the_walk_meets_every_section():
    met = {section for kind in TRACKING for _, section in sections(whole(kind), experiment())}
    assert met >= {section for _, section in every_section()} - {
        next(s for _, s in every_section() if s.__name__ == "Price")
    }


@pytest.mark.parametrize("wrong", WRONG, ids=repr)
def test_a_wrong_value_everywhere_at_once_is_told_in_plain_words(tmp_path, wrong):
    document = whole()
    for data, section in list(sections(document, experiment())):
        for key, field in section.model_fields.items():
            inner = sections_of(field.annotation) or isinstance(data.get(key), dict | list)
            if key not in TAGS and not inner:
                data[key] = copy.deepcopy(wrong)
    held(said(tmp_path, yaml.safe_dump(document, sort_keys=False)))


@pytest.mark.parametrize("wrong", [None, False, 3, "x", [], [1], {"x": 1}, {1: 2}, date(2026, 1, 1)], ids=repr)
def test_a_wrong_value_for_a_whole_section_is_told_in_plain_words(tmp_path, wrong):
    right = whole()
    for number, (data, section) in enumerate(sections(right, experiment())):
        keys = [key for key, field in section.model_fields.items() if isinstance(data.get(key), dict | list)]
        for key in keys[: 3 if number else None]:
            document = copy.deepcopy(right)
            list(sections(document, experiment()))[number][0][key] = copy.deepcopy(wrong)
            held(said(tmp_path, yaml.safe_dump(document, sort_keys=False)))


def test_every_key_that_must_be_given_is_asked_for_with_an_example(tmp_path):
    document = whole()
    for data, section in list(sections(document, experiment())):
        for key, field in section.model_fields.items():
            if field.is_required() and key not in TAGS and not isinstance(data.get(key), dict | list):
                data.pop(key, None)
    lines = said(tmp_path, yaml.safe_dump(document, sort_keys=False))
    held(lines)
    assert all("is missing" in line for line in lines)
    assert len(lines) > 20


def test_every_key_has_an_example_that_would_be_right():
    lacking = []
    for _, section in every_section():
        for key, field in section.model_fields.items():
            example = example_of(section, key)
            if not example:
                lacking.append(f"{section.__name__}.{key}: {in_words(field.annotation, field.metadata)}")
    assert lacking == []


def test_a_key_that_there_is_not_is_told_in_every_section(tmp_path):
    document = whole()
    count = 0
    for data, _ in list(sections(document, experiment())):
        data["no_such_key"] = 1
        count += 1
    lines = said(tmp_path, yaml.safe_dump(document, sort_keys=False))
    held(lines)
    assert sum("no_such_key" in line for line in lines) == count


TEXTS = st.text("abkns_- 015:/@#%\n\t\x85é模", max_size=12)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS | st.integers(), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_stands_anywhere_is_told_in_plain_words(tmp_path, data):
    document = whole()
    found = list(sections(document, experiment()))
    values, section = found[data.draw(st.integers(0, len(found) - 1))]
    key = data.draw(st.sampled_from(sorted(section.model_fields)) | TEXTS)
    values[key] = data.draw(VALUES)
    held([line for line in said(tmp_path, yaml.safe_dump(document, sort_keys=False)) if line.startswith("line ")])
