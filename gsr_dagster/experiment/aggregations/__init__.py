"""The aggregations that an experiment can name: every module of the rooms in kinds/ holds one."""

from functools import reduce
from importlib import import_module
from operator import or_
from pkgutil import walk_packages
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from gsr_dagster.experiment.aggregations import kinds
from gsr_dagster.experiment.aggregations.base import Aggregation

# The aggregations that every experiment has: the vote, and one refinement of each group.
MAJORITY, SELF_REFINEMENT = ALWAYS_AGGREGATED = ("majority", "self_refinement")


def aggregation_kinds() -> list[type[Aggregation]]:
    """Return the kinds, by name."""
    modules = [import_module(module.name) for module in walk_packages(kinds.__path__, f"{kinds.__name__}.")]
    found = [
        found
        for module in modules
        for found in vars(module).values()
        if isinstance(found, type) and issubclass(found, Aggregation) and found.__module__ == module.__name__
    ]
    return sorted(found, key=lambda kind: kind.__name__)


if TYPE_CHECKING:
    AnyAggregation = Aggregation
else:
    AnyAggregation = Annotated[reduce(or_, aggregation_kinds()), Field(discriminator="kind")]
