"""The reference of the experiment file in the docs."""

from gsr_dagster.experiment.aggregations import aggregation_kinds
from gsr_dagster.experiment.reference import reference
from tests.places import PROJECT


def test_the_reference_in_the_docs_is_current():
    written = (PROJECT / "docs" / "experiment-reference.md").read_text(encoding="utf-8")
    assert written == reference(), "make docs writes it"


def test_every_kind_of_aggregation_is_in_it():
    for kind in aggregation_kinds():
        assert f"### {kind.__name__}" in reference()
