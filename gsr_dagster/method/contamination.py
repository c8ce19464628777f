"""Contamination: which training problems overlap with which benchmark problems, and how.

Two kinds of overlap, searched exactly (nothing is sampled or estimated):

- ``13-gram``: 13 words in a row stand in both, as Brown et al. 2020 (GPT-3, appendix C)
  and many after them count it. The share is that of the benchmark problem's distinct
  13-grams which the training problem holds. A problem under 13 words has none. One shared
  13-gram may be a turn of phrase ("where m and n are relatively prime positive integers
  find m + n"), so what is flagged needs a look.
- ``near duplicate``: the sets of 3-token shingles have a Jaccard index of 0.8 or more, and
  the same numbers stand in both: another number makes another problem, even where the
  sentences are one template. The share is the Jaccard index. It needs no length, so short
  problems are found too; a problem under 3 tokens is one shingle, its whole text.

A token is a number, a word, or one of + - * / = < > ^; signs are tokens but not words.
Case, punctuation, dots, LaTeX's spacing and fonts, spaces between single letters, and how
thousands are grouped do not count. A copy in other words is not found.

>>> index = BenchmarkIndex([("math500", "m1", "Find $x$ if $x + 1{,}000 = 1{,}234$.")])
>>> list(index.overlaps([("t1", "find x, if $x+1000=1234$"), ("t2", "Find $x$ if $x + 1000 = 1235$.")]))
[Overlap(training_id='t1', benchmark='math500', problem_id='m1', kind='near duplicate', share=1.0)]
"""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, repeat
from typing import Literal

import numpy as np

from gsr_dagster.method.rows import batches

CONTAMINATION_VERSION = "1"  # part of what shapes the artifact: raise it with any change of what is found
WORDS = 13
SHINGLE = 3
NEAR = 0.8
BATCH = 4096  # texts whose words are looked up together

_SIGNS = "+-*/=<>^"
_TOKEN = re.compile(rf"[a-z]+[^\W\d_]*|\d+(?:\.\d+)?|[{re.escape(_SIGNS)}]|[^\W\d_]+")
_LAYOUT = re.compile(
    r"\\(?:[,;:! ]|(?:left|right|bigg?[lr]?|[cl]?dots[bcimo]?|displaystyle|operatorname|q?quad"
    r"|text(?:bf|it|rm|sf|tt)?|math(?:rm|bf|it|sf))(?![a-z]))"
)
# Patterns that begin with a plain character are found several times faster than those that look behind first.
_THOUSANDS = re.compile(r",(?<=\d,)(?=\d{3}(?!\d))")
_SPACED_LETTERS = re.compile(  # "A B C" for ABC, as OCR writes it
    r" (?<=[^\W\d_] )(?<![^\W\d_]{2} ) *(?=[^\W\d_](?![^\W\d_]))"
)
_HEAD_BITS = 22  # a table of them stays in the processor's cache
_HEAD_SHIFT = np.uint64(64 - _HEAD_BITS)
_FACTORS = np.random.default_rng(13).integers(2**62, 2**63, 4, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
_END = "\n"  # divides texts; no token is it
_UNKNOWN_ID, _SIGN_ID, _END_ID, _FIRST_WORD_ID = range(4)

Shingles = frozenset[tuple[str, ...]]


@dataclass(frozen=True)
class Overlap:
    """A training problem and a benchmark problem that overlap, and how much of them (0 to 1; see the module)."""

    training_id: str
    benchmark: str
    problem_id: str
    kind: Literal["13-gram", "near duplicate"]
    share: float


def tokens(text: str) -> list[str]:
    r"""Return the numbers, words and signs of a problem.

    >>> tokens(r"In $\triangle A B C$ simplify $\left(\dfrac{2x}{10{,}000}\right) - 3.5$.")
    ['in', 'triangle', 'abc', 'simplify', 'frac', '2', 'x', '10000', '-', '3.5']
    """
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text).replace("−", "-")
    text = text.lower()
    if "\\" in text:
        text = _LAYOUT.sub(" ", text.replace(",\\!", ",")).replace("\\dfrac", "\\frac").replace("\\tfrac", "\\frac")
    if "," in text:
        text = _THOUSANDS.sub("", text.replace("{,}", ","))
    return _TOKEN.findall(_SPACED_LETTERS.sub("", text))


class BenchmarkIndex:
    """The 13-grams and shingles of benchmark problems, (benchmark, problem id, text) each.

    Benchmarks hold thousands of problems and training sets hundreds of thousands: what is
    few is indexed, and what is many streams by.
    """

    def __init__(self, problems: Iterable[tuple[str, str, str]]):
        self._names: list[tuple[str, str]] = []
        self._ids = {_END: _END_ID, **dict.fromkeys(_SIGNS, _SIGN_ID)}
        self._gram_counts: list[int] = []
        self._holders: dict[bytes, list[int]] = defaultdict(list)
        self._near: dict[tuple[str, ...], list[tuple[int, Shingles]]] = defaultdict(list)
        for number, (benchmark, problem_id, text) in enumerate(problems):
            found = tokens(text)
            self._names.append((benchmark, problem_id))
            for token in found:
                self._ids.setdefault(token, len(self._ids) + _FIRST_WORD_ID)
            words = self._word_ids([found])[:-1]
            grams = {words[start : start + WORDS].tobytes() for start in range(len(words) - WORDS + 1)}
            self._gram_counts.append(len(grams))
            for gram in grams:
                self._holders[gram].append(number)
            if found:
                self._near[_numbers(found)].append((number, _shingles(found)))
        every = np.frombuffer(b"".join(self._holders), dtype=np.uint32)
        self._heads = np.zeros(1 << _HEAD_BITS, dtype=bool)
        self._heads[_hashes(every)[::WORDS] >> _HEAD_SHIFT] = True

    def overlaps(self, training: Iterable[tuple[str, str]]) -> Iterator[Overlap]:
        """Yield the overlaps of training problems, (id, text) each, in their order; 13-grams first."""
        for batch in batches(training, BATCH):
            texts = [tokens(text) for _, text in batch]
            shared = self._shared_grams(texts)
            for number, (training_id, _) in enumerate(batch):
                for problem, grams in sorted(shared.get(number, {}).items()):
                    yield self._overlap(training_id, problem, "13-gram", len(grams) / self._gram_counts[problem])
                for problem, jaccard in self._near_duplicates(texts[number]):
                    yield self._overlap(training_id, problem, "near duplicate", jaccard)

    def _overlap(
        self, training_id: str, problem: int, kind: Literal["13-gram", "near duplicate"], share: float
    ) -> Overlap:
        return Overlap(training_id, *self._names[problem], kind, share)

    def _shared_grams(self, texts: Sequence[list[str]]) -> dict[int, dict[int, set[bytes]]]:
        """Return by text, by benchmark problem, the 13-grams that both hold."""
        shared: dict[int, dict[int, set[bytes]]] = defaultdict(lambda: defaultdict(set))
        words = self._word_ids(texts)
        ends = np.flatnonzero(words == _END_ID)
        # Equal grams have equal heads of their hashes: the few that these let through are then compared themselves.
        for start in np.flatnonzero(self._heads[_hashes(words) >> _HEAD_SHIFT]):
            gram = words[start : start + WORDS].tobytes()
            for problem in self._holders.get(gram, ()):
                shared[int(np.searchsorted(ends, start))][problem].add(gram)
        return shared

    def _near_duplicates(self, found: list[str]) -> Iterator[tuple[int, float]]:
        candidates = self._near.get(_numbers(found), ()) if found else ()
        if not candidates:
            return
        shingles = _shingles(found)
        for problem, others in candidates:
            # The Jaccard index is at most the smaller set's size over the larger's.
            if min(len(shingles), len(others)) >= NEAR * max(len(shingles), len(others)):
                common = len(shingles & others)
                jaccard = common / (len(shingles) + len(others) - common)
                if jaccard >= NEAR:
                    yield problem, jaccard

    def _word_ids(self, texts: Sequence[list[str]]) -> np.ndarray:
        """Return the ids of the texts' words without signs, an end after each; a word of no benchmark is unknown."""
        ended = chain.from_iterable(chain(text, (_END,)) for text in texts)
        ids = np.fromiter(map(self._ids.get, ended, repeat(_UNKNOWN_ID)), dtype=np.uint32)
        return ids[ids != _SIGN_ID]


def _hashes(words: np.ndarray) -> np.ndarray:
    """Return a hash of every window of 13 words, modulo 2^64: windows of 1 word to 2, 4, 8 and, overlapping, 13."""
    hashes = words.astype(np.uint64)
    for step, factor in zip((1, 2, 4, WORDS - 8), _FACTORS, strict=True):
        hashes = hashes[:-step] * factor + hashes[step:]
    return hashes


def _shingles(found: Sequence[str]) -> Shingles:
    if len(found) < SHINGLE:
        return frozenset([tuple(found)])
    return frozenset(zip(*(found[place:] for place in range(SHINGLE)), strict=False))


def _numbers(found: Sequence[str]) -> tuple[str, ...]:
    return tuple(sorted(token for token in found if token[0].isdigit()))
