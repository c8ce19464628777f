"""Which column names the benchmark and the model of samples."""

import json
from pathlib import Path

import pytest

from resources.problems.belonging import named_by, naming_column
from resources.problems.forms.fields import Reading
from resources.problems.importers import read_files
from resources.problems.recorded_samples import ImportFileError
from resources.problems.repeats import SampleFile


def files(folder: Path, *rows: dict) -> list[SampleFile]:
    path = folder / "recorded.jsonl"
    whole = ({"problem": "1 + 1?", "answer": 2, "response": "a", **row} for row in rows)
    path.write_text("\n".join(map(json.dumps, whole)))
    return read_files([path], "rows", Reading())


def test_the_column_that_holds_several_names_is_taken(tmp_path):
    found = files(tmp_path, {"task": "math", "dataset": "aime"}, {"task": "math", "dataset": "amc"})
    column = naming_column(found, "benchmark")
    assert column is not None
    assert str(column) == "dataset (aime, amc)"
    (file,) = named_by(found, "benchmark", column)
    assert [sample.benchmark for sample in file.samples] == ["aime", "amc"]
    assert naming_column(found, "model") is None


def test_one_name_is_a_name_too(tmp_path):
    column = naming_column(files(tmp_path, {"model": "a-1b"}, {"model": "a-1b"}), "model")
    assert column is not None
    assert column.names == ("a-1b",)


def test_two_columns_that_part_the_samples_alike_are_one(tmp_path):
    found = files(tmp_path, {"dataset": "aime", "task": "aime24"}, {"dataset": "amc", "task": "amc23"})
    column = naming_column(found, "benchmark")
    assert column is not None
    assert column.column == "dataset"


def test_two_columns_that_part_the_samples_otherwise_are_refused_by_name(tmp_path):
    rows = [{"dataset": d, "task": t} for d, t in (("math", "sums"), ("math", "roots"), ("amc", "sums"))]
    with pytest.raises(ImportFileError) as refused:
        naming_column(files(tmp_path, *rows), "benchmark")
    assert str(refused.value) == (
        "the columns dataset (math, amc) and task (sums, roots) could each name the benchmark: say which does, as in "
        "--group-by dataset, or --group-by '' for one benchmark"
    )


@pytest.mark.parametrize("other", [{}, {"dataset": None}, {"dataset": ["amc"]}, {"dataset": ""}, {"dataset": 0.5}])
def test_a_column_that_not_every_sample_has_names_nothing(tmp_path, other):
    assert naming_column(files(tmp_path, {"dataset": "aime"}, other), "benchmark") is None


def test_many_names_are_listed_in_part(tmp_path):
    column = naming_column(files(tmp_path, *({"dataset": number} for number in range(7))), "benchmark")
    assert str(column) == "dataset (0, 1, 2, 3, 4 and 2 more)"
