"""The names of things: an artifact by its asset and partition, and what is evaluated by subject and benchmark.

>>> evaluation = EvaluationKey("base", "math500", "qwen2.5-7b")
>>> str(evaluation.artifact("gap_reports"))
'base/gap_reports[math500|qwen2.5-7b]'
>>> EvaluationKey.parse("base", "math500|qwen2.5-7b") == evaluation
True
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import dagster as dg

LaneName = Literal["base", "student"]
LANES: tuple[LaneName, ...] = ("base", "student")


@dataclass(frozen=True, order=True)
class ArtifactKey:
    """An asset and one of its partitions, "" where it has none."""

    asset: str
    partition: str = ""

    @property
    def path(self) -> str:
        """The artifact's folder in the store: ASSET, or ASSET/BENCHMARK/SUBJECT."""
        return "/".join([self.asset, *filter(None, self.partition.split("|"))])

    @property
    def lane(self) -> LaneName | None:
        """The evaluation lane that the asset belongs to, None where it is of no lane."""
        return next((lane for lane in LANES if self.asset.startswith(f"{lane}/")), None)

    @property
    def name(self) -> str:
        """The asset's own name, without its lane."""
        return self.asset.rpartition("/")[2]

    @classmethod
    def parse(cls, text: str) -> ArtifactKey:
        """Return the key that a text names: ASSET or ASSET[PARTITION]."""
        asset, _, rest = text.partition("[")
        return cls(asset, rest.removesuffix("]"))

    def __str__(self) -> str:
        return f"{self.asset}[{self.partition}]" if self.partition else self.asset


def page_key(experiment: str, asset: str, round_number: int = 1) -> dg.AssetKey:
    """Return an asset's key in Dagster: it begins with the experiment's name, so that each has a place of its own.

    What students of a later round are made and evaluated with are assets of their own there:
    Dagster knows no asset of which a partition is made from another one.

    >>> page_key("demo", "base/gap_reports").path
    ['demo', 'base', 'gap_reports']
    >>> page_key("demo", "lora_checkpoints", 2).path
    ['demo', 'round_2', 'lora_checkpoints']
    """
    import dagster as dg

    return dg.AssetKey([experiment, *([f"round_{round_number}"] if round_number > 1 else []), *asset.split("/")])


def asset_of(key: dg.AssetKey) -> str:
    """Return the asset of a key in Dagster, as the store has it.

    >>> asset_of(page_key("demo", "base/gap_reports"))
    'base/gap_reports'
    >>> asset_of(page_key("demo", "lora_checkpoints", 2))
    'lora_checkpoints'
    """
    _, *parts = key.path
    return "/".join(parts[1:] if re.fullmatch(r"round_\d+", parts[0]) else parts)


BENCHMARK_PROBLEMS = "benchmark_problems"
TRAINING_PROBLEMS = ArtifactKey("training_problems")
CONTAMINATION = ArtifactKey("contamination")
JUDGE_SAMPLES = "judge_samples"
# The assets whose partitions are the students.
OF_TEACHERS = ("teacher_refinements", "teacher_solutions")
TEACHING = ("training_candidates", "teacher_refinements", "teacher_solutions", "training_sets", "lora_checkpoints")


@dataclass(frozen=True, order=True)
class EvaluationKey:
    """What is evaluated: a subject, which is a model (lane "base") or a student, on a benchmark."""

    lane: LaneName
    benchmark: str
    subject: str

    @classmethod
    def parse(cls, lane: LaneName, partition: str) -> EvaluationKey:
        """Return the key of a partition BENCHMARK|SUBJECT of a lane."""
        benchmark, subject = partition.split("|")
        return cls(lane, benchmark, subject)

    @classmethod
    def of(cls, key: ArtifactKey) -> EvaluationKey:
        """Return what an artifact of a lane evaluates. Raises ValueError for any other artifact."""
        if key.lane is None:
            raise ValueError(f"{key} belongs to no evaluation lane")
        return cls.parse(key.lane, key.partition)

    @property
    def partition(self) -> str:
        """The partition key, BENCHMARK|SUBJECT: Dagster sorts the two by the names of their dimensions."""
        return f"{self.benchmark}|{self.subject}"

    @property
    def is_student(self) -> bool:
        return self.lane == "student"

    @property
    def problems(self) -> ArtifactKey:
        return ArtifactKey(BENCHMARK_PROBLEMS, self.benchmark)

    def artifact(self, name: str) -> ArtifactKey:
        """Return the key of one of this evaluation's artifacts, as in ``artifact("gap_reports")``."""
        return ArtifactKey(f"{self.lane}/{name}", self.partition)


def subject_of(partition: str) -> str:
    """Return the model or student of a partition: BENCHMARK|SUBJECT, or a student alone."""
    return partition.rpartition("|")[2]


def benchmark_of(partition: str) -> str:
    """Return the benchmark of a partition BENCHMARK|SUBJECT; any other partition as it is."""
    return partition.partition("|")[0]
