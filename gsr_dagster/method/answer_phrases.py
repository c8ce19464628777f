r"""Answers that are said and not boxed: "The answer is 42", a line "#### 42", a closing sentence.

Every pattern takes time in proportion to the text, whatever a model wrote: `*+` and `++` give nothing back.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

NUMBER = r"[-+]?\d(?:[\d,/]|\.(?=\d))*"
NUMBER_OR_FORMULA = rf"\$[^$\n]+\$|\\\([^\n]+?\\\)|{NUMBER}"
MARKS = r"[\s*_}]*+"  # of Markdown, or the end of \textbf{...}
LINK = rf"(?:(?:is|are|equals)(?![\w'’])(?!\s+not\b)(?:{MARKS}[:：])?|[:：=])"
SAID = (
    r"(?<![^\W_])(?:the\s++)?(?:(?:final|correct|right|best)\s++)?(?:answers?|ans\.?)(?![^\W_])"
    rf"(?:\s++to(?:\s++\w++){{1,5}}?)?{MARKS}{LINK}"
)
CHOSEN = rf"\b(?:option|choice|letter|statement)\b{MARKS}{LINK}|\bI(?:['’]d|\s+would|\s+will)?\s+(?:choose|pick|select|go\s+with)\b"
HEADING = r"^[#*_ \t]*+(?:the\s++)?(?:final\s++)?answer[ \t*_]*+$"
HASHES = r"^[^\S\n]*+####(?!#)"
HASHES_IN_A_LINE = r"(?<!#)####(?=[*_ \t]*+\\?\$?[-+]?\.?\d)"
SHORT = r"^[*_ \t]*+(?-i:A)[*_ \t]*+[:：]"


def _announcing(said: str, short: str) -> re.Pattern[str]:
    """Return what announces an answer. The answer follows, on the same line or on the next that holds something."""
    return re.compile(
        rf"(?:(?P<said>{said}|<answer>)|(?P<heading>{HEADING}))[\s*:：}}]*+"
        rf"|(?:(?P<hashes>{HASHES})|(?P<inline>{HASHES_IN_A_LINE})|(?P<short>{short}))[*_\s]*+",
        re.IGNORECASE | re.MULTILINE,
    )


ANNOUNCED = _announcing(SAID, SHORT)
# A text without "ans" and without one of these announces nothing; most that were cut off are told from others so.
MARKED = re.compile(r"####|A[*_ \t]*+[:：]")
CHOICE_ANNOUNCED = _announcing(f"{SAID}|{CHOSEN}", r"(?!)")  # there "A:" is an option
DISPLAYS = {"\\[": "\\]", "$$": "$$"}
SENTENCE_END = re.compile(r"\.[*\"”)]*+(?:\s|\Z)|(?<=\$)\.(?=[A-Z])|。")
# A sentence that begins with a number, a formula or a choice, after one word at most ("approximately 3").
BEGINS_LIKE_AN_ANSWER = re.compile(
    rf"(?:[a-z]++\s++)?[*(\[\"'“`]*+(?:\\?\$?[-+]?\.?\d|{NUMBER_OR_FORMULA}|\\[a-zA-Z]|[A-Za-z]\)|[B-HJ-Z]\b(?!['’])|[A-Za-z]\W*\Z)"
)
# An answer alone on its line, with its unit: what follows "####" or "A:" in the middle of a text must be one.
ALONE = re.compile(
    rf"\**(?:[a-zA-Z]\s*=\s*)?\\?\$?(?:{NUMBER_OR_FORMULA}|\.\d+|\\[a-zA-Z]\S*)\s*\\?[%°]?(?:\s+[^\W\d]+){{0,3}}[.*\s]*"
)
# What is said about an answer and gives none: "The answer is the same."
REMARK = re.compile(
    r"(?:(?:also|indeed|both|therefore|thus|still|most\s+likely)\s+)?(?:the\s+same|the\s+correct\s+one|not|(?:in)?correct|right|wrong"
    r"|(?:in)?valid|(?:in)?consistent|reasonable|unclear|based|provided|given|as\s+follows)\b",
    re.IGNORECASE,
)
# A word before an answer that says nothing of it, and a clause behind it: "therefore 5, which is odd".
LEADS_IN = re.compile(
    r"(?:(?:therefore|thus|hence|then|indeed|simply|just|exactly|precisely|clearly|actually|equal\s+to|given\s+by)\b[,:]?\s+)+",
    re.IGNORECASE,
)
CLAUSE = re.compile(
    r"[,;]?\s+(?:as\s+\w+|because|since|which|where|so|in\s+(?:the\s+|a\s+)?(?:\\boxed|box))(?![\w'’])", re.IGNORECASE
)
# "The answer is that she has 36 apples": a sentence of its own, read as a closing sentence.
WHOLE_SENTENCE = re.compile(r"(?:that|the|there|it|we|she|he|they)(?:\s+\S+){3}", re.IGNORECASE)
NEXT_OPTION = re.compile(r"\s*[*_ \t]*B[*_ \t]*[:：]")
MOST_WORDS_AFTER_HASHES = 6

CLOSING_SENTENCE = re.compile(
    rf"(?:\b(?:is|are|was|were|be|equals)|=)\s+(?:\w+\s+)?\**\\?(?:\$(?=\d[^$\n]*\.\**\Z))?({NUMBER_OR_FORMULA})[^.\d$=\n]*\.\**\Z"
)
# Its only number is what it speaks of: "60% of the students like tea."
SUBJECT = re.compile(
    r"(?:\A|\n|[.!?:]\s)\s*+(?:(?:so|thus|therefore|hence|then)\b,?\s+)?(?=\**+\\?[$(]?[-+\d\\])(?![^\n]*\b(?:not|no|cannot)\b)"
    rf"\**\\?(?:\$|\()?({NUMBER}|\\[dt]?frac\{{\d+\}}\{{\d+\}})(?:\\?%)?(?:\$|\\\))?\**(?:\s[^.\d$=\n\\]*)?\.\**\Z",
    re.IGNORECASE,
)
NOTHING_ELSE = re.compile(
    rf"[*\s]*+(?:{NUMBER_OR_FORMULA}|\$\$[^$]+\$\$|\\\[.+\\\])(?:\\?%)?[*\s]*+\.?[*\s]*+", re.DOTALL
)
LONGEST_CLOSING_SENTENCE = 2000


@dataclass
class _Line:
    """A line with announced answers: where each phrase and the answer behind it begin, and where the line ends."""

    end: int
    begins: list[tuple[int, int]] = field(default_factory=list)

    def spans(self) -> Iterator[tuple[int, int]]:
        """Yield where the answers begin and end: the first with the line, the others where the next phrase begins."""
        ends = [phrase for phrase, _ in self.begins[2:]] + [self.end]
        yield self.begins[0][1], self.end
        yield from ((begin, end) for (_, begin), end in zip(self.begins[1:], ends, strict=False))


def said_answers(text: str) -> Iterator[str]:
    """Yield the answers that phrases of the text announce, the last one first.

    Of several on one line the last counts that begins like an answer ("The answer is 5.
    Wait, the answer is 6."), else the first ("The answer is Zoe. This answer is certain.").
    """
    if "ans" not in text.casefold() and not MARKED.search(text):
        return
    for line in reversed(_lines(text, ANNOUNCED)):
        sentences = [sentence for begin, end in line.spans() if (sentence := _sentence(text[begin:end]))]
        likely = [sentence for sentence in sentences if BEGINS_LIKE_AN_ANSWER.match(sentence)]
        yield from likely[-1:] or sentences[:1]


def said_choices(text: str) -> Iterator[tuple[int, str]]:
    """Yield where each choice that a phrase of the text announces begins, and the choice, the last one first."""
    for line in reversed(_lines(text, CHOICE_ANNOUNCED)):
        for begin, end in reversed(list(line.spans())):
            if sentence := _sentence(text[begin:end]):
                yield begin, sentence


def closing_answer(text: str) -> str | None:
    """Return the number or formula that a closing sentence ends with or speaks of, or that is the whole text.

    A text that was cut off has none: its last sentence does not end.
    """
    text = text.rstrip()
    begin = max(len(text) - LONGEST_CLOSING_SENTENCE, 0)
    ends = text.rstrip("*").endswith(".")
    found = (CLOSING_SENTENCE.findall(text, begin) or SUBJECT.findall(text, begin)) if ends else []
    if not found and len(text) <= LONGEST_CLOSING_SENTENCE and NOTHING_ELSE.fullmatch(text):
        found = [text]
    return undressed(found[-1]) or None if found else None


def undressed(text: str) -> str:
    """Return an answer without Markdown's bold, quotes and a full stop, and a number without its dollars too.

    >>> undressed("**45**."), undressed("$18$"), undressed("$6 + 9i$"), undressed('"C"'), undressed(".5")
    ('45', '18', '$6 + 9i$', 'C', '.5')
    """
    text = (
        re.sub(r"\A[.,]++(?!\d)|\?++\Z|(?<=[*$])!++\Z", "", text.strip().strip("*`").rstrip(".,"))
        .strip()
        .strip("*`")
        .strip()
    )
    text = re.sub(r"(?<![\w)*])\*\*([^*\n]++)\*\*(?![\w*])", r"\1", text)
    for quotes in ('""', "''", "“”", "‘’"):
        if len(text) > 2 and text[0] == quotes[0] and text[-1] == quotes[1]:
            text = text[1:-1].strip().rstrip(".").strip()
    if re.search(r"(?<!\\)\$\Z", text) and len(re.findall(r"(?<!\\)\$", text)) % 2:
        text = text[:-1].strip()
    if text[-1:] == "}" and text.count("}") > text.count("{"):
        text = text[:-1].strip()
    number = re.fullmatch(rf"(?:\$+|\\\()\s*({NUMBER})\s*(?:\$+|\\\))", text)
    return number[1] if number else text


def _lines(text: str, announced: re.Pattern[str]) -> list[_Line]:
    """Return the lines of the text that hold announced answers.

    A phrase that only leads to the next one announces nothing: "Final Answer: The final answer is 18".
    """
    lines: list[_Line] = []
    end, closed = -1, dict.fromkeys(DISPLAYS, True)
    for found in announced.finditer(text):
        joins = found.start() < end
        if found.end() > end:
            end = _end(text, found.end(), closed)
        if not _counts(text, found, end):
            continue
        if not (joins and lines):
            lines.append(_Line(end))
        elif not text[lines[-1].begins[-1][1] : found.start()].strip("\n *_#"):
            lines[-1].begins.pop()
        lines[-1].end = end
        lines[-1].begins.append((found.start(), found.end()))
    return lines


def _end(text: str, begin: int, closed: dict[str, bool]) -> int:
    """Return where the line ends that begins here, or the formula in display style."""
    opening = text[begin : begin + 2]
    if closed.get(opening):
        end = text.find(DISPLAYS[opening], begin + 2)
        if end >= 0:
            return end + 2
        closed[opening] = False  # none further on either: it is not looked for again
    end = text.find("\n", begin)
    return len(text) if end < 0 else end


def _counts(text: str, found: re.Match[str], end: int) -> bool:
    """Return whether it announces an answer: "####" and "Answer" are headings too, and "A:" an option."""
    if found["said"]:
        return True
    line = undressed(text[found.end() : min(end, found.end() + LONGEST_CLOSING_SENTENCE)])
    if ALONE.fullmatch(line):
        return not (found["short"] and NEXT_OPTION.match(text, end))
    if not found["heading"] and (not found["hashes"] or "\n" in found[0]):
        return False
    if found["heading"] and not re.search("[#*_]|final", found["heading"], re.IGNORECASE):
        return False
    ends_text = not text[end : end + LONGEST_CLOSING_SENTENCE].strip()
    return ends_text and len(line.split()) <= MOST_WORDS_AFTER_HASHES and not line.endswith(":")


def _sentence(text: str) -> str:
    """Return the first sentence of what a phrase announces, "" where it is an empty box or one that was cut off."""
    text = re.split("</answer>", text, maxsplit=1, flags=re.IGNORECASE)[0]
    for opening, closing in DISPLAYS.items():
        if text.startswith(opening) and text.endswith(closing) and len(text) > len(opening + closing):
            return undressed(text[2:-2])
    box = re.search(r"\\f?boxe?d?\b", text)
    if box and not text[: box.start()].strip("$\\([ *"):
        return ""
    sentence = re.sub(r"\A[-–•]\s+(?=[a-zA-Z])", "", undressed(SENTENCE_END.split(text, maxsplit=1)[0]))
    if (led := LEADS_IN.match(sentence)) and BEGINS_LIKE_AN_ANSWER.match(sentence, led.end()):
        sentence = undressed(sentence[led.end() :])
    if (clause := CLAUSE.search(sentence)) and ALONE.fullmatch(head := sentence[: clause.start()]) and ", " not in head:
        sentence = undressed(head)
    if WHOLE_SENTENCE.match(sentence) and len(sentence) <= LONGEST_CLOSING_SENTENCE:
        return closing_answer(f"{sentence}.") or sentence
    return "" if REMARK.match(sentence) else sentence
