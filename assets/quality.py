"""What the checks measure: plain functions on rows, each returning a share with the worst of what it counted."""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from gsr_dagster.experiment.prompts import Prompts
from gsr_dagster.method.prompting.prompt_audit import holds, unexpected_text
from gsr_dagster.method.rejection_sampling import cut_off
from gsr_dagster.method.rows import Row
from resources.engines.base import UNASKED

WORST = 5


@dataclass(frozen=True)
class Share:
    """``count`` of ``total`` samples, or of what ``of`` names, and some of what was counted."""

    count: int
    total: int
    worst: tuple[str, ...] = ()
    of: str = "samples"

    @property
    def value(self) -> float:
        """The share, 0 where there is nothing to count."""
        return self.count / self.total if self.total else 0.0

    def __str__(self) -> str:
        return f"{self.count:,} of {self.total:,} {self.of} ({self.value:.1%})"


@dataclass(frozen=True)
class Surplus:
    """A training row whose prompt holds text that nothing accounts for, and whether the gold is in it."""

    row_id: str
    text: str
    holds_gold: bool


def share_of(rows: Iterable[Row], flagged: Callable[[Row], bool], id_column: str, of: str = "samples") -> Share:
    """Return the share of the rows that are flagged."""
    count, total, worst = 0, 0, []
    for row in rows:
        total += 1
        if flagged(row):
            count += 1
            if count <= WORST:
                worst.append(row[id_column])
    return Share(count, total, tuple(worst), of)


def truncated(rows: Iterable[Row], id_column: str) -> Share:
    """Return the samples that the token limit cut off."""
    return share_of(rows, lambda row: cut_off(row["finish_reason"]), id_column)


def unasked(rows: Iterable[Row], id_column: str) -> Share:
    """Return the samples whose prompt no model could take."""
    return share_of(rows, lambda row: row["finish_reason"] == UNASKED, id_column)


def unclosed(rows: Iterable[Row], id_column: str, thinking_end: str | None) -> Share:
    """Return the samples whose thinking never ends; none of a model that does not think first.

    Where nothing was written, nothing was thought.
    """

    def endless(row: Row) -> bool:
        return thinking_end is not None and bool(row["text"].strip()) and thinking_end not in row["text"]

    return share_of(rows, endless, id_column)


def repeated(rows: Iterable[Row]) -> Share:
    """Return the samples with a text that an earlier sample of their prompt has already, and the worst prompts.

    A prompt that was not asked has no texts.
    """
    texts: dict[str, set[int]] = defaultdict(set)  # a text by its hash: a pool of them need not fit in memory
    again: Counter[str] = Counter()
    for row in rows:
        if row["finish_reason"] == UNASKED:
            continue
        of_prompt, text = texts[row["prompt_id"]], hash(row["text"])
        again[row["prompt_id"]] += text in of_prompt
        of_prompt.add(text)
    worst = tuple(f"{prompt}: {count}" for prompt, count in again.most_common(WORST) if count)
    return Share(again.total(), again.total() + sum(map(len, texts.values())), worst)


def with_verdict(rows: Iterable[Row], id_column: str, *verdicts: str) -> Share:
    """Return the graded samples with one of these verdicts."""
    return share_of(rows, lambda row: row["verdict"] in verdicts, id_column)


def all_wrong_kept(refinements: Iterable[Row], training_set: Iterable[Row]) -> Share:
    """Return of the groups without a correct candidate those with a row in the training set; the others as worst."""
    all_wrong = sorted({row["prompt_id"] for row in refinements if row["n_correct"] == 0})
    kept = {row["teacher_sample_id"].rpartition("/")[0] for row in training_set if row["kind"] == "refinement"}
    lost = [prompt_id for prompt_id in all_wrong if prompt_id not in kept]
    return Share(len(all_wrong) - len(lost), len(all_wrong), tuple(lost[:WORST]), of="all-wrong groups")


def overlong(training_set: Iterable[Row], tokens: Mapping[str, int], max_length: int) -> Share:
    """Return the training rows longer than the student reads, by the ``tokens`` of each of the teacher's samples with its
    prompt: their end is not learned."""
    return share_of(
        training_set, lambda row: tokens[row["teacher_sample_id"]] > max_length, "row_id", of="training rows"
    )


def student_prompt_tokens(sample: Row) -> int:
    """Return the tokens of the prompt that a student sees, which may be without the teacher's worked examples."""
    plain = sample.get("student_prompt_tokens")
    return sample["prompt_tokens"] if plain is None else plain


def surplus_texts(
    training_set: Sequence[Row],
    problems: Mapping[str, Row],
    examples: Sequence[tuple[str, str]],
    summaries: Mapping[str, str | None],
    prompts: Prompts,
) -> list[Surplus]:
    """Return the training rows whose prompt holds more than its instruction, its problem and its candidates.

    ``problems`` are by their id, ``summaries`` by candidate id, and ``prompts`` word them. Those
    with the gold in it come first.
    """
    found = []
    for row in training_set:
        problem = problems[row["problem_id"]]
        shown = [summaries[name] for name in row["candidate_ids"]] if row["kind"] == "refinement" else None
        chat = json.loads(row["messages"])
        if text := unexpected_text(
            chat, problem["problem"], examples, shown, prompts.ask_direct, prompts.ask_refinement
        ):
            found.append(Surplus(row["row_id"], text, holds(text, problem["answer"])))
    return sorted(found, key=lambda surplus: not surplus.holds_gold)
