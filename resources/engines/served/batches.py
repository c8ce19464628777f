"""`mode: batch`: all requests uploaded as one file, drawn when the server has time, and fetched when they are done.

A batch goes on at the server when this process ends. The next run finds it among the server's
batches by what it was told when it was made: the digest of its requests, and of their settings.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from gsr_dagster.experiment.settings import RolloutSettings
from resources.engines.base import EngineError
from resources.engines.served.answers import usage
from resources.engines.served.drawing import Draw, Outcome, Reading
from resources.engines.served.model import ServedModel
from resources.engines.served.refusals import AnswerError, server_error

ENDPOINT = "/v1/chat/completions"
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
MOST_LISTED = 200
UNDER_WAY = ("validating", "in_progress", "finalizing")

Lines = dict[str, tuple[Draw, dict[str, Any]]]  # by custom id: a draw, and the request for it

log = logging.getLogger(__name__)


def drawn_in_a_batch(
    model: ServedModel, wanted: Sequence[Draw], settings: RolloutSettings, reading: Reading
) -> Iterator[Outcome]:
    """Yield what becomes of each draw. Waits for the batch; finished batches of an earlier run are used first.

    Raises EngineError where the batch fails whole.
    """
    if settings.thinking_tokens and model.thinking_end and not model.form.own_budget:
        raise EngineError("mode: batch cannot end thinking at a budget: leave thinking_tokens out, or mode")
    lines = {custom_id(draw): (draw, model.body(draw, settings)) for draw in wanted}
    listed = _own_batches(model, settings)
    for batch in listed:
        if batch.status not in UNDER_WAY:
            yield from _outcomes(model, batch, lines, reading, asked_again=True)
    if lines:
        digest = _digest(sorted(lines))
        batch = next((b for b in listed if b.status in UNDER_WAY and b.metadata.get("requests") == digest), None)
        if batch:
            log.info("batch %s is under way since an earlier run: waiting for it", batch.id)
        else:
            model.spent.refuse_more()
            batch = _made(model, {name: body for name, (_, body) in lines.items()}, settings)
        yield from _outcomes(model, _finished(model, batch), lines, reading)
    for draw, _ in lines.values():
        yield Outcome(draw, error=AnswerError("the batch has no answer to it: run again to ask in a new batch"))


def custom_id(draw: Draw) -> str:
    """Return the name of a draw in its batch: that of its samples and seed, which the recipe's fingerprint decides."""
    return _digest([draw.id, draw.seed, len(draw.places)])


def _own_batches(model: ServedModel, settings: RolloutSettings) -> list[Any]:
    """Return this model's batches with these settings, the newest first."""
    own = _settings_digest(model, settings)
    listed = islice(model.servers.client.batches.list(limit=100), MOST_LISTED)
    return [batch for batch in listed if (batch.metadata or {}).get("settings") == own]


def _made(model: ServedModel, bodies: dict[str, dict[str, Any]], settings: RolloutSettings) -> Any:
    lines = [
        json.dumps({"custom_id": name, "method": "POST", "url": ENDPOINT, "body": body})
        for name, body in bodies.items()
    ]
    client = model.servers.client
    file = client.files.create(file=("requests.jsonl", "\n".join(lines).encode()), purpose="batch")
    batch = client.batches.create(
        input_file_id=file.id,
        endpoint=ENDPOINT,
        completion_window="24h",
        metadata={"settings": _settings_digest(model, settings), "requests": _digest(sorted(bodies))},
    )
    log.info("batch %s: %d requests. This process may end; the next run goes on with it.", batch.id, len(lines))
    return batch


def _finished(model: ServedModel, batch: Any) -> Any:
    """Wait until a batch has ended and return it. Raises EngineError where it failed whole."""
    pause = FIRST_PAUSE
    while batch.status in (*UNDER_WAY, "cancelling"):
        time.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)
        batch = model.servers.client.batches.retrieve(batch.id)
        if counts := batch.request_counts:
            log.info("batch %s: %d of %d requests are done", batch.id, counts.completed, counts.total)
    if batch.status == "failed":
        errors = [error.message for error in (batch.errors.data if batch.errors else None) or []]
        raise EngineError(
            f"batch {batch.id} failed: {'; '.join(filter(None, errors[:3])) or 'the server does not say why'}"
        )
    return batch


def _outcomes(
    model: ServedModel, batch: Any, lines: Lines, reading: Reading, asked_again: bool = False
) -> Iterator[Outcome]:
    """Yield the outcomes of an ended batch for the draws that are wanted, and take each of these out of ``lines``.

    Where what failed is ``asked_again`` in another batch, only what went well counts.
    """
    for file in filter(None, (batch.output_file_id, batch.error_file_id)):
        for line in model.servers.client.files.content(file).iter_lines():
            row = json.loads(line) if line.strip() else {}
            if row.get("custom_id") not in lines:
                continue
            draw, asked = lines[row["custom_id"]]
            try:
                body = _body(row)
                outcome = Outcome(draw, reading.samples(draw, body, model.form.limit(asked)))
                counted = usage(body)
                model.spent.add(counted.prompt or 0, counted.generated or 0)
            except ValueError as error:
                if asked_again:
                    continue
                outcome = Outcome(draw, error=error)
            del lines[row["custom_id"]]
            yield outcome


def _body(row: dict[str, Any]) -> Any:
    """Return the answer in a line of a batch. Raises AnswerError where it is an error."""
    response = row.get("response") or {}
    if error := row.get("error"):
        raise server_error(error)
    status = response.get("status_code", 200)
    body = response.get("body")
    if status != 200:
        error = body.get("error", body) if isinstance(body, dict) else body
        raise server_error(
            {"status": status, **error} if isinstance(error, dict) else {"status": status, "message": error}
        )
    return body


def _settings_digest(model: ServedModel, settings: RolloutSettings) -> str:
    return _digest([model.asking.body([], settings.model_dump(mode="json"), model.form)])


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:32]
