"""Samples as lm-eval writes them with --log_samples: a line a problem, with all of its candidates.

    MODEL/samples_BENCHMARK_TIME.jsonl
    MODEL/results_TIME.json

The form is that of EleutherAI/lm-evaluation-harness 0.4: lm_eval/loggers/evaluation_tracker.py.
"""

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import Any

from assets.evaluation.evaluation_run import EvaluationRun
from gsr_dagster.method.rows import Row
from gsr_dagster.operations.exporting.samples.choosing import Chosen
from gsr_dagster.operations.exporting.samples.reading import asked, candidates
from gsr_dagster.operations.exporting.samples.scoring import Tally
from resources.reporting.cards.samples_card import Part
from resources.store.hashes import sha256

# Our grader's way to find answers, in the place of lm-eval's filters; its own mark for a text without one.
FILTER = "gsr"
NO_ANSWER = "[invalid]"
METRIC = "pass@1"


def write_logs(chosen: Chosen, folder: Path) -> list[Part]:
    """Write a folder for each model: the samples of each benchmark, and what lm-eval says of them all."""
    time = datetime.now().isoformat().replace(":", "-")
    parts = []
    by_model = groupby(sorted(chosen.pools, key=lambda run: run.subject), lambda run: run.subject)
    for model, runs in by_model:
        (folder / model).mkdir()
        tallies: dict[str, Tally] = {}
        shots: dict[str, int] = {}
        for run in runs:
            tallies[run.key.benchmark] = tally = Tally()
            shots[run.key.benchmark] = len(_drawn_with(run)["worked_examples"])
            file = f"{model}/samples_{run.key.benchmark}_{time}.jsonl"
            with (folder / file).open("w", encoding="utf-8") as lines:
                for document in documents(run, tally):
                    lines.write(json.dumps(document, ensure_ascii=False) + "\n")
            parts.append(Part(run.key.benchmark, file, "", "", run.key.benchmark, [model], tally.samples))
        results = json.dumps(_results(model, tallies, shots), indent=2, ensure_ascii=False)
        (folder / model / f"results_{time}.json").write_text(results, encoding="utf-8")
    return parts


def documents(run: EvaluationRun, tally: Tally) -> Iterator[Row]:
    """Yield a line's document for each problem of a pool, and count its candidates.

    ``resps`` holds the texts, and ``filtered_resps`` the answers that were found in them. ``doc_id`` counts
    the problems, as lm-eval does; the problem's own id stands in ``doc``.
    """
    rollout = _drawn_with(run)["rollout"]
    options = {
        "until": rollout.get("stop", []),
        "do_sample": rollout["temperature"] > 0,
        "temperature": rollout["temperature"],
        "top_p": rollout["top_p"],
        "max_gen_toks": rollout["max_new_tokens"],
    }
    for number, rows in enumerate(filter(None, candidates(run))):
        tally.count(rows)
        document = {"id": rows[0]["problem_id"], "problem": rows[0]["problem"], "answer": rows[0]["answer"]}
        chat = asked(run, rows[0])
        prompt = "" if chat is None else json.dumps(chat, ensure_ascii=False)
        scored = [row["correct"] for row in rows if row["correct"] is not None]
        yield {
            "doc_id": number,
            "doc": document,
            "target": document["answer"],
            "arguments": {"gen_args_0": {"arg_0": prompt, "arg_1": options}},
            "resps": [[row["response"] for row in rows]],
            "filtered_resps": [[NO_ANSWER if (found := row["extracted_answer"]) is None else found for row in rows]],
            "filter": FILTER,
            "metrics": [METRIC] if scored else [],
            "doc_hash": sha256(json.dumps(document, indent=2, ensure_ascii=False).encode()),
            "prompt_hash": sha256(prompt.encode()),
            "target_hash": sha256(document["answer"].encode()),
            **({METRIC: sum(scored) / len(scored)} if scored else {}),
        }


def _drawn_with(run: EvaluationRun) -> dict[str, Any]:
    return run.store.existing(run.key.artifact("candidate_pools")).settings


def _results(model: str, tallies: Mapping[str, Tally], shots: Mapping[str, int]) -> dict[str, Any]:
    """Return what lm-eval's results file says of the tasks: their scores, and how many documents they have.

    ``shots`` are the solved problems before a prompt.
    """
    scores = {task: tally.pass_at_1 for task, tally in tallies.items()}
    return {
        "results": {
            task: {"alias": task, **({} if score is None else {f"{METRIC},{FILTER}": score})}
            for task, score in scores.items()
        },
        "configs": {task: {"task": task, "repeats": tally.most} for task, tally in tallies.items()},
        "versions": dict.fromkeys(tallies, 0),
        "n-shot": dict(shots),
        "higher_is_better": {task: {METRIC: True} for task in tallies},
        "n-samples": {
            task: {"original": tally.problems, "effective": len(tally.shares)} for task, tally in tallies.items()
        },
        "model_name": model,
    }
