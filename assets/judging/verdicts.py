"""A judge's verdicts: which answers it is asked about, what it says of each, and the scores with and without it."""

import dataclasses
from collections.abc import Iterable, Sequence

import dagster as dg

from assets.evaluation.evaluation_run import EvaluationRun
from assets.evaluation.gap_reports import score_groups
from assets.grading import graded_rows, scored
from assets.materializing import ArtifactContents
from assets.refusals import refuse_incomplete
from assets.sampling import draw_samples
from gsr_dagster.experiment.keys import JUDGE_SAMPLES
from gsr_dagster.experiment.settings import Judge
from gsr_dagster.method.answers import answer_of
from gsr_dagster.method.judging import judge_messages, judged_id, read_verdict
from gsr_dagster.method.prompting.prompts import summarise
from gsr_dagster.method.rows import Row
from gsr_dagster.method.scoring.gap_summary import Scores, scores_of
from gsr_dagster.method.scoring.judged_scores import (
    DECIDERS,
    Decider,
    JudgedSummary,
    by_grader_then_judge,
    by_judge,
    judged_summary,
)
from resources.engines.loading import Engines
from resources.engines.sample_log import Prompt
from resources.grading.grader import Grader
from resources.reporting.numbers import NOTHING, agreement_text, between, percent, points, vote_and_refinement
from resources.store.errors import ArtifactError
from resources.store.manifests import Recipe

# What of a judge's sample its verdict's row has.
OF_A_SAMPLE = ("text", "finish_reason", "prompt_tokens", "generated_tokens")


def ask_judge(run: EvaluationRun, recipe: Recipe, judge: Judge, engines: Engines) -> ArtifactContents:
    """Ask the judge once about every distinct answer to a problem. Raises ArtifactError where refinements are missing."""
    refuse_incomplete(run.experiment, run.store, run.key.artifact("self_refinements"))
    problems = {row["problem_id"]: row for row in run.problems()}
    candidates = run.read("graded_candidates")
    summarised = ((row, summarise(row["text"], run.model.thinking_end)) for row in refinements_of(run, candidates))
    refinements = [
        {**row, "answer": answer_of(summary, problems[row["problem_id"]]["domain"])} for row, summary in summarised
    ]
    prompts = [
        Prompt(
            f"{run.subject}/{judged_id(problem_id, answer)}",
            judge_messages(problems[problem_id]["problem"], problems[problem_id]["answer"], answer),
            1,
            {"problem_id": problem_id, "answer": answer},
        )
        for problem_id, answer in distinct_answers((*candidates, *refinements))
    ]
    load = engines.loader(run.experiment.models[judge.model])
    return draw_samples(run.store, recipe, prompts, "sample_id", judge.rollout, load)


def read_judge(run: EvaluationRun, recipe: Recipe, judge: Judge, grader: Grader) -> ArtifactContents:
    """Return a row for every distinct answer, with the grader's verdict and the judge's, and the scores by who decides.

    Raises ArtifactError where the judge was not asked about an answer.
    """
    problems, candidates = run.problems(), run.read("graded_candidates")
    refined = graded_rows(grader, str(recipe.key), problems, refinements_of(run, candidates), run.model)
    thinking_end = run.experiment.models[judge.model].thinking_end
    samples = {(row["problem_id"], row["answer"]): row for row in run.read(JUDGE_SAMPLES)}
    answers = distinct_answers((*candidates, *refined))
    if missing := answers.keys() - samples.keys():
        raise ArtifactError(
            f"{run.key.artifact(JUDGE_SAMPLES)} lacks {len(missing)} of {len(answers)} answers: materialize it again, "
            "and the judge is asked about those"
        )
    rows = [verdict_row(graded, samples[answer], thinking_end) for answer, graded in answers.items()]
    verdicts = {(row["problem_id"], row["answer"]): row["judge_verdict"] for row in rows}
    counted: dict[Decider, tuple[list[Row], list[Row]]] = {
        "grader": (scored(candidates), refined),
        "grader, then judge": (by_grader_then_judge(candidates, verdicts), by_grader_then_judge(refined, verdicts)),
        "judge": (by_judge(candidates, verdicts), by_judge(refined, verdicts)),
    }
    scores: dict[Decider, Scores] = {decider: scores_by(run, *parts) for decider, parts in counted.items() if parts[0]}
    summary = judged_summary(judge.model, rows, scores, run.experiment.seed)
    return ArtifactContents(rows, summary=dataclasses.asdict(summary), metadata=shown_on_the_page(summary))


def refinements_of(run: EvaluationRun, candidates: Sequence[Row]) -> list[Row]:
    """Return the refinements of today's groups: there may be more, since N can be lowered again."""
    groups = {group.id for group, _ in run.pool(candidates).groups}
    return [row for row in run.read("self_refinements") if row["prompt_id"] in groups]


def distinct_answers(rows: Iterable[Row]) -> dict[tuple[str, str], Row]:
    """Return the first row of every distinct answer to a problem, by problem and answer. No answer is none."""
    found: dict[tuple[str, str], Row] = {}
    for row in rows:
        if row["answer"] is not None:
            found.setdefault((row["problem_id"], row["answer"]), row)
    return found


def verdict_row(graded: Row, sample: Row, thinking_end: str | None) -> Row:
    """Return the verdicts on one answer, in a column each, with what the judge wrote."""
    return {
        "sample_id": sample["sample_id"],
        "problem_id": graded["problem_id"],
        "answer": graded["answer"],
        "verdict": graded["verdict"],
        "judge_verdict": read_verdict(summarise(sample["text"], thinking_end), sample["finish_reason"]),
        **{name: sample[name] for name in OF_A_SAMPLE},
    }


def scores_by(run: EvaluationRun, candidates: Sequence[Row], refined: Sequence[Row]) -> Scores:
    """Return the scores of a pool and its refinements, as somebody decided which answers are right."""
    pool = run.pool(candidates)
    groups, _ = score_groups(pool, refined)
    return scores_of(pool, groups)


def shown_on_the_page(summary: JudgedSummary) -> dict[str, dg.MetadataValue]:
    """Return the scores by who decides, in percent and points, and how far the two agree, as tables."""
    records = []
    for decider in DECIDERS:
        if scores := summary.scores.get(decider):
            vote, refinement = vote_and_refinement(scores)
            gap = scores.intervals.get("refinement_gap")
            shown = {"pass@1": percent(scores.pass_at_1), "maj@k": vote, "selfRef@k": refinement}
            shown["gap"] = f"{points(gap.estimate)} {between(gap)}" if gap else NOTHING
            records.append(dg.TableRecord({"decided by": summary.named(decider), "problems": scores.problems, **shown}))
    found: dict[str, dg.MetadataValue] = {"scores": dg.MetadataValue.table(records)} if records else {}
    if both := summary.agreement:
        found["agreement"] = dg.MetadataValue.table(
            [
                dg.TableRecord(
                    {
                        "grader": "correct",
                        "judge: correct": both.both_correct,
                        "judge: incorrect": both.only_grader_correct,
                    }
                ),
                dg.TableRecord(
                    {
                        "grader": "incorrect",
                        "judge: correct": both.only_judge_correct,
                        "judge: incorrect": both.both_incorrect,
                    }
                ),
            ]
        )
        found["agree"] = dg.MetadataValue.text(agreement_text(both))
    return found
