"""What a kind of aggregation is: its settings in the experiment file, what it asks of a model, and its score.

A kind is one module of a room in kinds/ with one class. The experiment file, the recipes, the plan
and the table all read it from there, so that adding a kind adds a file.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

from gsr_dagster.experiment.settings import Section
from gsr_dagster.method.candidate_pool import CandidatePool, ShownGroup
from gsr_dagster.method.groups import Group
from gsr_dagster.method.policies.confidence import TraceConfidence
from gsr_dagster.method.prompting.prompts import Message, RefinementPrompt
from gsr_dagster.method.rows import Row
from gsr_dagster.method.scoring.tokens import NO_TOKENS, Tokens
from gsr_dagster.method.voting import majority_vote, vote_winner

# What an artifact will hold, as the assets have it: a kind only passes it on.
Contents = Any
# From a problem and the candidates' summaries to the chat that asks which of them is best.
ChoicePrompt = Callable[[str, Sequence[str]], list[Message]]
# The vote of a student's base, and the base's own refinement, on the base's groups.
BASE_VOTE, BASE_REFINEMENT = "base/majority", "base/self_refinement"
# Behind the name of an aggregation whose groups are not the pool's: the vote on those.
OWN_VOTE = "/vote"


@dataclass(frozen=True)
class Pools:
    """How much there is to aggregate: the sizes of a subject's pools, summed over ``benchmarks``."""

    benchmarks: int
    problems: int
    candidates: int
    groups: int
    k: int


@dataclass(frozen=True)
class GroupPrompt:
    """A group as it is put to a model: the ids and summaries of what is shown, in this order."""

    id: str
    problem_id: str
    shown_ids: tuple[str, ...]
    summaries: tuple[str | None, ...]


class Fingerprints(Protocol):
    """What pins the things that an aggregation can be made from, for its recipe."""

    @property
    def pool(self) -> str:
        """The fingerprint of the candidate pool."""
        ...

    @property
    def base_pool(self) -> str:
        """The fingerprint of the candidate pool of a student's base."""
        ...

    @property
    def grader(self) -> str:
        """The grader's name and version."""
        ...

    def self_refinement(self) -> dict[str, Any]:
        """The settings of one refinement of each group by the subject itself."""
        ...

    def refiner(self, model: str) -> dict[str, Any]:
        """The ``model`` and ``rollout`` of another model of the file that refines."""
        ...

    def direct_rollout(self) -> dict[str, Any]:
        """The rollout settings of the subject's direct samples."""
        ...

    def weights(self, source: str) -> str:
        """The identity of a model's weights."""
        ...

    def file(self, path: Path) -> str:
        """The sha256 of a file."""
        ...


class Work(Protocol):
    """What an aggregation can ask for while its artifact is made."""

    @property
    def thinking_end(self) -> str | None:
        """What ends the subject's thinking."""
        ...

    def refine(
        self, prompts: Sequence[GroupPrompt], samples: int = 1, wording: RefinementPrompt | None = None
    ) -> Contents:
        """Draw ``samples`` refinements of each prompt, by the refiner, in the experiment's wording where none is given."""
        ...

    def choose(self, prompts: Sequence[GroupPrompt], write: ChoicePrompt) -> Contents:
        """Ask the subject once for its choice among the candidates of each prompt."""
        ...

    def greedy_direct(self) -> Contents:
        """Draw one answer to each problem at temperature 0, by the subject, without candidates."""
        ...

    def answers(self, contents: Contents) -> dict[str, Row]:
        """Return the drawn samples by their id, PROMPT-ID/INDEX."""
        ...

    def reward_scores(self, source: str, batch_size: int) -> Contents:
        """Score every candidate by a sequence classifier."""
        ...

    def recorded_scores(self, path: Path) -> Contents:
        """Read every candidate's score from a file."""
        ...

    def confidences(self, window: int) -> dict[str, TraceConfidence]:
        """Return how sure the subject was of each candidate, by its id; windows are of so many tokens."""
        ...

    def refined_groups(self) -> list[Row]:
        """Return the gap report's rows: the vote and the refinement of every refined group."""
        ...

    def computed(self, rows: Sequence[Row]) -> Contents:
        """Keep rows that the kind worked out itself."""
        ...


class Aggregation(Section, ABC):
    """One way to make an answer of a group of candidates."""

    # Whether it samples a model; one that only scores what is there does not.
    draws: ClassVar[bool] = True
    # Whether it answers the pool's own groups, so that it can be held against the vote on them.
    paired: ClassVar[bool] = True
    # Whether its groups are those of the student's base, so that only students have it.
    of_base: ClassVar[bool] = False
    # Whether it is made from the refinements of the gap report.
    of_refinements: ClassVar[bool] = False
    # Whether it asks for one direct solution a problem, in place of something to each group.
    direct: ClassVar[bool] = False
    # Whether it reads how sure the model was of each token, which direct samples have with ``logprobs``.
    of_logprobs: ClassVar[bool] = False
    # GPUs that it asks for by itself, without those of a model that it samples.
    gpus: ClassVar[int] = 0
    # Candidates that a group must have.
    least_k: ClassVar[int] = 1

    kind: Any  # each kind's own literal

    @property
    def refiner(self) -> str | None:
        """The model of the file that answers, None for the subject itself."""
        return None

    @abstractmethod
    def settings(self, fingerprints: Fingerprints) -> dict[str, Any]:
        """Return what shapes its rows, without its kind. It holds nothing of other aggregations."""

    def wanted(self) -> dict[str, Any]:
        """Return what only says how many rows there are."""
        return {}

    def least_samples(self, k: int) -> int:
        """Return how many candidates a problem must have."""
        return k

    def cost(self, pools: Pools) -> tuple[int, int]:
        """Return how many prompts and samples it asks for at most."""
        return pools.groups, pools.groups

    def groups(self, pool: CandidatePool) -> list[ShownGroup]:
        """Return the groups it answers: the pool's own, where it says nothing else."""
        return pool.groups

    @abstractmethod
    def make(self, work: Work, pool: CandidatePool) -> Contents:
        """Return the samples or scores of its groups."""

    @abstractmethod
    def rows(self, name: str, pool: CandidatePool, made: Sequence[Row], thinking_end: str | None) -> Iterator[Row]:
        """Yield the row of every group (see ``group_row``), from the samples or scores that ``make`` gave.

        ``correct`` is None for an answer that is still to be graded.
        """

    def figures(self, name: str, rows: Mapping[str, Sequence[Row]], k: int, seed: int) -> dict[str, Any]:
        """Return what its summary holds beside the score, from the rows of all aggregations by name."""
        return {}


def whole_problems(pool: CandidatePool, more_than: int = 0) -> list[ShownGroup]:
    """Return all candidates of each problem that has more than so many, as a group."""
    return [
        pool.shown(Group(f"{problem_id}/all", problem_id, tuple(range(len(rows)))))
        for problem_id, rows in pool.by_problem.items()
        if len(rows) > more_than
    ]


def right_class(rows: Sequence[Row]) -> int | None:
    """Return the answer class of the right answers among rows of one problem, None where none is right."""
    return next((row["answer_class"] for row in rows if row["correct"]), None)


def voted_row(name: str, group: Group, members: Sequence[Row]) -> Row:
    """Return the row of the vote of a group."""
    classes = [row["answer_class"] for row in members]
    winner = vote_winner(classes)
    voted = next((row["answer"] for row in members if winner is not None and row["answer_class"] == winner), None)
    return group_row(name, group, members, correct=majority_vote(classes, right_class(members)), answer=voted)


def drawn_until(row: Row, members: Sequence[Row], samples: float, tokens: float) -> Row:
    """Return the row of a vote for which only so many ``samples`` were drawn, of ``tokens``: means over orders.

    All candidates of a problem answer one prompt.
    """
    prompt = row["prompt_tokens"]
    read = None if prompt is None else round(prompt * samples / len(members))
    return {**row, "tokens": round(tokens), "prompt_tokens": read, "samples": samples}


def without_candidates(row: Row) -> Row:
    """Return the row of an answer that needs no candidates: it costs what was drawn for it alone."""
    return {**row, "tokens": row["refiner_tokens"], "prompt_tokens": row["refiner_prompt_tokens"]}


def group_prompts(groups: Sequence[ShownGroup], ending: str = "") -> list[GroupPrompt]:
    """Return the groups as they are put to a model, ``ending`` behind their ids."""
    return [
        GroupPrompt(
            f"{group.id}{ending}",
            group.problem_id,
            tuple(row["candidate_id"] for row in members),
            tuple(row["summary"] for row in members),
        )
        for group, members in groups
    ]


def group_row(
    name: str,
    group: Group,
    members: Sequence[Row],
    correct: float | None = None,
    chosen: str | None = None,
    answer: str | None = None,
    drawn: Tokens = NO_TOKENS,
    scored_tokens: int = 0,
    unread: bool = False,
) -> Row:
    """Return what an aggregation made of one group, with the candidates ``members`` and what else was ``drawn``.

    ``aggregation``, ``group_id``, ``problem_id``, ``n_correct``, ``correct`` (0..1, a tie by
    its share), ``tokens`` and ``prompt_tokens`` (generated, and read in prompts, candidates
    included), ``refiner_tokens`` and ``refiner_prompt_tokens`` (the part of both that is not the
    candidates'), ``scored_tokens`` (read by a reward model), ``chosen`` (a candidate's id where one
    was picked), ``answer``, and ``unread`` (a choice that could not be read, which counts as wrong).
    Tokens of prompts are None where some were not counted.
    """
    read = Tokens.of(members) + drawn
    return {
        "aggregation": name,
        "group_id": group.id,
        "problem_id": group.problem_id,
        "n_correct": sum(row["correct"] for row in members),
        "correct": correct,
        "tokens": read.generated,
        "prompt_tokens": read.prompt,
        "refiner_tokens": drawn.generated,
        "refiner_prompt_tokens": drawn.prompt,
        "scored_tokens": scored_tokens,
        "chosen": chosen,
        "answer": answer,
        "unread": unread,
    }
