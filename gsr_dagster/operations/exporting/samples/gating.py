"""Problems that their owners let nobody republish: what says so of a problem set, as far as that can be known."""

from pathlib import Path

from gsr_dagster.experiment.problems.problem_sets import ProblemSet
from resources.models.hub import without_token
from resources.reporting.cards.model_card import hub_source

# Whose terms forbid to reveal its questions, wherever a copy of it lies.
KNOWN = "gpqa"


def gated(name: str, problems: ProblemSet) -> str | None:
    """Return why the problems of a set should not be published, None where nothing says so.

    A data set of the hub is asked for there. One that cannot be asked for counts as gated.
    """
    public = hub_source(problems.source)
    if KNOWN in f"{name}/{Path(problems.source).name}".lower():
        return "it is named after GPQA, whose terms forbid to reveal its questions"
    return _at_the_hub(*public) if public else None


def _at_the_hub(repository: str, revision: str) -> str | None:
    from huggingface_hub import HfApi

    try:
        found = HfApi().dataset_info(repository, revision=revision)
    except Exception as error:  # whatever a hub answers, or its library raises where there is none
        said = " ".join(without_token(f"{type(error).__name__}: {error}").split())
        return f"the hub could not be asked whether {repository} is gated ({said[:200]})"
    if found.private:
        return f"{repository} is private at the hub"
    return f"{repository} is gated at the hub: who reads it has accepted its terms" if found.gated else None
