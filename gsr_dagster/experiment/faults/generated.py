"""Tasks of reasoning-gym that there are not, and options that a task has not."""

from collections.abc import Iterator

from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.experiment.faults.inputs import problem_sets
from gsr_dagster.experiment.faults.reasoning_gym_tasks import SET_BY_US, task_options, tasks
from gsr_dagster.experiment.likeness import did_you_mean, which
from gsr_dagster.experiment.line_numbers import Fault

GENERATED = "reasoning-gym:"
MOST_LISTED = 8


def unknown_tasks(experiment: Experiment) -> Iterator[Fault]:
    """Yield what reasoning-gym would refuse, where it is installed."""
    known = tasks()
    for place, problem_set in problem_sets(experiment):
        task = problem_set.source.removeprefix(GENERATED)
        if not known or not problem_set.source.startswith(GENERATED):
            continue
        if task not in known:
            near = did_you_mean(task, known)
            some = f" There are {len(known)} tasks" if near else f"; there are {len(known)}, such as {_some(known)}"
            yield Fault((*place, "source"), f"reasoning-gym has no task {task!r}{near}{some}")
            continue
        options = task_options(task)
        for option in problem_set.options:
            if option in SET_BY_US:
                what = f"this is no option here: write {SET_BY_US[option]} beside options"
            elif options is None or option in options:
                continue
            else:
                what = f"the task {task} has no such option{which(option, sorted(options))}"
            yield Fault((*place, "options", option), what)


def _some(known: dict) -> str:
    return ", ".join(sorted(known)[:MOST_LISTED])
