"""The gsr command: its tree, and the one place where what a user can put right is shown in place of a traceback.

gsr init --problems FILE            write a first experiment file for your own problems
gsr -e demo run                     materialize an experiment, with progress bars
gsr plan                            print what a run would cost, before it starts
gsr report                          print its table again, and where report.html is
gsr regrade --grader exact          grade stored samples again, and show what changes
gsr import FILE --to FOLDER ...     make an experiment of samples drawn before
gsr record STUDENT --to FOLDER      write what a student was taught with, to teach with it elsewhere
gsr export STUDENT --to FOLDER      write a trained student as other tools load it
gsr export --samples --to FOLDER    write what the models wrote, for datasets, inspect_ai or lm-eval
gsr backfill --family smollm2       launch a family's partitions on the page
gsr lineage smollm2-135m-gsr        walk a student back to the problems
gsr lineage --row ID                say why a row is in a training set; --problem ID: who saw a problem
gsr verify                          hold every stored file against its hash
gsr prune                           show, or remove, stored files that nothing refers to
gsr sql "from base_gap_reports"     ask DuckDB, with a view per asset
gsr page                            serve the Dagster page; -e demo -e mine for both on one
gsr view                            serve the reports alone
gsr serve smollm2-135m-gsr          answer problems as a trained student, for OpenAI clients
"""

import os
from importlib import import_module

import click

from gsr_dagster.experiment.errors import UserError
from resources.texts import printable

COMMANDS = {
    name: f"gsr_dagster.commands.{module}"
    for name, module in {
        "init": "init.command",
        "run": "run",
        "plan": "plan.command",
        "report": "report",
        "regrade": "regrade",
        "import": "recorded.import_samples",
        "record": "recorded.record",
        "export": "export",
        "backfill": "backfill",
        "lineage": "lineage",
        "verify": "verify",
        "prune": "prune",
        "sql": "sql",
        "page": "serving.page",
        "view": "serving.view",
        "serve": "serving.serve",
    }.items()
}


class Commands(click.Group):
    """The commands, each loaded when it is asked for. What went wrong may hold a model's output: it is made printable."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return import_module(COMMANDS[cmd_name]).command if cmd_name in COMMANDS else None

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except click.UsageError:
            raise
        except click.ClickException as error:
            said = error.message
        except (UserError, OSError) as error:  # an OSError is of a disk, a folder or a connection
            said = str(error)
        except Exception as error:
            said = _said_by_a_library(error)
            if said is None:
                raise
        raise click.ClickException(printable(said))


def _said_by_a_library(error: Exception) -> str | None:
    """Return what to tell of an error of a bucket or of Dagster's records, None for any other.

    Only a library that was loaded raises, so none is loaded to ask.
    """
    kinds = {f"{kind.__module__}.{kind.__name__}" for kind in type(error).__mro__}
    if kinds & {"botocore.exceptions.BotoCoreError", "botocore.exceptions.ClientError"}:
        return f"{os.environ.get('GSR_ARTIFACTS')}: {error}"
    if "sqlalchemy.exc.OperationalError" in kinds:
        from gsr_dagster.operations.failures import records_failed

        return records_failed(getattr(error, "orig", None))
    return None


@click.group(cls=Commands)
@click.option(
    "--experiment", "-e", multiple=True, help="A YAML file, or the name of one that is shipped. [$GSR_EXPERIMENT]"
)
def main(experiment: tuple[str, ...]) -> None:
    """Generative Self-Refinement, from problems to the Refinement Gap."""
