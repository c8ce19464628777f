"""What an import says beside its scores: what was guessed and not read, how labels differ, and what its samples lack."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from assets.grading import scored
from gsr_dagster.commands.recorded.judged_import import JudgedImport
from gsr_dagster.method.scoring.agreement import compare_labels, differing
from resources.problems.belonging import NamingColumn
from resources.problems.forms.columns import told_columns, unread_columns
from resources.problems.forms.fields import Reading
from resources.problems.import_experiment import BEST_BY_SCORE, ImportedExperiment
from resources.problems.model_names import NamedModel
from resources.problems.recorded_samples import Recorded
from resources.reporting.numbers import agreement_text

# How many samples and problems are listed whose label differs from our verdict, and how many columns.
MOST_LISTED = 5
MOST_COLUMNS = 20
THINKS = ("<think>", "</think>")


def of_columns(reading: Reading, benchmark: NamingColumn | None, model: NamingColumn | None) -> Iterator[str]:
    """Yield which columns of plain rows were read under which other name, and which were not read."""
    if told := told_columns(reading):
        yield f"Read by their names: {told}. --field says otherwise."
    if benchmark:
        yield f"Benchmarks are named by the column {benchmark}. --group-by '' makes one of them."
    if model:
        yield f"Models are named by the column {model}."
    named = [column for column in (reading.benchmark, reading.model) if column]
    named += [one.column for one in (benchmark, model) if one]
    if unread := unread_columns(reading, named):
        more = f" and {len(unread) - MOST_COLUMNS} more" if len(unread) > MOST_COLUMNS else ""
        yield f"Not read: the columns {', '.join(name[:60] for name in unread[:MOST_COLUMNS])}{more}."


def of_labels(judged: JudgedImport) -> Iterator[str]:
    """Yield how far our verdicts and the labels that came with the samples agree, and where they do not."""
    rows = scored(judged.candidates + judged.refinements)
    labels = compare_labels(rows, judged.experiment.seed)
    if labels is None:
        return
    if labels.not_compared:
        yield f"Labels: {labels.not_compared} are neither 0 nor 1: kept, and not compared."
    if (both := labels.agreement) is None:
        return
    if not both.differ:
        yield f"Labels: all {both.answers} are as ours."
        return
    yield (
        f"Labels: {both.differ} of {both.answers} differ from ours, in {labels.problems_that_differ} of "
        f"{labels.problems} problems: {both.only_judge_correct} are labelled right and are not right here, "
        f"{both.only_grader_correct} are right here and labelled wrong. Alike, in percent: {agreement_text(both)}."
    )
    apart = differing(rows)
    problems = Counter(row["problem_id"] for row in apart).most_common()
    if len(problems) > 1:
        most = ", ".join(f"{name.partition('/')[2][:60]} ({count})" for name, count in problems[:MOST_LISTED])
        yield f"  The problems with the most: {most}."
    for row in apart[:MOST_LISTED]:
        theirs = "right" if row["recorded_label"] else "wrong"
        said = "no answer" if row["answer"] is None else f"the answer {row['answer'][:60]!r}"
        yield f"  {row['prompt_id']} ({row['sample_index']}) is labelled {theirs}, {row['verdict']} here: {said}, {judged.gold(row['problem_id'])}"


def of_scores(imported: ImportedExperiment) -> Iterator[str]:
    """Yield how many candidates came with a score, and what becomes of the scores."""
    if imported.with_score:
        used = (
            f"gsr run gives best-of-k by them, as {BEST_BY_SCORE}: the highest is the best."
            if imported.with_score == imported.samples
            else "best-of-k needs one of each, so they are kept in samples.parquet and not used."
        )
        yield f"Scores: {imported.with_score} of {imported.samples} candidates have one: {used}"


def of_thinking(samples: Sequence[Recorded], models: Mapping[str, NamedModel], end: str | None) -> Iterator[str]:
    """Yield what there is to say of thinking: that nobody named its end, or which texts never end it."""
    for name, model in models.items():
        texts = [text for sample in samples if sample.model == name for text in (sample.text, *sample.candidates)]
        if end is None:
            if thinking := sum(any(mark in text for mark in THINKS) for text in texts):
                yield (
                    f"Warning: {thinking} of {len(texts)} texts of {model.key} hold <think> or </think>, and no end of "
                    "thinking was named: boxes in the thinking are read as answers. Say --thinking-end '</think>'."
                )
        elif endless := sum(end not in text for text in texts):
            everywhere = " If the model does not think, leave --thinking-end out." if endless == len(texts) else ""
            yield f"{endless} of {len(texts)} texts of {model.key} hold no {end!r}: they have no answer.{everywhere}"


def of_confidences(imported: ImportedExperiment) -> Iterator[str]:
    """Yield how many candidates have the confidences of their tokens, and what the others are in the way of."""
    if imported.confident:
        without = imported.samples - imported.confident
        lacking = f" {without} have none: confidence_vote and confidence_stop need them of all." if without else ""
        yield (
            f"Confidences of tokens: {imported.confident} of {imported.samples} candidates have them, of the "
            f"{imported.logprobs} likeliest tokens in each place.{lacking}"
        )


def of_unknown_sizes(models: Mapping[str, NamedModel]) -> Iterator[str]:
    """Yield which models have no size: their keys say none, and nobody gave one."""
    if unknown := [model.key for model in models.values() if model.parameters is None]:
        yield (
            f"Note: the number of parameters of {', '.join(unknown)} is unknown: tables hold them, and no curve against "
            "size does. Give it with --parameters."
        )


def of_other_sizes(samples: Sequence[Recorded], k: int) -> Iterator[str]:
    """Yield which -k would take the refinements that were left out."""
    sizes = Counter(len(sample.candidates) for sample in samples if sample.candidates)
    for size, count in sorted(sizes.items()):
        if size != k:
            yield f"{count} refinements were shown {size} candidates: -k {size} takes them instead."
