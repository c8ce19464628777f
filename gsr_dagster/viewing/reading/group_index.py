"""The groups of an evaluation in DuckDB, by the page.

An index holds of each group what is short. Texts stay in their shards, and are read where a filter asks about them
or a group is opened; the votes are counted of the groups of a page, and of all where a filter asks about them.
It is made once for what the artifacts are now, and kept while they stay so.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import Any

import duckdb
import pyarrow as pa

from assets.evaluation.evaluation_run import EvaluationRun
from gsr_dagster.experiment.aggregations.base import voted_row
from gsr_dagster.experiment.keys import EvaluationKey
from gsr_dagster.method.rows import Row
from gsr_dagster.viewing.reading.group_filter import ORDERS, OUTCOMES, GroupFilter
from gsr_dagster.viewing.reading.shards import records, view

GROUPS_A_PAGE = 50
MOST_INDEXES = 8
# What an evaluation is read from. Recorded samples that nobody refined have no refinements.
READ = ("candidate_pools", "graded_candidates", "self_refinements", "gap_reports")
OF_A_GAP_ROW = {
    "group_id": pa.string(),
    "problem_id": pa.string(),
    "n_correct": pa.int64(),
    "vote": pa.float64(),
    "refined": pa.bool_(),
    "candidate_tokens": pa.int64(),
    "refinement_tokens": pa.int64(),
    "refinement_id": pa.string(),
    "candidate_ids": pa.list_(pa.string()),
    "answer": pa.string(),
    "verdict": pa.string(),
}
INDEX = """
create table groups as
    select *, case {outcomes} end as outcome from (select *, row_number() over () as place from gaps);
create view shown as select group_id, unnest(candidate_ids) as candidate_id from groups
"""
# How many candidates the vote's answer has, and whether another answer has as many: of all groups, or of a page's.
VOTED = """
select group_id, max(votes) as agreeing, count(*) filter (votes = most) > 1 as tied from (
    select group_id, count(*) as votes, max(count(*)) over (partition by group_id) as most
    from {shown} join graded using (candidate_id) where answer_class is not null group by group_id, answer_class)
group by group_id"""
VOTED_GROUPS = """
create or replace table voted_groups as
    select groups.*, coalesce(agreeing, 0) as agreeing, coalesce(tied, false) as tied
    from groups left join ({voted}) using (group_id)"""
# Whose candidates came with a label that is not our verdict.
UNLIKE_LABEL = """
create view unlike_label as select group_id from shown join graded using (candidate_id) where {condition}"""
LABEL = "recorded_label"
ANSWERED = """
create or replace view answered as
    select group_id, trim(string_split(text, '{marker}')[-1]) as said
    from groups join refinements using (refinement_id)
"""


@dataclass(frozen=True)
class Page:
    """Some of the groups that a filter finds, ``found`` of ``of`` in all."""

    groups: Sequence[Row]
    found: int
    of: int


class GroupIndex:
    """The groups of one evaluation, as its artifacts were when it was made."""

    def __init__(self, run: EvaluationRun):
        """Raises ArtifactError where the candidates were not graded yet, or are damaged."""
        self.run = run
        self._database = database = duckdb.connect()
        view(database, "problems", run.store.local_shards(run.key.problems))
        view(database, "graded", run.store.local_shards(run.key.artifact("graded_candidates")))
        view(database, "gaps", self._shards("gap_reports"))
        if not self.records("select 1 as one from gaps limit 1"):
            rows = unrefined(run)
            columns = {name: pa.array([row.get(name) for row in rows], kind) for name, kind in OF_A_GAP_ROW.items()}
            database.execute("drop view gaps")
            database.from_arrow(pa.table(columns)).create("gaps")
        outcomes = " ".join(f"when {condition} then '{name}'" for name, condition in OUTCOMES.items())
        database.execute(INDEX.format(outcomes=outcomes))
        condition = f"{LABEL} in (0, 1) and {LABEL} <> correct::int" if self.labelled else "false"
        database.execute(UNLIKE_LABEL.format(condition=condition))

    @cached_property
    def texts(self) -> "GroupIndex":
        """The index with what the models wrote: the views pool, refinements and answered. They have many shards."""
        view(self._database, "pool", self._shards("candidate_pools"))
        view(self._database, "refinements", self._shards("self_refinements"))
        marker = self.run.model.thinking_end or "\x00"  # no text holds it
        self._database.execute(ANSWERED.format(marker=marker.replace("'", "''")))
        return self

    @cached_property
    def with_votes(self) -> str:
        """The table of all groups with ``agreeing`` and ``tied``."""
        self._database.execute(VOTED_GROUPS.format(voted=VOTED.format(shown="shown")))
        return "voted_groups"

    def page(self, wanted: GroupFilter) -> Page:
        """Return the page of the groups that a filter asks for."""
        table, where, values = self._asked(wanted)
        first = (wanted.page - 1) * GROUPS_A_PAGE
        query = f"select * from {table} {where} order by {ORDERS[wanted.sort]} limit {GROUPS_A_PAGE} offset {first}"
        groups = self._with_votes_and_problems(self.records(query, values))
        counted = f"select count(*) as of, (select count(*) from {table} {where}) as found from groups"
        return Page(groups, **self.records(counted, values)[0])

    def group(self, group_id: str) -> Row | None:
        """Return a group by its id, None where the evaluation has no such group."""
        found = self._with_votes_and_problems(self.records("select * from groups where group_id = ?", [group_id]))
        return found[0] if found else None

    def _with_votes_and_problems(self, groups: Sequence[Row]) -> list[Row]:
        """Return groups with ``agreeing``, ``tied`` and their ``problem``."""
        shown = [(row["group_id"], name) for row in groups for name in row["candidate_ids"]]
        columns = [list(column) for column in zip(*shown, strict=True)] or [[], []]
        of_page = "(select unnest(?::varchar[]) as group_id, unnest(?::varchar[]) as candidate_id)"
        votes = {row["group_id"]: row for row in self.records(VOTED.format(shown=of_page), columns)}
        of = [row["problem_id"] for row in groups]
        read = "select problem_id, problem from problems where problem_id in (select unnest(?::varchar[]))"
        problems = {row["problem_id"]: row["problem"] for row in self.records(read, [of])}
        none = {"agreeing": 0, "tied": False}
        return [
            {**row, **none, **votes.get(row["group_id"], {}), "problem": problems[row["problem_id"]]} for row in groups
        ]

    def neighbours(self, wanted: GroupFilter, group_id: str) -> tuple[str | None, str | None]:
        """Return the groups before and after one in the order of a filter, None where there is none."""
        table, where, values = self._asked(wanted)
        order = ORDERS[wanted.sort]
        around = "lag(group_id) over ordered as before, lead(group_id) over ordered as after"
        query = f"select group_id, {around} from {table} {where} window ordered as (order by {order})"
        found = self.records(f"select before, after from ({query}) where group_id = ?", [*values, group_id])
        return (found[0]["before"], found[0]["after"]) if found else (None, None)

    @property
    def outcomes(self) -> dict[str, int]:
        """How many groups came out in which way."""
        counted = self.records(
            "select outcome, count(*) as groups from groups where outcome is not null group by outcome"
        )
        found = {row["outcome"]: row["groups"] for row in counted}
        return {name: found.get(name, 0) for name in OUTCOMES}

    @cached_property
    def labelled(self) -> bool:
        """Whether candidates came with labels."""
        return bool(self.records("select 1 as one from (describe graded) where column_name = ?", [LABEL]))

    @property
    def verdicts(self) -> list[str]:
        """The verdicts on the refinements, the most frequent first."""
        query = "select verdict from groups where verdict is not null group by verdict order by count(*) desc"
        return [row["verdict"] for row in self.records(query)]

    def records(self, query: str, values: Sequence[Any] = ()) -> list[Row]:
        """Return the rows of a query over the tables of the index."""
        return records(self._database, query, values)

    def _asked(self, wanted: GroupFilter) -> tuple[str, str, list[Any]]:
        """Return the table that a filter is about, its condition, and what stands for the question marks."""
        if wanted.needs_texts:
            _ = self.texts
        conditions, values = wanted.conditions
        where = f"where {' and '.join(conditions)}" if conditions else ""
        return self.with_votes if wanted.needs_votes else "groups", where, values

    def _shards(self, asset: str) -> list[Path]:
        key = self.run.key.artifact(asset)
        made = self.run.store.manifest(key)
        return self.run.store.local_shards(key) if made and made.rows else []


class GroupIndexes:
    """The indexes that were asked for last. One whose artifacts have changed is made again."""

    def __init__(self):
        self._made: dict[tuple[str, EvaluationKey], tuple[list[str | None], GroupIndex]] = {}
        self._lock = Lock()

    def of(self, run: EvaluationRun) -> GroupIndex:
        """Return the index of an evaluation as its artifacts are now. Raises ArtifactError as GroupIndex does."""
        key = run.experiment.name, run.key
        versions = [run.store.data_version(run.key.artifact(asset)) for asset in READ]
        with self._lock:
            known, index = self._made.pop(key, (None, None))
            if index is None or known != versions:
                index = GroupIndex(run)
            self._made[key] = versions, index
            for oldest in list(self._made)[:-MOST_INDEXES]:
                del self._made[oldest]
        return index


def unrefined(run: EvaluationRun) -> list[Row]:
    """Return the groups of a pool that nobody refined, as a gap report has them."""
    pool = run.scored_pool()
    return [
        {
            "group_id": group.id,
            "problem_id": group.problem_id,
            "n_correct": sum(row["correct"] for row in members),
            "vote": voted_row("", group, members)["correct"],
            "candidate_tokens": sum(row["generated_tokens"] for row in members),
            "candidate_ids": [row["candidate_id"] for row in members],
        }
        for group, members in pool.groups
    ]
