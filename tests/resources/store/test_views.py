"""DuckDB over the artifacts of a finished experiment."""

import pytest

from gsr_dagster.commands.sql import table
from gsr_dagster.experiment.keys import ArtifactKey
from resources.store.views import session


@pytest.fixture(scope="module")
def opened(finished_school):
    return session(finished_school.store)


def test_every_view_begins_with_the_partition(opened, finished_school):
    rows = opened.sql("select partition, count(*) from base_candidate_pools group by partition order by 1").fetchall()
    assert rows == [("sums|llama-big", 96), ("sums|llama-tiny", 96)]
    assert opened.sql("select distinct partition from training_problems").fetchall() == [("",)]
    for key in finished_school.store.verified.published():
        if finished_school.store.existing(key).shards:
            assert opened.sql(f"from {key.asset.replace('/', '_')}").columns[0] == "partition"


def test_a_partition_joins_the_views_of_one_evaluation(opened):
    joined = "select count(*) from base_candidate_pools join base_graded_candidates using (partition, candidate_id)"
    assert opened.sql(joined).fetchall() == [(192,)]


def test_every_gap_report_is_a_row_of_the_gap_summaries(opened, finished_school):
    rows = opened.sql(
        "select lane, partition, subject, refinement_gap, gap_low, gap_high from gap_summaries"
    ).fetchall()
    assert sorted(row[:3] for row in rows) == [
        ("base", "sums|llama-big", "llama-big"),
        ("base", "sums|llama-tiny", "llama-tiny"),
        ("student", "sums|llama-student", "llama-student"),
    ]
    for lane, partition, _, gap, low, high in rows:
        summary = finished_school.store.existing(ArtifactKey(f"{lane}/gap_reports", partition)).summary
        interval = summary["intervals"]["refinement_gap"]
        assert (gap, low, high) == (interval["estimate"], interval["low"], interval["high"])


def test_no_id_and_no_column_is_cut_and_a_long_text_is(opened, finished_school):
    shown = table(opened.sql("from training_sets"))
    rows = finished_school.store.read(ArtifactKey("training_sets", "llama-student"))
    assert all(name in shown for name in rows[0])
    assert f"[{', '.join(rows[0]['candidate_ids'])}]" in shown
    assert rows[0]["row_id"] in shown
    assert rows[0]["messages"] not in shown
    assert " …" in shown
    long = f"{'x' * 150}/y"
    names = ["row_id", "id", "candidate_ids", "prompt_sha256", "partition"]
    for name in names:
        value = f"['{long}', '{long}']" if name.endswith("ids") else f"'{long}'"
        assert table(opened.sql(f"select {value} as {name}")).count(long) == (2 if name.endswith("ids") else 1)
    assert long not in table(opened.sql(f"select '{long}' as text"))


def test_the_order_and_the_types_of_an_answer_stay_as_they_are(opened):
    query = "select 1 as a, 2 as a, x as seen, null as n, {'k': 1} as parts from range(3) t(x) order by x desc"
    shown = table(opened.sql(query)).splitlines()
    assert [line.split("│")[3].strip() for line in shown[4:7]] == ["2", "1", "0"]
    assert "int64" in shown[2]
    assert "{'k': 1}" in shown[4]
