"""Why a step failed, in the words of the error that began it."""

import os
import re

import dagster as dg
from dagster_shared.error import SerializableErrorInfo

MODULE = re.compile(r"^(?:\w+\.)+(?=\w+: )")  # of the error's class, which says nothing to a user


def cause(event: dg.DagsterEvent) -> str:
    error = root_error(event)
    if error is None:
        return "no error was recorded"
    said = MODULE.sub("", error.message.strip())
    return records_failed(said) if error.cls_name == "OperationalError" else said


def records_failed(said: object) -> str:
    """Return what to do where Dagster's database could not be written."""
    place = f"Dagster's records in {os.environ.get('DAGSTER_HOME', 'its home')}"
    return f"{place}: {said}; make room there if it is full, and run again: what is finished stays"


def root_error(event: dg.DagsterEvent) -> SerializableErrorInfo | None:
    error = event.step_failure_data.error
    while error is not None and error.cause is not None:
        error = error.cause
    return error
