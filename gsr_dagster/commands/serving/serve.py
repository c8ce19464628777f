"""`gsr serve`: problems answered as the method answers them, in the form of OpenAI's API."""

import atexit
import os

import click

from gsr_dagster.answering.server import ready_solver, serve_answers
from gsr_dagster.answering.subject import answering, outdated
from gsr_dagster.commands.options import console, with_experiment
from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.experiment.likeness import which
from gsr_dagster.operations.home import artifact_store
from gsr_dagster.operations.serving import HOST, heed_signals, listening_on
from resources.engines.base import EngineDiedError
from resources.engines.loading import Engines


@click.command("serve")
@click.argument("model")
@click.option("--port", default=8000, show_default=True, type=click.IntRange(1, 65535))
@click.option("--host", default=HOST, show_default=True, help="0.0.0.0 for all addresses: there is no password.")
@with_experiment
def command(experiment: Experiment, model: str, port: int, host: str) -> None:
    """Answer problems as MODEL, a trained student or any model: k candidates, their vote and their refinement."""
    known = [*experiment.students, *experiment.models]
    if model not in known:
        raise click.UsageError(f"no model or student {model!r}{which(model, known)}")
    heed_signals()
    store = artifact_store(experiment)
    load = answering(experiment, store, model)
    listening = listening_on(port, host)
    ended = True
    try:
        console.print(f"Loading {model}", soft_wrap=True)
        solver = ready_solver(experiment, model, load)
        if model in experiment.students and outdated(experiment, store, model):
            changed = "the experiment file, or what it learned from, has changed since"
            console.print(f"{model} answers as it was trained: {changed}. gsr run trains it again", soft_wrap=True)
        console.print(f"{model} answers at http://{host}:{port}/v1 (Ctrl-C ends it)", soft_wrap=True)
        if ended := serve_answers(solver, listening, host):
            Engines().release()
    except EngineDiedError as error:
        raise click.ClickException(f"{error}. Start it again") from None
    except KeyboardInterrupt:
        pass
    console.print("The server is stopped.")
    if not ended:  # the interpreter's own end would wait for the threads that still wait for a server's answer
        atexit._run_exitfuncs()
        os._exit(0)
