r"""The problem sets of the hub that experiments name: `source: hub:math500`.

Each entry says where the rows are, which columns hold what, and how many there must be.
A file with columns `id`, `problem` and `answer` serves as well: `source: file:PATH`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from gsr_dagster.experiment.problems.golds import after_hashes, as_text, boxed

Domain = Literal["math", "knights_knaves", "multiple_choice"]


@dataclass(frozen=True)
class HubDataset:
    """A data set of the hub: its rows' columns, and how the answer is read from one of them.

    ``problems`` is the number of rows that count, None where only the filter ``only`` decides it.
    """

    repository: str
    revision: str
    split: str
    problem: str
    answer: str
    licence: str
    problems: int | None
    id: str | None = None
    read_answer: Callable[[Any], str] = as_text
    configs: tuple[str | None, ...] = (None,)
    domain: Domain = "math"
    only: Callable[[Mapping[str, Any]], bool] | None = None
    filtered_by: tuple[str, ...] = ()


def _papers_filter(row: Mapping[str, Any]) -> bool:
    """An extracted answer, and a 72B pass rate within 0.25 to 0.90 (arXiv 2509.00084)."""
    try:
        return row["problem_type"] == "has_answer_extracted" and 0.25 <= float(row["pass_rate_72b_tir"]) <= 0.9
    except (TypeError, ValueError):  # "n/a" where it was not measured
        return False


SUBJECTS = (
    "algebra",
    "counting_and_probability",
    "geometry",
    "intermediate_algebra",
    "number_theory",
    "prealgebra",
    "precalculus",
)

REGISTRY = {
    "aime24": HubDataset(
        "HuggingFaceH4/aime_2024",
        "e6cf0cd64082ada1c025717826bd40e155b1ec81",
        split="train",
        problem="problem",
        answer="answer",
        licence="Apache-2.0 (problems: MAA)",
        problems=30,
    ),
    "aime25": HubDataset(
        "math-ai/aime25",
        "563bb8404243c5f09de6ec262f2db674fe5bce9b",
        split="test",
        problem="problem",
        answer="answer",
        licence="Apache-2.0 (problems: MAA)",
        problems=30,
    ),
    "amc22-23": HubDataset(
        "AI-MO/aimo-validation-amc",
        "69d78a4a2c840e82d69af6bc742bda09005f6316",
        split="train",
        problem="problem",
        answer="answer",
        licence="Apache-2.0 (problems: MAA)",
        problems=83,
    ),
    "math500": HubDataset(
        "HuggingFaceH4/MATH-500",
        "6e4ed1a2a79af7d8630a6b768ec859cb5af4d3be",
        split="test",
        problem="problem",
        answer="answer",
        id="unique_id",
        licence="MIT",
        problems=500,
    ),
    # 674 rows on the hub; the paper's 675 are those of Qwen2.5-Math's file.
    "olympiadbench": HubDataset(
        "Hothan/OlympiadBench",
        "91184b52131e7fc9455fef848035173aea8cc01a",
        configs=("OE_TO_maths_en_COMP",),
        split="train",
        problem="question",
        answer="final_answer",
        id="id",
        licence="Apache-2.0",
        problems=674,
    ),
    "knights-and-knaves-4": HubDataset(
        "K-and-K/knights-and-knaves",
        "2f68547989981b1af37cb3dde5fdefa847aa8619",
        configs=("test",),
        split="4ppl",
        problem="quiz",
        answer="solution_text_format",
        licence="CC-BY-NC-SA-4.0",
        problems=100,
        domain="knights_knaves",
    ),
    "gsm8k": HubDataset(
        "openai/gsm8k",
        "740312add88f781978c0658806c59bc2815b9866",
        configs=("main",),
        split="test",
        problem="question",
        answer="answer",
        read_answer=after_hashes,
        licence="MIT",
        problems=1319,
    ),
    "gsm8k-train": HubDataset(
        "openai/gsm8k",
        "740312add88f781978c0658806c59bc2815b9866",
        configs=("main",),
        split="train",
        problem="question",
        answer="answer",
        read_answer=after_hashes,
        licence="MIT",
        problems=7473,
    ),
    "math-train": HubDataset(
        "EleutherAI/hendrycks_math",
        "21a5633873b6a120296cce3e2df9d5550074f4a3",
        configs=SUBJECTS,
        split="train",
        problem="problem",
        answer="solution",
        read_answer=boxed,
        licence="MIT",
        problems=7500,
    ),
    "openmathreasoning": HubDataset(
        "nvidia/OpenMathReasoning",
        "d3d08664755704f422af97d43a7ff0ded4bd95df",
        split="cot",
        problem="problem",
        answer="expected_answer",
        licence="CC-BY-4.0",
        problems=None,
        only=_papers_filter,
        filtered_by=("problem_type", "pass_rate_72b_tir"),
    ),
}
