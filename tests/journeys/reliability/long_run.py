"""A process that takes the recorded samples of an experiment through sampling and grading, benchmark by benchmark.

Each step takes the benchmarks one after another, and prints a line of JSON for each: the memory of this
process in bytes before it and at its peak, that of the grading processes at its end, and its seconds.
"""

import json
import re
import sys
import time
from pathlib import Path

import dagster as dg
import psutil

from gsr_dagster.definitions import build_definitions
from gsr_dagster.experiment.keys import page_key
from gsr_dagster.experiment.loading import load_experiment
from gsr_dagster.operations.jobs import name_in_dagster

MODEL = "said-7b"
STEPS = ("base/candidate_pools", "base/graded_candidates")


def memory(name: str) -> int:
    """Return a figure of this process from /proc: VmRSS, or its peak VmHWM."""
    (kilobytes,) = re.findall(rf"{name}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return 1024 * int(kilobytes)


def run_all(path: Path) -> None:
    experiment = load_experiment(path)
    definitions = build_definitions(experiment)
    quiet = {"loggers": {"console": {"config": {"log_level": "ERROR"}}}}
    with dg.DagsterInstance.ephemeral() as instance:
        for benchmark in experiment.benchmarks:
            definitions.resolve_job_def(name_in_dagster(experiment, "benchmarks")).execute_in_process(
                quiet, instance, partition_key=benchmark
            )
        job = definitions.resolve_job_def(name_in_dagster(experiment, "base_evaluation"))
        for step in STEPS:
            for benchmark in experiment.benchmarks:
                Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
                before, started = memory("VmRSS"), time.monotonic()
                job.execute_in_process(
                    quiet,
                    instance,
                    partition_key=f"{benchmark}|{MODEL}",
                    asset_selection=[page_key(experiment.name, step)],
                )
                graders = sum(child.memory_info().rss for child in psutil.Process().children(recursive=True))
                took = {"before": before, "peak": memory("VmHWM"), "graders": graders}
                took["seconds"] = round(time.monotonic() - started, 1)
                print(json.dumps({"step": step, "benchmark": benchmark, **took}), flush=True)


if __name__ == "__main__":
    run_all(Path(sys.argv[1]))
