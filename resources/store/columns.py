"""The columns of every asset's rows, each with its type, so that any folder of shards reads as one table.

Without them a column that is empty in one shard would have another type there than in
the next. What is no column of an asset is stored all the same, as it is found.
"""

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import pyarrow as pa

from gsr_dagster.method.contamination import Overlap
from gsr_dagster.method.rows import Row
from gsr_dagster.method.scoring.gap_summary import SCORED, GapSummary
from gsr_dagster.method.scoring.intervals import Interval

Columns = Mapping[str, pa.DataType]

TEXT, WHOLE, NUMBER, YES_NO, TEXTS = pa.string(), pa.int64(), pa.float64(), pa.bool_(), pa.list_(pa.string())
PLAIN = {str: TEXT, int: WHOLE, float: NUMBER, bool: YES_NO}
DIAGNOSED = (
    "copies",
    "follows_majority",
    "follows_majority_right",
    "follows_majority_wrong",
    "keeps_an_answer",
    "truncated",
    "unclosed_thinking",
)
# The names in what a dataclass holds by name.
NAMES: dict[str, Sequence[str]] = {
    "intervals": sorted(["pass_at_1", *SCORED]),
    "by_overlap": ["clean", "overlapping"],
    "diagnostics": DIAGNOSED,
}


def type_of(annotation: Any, names: Sequence[str] = ()) -> pa.DataType:
    """Return the type of a column that holds what is annotated so; ``names`` are those of a dict's values.

    >>> print(type_of(float | None), type_of(list[int]), type_of(dict[str, int], ["right", "wrong"]))
    double list<item: int64> struct<right: int64, wrong: int64>
    """
    if annotation in PLAIN:
        return PLAIN[annotation]
    if is_dataclass(annotation):
        return pa.struct(columns_of(annotation))
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return TEXT
    if origin in (Union, UnionType):
        (annotation,) = [argument for argument in arguments if argument is not NoneType]
        return type_of(annotation, names)
    if origin is list:
        return pa.list_(type_of(arguments[0]))
    if origin is dict:
        return pa.struct({name: type_of(arguments[1]) for name in names})
    raise TypeError(f"{annotation} has no column's type")


def columns_of(of: Any) -> dict[str, pa.DataType]:
    """Return the columns of rows that are a dataclass each."""
    hints = get_type_hints(of)
    return {field.name: type_of(hints[field.name], NAMES.get(field.name, ())) for field in fields(of)}


# Of a step that learns from rewards: means over its rollouts, shares 0..1 but for entropy, kl and generated_tokens.
# What is of the rollouts is None at a step that shares those of the step before it.
OF_REWARDS = (
    *("reward", "groups_without_gradient", "generated_tokens", "truncated", "no_answer", "timed_out"),
    *("entropy", "kl", "clip_ratio"),
)
INTERVAL = type_of(Interval)
CHANGE = pa.struct({**columns_of(Interval), "base": NUMBER, "student": NUMBER})
PROBLEM = {"problem_id": TEXT, "problem": TEXT, "answer": TEXT, "domain": TEXT}
DRAWN = {
    "sample_index": WHOLE,
    "seed": WHOLE,
    "prompt_sha256": TEXT,
    "text": TEXT,
    "finish_reason": TEXT,
    "prompt_tokens": WHOLE,
    "generated_tokens": WHOLE,
    "drawn_with": TEXT,
    "confidences": pa.list_(pa.uint16()),
    "recorded_label": NUMBER,
}
TAUGHT = {"problem_id": TEXT, "messages": TEXT, "student_prompt_tokens": WHOLE}
SHOWN = {"problem_id": TEXT, "candidate_ids": TEXTS}


def samples(id_column: str, columns: Columns) -> dict[str, pa.DataType]:
    """Return the columns of samples, as the sample log writes them."""
    return {id_column: TEXT, "prompt_id": TEXT, **columns, **DRAWN}


# By the asset's name, without its lane.
COLUMNS: dict[str, Columns] = {
    "benchmark_problems": PROBLEM,
    "training_problems": PROBLEM,
    "contamination": columns_of(Overlap),
    "candidate_pools": samples("candidate_id", {"problem_id": TEXT}),
    "graded_candidates": {
        "candidate_id": TEXT,
        "prompt_id": TEXT,
        "problem_id": TEXT,
        "sample_index": WHOLE,
        "finish_reason": TEXT,
        "prompt_tokens": WHOLE,
        "generated_tokens": WHOLE,
        "recorded_label": NUMBER,
        "summary": TEXT,
        "answer": TEXT,
        "verdict": TEXT,
        "correct": YES_NO,
        "answer_class": WHOLE,
    },
    "self_refinements": samples("refinement_id", SHOWN),
    "curve_refinements": samples("refinement_id", SHOWN),
    "gap_reports": {
        "problem_id": TEXT,
        "group_id": TEXT,
        "n_correct": WHOLE,
        "vote": NUMBER,
        "refined": YES_NO,
        "candidate_tokens": WHOLE,
        "refinement_tokens": WHOLE,
        "candidate_prompt_tokens": WHOLE,
        "refinement_prompt_tokens": WHOLE,
        "refinement_id": TEXT,
        "candidate_ids": TEXTS,
        "answer": TEXT,
        "verdict": TEXT,
    },
    "gap_curves": {
        "k": WHOLE,
        "groups": WHOLE,
        "problems": WHOLE,
        "maj_at_k": INTERVAL,
        "self_ref_at_k": INTERVAL,
        "refinement_gap": INTERVAL,
        "tokens_per_refined_group": NUMBER,
        "prompt_tokens_per_refined_group": NUMBER,
    },
    "aggregations": {
        "aggregation": TEXT,
        "group_id": TEXT,
        "problem_id": TEXT,
        "n_correct": WHOLE,
        "correct": NUMBER,
        "tokens": WHOLE,
        "prompt_tokens": WHOLE,
        "refiner_tokens": WHOLE,
        "refiner_prompt_tokens": WHOLE,
        "scored_tokens": WHOLE,
        "chosen": TEXT,
        "answer": TEXT,
        "unread": YES_NO,
        "answer_class": WHOLE,
    },
    "judge_samples": samples("sample_id", {"problem_id": TEXT, "answer": TEXT}),
    "judge_verdicts": {
        "sample_id": TEXT,
        "problem_id": TEXT,
        "answer": TEXT,
        "verdict": TEXT,
        "judge_verdict": TEXT,
        "text": TEXT,
        "finish_reason": TEXT,
        "prompt_tokens": WHOLE,
        "generated_tokens": WHOLE,
    },
    "training_candidates": samples("candidate_id", TAUGHT),
    "teacher_refinements": samples("refinement_id", {**TAUGHT, "candidate_ids": TEXTS, "n_correct": WHOLE}),
    "teacher_solutions": samples("solution_id", TAUGHT),
    "training_sets": {
        "row_id": TEXT,
        "kind": TEXT,
        "problem_id": TEXT,
        "teacher_sample_id": TEXT,
        "candidate_ids": TEXTS,
        "messages": TEXT,
        "completion": TEXT,
        "n_correct": WHOLE,
    },
    "lora_checkpoints": {
        "step": WHOLE,
        "epoch": NUMBER,
        "tokens": WHOLE,
        "loss": NUMBER,
        "learning_rate": NUMBER,
        "grad_norm": NUMBER,
        "validation_loss": NUMBER,
        **dict.fromkeys(OF_REWARDS, NUMBER),
    },
    # What a student that learns from rewards wrote while it was trained: a table beside its checkpoint.
    "training_rollouts": {
        "rollout_id": TEXT,
        "step": WHOLE,
        "row_id": TEXT,
        "kind": TEXT,
        "problem_id": TEXT,
        "messages": TEXT,
        "text": TEXT,
        "finish_reason": TEXT,
        "generated_tokens": WHOLE,
        "answer": TEXT,
        "verdict": TEXT,
        "reward": NUMBER,
        "advantage": NUMBER,
    },
    "refinement_gap_scaling": {
        "benchmark": TEXT,
        "subject": TEXT,
        "lane": TEXT,
        "family": TEXT,
        "parameters": NUMBER,
        **columns_of(GapSummary),
    },
    "student_comparison": {
        "benchmark": TEXT,
        "out_of_distribution": YES_NO,
        "student": TEXT,
        "base": TEXT,
        "relation": TEXT,
        "problems": WHOLE,
        "pass_at_1": CHANGE,
        "maj_at_k": CHANGE,
        "self_ref_at_k": CHANGE,
        "refinement_gap": CHANGE,
        "pass_at_k": CHANGE,
        "distinct_answers": CHANGE,
    },
}
# An aggregation's own rows are a model's answers, or scores, whatever its name in the experiment file.
OF_AN_AGGREGATION = {
    **samples("sample_id", SHOWN),
    "candidate_id": TEXT,
    "score": NUMBER,
    "scored_tokens": WHOLE,
    "refinement_prompt_tokens": WHOLE,
}


def known_columns(asset: str) -> Columns:
    """Return the columns of an asset's rows, none for an asset that nobody knows."""
    *folders, name = asset.split("/")
    return OF_AN_AGGREGATION if "aggregation" in folders else COLUMNS.get(name, {})


def table_of(asset: str, rows: Sequence[Row]) -> pa.Table:
    """Return rows as a table, with every column that any of them has: the asset's own first, in their order and type."""
    known = known_columns(asset)
    found = dict.fromkeys(name for row in rows for name in row)
    names = dict.fromkeys([*(name for name in known if name in found), *found])
    return pa.table({name: _column(known.get(name), [row.get(name) for row in rows]) for name in names})


def _column(known: pa.DataType | None, values: list[Any]) -> pa.Array:
    if known is None:
        return pa.array(values)
    if pa.types.is_nested(known):
        known = _with(known, pa.array(values).type)
    return pa.array(values, known)


def _with(known: pa.DataType, found: pa.DataType) -> pa.DataType:
    """Return a known type with the fields of structs that were found beside its own: they would be lost."""
    if pa.types.is_struct(known) and pa.types.is_struct(found):
        kinds = {field.name: field.type for field in known}
        for field in found:
            kinds[field.name] = _with(kinds[field.name], field.type) if field.name in kinds else field.type
        return pa.struct(kinds)
    if pa.types.is_list(known) and pa.types.is_list(found):
        return pa.list_(_with(known.value_type, found.value_type))
    return known
