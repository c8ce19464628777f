"""The web application that answers problems in the form of OpenAI's API.

POST /v1/chat/completions     candidates, their vote and their refinement, in one piece or as a stream
GET  /v1/models               what answers
GET  /health                  whether it does
"""

import asyncio
import json
import logging
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from gsr_dagster.answering.asked import Asked, read_request
from gsr_dagster.answering.growing import Growing
from gsr_dagster.answering.refusals import RefusedError, error_form
from gsr_dagster.answering.solving import Solved, Solver
from gsr_dagster.answering.writing import Form
from gsr_dagster.method.prompting.prompts import Message
from gsr_dagster.operations.serving import of_this_site

MOST_BYTES = 16 << 20
SECONDS_BETWEEN_LOOKS = 0.5
# So that no proxy and no client gives up a stream while candidates are sampled.
SECONDS_BETWEEN_SIGNS = 5.0
SIGN_OF_LIFE = ": candidates are being sampled\n\n"
DONE = "data: [DONE]\n\n"

log = logging.getLogger(__name__)


def application(solver: Solver, hosts: Sequence[str]) -> Starlette:
    """Return the application that answers under the names in ``hosts``: under another one it would be another site's page."""
    started, subject = int(time.time()), solver.subject

    async def complete(request: Request) -> Response:
        refuse_other_sites(request)
        asked = read_request(await _body(request), subject)
        direct = await asyncio.to_thread(solver.direct_chat, asked)
        form = Form(f"chatcmpl-{uuid.uuid4().hex}", int(time.time()), subject.name, subject.thinking_end)
        if asked.stream:
            return StreamingResponse(_streamed(solver, asked, direct, form), media_type="text/event-stream")
        solved = await _unless_gone(request, solver.solve(asked, form.id, direct))
        return Response(status_code=499) if solved is None else _json(200, form.completion(solved))

    async def models(request: Request) -> Response:
        context = subject.engine.context
        known = {"id": subject.name, "object": "model", "created": started, "owned_by": "gsr-dagster"}
        return _json(200, {"object": "list", "data": [known | ({"max_model_len": context} if context else {})]})

    async def health(request: Request) -> Response:
        return _json(200, {"status": "ok"})

    return Starlette(
        routes=[
            Route("/v1/chat/completions", _answered(complete), methods=["POST"]),
            Route("/v1/models", models),
            Route("/health", health),
        ],
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=list(hosts), www_redirect=False)],
        exception_handlers={HTTPException: _no_such_path},
    )


def refuse_other_sites(request: Request) -> None:
    """Raise RefusedError where a page of another site asks: browsers name the site, and nobody else does."""
    origin = request.headers.get("origin")
    if origin is not None and not of_this_site(origin, request.headers.get("host")):
        raise RefusedError(f"a page of {origin} asks, and pages of other sites get no answer here", status=403)


def _answered(answer: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    async def with_errors(request: Request) -> Response:
        try:
            return await answer(request)
        except Exception as error:
            return _json(*_told(error))

    return with_errors


async def _no_such_path(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    said = f"there is no {request.method} {request.url.path} here: POST /v1/chat/completions and GET /v1/models are"
    return _json(*error_form(RefusedError(said, status=error.status_code)))


async def _body(request: Request) -> Any:
    """Return the JSON of a request. Raises RefusedError where there is none."""
    data = bytearray()
    async for part in request.stream():
        data += part
        if len(data) > MOST_BYTES:
            raise RefusedError(f"the body has more than {MOST_BYTES:,} bytes", status=413)
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise RefusedError(f"the body is no JSON: {error}") from None


async def _unless_gone(request: Request, work: Awaitable[Solved]) -> Solved | None:
    """Return what the work comes to, None where the client went before: then it is given up."""
    task = asyncio.ensure_future(work)
    try:
        while not task.done():
            await asyncio.wait([task], timeout=SECONDS_BETWEEN_LOOKS)
            if not task.done() and await request.is_disconnected():
                return None
        return task.result()
    finally:
        task.cancel()


async def _streamed(solver: Solver, asked: Asked, direct: list[Message], form: Form) -> AsyncIterator[str]:
    """Yield the events of a stream: the text as it is written, and signs of life until then."""
    texts: asyncio.Queue[str | None] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    def wrote(text: str) -> None:
        with suppress(RuntimeError):  # the loop is closed: the server has ended
            loop.call_soon_threadsafe(texts.put_nowait, text)

    task = asyncio.ensure_future(solver.solve(asked, form.id, direct, wrote))
    task.add_done_callback(lambda _: texts.put_nowait(None))
    growing = Growing(form.thinking_end, asked.refinement.stop)
    try:
        yield _event(form.piece({"role": "assistant", "content": ""}))
        while True:
            try:
                text = await asyncio.wait_for(texts.get(), SECONDS_BETWEEN_SIGNS)
            except TimeoutError:
                yield SIGN_OF_LIFE
                continue
            if text is None:
                break
            if delta := form.delta(*growing.new(text)):
                yield _event(form.piece(delta))
        solved = task.result()
        if delta := form.delta(*growing.new(solved.final.sample.text, whole=True)):
            yield _event(form.piece(delta))
        yield _event(form.last_piece(solved))
        if asked.include_usage:
            yield _event(form.usage_piece(solved))
        yield DONE
    except Exception as error:
        yield _event(_told(error)[1])
    finally:
        task.cancel()


def _told(error: Exception) -> tuple[int, dict[str, Any]]:
    if not isinstance(error, RefusedError):
        log.error("no answer: %s", error)
    return error_form(error)


def _event(told: dict[str, Any]) -> str:
    return f"data: {json.dumps(told)}\n\n"


def _json(status: int, told: dict[str, Any]) -> Response:
    # What fails here fails again: the official client would try it twice more.
    headers = {"x-should-retry": "false"} if status >= 400 else {}
    return Response(json.dumps(told), status, headers, media_type="application/json")
