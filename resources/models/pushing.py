"""A folder to a repository of the hub. HF_TOKEN and HF_ENDPOINT are read by huggingface_hub itself."""

from pathlib import Path

from gsr_dagster.experiment.errors import UserError
from resources.models.hub import without_token


class PushError(UserError, RuntimeError):
    """What the hub did not take; the message says why, and what would be right."""


def refuse_repository(repository: str, public: bool) -> None:
    """Raise PushError where nothing could or should be pushed to a repository, before anything is written for it.

    That is a name that cannot be ORG/NAME, a hub that cannot be reached or does not take the token, and a
    repository that is there and that everybody can read, unless that is meant.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HFValidationError, RepositoryNotFoundError
    from huggingface_hub.utils import validate_repo_id

    try:
        validate_repo_id(repository)
    except HFValidationError as error:
        raise PushError(f"{error} Write ORG/NAME, as in my-team/my-student") from None
    if "/" not in repository:
        raise PushError(f"{repository!r} names no owner: write ORG/NAME, as in my-team/{repository}")
    api = HfApi()
    try:
        private = api.model_info(repository).private
    except RepositoryNotFoundError:
        return
    except Exception as error:
        raise PushError(f"nothing can be pushed to {repository}: {_in_words(error, api.endpoint)}") from None
    if not (private or public):
        raise PushError(f"{repository} is there, and everybody can read it: --public pushes to it all the same")


def push_folder(folder: Path, repository: str, public: bool) -> str:
    """Upload a folder's files to a model repository, which is made where it is missing, and return the commit's address.

    A new one is private unless ``public``. Files of the same names are replaced there, others stay.
    Raises PushError where the hub refuses or cannot be reached.
    """
    from huggingface_hub import HfApi

    api = HfApi()
    try:
        api.create_repo(repository, private=not public, repo_type="model", exist_ok=True)
        message = f"{folder.name}, exported by gsr"
        return api.upload_folder(repo_id=repository, folder_path=folder, commit_message=message).commit_url
    except Exception as error:
        raise PushError(f"{repository} is not pushed: {_in_words(error, api.endpoint)}") from None


def _in_words(error: Exception, endpoint: str) -> str:
    """Return why the hub did not take something, and what to do."""
    from huggingface_hub.errors import OfflineModeIsEnabled

    status = getattr(getattr(error, "response", None), "status_code", None)
    said = without_token(" ".join(str(getattr(error, "server_message", None) or error).split()))
    if isinstance(error, OfflineModeIsEnabled):
        return "HF_HUB_OFFLINE forbids it: unset it"
    if status == 401:
        return f"{endpoint} does not know who asks: set HF_TOKEN to a token that may write ({said})"
    if status == 403:
        return f"the token may not write there: one with the right to write is wanted ({said})"
    if status is not None:
        return f"{endpoint} answered {status}: {said}"
    if isinstance(error, OSError) or type(error).__module__.startswith("httpx"):  # the hub gave no answer
        return f"{endpoint} cannot be reached: {said}"
    return f"{type(error).__name__}: {said}"
