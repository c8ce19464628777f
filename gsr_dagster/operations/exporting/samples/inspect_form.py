"""Samples as logs of inspect_ai, one a benchmark and model, written by its own Python API: an epoch is a candidate."""

from collections.abc import Iterator
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

from assets.evaluation.evaluation_run import EvaluationRun
from gsr_dagster.method.rejection_sampling import cut_off, ended_by_itself
from gsr_dagster.operations.exporting.new_folder import ExportError
from gsr_dagster.operations.exporting.samples.choosing import Chosen
from gsr_dagster.operations.exporting.samples.reading import asked, candidates
from gsr_dagster.operations.exporting.samples.scoring import Tally
from resources.reporting.cards.samples_card import Part
from resources.store.hashes import sha256
from resources.store.manifests import Manifest

SCORER = "gsr"
# As long as the ids that inspect_ai gives to logs and samples.
ID_DIGITS = 22


def write_logs(chosen: Chosen, folder: Path) -> list[Part]:
    """Write a log for each evaluation; its samples are in memory while it is written. Raises ExportError without inspect_ai."""
    try:
        logs: Any = import_module("inspect_ai.log")
    except ImportError:
        raise ExportError(
            "logs of inspect_ai are written by its own writer: pip install 'gsr-dagster[inspect]'"
        ) from None
    parts = []
    for run in chosen.pools:
        tally, file = Tally(), f"{run.key.benchmark}_{run.subject}.eval"
        logs.write_eval_log(_log(logs, run, tally), str(folder / file))
        part = Part(run.key.benchmark, file, "", "", run.key.benchmark, [run.subject], tally.samples)
        parts.append(part)
    return parts


def _log(logs: Any, run: EvaluationRun, tally: Tally) -> Any:
    """Return an evaluation as inspect_ai has it. The mean over epochs is taken first, so its accuracy is pass@1."""
    models: Any = import_module("inspect_ai.model")
    pool, graded = (run.store.existing(run.key.artifact(name)) for name in ("candidate_pools", "graded_candidates"))
    samples = list(_samples(logs, models, run, pool, tally))
    now = datetime.now(UTC).isoformat(timespec="seconds")  # when it was drawn is not known
    usage = _usage(models, tally.prompt_tokens, tally.generated_tokens)
    ids = list(dict.fromkeys(sample.id for sample in samples))
    return logs.EvalLog(
        status="success",
        eval=logs.EvalSpec(
            eval_id=graded.data_version[:ID_DIGITS],
            run_id=graded.data_version[:ID_DIGITS],
            task_id=pool.data_version[:ID_DIGITS],
            created=now,
            task=run.key.benchmark,
            model=run.subject,
            dataset=logs.EvalDataset(name=run.key.benchmark, samples=len(ids), sample_ids=ids, shuffled=False),
            config=logs.EvalConfig(epochs=tally.most, epochs_reducer=["mean"]),
            packages={"gsr-dagster": pool.versions["gsr-dagster"]},
            metadata={
                "experiment": run.experiment.name,
                "pool": str(pool.key),
                "fingerprint": pool.fingerprint,
                "pool_sha256": pool.data_version,
                "grades_sha256": graded.data_version,
                "grader": graded.settings["grader"],
            },
        ),
        plan=logs.EvalPlan(steps=[logs.EvalPlanStep(solver="generate")], config=_config(models, pool)),
        results=logs.EvalResults(
            total_samples=tally.samples, completed_samples=tally.samples, scores=_scores(logs, tally)
        ),
        stats=logs.EvalStats(started_at=now, completed_at=now, model_usage={run.subject: usage}),
        samples=samples,
    )


def _samples(logs: Any, models: Any, run: EvaluationRun, pool: Manifest, tally: Tally) -> Iterator[Any]:
    scoring: Any = import_module("inspect_ai.scorer")
    letters = {True: scoring.CORRECT, False: scoring.INCORRECT}
    speakers = {
        "system": models.ChatMessageSystem,
        "user": models.ChatMessageUser,
        "assistant": models.ChatMessageAssistant,
    }
    for rows in filter(None, candidates(run)):
        tally.count(rows)
        chat = [speakers[one["role"]](content=one["content"]) for one in asked(run, rows[0]) or ()]
        for row in rows:
            usage = _usage(models, row["prompt_tokens"], row["generated_tokens"])
            message = models.ChatMessageAssistant(content=row["response"], model=run.subject, source="generate")
            choice = models.ChatCompletionChoice(message=message, stop_reason=_stop_reason(row["finish_reason"]))
            metadata = {name: row[name] for name in ("candidate_id", "verdict", "answer_class", "finish_reason")}
            score = None
            if row["correct"] is not None:
                letter = scoring.NOANSWER if row["verdict"] == "no answer" else letters[row["correct"]]
                score = scoring.Score(value=letter, answer=row["extracted_answer"], explanation=row["verdict"])
            yield logs.EvalSample(
                id=row["problem_id"],
                epoch=row["sample_index"] + 1,
                input=row["problem"],
                target=row["answer"],
                messages=[*chat, message],
                output=models.ModelOutput(model=run.subject, choices=[choice], usage=usage),
                scores={SCORER: score} if score else None,
                metadata=metadata,
                model_usage={run.subject: usage},
                uuid=sha256(f"{pool.data_version} {row['candidate_id']}".encode())[:ID_DIGITS],
            )


def _scores(logs: Any, tally: Tally) -> list[Any]:
    if tally.pass_at_1 is None:
        return []
    metric = logs.EvalMetric(name="accuracy", value=tally.pass_at_1)
    counted = {"scored_samples": tally.samples - tally.unscored, "unscored_samples": tally.unscored}
    return [logs.EvalScore(name=SCORER, scorer=SCORER, reducer="mean", metrics={"accuracy": metric}, **counted)]


def _config(models: Any, pool: Manifest) -> Any:
    """Return the rollout settings of a pool, those that inspect_ai has a name for."""
    names = {
        "temperature": "temperature",
        "top_p": "top_p",
        "max_new_tokens": "max_tokens",
        "top_k": "top_k",
        "stop": "stop_seqs",
        "thinking_tokens": "reasoning_tokens",
    }
    rollout = pool.settings["rollout"]
    return models.GenerateConfig(**{name: rollout[ours] for ours, name in names.items() if ours in rollout})


def _usage(models: Any, read: int, written: int) -> Any:
    return models.ModelUsage(input_tokens=read, output_tokens=written, total_tokens=read + written)


def _stop_reason(finish_reason: str) -> str:
    """Return a finish reason in inspect_ai's words, which has few."""
    if ended_by_itself(finish_reason):
        return "stop"
    return (
        "max_tokens" if cut_off(finish_reason) else "content_filter" if finish_reason == "content_filter" else "unknown"
    )
