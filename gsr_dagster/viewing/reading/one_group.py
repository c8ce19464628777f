"""One group: its problem, the candidates beside one another, and what was made of them."""

from collections.abc import Sequence
from dataclasses import dataclass

from gsr_dagster.experiment.keys import EvaluationKey
from gsr_dagster.method.prompting.prompts import summarise
from gsr_dagster.method.rejection_sampling import ending
from gsr_dagster.method.rows import Row
from gsr_dagster.viewing.reading.group_index import GroupIndex
from gsr_dagster.viewing.reading.sent_prompt import SentPrompt, sent_prompt
from gsr_dagster.viewing.reading.shared_words import Marked, shared_runs
from resources.store.errors import ArtifactError

CANDIDATES = """
select graded.*, pool.text from graded join pool using (candidate_id)
where candidate_id in (select unnest(?::varchar[])) and pool.candidate_id in (select unnest(?::varchar[]))"""


@dataclass(frozen=True)
class Written:
    """A sample as a reader sees it: what it thought, what it said, in pieces, and its row with its grade."""

    id: str
    row: Row
    thinking: str
    said: Sequence[Marked]
    ended: str


@dataclass(frozen=True)
class OneGroup:
    """A group with its texts. ``refinement`` is None where nobody refined it; ``others`` are of other aggregations."""

    key: EvaluationKey
    row: Row
    problem: Row
    candidates: Sequence[Written]
    refinement: Written | None
    others: Sequence[Row]

    @property
    def samples(self) -> list[Written]:
        return [*self.candidates, *([self.refinement] if self.refinement else [])]

    @property
    def summaries(self) -> list[str | None]:
        return [candidate.row["summary"] for candidate in self.candidates]


def one_group(index: GroupIndex, group_id: str) -> OneGroup | None:
    """Return a group by its id, None where the evaluation has no such group."""
    row, run = index.group(group_id), index.run
    if row is None:
        return None
    (problem,) = index.records("select * from problems where problem_id = ?", [row["problem_id"]])
    shown = row["candidate_ids"]
    by_id = {candidate["candidate_id"]: candidate for candidate in index.texts.records(CANDIDATES, [shown, shown])}
    end = run.model.thinking_end
    candidates = [written(name, by_id[name], end) for name in shown]
    refinement = None
    if row["refinement_id"]:
        (sample,) = index.records("select * from refinements where refinement_id = ?", [row["refinement_id"]])
        graded = {**sample, "answer": row["answer"], "verdict": row["verdict"], "correct": row["refined"]}
        refinement = written(
            row["refinement_id"], graded, end, [candidate.row["summary"] or "" for candidate in candidates]
        )
    return OneGroup(run.key, row, problem, candidates, refinement, other_aggregations(index, group_id))


def written(sample_id: str, row: Row, thinking_end: str | None, shown: Sequence[str] = ()) -> Written:
    """Return a sample, its words marked that stand in what it was shown. Thinking that never ends is all there is."""
    summary = summarise(row["text"], thinking_end)
    thinking = row["text"] if summary is None else row["text"].rpartition(thinking_end)[0] if thinking_end else ""
    return Written(sample_id, row, thinking, shared_runs(summary or "", shown), ending(row["finish_reason"]))


def other_aggregations(index: GroupIndex, group_id: str) -> list[Row]:
    """Return what the other aggregations made of a group: none where there is no table of them."""
    run = index.run
    key = run.key.artifact("aggregations")
    if run.store.manifest(key) is None:
        return []
    columns = ("aggregation", "group_id", "correct", "answer", "chosen", "tokens")
    return [row for row in run.store.rows(key, *columns) if row["group_id"] == group_id]


def wrote(index: GroupIndex, group: OneGroup, name: str) -> list[Written] | None:
    """Return what another aggregation wrote to a group, or to its problem where it is shown no candidates, by round.

    It is empty where the aggregation has groups of its own; None where nothing of that name wrote texts.
    """
    run = index.run
    key, aggregation = run.key.artifact(f"aggregation/{name}"), run.experiment.aggregations_of(run.key.lane).get(name)
    if aggregation is None or not aggregation.draws or run.store.manifest(key) is None:
        return None
    shards = [str(path) for path in run.store.local_shards(key)]
    if aggregation.direct:
        asked, values, shown = "problem_id = ?", [group.problem["problem_id"]], []
    else:
        asked, values = "(prompt_id = ? or starts_with(prompt_id, ? || '/'))", [group.row["group_id"]] * 2
        shown = [summary or "" for summary in group.summaries]
    query = f"select * from read_parquet(?) where {asked} order by prompt_id, sample_index"
    refiner = run.experiment.models[aggregation.refiner] if aggregation.refiner else run.model
    return [
        written(f"{row['prompt_id']}/{row['sample_index']}", row, refiner.thinking_end, shown)
        for row in index.records(query, [shards, *values])
    ]


def prompt_of(index: GroupIndex, group: OneGroup) -> SentPrompt | str:
    """Return the prompt of a group's refinement, or in words why it cannot be shown."""
    if group.refinement is None:
        return "Nobody refined this group."
    try:
        sent = sent_prompt(index.run, group.problem["problem"], group.summaries, group.refinement.row)
    except (ArtifactError, ImportError, OSError, ValueError) as error:
        return f"Its candidates were shortened, and the model's tokenizer cannot be loaded here: {error}"
    return sent or "The prompt that this experiment file makes today has another hash: its wording or settings changed."


def same_group_of(key: EvaluationKey, group_id: str) -> str:
    """Return the id of the group of another subject that has the same problem and number.

    >>> same_group_of(EvaluationKey("student", "sums", "tiny-gsr"), "tiny/sums/3/g0")
    'tiny-gsr/sums/3/g0'
    """
    return f"{key.subject}/{group_id.partition('/')[2]}"
