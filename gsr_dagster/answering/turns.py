"""The messages of a request: the last one is the problem, and those before it stand before every prompt as they are.

>>> read_turns([{"role": "developer", "content": "Be brief."}, {"role": "user", "content": "1 + 1?", "name": "me"}])
([{'role': 'system', 'content': 'Be brief.'}, {'role': 'user', 'content': '1 + 1?'}], ['messages[1].name'])
"""

from typing import Any

from gsr_dagster.answering.refusals import RefusedError
from gsr_dagster.method.prompting.prompts import Message
from resources.texts import storable

# As chat templates know them.
ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}
# What a client sends back of an earlier answer, or of itself, and no prompt shows.
SHOWN_NOWHERE = ("name", "reasoning_content", "reasoning", "refusal", "annotations")


def read_turns(messages: Any) -> tuple[list[Message], list[str]]:
    """Return the turns of a request, and the places in it that do nothing. Raises RefusedError."""
    if not isinstance(messages, list) or not messages:
        raise RefusedError("messages: a list of turns is wanted, the problem last", "messages")
    turns, ignored = [], []
    for number, message in enumerate(messages):
        place = f"messages[{number}]"
        if not isinstance(message, dict):
            raise RefusedError(f"{place}: an object with role and content is wanted", place)
        said = {name: value for name, value in message.items() if value not in (None, [], "")}
        role = said.pop("role", None)
        if role not in ROLES:
            raise RefusedError(f"{place}.role: {role!r} is not {', '.join(ROLES)}", f"{place}.role")
        turns.append({"role": ROLES[role], "content": storable(_text(said.pop("content", ""), place))})
        ignored += [f"{place}.{name}" for name in said if name in SHOWN_NOWHERE]
        if others := [name for name in said if name not in SHOWN_NOWHERE]:
            raise RefusedError(f"{place}.{others[0]} is not supported: a turn is a text", f"{place}.{others[0]}")
    if turns[-1]["role"] != "user" or not turns[-1]["content"].strip():
        raise RefusedError("messages: the last turn is the problem, so it is the user's, and not empty", "messages")
    return turns, ignored


def _text(content: Any, place: str) -> str:
    """Return the text of a turn, which may come in parts."""
    if isinstance(content, str):
        return content
    texts = []
    for part in content if isinstance(content, list) else [content]:
        if not isinstance(part, dict) or part.get("type") != "text" or not isinstance(part.get("text"), str):
            kind = part.get("type") if isinstance(part, dict) else type(part).__name__
            raise RefusedError(f"{place}.content: only text is read, and this is {kind!r}", f"{place}.content")
        texts.append(part["text"])
    return "".join(texts)
