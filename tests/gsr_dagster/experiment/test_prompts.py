"""The prompts of an experiment file: names, templates, and what pins them."""

from pathlib import Path

import pytest

from gsr_dagster.experiment.loading import load_experiment
from gsr_dagster.method.prompting.prompts import direct_messages, direct_request, refinement_request
from tests.gsr_dagster.experiment.faults.refused import RIGHT, said


@pytest.fixture
def file(tmp_path):
    return tmp_path / "mine.yaml"


def with_prompts(file, prompts: str) -> Path:
    file.write_text(f"{RIGHT}prompts: {prompts}\n")
    return file


def test_without_prompts_they_are_the_projects_own(file):
    file.write_text(RIGHT)
    prompts = load_experiment(file).prompts
    assert (prompts.ask_direct, prompts.ask_refinement) == (direct_request, refinement_request)
    assert prompts.version("direct") == prompts.version("refinement") == "1"


def test_a_template_stands_beside_the_file_and_its_text_pins_it(file):
    (file.parent / "solve.j2").write_text("Solve this.\n{{ problem }}\n")
    prompts = load_experiment(with_prompts(file, "{direct: solve.j2, refinement: rsa}")).prompts
    assert direct_messages("1?", [("2?", "2")], prompts.ask_direct) == [
        {"role": "user", "content": "Solve this.\n2?"},
        {"role": "assistant", "content": "2"},
        {"role": "user", "content": "Solve this.\n1?"},
    ]
    assert "---- Attempt 2 ----\nB" in prompts.ask_refinement("1?", ["A", "B"])
    first = prompts.version("direct")
    (file.parent / "solve.j2").rename(file.parent / "same.j2")
    assert load_experiment(with_prompts(file, "{direct: same.j2}")).prompts.version("direct") == first
    (file.parent / "same.j2").write_text("Solve that.\n{{ problem }}\n")
    assert load_experiment(with_prompts(file, "{direct: same.j2}")).prompts.version("direct") != first


@pytest.mark.parametrize(
    ("prompts", "told"),
    [
        ("{refinement: rsaa}", "prompts.refinement: there is no file"),
        ("{refinement: rsaa}", "did you mean rsa?"),
        ("{direct: rsa}", "prompts.direct: there is no file"),
        ("{direct: missing.j2}", "write the path of a template"),
        ("{direct: bare.j2}", "bare.j2: it does not show problem: write {{ problem }}"),
        ("{direct: latin.j2}", "latin.j2 is not text in UTF-8"),
        ("{direct: long.j2}", "it has more than 65,536 characters"),
        ("{direct: 3}", "prompts.direct: "),
        ("{verdict: x.j2}", "prompts has no key 'verdict': did you mean direct?"),
    ],
)
def test_what_cannot_be_a_prompt_is_refused_with_its_line(tmp_path, prompts, told):
    (tmp_path / "bare.j2").write_text("Solve it.")
    (tmp_path / "latin.j2").write_bytes(b"Gr\xfc\xdfe {{ problem }}")
    (tmp_path / "long.j2").write_text("x" * (1 << 16) + "{{ problem }}")
    (line,) = said(tmp_path, f"{RIGHT}prompts: {prompts}\n")
    assert told in line
    assert line.startswith(f"line {RIGHT.count(chr(10)) + 1}, prompts")
