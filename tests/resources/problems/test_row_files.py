"""The kinds of files: one set of rows is the same rows in each, and what is broken is named by its line."""

import csv
import gzip
import io
import json
from decimal import Decimal
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gsr_dagster.experiment.problems.golds import as_text
from resources.problems import row_files
from resources.problems.row_files import RowFileError, read_rows

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
ROWS = st.lists(st.fixed_dictionaries({"problem": TEXTS, "answer,": TEXTS, "response": TEXTS}), min_size=1, max_size=4)


def as_csv(rows: list[dict], separator: str = ",") -> str:
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, rows[0], delimiter=separator)
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


WRITTEN = {
    "rows.csv": as_csv,
    "rows.jsonl": lambda rows: "\n".join(map(json.dumps, rows)),
    "rows.json": json.dumps,
    "lines.json": lambda rows: "\n".join(map(json.dumps, rows)),
    "pretty.json": lambda rows: json.dumps(rows, indent=2),
    "list.jsonl": lambda rows: "\n " + json.dumps(rows, ensure_ascii=False) + "\n",
}


@pytest.mark.parametrize("name", WRITTEN)
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@settings(max_examples=40, deadline=None)
@given(rows=ROWS)
def test_rows_are_the_same_in_every_kind_of_file(tmp_path_factory, name, mark, rows):
    folder = tmp_path_factory.mktemp("rows")
    content = (mark + WRITTEN[name](rows)).encode()
    (folder / name).write_bytes(content)
    (folder / f"{name}.gz").write_bytes(gzip.compress(content))
    assert list(read_rows(folder / name)) == rows
    assert list(read_rows(folder / f"{name}.gz")) == rows


def test_a_small_float_of_parquet_keeps_its_digits(tmp_path):
    numbers = pyarrow.array([0.1, 1e-5, None, 72.0, float("nan")], pyarrow.float32())
    pyarrow.parquet.write_table(pyarrow.table({"answer": numbers}), tmp_path / "rows.parquet")
    assert [str(row["answer"]) for row in read_rows(tmp_path / "rows.parquet")] == [
        "0.1",
        "1e-05",
        "None",
        "72.0",
        "nan",
    ]


def test_rows_of_parquet_keep_their_lists_and_objects(tmp_path):
    rows = [{"responses": ["a", "b"], "choices": [{"text": "c"}]}]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "rows.parquet")
    assert list(read_rows(tmp_path / "rows.parquet")) == rows


def test_numbers_of_csv_stay_texts(tmp_path):
    (tmp_path / "rows.csv").write_text('answer,response\r\n007,"two\nlines, ""quoted"""\r\n1e-05,\r\n')
    assert list(read_rows(tmp_path / "rows.csv")) == [
        {"answer": "007", "response": 'two\nlines, "quoted"'},
        {"answer": "1e-05", "response": ""},
    ]


def test_a_field_of_csv_can_be_as_long_as_a_long_response(tmp_path):
    (tmp_path / "rows.csv").write_text(f"response\n{'x' * 300_000}\n")
    assert [len(row["response"]) for row in read_rows(tmp_path / "rows.csv")] == [300_000]


@pytest.mark.parametrize("name", ["rows.csv", "rows.tsv"])
@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@settings(max_examples=20, deadline=None)
@given(rows=ROWS)
def test_values_are_separated_by_what_the_header_is(tmp_path_factory, name, separator, rows):
    rows = [{"problem": row["problem"], "response": row["response"]} for row in rows]
    path = tmp_path_factory.mktemp("rows") / name
    path.write_bytes(("\ufeff" + as_csv(rows, separator)).encode())
    assert list(read_rows(path)) == rows


def test_a_semicolon_in_a_name_among_commas_is_part_of_it(tmp_path):
    (tmp_path / "rows.csv").write_text("problem;text,answer\n1 + 1?,2\n")
    assert list(read_rows(tmp_path / "rows.csv")) == [{"problem;text": "1 + 1?", "answer": "2"}]


@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize("end", ["", "\n", "\n\n"])
@settings(max_examples=20, deadline=None)
@given(rows=ROWS, key=TEXTS)
def test_a_list_that_is_all_an_object_holds_is_its_rows(tmp_path_factory, indent, end, rows, key):
    path = tmp_path_factory.mktemp("rows") / "rows.json"
    path.write_text(json.dumps({key: rows}, indent=indent) + end)
    assert list(read_rows(path)) == rows


@pytest.mark.parametrize("lists", [{"data": [{"a": 1}], "of": 1}, {"a": [1, 2]}, {"a": [{"b": 1}, "c"]}])
def test_an_object_that_holds_more_than_a_list_of_objects_is_a_row(tmp_path, lists):
    (tmp_path / "rows.json").write_text(json.dumps(lists))
    assert list(read_rows(tmp_path / "rows.json")) == [lists]


def test_two_objects_with_a_list_each_are_two_rows(tmp_path):
    rows = [{"choices": [{"text": "a"}]}, {"choices": [{"text": "b"}]}]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert list(read_rows(tmp_path / "rows.jsonl")) == rows


NUMBERS = st.from_regex(r"-?(0|[1-9][0-9]{0,24})(\.[0-9]{1,25})?([eE][-+]?[0-9]{1,2})?", fullmatch=True)


@pytest.mark.parametrize("form", ['{{"answer": {0}}}', '[{{"answer": {0}}}]', '{{"data": [\n{{"answer": {0}}}]}}'])
@settings(max_examples=50, deadline=None)
@given(number=NUMBERS)
def test_a_number_keeps_every_digit_that_it_is_written_with(tmp_path_factory, form, number):
    path = tmp_path_factory.mktemp("rows") / "rows.json"
    path.write_text(form.format(number))
    (row,) = read_rows(path)
    assert Decimal(as_text(row["answer"])) == Decimal(number)
    assert float(row["answer"]) == float(number)


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("rows.csv", "a,b\n1,2,3\n", "line 2: 3 values, and the header has 2 names"),
        ("rows.csv", "a,b\n1\n", "line 2: 1 values, and the header has 2 names"),
        ("rows.csv", "a,a\n1,2\n", "its header has 'a' twice"),
        ("rows.csv", 'a,b\n1,"2\n', "is not CSV: line 2"),
        ("rows.json", '[{"a": 1}, {"a": ', "is not a JSON list: item 2"),
        ("rows.json", '[{"a": 1} {"a": 2}]', "is not a JSON list: item 2"),
        ("rows.json", '[{"a": 1}] {"a": 2}', "is not a JSON list: item 2"),
        ("rows.json", '[{"a": 1},]', "is not a JSON list: item 2"),
        ("rows.json", '[{"a": 1}, "b"]', "item 2: an object is wanted, not '\"b\"'"),
        ("rows.jsonl", '{"a": 1}\n[2]', r"line 2: an object is wanted, not '\[2\]'"),
        ("rows.jsonl", '{"a": 1}\n\n{"a"', "is not JSON lines: line 3"),
        ("rows.json", '{"data": [\n{"a": 1}], "of": 2}', "is not a JSON list: item 2"),
        ("rows.json", '{"of": 2, "data": [\n{"a": 1}]}', "is not JSON lines: line 1"),
        ("rows.csv", "a;b\tc\n", "could be separated by semicolons or by tabs: save it as CSV with commas"),
        ("rows.parquet.gz", "PAR1", "is Parquet in .gz: unpack it first"),
        ("rows.parquet", "PAR1", "is not Parquet"),
    ],
)
def test_what_is_broken_is_named(tmp_path, name, content, why):
    (tmp_path / name).write_text(content)
    with pytest.raises(RowFileError, match=why):
        list(read_rows(tmp_path / name))


@pytest.mark.parametrize("name", ["rows.csv", "rows.jsonl", "rows.json"])
def test_what_is_saved_in_another_encoding_is_told_so_in_words(tmp_path, name):
    (tmp_path / name).write_bytes("a,b\n1,größe\n".encode("latin-1"))
    with pytest.raises(RowFileError, match=rf"{name} is not text in UTF-8: save it as UTF-8$"):
        list(read_rows(tmp_path / name))


def test_a_long_list_is_read_in_pieces(tmp_path, monkeypatch):
    monkeypatch.setattr(row_files, "CHARACTERS_AT_ONCE", 7)
    monkeypatch.setattr(row_files, "LONGEST_LINE", 100)
    rows = [{"text": f"[{number}], }} {'x' * 40}"} for number in range(50)]
    path: Path = tmp_path / "rows.json"
    path.write_text(json.dumps(rows))
    assert list(read_rows(path)) == rows
    path.write_text(json.dumps([{"text": "x" * 200}]))
    with pytest.raises(RowFileError, match="item 1: more than 100 characters"):
        list(read_rows(path))
    path.write_text("[]")
    assert list(read_rows(path)) == []
