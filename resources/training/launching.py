"""How the processes of a training are started: one, several by accelerate, or as many by Ray Train."""

import sys
from pathlib import Path
from typing import Any

from gsr_dagster.experiment.training.accelerate_config import machines_of

PROCESSES = {
    "sft": "resources.training.lora_training",
    "grpo": "resources.training.reinforcement.grpo_training",
}
# On a CPU too: accelerate's own CPU launcher wants MPI, this one is torch's, and gloo joins the processes.
SEVERAL = (
    "--multi_gpu --num_processes {processes} --num_machines 1 --mixed_precision no --dynamo_backend no "
    "--main_process_port 0"
)


def command(training: dict[str, Any], job: Path) -> list[str]:
    """Return the command that runs the job of a file."""
    python, process = [sys.executable, "-m"], PROCESSES[training["method"]]
    if training["launch"] == "ray":
        return [*python, "resources.training.ray_training", str(job)]
    accelerate = [*python, "accelerate.commands.launch"]
    if training["accelerate"]:
        return [*accelerate, "--config_file", training["accelerate"], "--module", process, str(job)]
    if training["processes"] > 1:
        return [*accelerate, *SEVERAL.format(processes=training["processes"]).split(), "--module", process, str(job)]
    return [*python, process, str(job)]


def elsewhere(training: dict[str, Any], job: Path) -> str | None:
    """Return what has to be run on each other machine of an accelerate config, None where there is none."""
    if training["launch"] == "ray" or not training["accelerate"]:
        return None
    machines = machines_of(Path(training["accelerate"]))
    if machines < 2:
        return None
    return (
        f"its accelerate config names {machines} machines: start on each other one, with its own --machine_rank, "
        f"accelerate launch --config_file {training['accelerate']} --machine_rank 1 --module "
        f"{PROCESSES[training['method']]} {job}"
    )


def environment_of_config(config: str) -> dict[str, str]:
    """Return the variables by which a config of `accelerate config` reaches its processes, whoever starts them."""
    from accelerate.commands.launch import _validate_launch_command, launch_command_parser
    from accelerate.utils import DistributedType
    from accelerate.utils.launch import prepare_deepspeed_cmd_env, prepare_multi_gpu_env

    arguments = launch_command_parser().parse_args(["--config_file", config, "-m", PROCESSES["sft"]])
    arguments, _, _ = _validate_launch_command(arguments)
    if arguments.use_deepspeed or getattr(arguments, "distributed_type", None) == DistributedType.DEEPSPEED:
        return prepare_deepspeed_cmd_env(arguments)[1]
    return prepare_multi_gpu_env(arguments)
