"""Which groups are shown, and in which order: all of it stands in the page's address, so that it can be shared.

>>> chosen = GroupFilter(outcome="broken", correct=3)
>>> chosen.query(page=2)
'outcome=broken&correct=3&page=2'
>>> chosen.conditions
(['outcome = ?', 'n_correct = ?'], ['broken', 3])
"""

from typing import Annotated, Any, Literal
from urllib.parse import urlencode

from pydantic import BaseModel, ConfigDict, Field, model_validator

from gsr_dagster.method.rejection_sampling import LIMITS

Outcome = Literal["rescued", "broken", "both right", "both wrong"]
Sort = Literal["problem", "least agreement", "most agreement", "longest refinement", "shortest refinement"]

# A tied vote counts by its share: a right refinement rescues the rest of it, a wrong one breaks the share.
OUTCOMES: dict[Outcome, str] = {
    "rescued": "refined and vote < 1",
    "broken": "not refined and vote > 0",
    "both right": "refined and vote = 1",
    "both wrong": "not refined and vote = 0",
}
ORDERS: dict[Sort, str] = {
    "problem": "place",
    "least agreement": "agreeing, place",
    "most agreement": "agreeing desc, place",
    "longest refinement": "refinement_tokens desc nulls last, place",
    "shortest refinement": "refinement_tokens nulls last, place",
}
# Over the tables of a GroupIndex. The texts are read only where they are asked about.
CUT_OFF = f"refinement_id in (select refinement_id from refinements where lower(finish_reason) in {LIMITS})"
COPIED = """group_id in (
    select group_id from shown join graded using (candidate_id) join answered using (group_id) where summary = said)"""
UNLIKE_LABEL = "group_id in (select group_id from unlike_label)"
HOLDS = """(
    problem_id in (select problem_id from problems where contains(lower(problem), lower(?)))
    or group_id in (select group_id from answered where contains(lower(said), lower(?)))
    or group_id in (select group_id from shown join graded using (candidate_id) where contains(lower(summary), lower(?))))"""


class GroupFilter(BaseModel):
    """What a page of groups asks for. What is left out asks for nothing."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    outcome: Outcome | None = None
    correct: Annotated[int, Field(ge=0, le=10**6)] | None = None
    verdict: Annotated[str, Field(max_length=100)] | None = None
    cut_off: bool = False
    copied: bool = False
    tied: bool = False
    unlike_label: bool = False
    text: Annotated[str, Field(max_length=1000)] | None = None
    sort: Sort = "problem"
    page: Annotated[int, Field(ge=1, le=10**9)] = 1

    @model_validator(mode="before")
    @classmethod
    def _without_empty_fields(cls, values: dict[str, Any]) -> dict[str, Any]:
        """A form sends every field, those that nobody filled in as ""."""
        return {name: value for name, value in values.items() if value != ""}

    @property
    def needs_texts(self) -> bool:
        """Whether what the models wrote decides which groups are found."""
        return self.cut_off or self.copied or self.text is not None

    @property
    def needs_votes(self) -> bool:
        """Whether the votes of all groups decide which are found, or their order."""
        return self.tied or self.sort.endswith("agreement")

    @property
    def conditions(self) -> tuple[list[str], list[Any]]:
        """The conditions in SQL that must all hold, and what stands for their question marks."""
        asked: list[tuple[str, list[Any]]] = []
        if self.outcome:
            asked.append(("outcome = ?", [self.outcome]))
        if self.correct is not None:
            asked.append(("n_correct = ?", [self.correct]))
        if self.verdict:
            asked.append(("verdict = ?", [self.verdict]))
        boxes = {CUT_OFF: self.cut_off, COPIED: self.copied, "tied": self.tied, UNLIKE_LABEL: self.unlike_label}
        asked += [(sql, []) for sql, wanted in boxes.items() if wanted]
        if self.text:
            asked.append((HOLDS, [self.text] * 3))
        return [condition for condition, _ in asked], [value for _, values in asked for value in values]

    def query(self, **changed: Any) -> str:
        """Return the filter as it stands in an address, some of it changed."""
        asked = self.model_copy(update=changed).model_dump(exclude_defaults=True)
        return urlencode({name: "true" if value is True else value for name, value in asked.items()})
