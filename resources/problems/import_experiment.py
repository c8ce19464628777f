"""From recorded samples to a folder that `gsr run` takes: samples of each model, problems of each benchmark, experiment.yaml.

One model on one benchmark is `samples.parquet` and `problems.jsonl` beside the experiment
file. Of several, a model's samples lie in a folder of its own, and `benchmarks/` holds the
problems of each benchmark.
"""

import io
import json
import re
import shlex
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import yaml

from gsr_dagster.experiment.line_numbers import on_one_line
from gsr_dagster.experiment.loading import load_experiment
from resources.problems.model_names import NamedModel
from resources.problems.recorded_samples import ImportFileError, Recorded, read_samples, write_recorded
from resources.store.files import write_atomically

ONE_BENCHMARK = "recorded"
USUAL_K = 4
SCORES = "scores.parquet"
# What the experiment file calls best-of-k by the scores that came with the samples.
BEST_BY_SCORE = "best_by_score"
HEADER = """\
# Written by gsr import: recorded samples of {models}, run by `gsr -e {file} run`.
# The rollout settings below only name what was recorded: set them to what it was.
"""


@dataclass
class ImportedExperiment:
    """What was written: counts over all models, and what was left out, by the reason.

    ``words`` are the samples and refinements whose words are counted, as nobody counted their tokens.
    ``confident`` candidates have the confidences of their tokens, of so many of the likeliest in each place (``logprobs``),
    and ``with_score`` a score of someone else.
    """

    problems: int = 0
    samples: int = 0
    refinements: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    words: int = 0
    confident: int = 0
    logprobs: int | None = None
    with_score: int = 0


@dataclass(frozen=True)
class ImportSettings:
    """What the experiment file says beside the samples: the domain of each benchmark, by its name in the files.

    ``most`` samples a problem are kept, all for None.
    """

    k: int
    domains: Mapping[str, str]
    most: int | None = None
    thinking_end: str | None = None


def group_size(samples: Sequence[Recorded], given: int | None) -> int:
    """Return the number of candidates in a group: as given, else that of all refinements, else 4.

    Raises ImportFileError where the refinements have several sizes and none of them is 4.
    """
    sizes = Counter(len(sample.candidates) for sample in samples if sample.candidates)
    listed = ", ".join(f"{count} of {size}" for size, count in sorted(sizes.items()))
    if given is not None:
        if sizes and given not in sizes and all(sample.candidates for sample in samples):
            raise ImportFileError(
                f"no refinement was shown {given} candidates. There are {listed}: say -k {max(sizes)}"
            )
        return given
    if len(sizes) == 1:
        return next(iter(sizes))
    if sizes and USUAL_K not in sizes:
        raise ImportFileError(
            f"the refinements were shown different numbers of candidates: {listed}. Say -k {sizes.most_common(1)[0][0]}"
        )
    return USUAL_K


def write_experiment(
    samples: Sequence[Recorded], folder: Path, models: Mapping[str, NamedModel], settings: ImportSettings
) -> ImportedExperiment:
    """Write the folder. Raises ImportFileError, and ExperimentError where a model's key is no FAMILY-SCALE."""
    path = folder / "experiment.yaml"
    path.unlink(missing_ok=True)  # without it, what an earlier import left half-way is not taken for an experiment
    (folder / SCORES).unlink(missing_ok=True)
    benchmarks = _benchmark_keys([sample.benchmark for sample in samples])
    alone = len(models) == 1
    written = ImportedExperiment()
    samples = _of_one_measure(samples, written)
    folders, sizes = {}, {}
    for name, model in models.items():
        own = [sample for sample in samples if sample.model == name]
        folders[name] = folder if alone else folder / model.key
        try:
            made = write_recorded(own, folders[name], settings.k, settings.most)
        except ImportFileError as error:
            raise error if alone else ImportFileError(f"{model.key}: {error}") from None
        written.samples += made.samples
        written.refinements += made.refinements
        written.left_out.update(made.left_out)
        written.words += made.words
        written.confident += made.confident
        written.with_score += made.with_score
        sizes[name] = Counter(r["problem_id"] for r in read_samples(folders[name]) if r["prompt_id"] == r["problem_id"])
    shared = [p for p in next(iter(sizes.values())) if all(p in of_model for of_model in sizes.values())]
    lacking = len(set().union(*sizes.values())) - len(shared)
    written.left_out["problems that not every model has"] += lacking
    written.left_out = +written.left_out
    if not shared:
        raise ImportFileError("no problem has samples of every model: import the models one by one")
    written.problems = len(shared)
    sections: dict[str, Any] = {}
    fewest = []
    by_benchmark = _problems_of(samples, shared)
    for name, problems in by_benchmark.items():
        source = "problems.jsonl"
        if not alone or len(by_benchmark) > 1:
            source = f"benchmarks/{benchmarks[name]}.jsonl"
            lines = [json.dumps({"id": p.problem_id, "problem": p.problem, "answer": p.answer}) for p in problems]
            (folder / source).parent.mkdir(parents=True, exist_ok=True)
            write_atomically(folder / source, ("\n".join(lines) + "\n").encode())
        most = max(of_model[p.problem_id] for of_model in sizes.values() for p in problems)
        fewest.append(most)
        sections[benchmarks[name]] = {"source": f"file:{source}", "samples": most, "domain": settings.domains[name]}
    families: dict[str, dict[str, Any]] = defaultdict(dict)
    for name, model in models.items():
        engine = {"kind": "recorded", "path": "." if alone else folders[name].name}
        thinking = {"thinking_end": settings.thinking_end} if settings.thinking_end else {}
        size = {} if model.parameters is None else {"parameters": model.parameters}
        families[model.family][model.scale] = {**size, **thinking, "engine": engine}
    scores = {}
    if written.with_score and written.with_score == written.samples:
        keys = {p.problem_id: benchmarks[name] for name, problems in by_benchmark.items() for p in problems}
        _write_scores(folder / SCORES, {models[name].key: path for name, path in folders.items()}, keys)
        scores = {"aggregations": {BEST_BY_SCORE: {"kind": "recorded_scores", "path": SCORES}}}
    rollout = {"temperature": 1.0, "max_new_tokens": 4096}
    sure = {"logprobs": written.logprobs} if written.confident and written.confident == written.samples else {}
    document = {
        "name": folder.name,
        "k": min(settings.k, *fewest),
        "families": dict(families),
        "benchmarks": sections,
        "evaluation": {"direct": {**rollout, **sure}, "refinement": dict(rollout), "candidate_tokens": 6144},
        **scores,
    }
    header = HEADER.format(
        models=", ".join(model.key for model in models.values()), file=on_one_line(shlex.quote(str(path)))
    )
    write_atomically(path, (header + yaml.safe_dump(document, sort_keys=False)).encode())
    load_experiment(path)
    return written


def _write_scores(path: Path, folders: Mapping[str, Path], benchmarks: Mapping[str, str]) -> None:
    """Write the score of every candidate, as the aggregation recorded_scores reads it, of the problems that have a benchmark."""
    rows = [
        {
            "candidate_id": f"{model}/{benchmarks[row['problem_id']]}/{row['prompt_id']}/{row['sample_index']}",
            "score": row["score"],
        }
        for model, folder in folders.items()
        for row in read_samples(folder)
        if row["prompt_id"] == row["problem_id"] and row["problem_id"] in benchmarks
    ]
    buffer = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), buffer)
    write_atomically(path, buffer.getvalue())


def _of_one_measure(samples: Sequence[Recorded], written: ImportedExperiment) -> list[Recorded]:
    """Return the samples with the confidences that are of as many likeliest tokens as most are: others are not comparable."""
    sizes = Counter(sample.confidences.likeliest for sample in samples if sample.confidences and not sample.candidates)
    written.logprobs = sizes.most_common(1)[0][0] if sizes else None
    kept = [
        replace(sample, confidences=None)
        if sample.confidences and sample.confidences.likeliest != written.logprobs
        else sample
        for sample in samples
    ]
    dropped = sum(size for likeliest, size in sizes.items() if likeliest != written.logprobs)
    written.left_out[f"log-probabilities with another number of likeliest tokens than {written.logprobs}"] += dropped
    return kept


def _benchmark_keys(names: Sequence[str]) -> dict[str, str]:
    """Return the key of each benchmark: its name, with '-' for what a key cannot hold."""
    keys = {
        name: re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-._") if name else ONE_BENCHMARK
        for name in dict.fromkeys(names)
    }
    for name, key in keys.items():
        if not key or "..." in key or len(key) > 50:
            raise ImportFileError(
                f"{name[:60]!r} cannot name a benchmark: letters, digits, '.', '_' and '-', at most 50"
            )
        if same := [other for other in keys if other != name and keys[other].lower() == key.lower()]:
            raise ImportFileError(f"benchmarks {name!r} and {same[0]!r} would both be called {key}: rename one")
    return keys


def _problems_of(samples: Sequence[Recorded], kept: Sequence[str]) -> dict[str, list[Recorded]]:
    """Return the first sample of each problem that is kept, by benchmark, in the order of ``kept``."""
    first: dict[str, Recorded] = {}
    for sample in samples:
        first.setdefault(sample.problem_id, sample)
    problems: dict[str, list[Recorded]] = defaultdict(list)
    for problem_id in kept:
        problems[first[problem_id].benchmark].append(first[problem_id])
    return problems
