"""A text that is written, thinking and answer apart: as a whole, and what is new of it from time to time.

>>> parted("Is it 3? No.</think> It is 4. ", "</think>")
('Is it 3? No.', 'It is 4.')
>>> growing = Growing("</think>", stop=[])
>>> growing.new("Is it 3? No, it cannot be")
('Is it 3? No, it c', '')
>>> growing.new("Is it 3? No, it cannot be.</think> It is 4. ", whole=True)
('annot be.', 'It is 4.')
"""

from collections.abc import Sequence

from gsr_dagster.answering.refusals import RefusedError

# A tokenizer can still change the last characters of a text: bytes of a character that is not whole, a space before a dot.
LATE = 8


def parted(text: str, thinking_end: str | None) -> tuple[str, str]:
    """Return the thinking and the answer of a text: all of it is answer where the model has no ``thinking_end``.

    Where the marker stands twice the first one counts here, so that a text that is streamed is the same.
    """
    if thinking_end is None:
        return "", text.strip()
    thinking, _, answer = text.partition(thinking_end)
    return thinking.strip(), answer.strip()


class Growing:
    """What was sent of a text so far."""

    def __init__(self, thinking_end: str | None, stop: Sequence[str]):
        self.thinking_end = thinking_end
        self.held_back = max([LATE, *map(len, stop), len(thinking_end or "")])
        self.sent = ("", "")

    def new(self, text: str, whole: bool = False) -> tuple[str, str]:
        """Return what is new of the thinking and of the answer. The end of a text that is not whole is held back.

        So nothing is sent of a stop string or a marker that is only begun. Raises RefusedError where a whole text is
        another one than was begun, as where a server failed and wrote anew.
        """
        thinking, answer = parted(text, self.thinking_end)
        if not whole:
            ended = self.thinking_end is None or self.thinking_end in text
            thinking, answer = (thinking, self._begun(answer)) if ended else (self._begun(thinking), "")
        parts = (thinking, answer)
        if not all(part.startswith(sent) for part, sent in zip(parts, self.sent, strict=True)):
            if whole:
                raise RefusedError("the text was begun anew while it was written: ask again", status=500)
            return "", ""
        thinking, answer = (part[len(sent) :] for part, sent in zip(parts, self.sent, strict=True))
        self.sent = parts
        return thinking, answer

    def _begun(self, text: str) -> str:
        return text[: -self.held_back].rstrip()
