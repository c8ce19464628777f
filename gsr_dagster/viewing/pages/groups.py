"""The pages of evaluations: the table of all, the groups of one, and one group."""

from urllib.parse import urlencode

from starlette.responses import HTMLResponse

from assets.reports.collecting import by_benchmark, reported_gap
from gsr_dagster.experiment.keys import LANES, ArtifactKey
from gsr_dagster.viewing.pages.asked import Asked, evaluation_path
from gsr_dagster.viewing.pages.writing import page, problem_page
from gsr_dagster.viewing.reading.doubts import LONGEST_NOTE, doubts, in_words
from gsr_dagster.viewing.reading.group_filter import ORDERS
from gsr_dagster.viewing.reading.group_index import GROUPS_A_PAGE
from gsr_dagster.viewing.reading.one_group import one_group, prompt_of, same_group_of, wrote


def overview(asked: Asked) -> HTMLResponse:
    """Return benchmarks × models with the scores that are there; each leads to its groups."""
    experiment, store = asked.experiment, asked.store
    evaluations = [key for lane in LANES for key in experiment.evaluations(lane)]
    made = [key for key in evaluations if store.manifest(key.artifact("gap_reports"))]
    return page(
        "overview",
        experiment=experiment.name,
        k=experiment.k,
        gaps=by_benchmark(experiment, [reported_gap(experiment, store, key) for key in made]),
        missing=[key.partition for key in evaluations if key not in made],
        students=[name for name in experiment.students if store.manifest(ArtifactKey("training_sets", name))],
        doubted=in_words(len(doubts(experiment))),
    )


def groups(asked: Asked) -> HTMLResponse:
    """Return a page of an evaluation's groups."""
    key, wanted = asked.evaluation, asked.filter
    index = asked.index(key)
    found = index.page(wanted)
    last = max(-(-found.found // GROUPS_A_PAGE), 1)
    return page(
        "groups",
        experiment=asked.experiment.name,
        key=key,
        k=asked.experiment.k,
        place=evaluation_path(key),
        wanted=wanted,
        found=found,
        last=last,
        outcomes=index.outcomes,
        verdicts=index.verdicts,
        labelled=index.labelled,
        sorts=list(ORDERS),
        before=wanted.query(page=wanted.page - 1) if wanted.page > 1 else None,
        after=wanted.query(page=wanted.page + 1) if wanted.page < last else None,
    )


def group(asked: Asked) -> HTMLResponse:
    """Return one group; ``beside`` names another subject, whose group of the same problem stands beside it, ``wrote`` an aggregation."""
    key, wanted, group_id = asked.evaluation, asked.filter, asked.query.get("id", "")
    index, beside = asked.index(key), asked.query.get("beside") or None
    shown = one_group(index, group_id)
    if shown is None:
        return problem_page(f"{key.partition} has no group {group_id!r}.")
    other = asked.evaluation_of(key.benchmark, beside) if beside else None
    before, after = index.neighbours(wanted, group_id)

    def to(group: str, **changed: str | None) -> str:
        """Return the address of a group in the same order, with what stands beside it."""
        asks = {"id": group, "beside": beside, "wrote": asked.query.get("wrote"), **changed}
        return f"?{urlencode({name: value for name, value in asks.items() if value})}&{wanted.query()}".rstrip("&")

    return page(
        "group",
        experiment=asked.experiment.name,
        place=evaluation_path(key),
        wanted=wanted,
        to=to,
        shown=[
            shown,
            *filter(None, [one_group(asked.index(other), same_group_of(other, group_id)) if other else None]),
        ],
        beside=beside,
        subjects=[name for name in asked.subjects if name != key.subject],
        before=before,
        after=after,
        doubts=doubts(asked.experiment),
        longest_note=LONGEST_NOTE,
        prompt=prompt_of(index, shown) if "prompt" in asked.query else None,
        writing={name for name, kind in asked.experiment.aggregations_of(key.lane).items() if kind.draws},
        name=(name := asked.query.get("wrote", "")),
        wrote=wrote(index, shown, name) if name else None,
    )
