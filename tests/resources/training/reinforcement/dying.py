"""The training process of a student that learns from rewards, which kills itself at a point that $DIES names.

`DIES="right after a save,4" python -m tests.resources.training.reinforcement.dying JOB.json`
"""

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from resources.training import process
from resources.training.hybrid_trainer import SavedSteps
from resources.training.process import end_with_stdin, leave
from resources.training.reinforcement import grpo_training
from resources.training.reinforcement.rollouts import KeptRollouts
from resources.training.saves import Saves


def die(*_: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def dying(owner: Any, name: str, due: Callable[..., bool], after: bool = False) -> None:
    """Let a function kill the process, before it does its work or after, where it is due by its arguments."""
    original = getattr(owner, name)

    def dies(*args: Any, **kwargs: Any) -> Any:
        if due(*args) and not after:
            die()
        result = original(*args, **kwargs)
        if due(*args):
            die()
        return result

    setattr(owner, name, dies)


def set_to_die(point: str, step: int) -> None:
    """Raises KeyError for a point that is not known."""
    from transformers import Trainer

    points = {
        "between two steps": (Trainer, "training_step", lambda own, *_: own.state.global_step == step),
        "while it samples": (KeptRollouts, "_generate_single_turn", lambda own, *_: own.state.global_step == step),
        "rollouts half-written": (os, "replace", lambda _, path: Path(path).name.startswith(f"step-{step:06}-of-")),
        "before a save": (SavedSteps, "_save_checkpoint", lambda own, *_: own.state.global_step == step),
        "a save half-written": (Saves, "finish", lambda _, of, *__: of == step),
        "right after a save": (Saves, "finish", lambda _, of, *__: of == step, True),
        "the checkpoint half-written": (process, "write_checkpoint", lambda *_: True, True),
    }
    dying(*points[point])


if __name__ == "__main__":
    end_with_stdin()
    name, _, number = os.environ["DIES"].rpartition(",")
    set_to_die(name, int(number))
    grpo_training.train(json.loads(Path(sys.argv[1]).read_text()))
    leave()
