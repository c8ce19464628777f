"""How long `gsr view` takes over many groups: `python -m bench.viewing`. It makes them up by a seed, without a model.

A row is a page, as a browser gets it: the first time, when its groups are read from their shards, and again.
"""

import argparse
import os
import random
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import quote

from starlette.testclient import TestClient

from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.experiment.keys import EvaluationKey
from gsr_dagster.method.groups import candidate_groups
from gsr_dagster.method.rows import Row, batches
from gsr_dagster.operations.home import artifact_store
from gsr_dagster.viewing.app import viewer
from resources.store.manifests import Recipe

K, SAMPLES, PROBLEMS = 4, 16, 25_000
KEY = EvaluationKey("base", "sums", "made-up")
# As the sample log and grading write them.
ROWS_A_SHARD = {"candidate_pools": 256, "self_refinements": 256, "graded_candidates": 2048, "gap_reports": 100_000}
WORDS = [
    "so",
    "we",
    "add",
    "the",
    "two",
    "and",
    "find",
    "that",
    "this",
    "is",
    "what",
    "comes",
    "out",
    "of",
    "it",
    "in",
    "the",
    "end",
]


def experiment() -> Experiment:
    rollout = {"temperature": 0.7, "max_new_tokens": 512}
    engine = {"kind": "openai", "base_url": "http://localhost:9/v1", "model": "made-up"}
    return Experiment.model_validate(
        {
            "name": "viewed",
            "k": K,
            "families": {"made": {"up": {"engine": engine}}},
            "benchmarks": {"sums": {"source": "file:nowhere.jsonl", "samples": SAMPLES}},
            "evaluation": {"direct": rollout, "refinement": rollout, "candidate_tokens": 512},
        }
    )


def sample(rng: random.Random, problem: int, right: float, words: int) -> Row:
    """Return a sample of a problem whose gold is its number, with what grading says of it."""
    answer = problem if rng.random() < right else problem + rng.randint(1, 4)
    text = f"{' '.join(rng.choices(WORDS, k=words))}. It is \\boxed{{{answer}}}."
    verdict = "correct" if answer == problem else "incorrect"
    graded = {"answer": str(answer), "verdict": verdict, "correct": answer == problem, "answer_class": answer - problem}
    return {"text": text, "finish_reason": "stop", "prompt_tokens": 50, "generated_tokens": words + 8, **graded}


def artifacts(problems: int, words: int, seed: int) -> dict[str, list[Row]]:
    rng, made = random.Random(seed), {name: list[Row]() for name in ROWS_A_SHARD}
    for number in range(problems):
        problem = f"sums/{number:05d}"
        rows = [
            {
                "candidate_id": f"{KEY.subject}/{problem}/{index}",
                "prompt_id": f"{KEY.subject}/{problem}",
                "problem_id": problem,
                "sample_index": index,
                **sample(rng, number, 0.5, words),
            }
            for index in range(SAMPLES)
        ]
        grades = ("answer", "verdict", "correct", "answer_class")
        made["candidate_pools"] += [{name: value for name, value in row.items() if name not in grades} for row in rows]
        made["graded_candidates"] += [
            {**{name: value for name, value in row.items() if name != "text"}, "summary": row["text"]} for row in rows
        ]
        for group in candidate_groups(problem, SAMPLES, K, seed):
            shown = [rows[index] for index in group.indices]
            refined, group_id = sample(rng, number, 0.6, words), f"{KEY.subject}/{group.id}"
            right = sum(row["correct"] for row in shown)
            joined = {"problem_id": problem, "candidate_ids": [row["candidate_id"] for row in shown]}
            ids = {"refinement_id": f"{group_id}/0", **joined}
            made["self_refinements"].append(
                {**ids, "prompt_id": group_id, **{n: v for n, v in refined.items() if n not in grades}}
            )
            made["gap_reports"].append(
                {
                    **ids,
                    "group_id": group_id,
                    "n_correct": right,
                    "vote": float(right > K / 2),
                    "refined": refined["correct"],
                    "candidate_tokens": K * (words + 8),
                    "refinement_tokens": words + 8,
                    "answer": refined["answer"],
                    "verdict": refined["verdict"],
                }
            )
    return made


def publish(shown: Experiment, made: dict[str, list[Row]], problems: int) -> None:
    store = artifact_store(shown)
    texts = [
        {"problem_id": f"sums/{n:05d}", "problem": f"What is {n}?", "answer": str(n), "domain": "math"}
        for n in range(problems)
    ]
    parts: Iterator[tuple[Recipe, Sequence[Row], int]] = (
        (Recipe(KEY.artifact(name), {}), rows, ROWS_A_SHARD[name]) for name, rows in made.items()
    )
    for recipe, rows, size in [(Recipe(KEY.problems, {}), texts, 100_000), *parts]:
        store.publish(recipe, [store.put_shard(recipe, part) for part in batches(rows, size)], {})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", type=int, default=PROBLEMS)
    parser.add_argument("--words", type=int, default=200, help="of a text")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"GSR_HOME": folder}
        shown = experiment()
        publish(shown, artifacts(arguments.problems, arguments.words, seed=0), arguments.problems)
        size = sum(path.stat().st_size for path in Path(folder).rglob("*.parquet"))
        print(
            f"{arguments.problems * SAMPLES // K:,} groups, {size / 1e6:,.0f} MB\n\n| page | first, s | again, s |\n|---|---|---|"
        )
        browser = TestClient(viewer([shown]), "http://localhost")
        groups = "/viewed/groups/sums/made-up"
        group = quote(f"{KEY.subject}/sums/00017/g1")
        for what, address in {
            "groups": groups,
            "broken ones, by agreement": f"{groups}?outcome=broken&sort=least+agreement",
            "the last page": f"{groups}?page={max(arguments.problems * SAMPLES // K // 50, 1)}",
            "those that hold a text": f"{groups}?text=boxed%7B17%7D",
            "those that copy a candidate": f"{groups}?copied=true",
            "one group": f"/viewed/group/sums/made-up?id={group}",
        }.items():
            seconds = []
            for _ in range(2):
                started = time.perf_counter()
                answer = browser.get(address)
                seconds.append(time.perf_counter() - started)
                if answer.status_code != 200:
                    raise SystemExit(f"{address}: {answer.status_code} {answer.text}")
            print(f"| {what} | {seconds[0]:.2f} | {seconds[1]:.2f} |", flush=True)


if __name__ == "__main__":
    main()
