"""A process that takes the recorded samples of an experiment through sampling and grading, benchmark by benchmark.

It prints a line of JSON a step: the memory in bytes before it and at its peak, and its seconds.
"""

import json
import re
import sys
import time
from pathlib import Path

import dagster as dg

from gsr_dagster.automation import lanes
from gsr_dagster.definitions import build_definitions
from gsr_dagster.experiment import load_experiment

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
        for lane in lanes(experiment)[:2]:
            job = definitions.resolve_job_def(lane.name)
            for partition in lane.partitions:
                for asset in [name for name in lane.assets if name in (*STEPS, "benchmark_problems")]:
                    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
                    before, started = memory("VmRSS"), time.monotonic()
                    chosen = [dg.AssetKey(asset.split("/"))]
                    job.execute_in_process(quiet, instance, partition_key=partition, asset_selection=chosen)
                    took = {"before": before, "peak": memory("VmHWM"), "seconds": time.monotonic() - started}
                    print(json.dumps({"step": asset, "benchmark": partition.partition("|")[0], **took}), flush=True)


if __name__ == "__main__":
    run_all(Path(sys.argv[1]))
