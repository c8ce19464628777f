"""The card of exported samples: the hub reads its configs, and what is named in it changes nothing around it."""

import copy
from pathlib import Path

import pytest
from huggingface_hub import DatasetCard

from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.experiment.keys import ArtifactKey
from gsr_dagster.operations.exporting.samples.choosing import Asked, choose
from gsr_dagster.operations.exporting.samples.folder import export_samples
from gsr_dagster.operations.exporting.samples.tables import COLUMNS
from tests.resources.reporting.cards.test_model_card import tables
from tests.school import STUDENT, School


@pytest.fixture
def card(finished_school: School, tmp_path: Path):
    """Return what exports the samples of an experiment that is changed so, and reads the card."""

    def written(form: str = "datasets", **benchmark: str) -> DatasetCard:
        document = copy.deepcopy(finished_school.written)
        document["benchmarks"]["sums"] |= benchmark
        experiment = Experiment.model_validate(document)
        folder = tmp_path / form
        export_samples(choose(experiment, finished_school.store, Asked()), folder, form)
        return DatasetCard.load(folder / "README.md", ignore_metadata_errors=False)

    return written


def cells(text: str) -> list[list[str]]:
    """Return the rows of all tables of a Markdown text as a reader sees them."""
    return [row for table in tables(text) for row in table]


def test_the_card_has_configs_columns_counts_settings_and_lineage(card, finished_school):
    made = card()
    assert made.data.license == "unknown"
    assert [config["config_name"] for config in made.data.to_dict()["configs"]] == [
        "candidates-sums",
        "refinements-sums",
        f"training-{STUDENT}",
    ]
    rows = cells(made.text)
    for columns in COLUMNS.values():
        for column in columns:
            assert [column.name, str(column.type), column.holds] in rows
    assert ["candidates-sums", "candidates/sums/*.parquet", "288", f"llama-big, {STUDENT}, llama-tiny"] in rows
    assert any(row[:3] == ["sums", "llama-tiny", "candidates"] and '"temperature": 0.7' in row[3] for row in rows)
    for asset, partition in (("base/gap_reports", "sums|llama-big"), ("training_sets", STUDENT)):
        manifest = finished_school.store.existing(ArtifactKey(asset, partition))
        assert [str(manifest.key), str(manifest.rows), manifest.fingerprint, manifest.data_version] in rows
    assert "Please think step by step" in made.text
    assert "Not here:" not in made.text


def test_a_file_of_problems_is_told_without_its_path_and_breaks_no_table(card, tmp_path):
    plain, hostile = cells(card().text), tmp_path / "a|b_*<i>.jsonl"
    (tmp_path / "datasets").rename(tmp_path / "before")
    text = card(source=f"file:{hostile}").text
    assert ["sums", "a file, a|b_*<i>.jsonl", "not known"] in cells(text)
    assert len(cells(text)) == len(plain)
    assert str(tmp_path) not in text


def test_pools_in_another_tools_form_have_no_configs(card):
    made = card("lm-eval")
    assert "configs" not in made.data.to_dict()
    assert "`gsr import --from lm-eval` reads it" in made.text
