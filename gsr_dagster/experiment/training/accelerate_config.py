"""The config of `accelerate config` that `training: {accelerate: FILE}` names."""

from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationInfo

from gsr_dagster.experiment.settings import from_folder

WANTED = "a file that `accelerate config` wrote is wanted"


def accelerate_config(path: Path, info: ValidationInfo) -> Path:
    """Return the file, found from the experiment's folder. Raises ValueError where it is no such config."""
    found = from_folder(path, info)
    processes_of(found)
    return found


def processes_of(path: Path) -> int:
    """Return how many processes a config of `accelerate config` starts in all. Raises ValueError where it is none."""
    config = _read(path)
    count = config.get("num_processes", 1) if isinstance(config, dict) and "distributed_type" in config else None
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        raise ValueError(
            f"{path} is no config of `accelerate config`: one with distributed_type and num_processes is wanted"
        )
    return count


def machines_of(path: Path) -> int:
    """Return over how many machines a config of `accelerate config` has its processes."""
    return _read(path).get("num_machines", 1)


def _read(path: Path) -> Any:
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))  # JSON is a part of YAML
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}: {WANTED}") from None
    except (yaml.YAMLError, ValueError, RecursionError):  # YAML's readers pass on what int() and date() say
        raise ValueError(f"{path} is neither YAML nor JSON: {WANTED}") from None
