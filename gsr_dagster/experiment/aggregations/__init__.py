"""The aggregations that an experiment can name: every module in kinds/ holds one."""

from functools import reduce
from importlib import import_module
from operator import or_
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from gsr_dagster.experiment.aggregations import kinds
from gsr_dagster.experiment.aggregations.base import Aggregation

# The aggregations that every experiment has: the vote, and one refinement of each group.
MAJORITY, SELF_REFINEMENT = ALWAYS_AGGREGATED = ("majority", "self_refinement")


def aggregation_kinds() -> list[type[Aggregation]]:
    """Return the kinds, by the names of their modules."""
    modules = [import_module(f"{kinds.__name__}.{module.name}") for module in iter_modules(kinds.__path__)]
    return [
        found
        for module in modules
        for found in vars(module).values()
        if isinstance(found, type) and issubclass(found, Aggregation) and found.__module__ == module.__name__
    ]


if TYPE_CHECKING:
    AnyAggregation = Aggregation
else:
    AnyAggregation = Annotated[reduce(or_, aggregation_kinds()), Field(discriminator="kind")]
