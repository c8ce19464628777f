"""Reading an experiment file, or saying what is wrong with it: every fault, by line and place.

The folder faults/ has the words.
"""

import os
from collections.abc import Iterable
from pathlib import Path

import yaml
from pydantic import ValidationError

from gsr_dagster.experiment.errors import UserError
from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.experiment.faults.clashes import clashes
from gsr_dagster.experiment.faults.generated import unknown_tasks
from gsr_dagster.experiment.faults.inputs import missing_inputs
from gsr_dagster.experiment.faults.words import faults_of, truth_values
from gsr_dagster.experiment.faults.yaml_words import other_form, unreadable_value, yaml_fault
from gsr_dagster.experiment.likeness import did_you_mean
from gsr_dagster.experiment.line_numbers import Fault, dotted, is_bomb, line_of, repeated_keys

# Installed beside the packages, and beside them in a checkout too.
SHIPPED = Path(__file__).resolve().parents[2] / "experiments"
DEFAULT = "demo"
MOST_CHARACTERS = 1 << 18


class ExperimentError(UserError, ValueError):
    """The experiment file cannot be used; the message lists every fault by line and place."""


def experiment_path(name: str | None = None) -> Path:
    """Return the file of an experiment: by path, by the name of a file in experiments/, or $GSR_EXPERIMENT."""
    name = name or os.environ.get("GSR_EXPERIMENT") or DEFAULT
    try:
        shipped = SHIPPED / f"{name}.yaml"
        return shipped if shipped.is_file() else Path(name).expanduser().resolve()
    except (OSError, RuntimeError) as error:
        raise ExperimentError(f"{name[:100]}: {error}") from None


def load_experiment(path: Path, with_inputs: bool = False) -> Experiment:
    """Return the experiment of a YAML file. Raises ExperimentError with every fault and its line.

    ``with_inputs``: a file of problems or samples that is not there is a fault too.
    """
    return read_experiment(_text(path), path, with_inputs)


def read_experiment(text: str, path: Path, with_inputs: bool = False) -> Experiment:
    """Return the experiment of a text, as if it stood in a file. Raises ExperimentError."""
    if len(text) > MOST_CHARACTERS:
        raise ExperimentError(f"{path} cannot be used: it has {len(text):,} characters, more than {MOST_CHARACTERS:,}")
    root, data = _parsed(text, path)
    if fault := other_form(data):
        raise _refused(path, [fault], root)
    faults = [*repeated_keys(root), *truth_values(data, root)]
    experiment = None
    try:
        experiment = Experiment.model_validate(data, context={"folder": path.parent})
        faults += [*clashes(experiment), *unknown_tasks(experiment)]
        faults += missing_inputs(experiment) if with_inputs else []
    except ValidationError as error:
        faults += faults_of(error.errors(), data, root)
    if faults or experiment is None:
        raise _refused(path, faults, root)
    return experiment


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        shipped = sorted(file.stem for file in SHIPPED.glob("*.yaml"))
        beside = [file.name for file in path.parent.glob("*.y*ml")]
        near = did_you_mean(path.name, [*beside, *shipped])
        raise ExperimentError(
            f"{path}: {error.strerror}{near or '.'} "
            f"Shipped are {', '.join(shipped)}; `gsr init` writes one for a file of problems"
        ) from None
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1
        raise ExperimentError(
            f"{path} is not YAML:\n  line {line}: it is not text in UTF-8: save it as UTF-8"
        ) from None
    except OSError as error:
        raise ExperimentError(f"{path}: {error.strerror}: the path of a YAML file is wanted") from None


def _parsed(text: str, path: Path) -> tuple[yaml.Node | None, object]:
    """Return a file's nodes, which know their lines, and its values."""
    root = None
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        if is_bomb(root):
            raise ExperimentError(f"{path} cannot be used: its aliases make it enormous or endless, or it is too deep")
        return root, yaml.safe_load(text)
    except ExperimentError:
        raise
    except yaml.YAMLError as error:
        fault = yaml_fault(error, text)
    except Exception:  # YAML's readers pass on whatever int(), date() and the stack say
        fault = unreadable_value(root) or Fault((), "it is nested too deep: an experiment file has a few levels", 1)
    raise ExperimentError(f"{path} is not YAML:\n  line {fault.line}: {fault.what}") from None


def _refused(path: Path, faults: Iterable[Fault], root: yaml.Node | None) -> ExperimentError:
    lines = {}
    for fault in faults:
        line = fault.line or line_of(root, fault.place)
        lines[f"  line {line}{f', {dotted(fault.place)}' if fault.place else ''}: {fault.what}"] = line
    return ExperimentError("\n".join([f"{path} cannot be used:", *sorted(lines, key=lines.__getitem__)]))
