"""What the page loads: a code location for each of its experiments.

A location is a small Python file in the home that names the experiment's file, so that
each of several loads its own.
"""

from collections.abc import Sequence
from pathlib import Path

import yaml

from gsr_dagster.experiment.errors import UserError
from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.operations.home import home
from gsr_dagster.operations.locations.origins import location_name
from resources.store.files import write_atomically

LOCATION = '''\
"""A code location of the page, written by `gsr page`: the experiment {name}."""

from pathlib import Path

from gsr_dagster.definitions import definitions_of

defs = definitions_of(Path({path!r}), with_alerts={with_alerts})
'''


class WorkspaceError(UserError, ValueError):
    """Experiments that one page cannot show together; the message says which."""


def write_workspace(experiments: Sequence[tuple[Path, Experiment]]) -> Path:
    """Write what the page loads of experiments and their files, and return its path.

    Alerts are of all code locations, so the first location sends them. Raises
    WorkspaceError where two experiments have one name.
    """
    files: dict[str, Path] = {}
    locations = []
    for path, experiment in experiments:
        name = location_name(experiment)
        if name in files:
            raise WorkspaceError(
                f"{files[name]} and {path} both have the name {name}, and would share their artifacts: "
                "give one of them another name"
            )
        written = home() / "locations" / f"{name}.py"
        content = LOCATION.format(name=name, path=str(path), with_alerts=not files)
        write_atomically(written, content.encode())
        location = {"relative_path": str(written), "location_name": name, "working_directory": str(home())}
        locations.append({"python_file": location})
        files[name] = path
    workspace = home() / "workspace.yaml"
    write_atomically(workspace, yaml.safe_dump({"load_from": locations}).encode())
    return workspace
