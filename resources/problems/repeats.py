"""Samples of several files: the same log twice is counted once, and problems that only share an id are told apart."""

from collections import Counter, defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from resources.problems.forms.fields import Reading, task_of
from resources.problems.recorded_samples import ImportFileError, Recorded

ProblemKey = tuple[str, str, str, str]  # model, benchmark, id, text
ProblemText = tuple[ProblemKey, str]  # and what the model wrote


@dataclass(frozen=True)
class SampleFile:
    """A file and its samples."""

    path: Path
    samples: list[Recorded]


def without_repeats(files: Sequence[SampleFile], reading: Reading) -> list[SampleFile]:
    """Return the files without what another holds already: one log, given twice or in part.

    Two files are the same log where, of the problems that both have, one file's samples are
    all among the other's, by text, tokens and every column that both files have. Where they
    are not, equal texts are two samples of a model that happened to write the same: runs of
    several seeds have many, and a seed or a time of their own tells them apart.
    """
    kept: list[SampleFile] = []
    known: set[ProblemText] = set()
    texts_of: list[set[ProblemText]] = []
    for file in files:
        samples = file.samples
        for earlier, texts in zip(kept, texts_of, strict=True):
            # Most files are runs of their own, which a text or two shows at once.
            if _within({_text(s) for s in samples}, texts):
                samples = _without(samples, earlier, file.path, reading)
        equal = sum(_text(sample) in known for sample in samples)
        if equal and len(samples) == len(file.samples):
            reading.notes["samples have the text of one of another file: kept, as the files are runs of their own"] += (
                equal
            )
        kept.append(SampleFile(file.path, samples))
        texts_of.append({_text(sample) for sample in samples})
        known |= texts_of[-1]
    return kept


def _within(some: set[ProblemText], others: set[ProblemText]) -> bool:
    """Return whether all of one set's texts, of the problems that both have, are in the other."""
    shared = {problem for problem, _ in some} & {problem for problem, _ in others}
    return bool(shared) and any(
        all(text in right for text in left if text[0] in shared) for left, right in ((some, others), (others, some))
    )


def _without(samples: list[Recorded], earlier: SampleFile, path: Path, reading: Reading) -> list[Recorded]:
    shared = set(map(_problem, samples)) & set(map(_problem, earlier.samples))
    columns = _columns(samples) & _columns(earlier.samples)
    now, then = (
        Counter(_identity(sample, columns) for sample in of if _problem(sample) in shared)
        for of in (samples, earlier.samples)
    )
    if not (now <= then or then <= now):
        return samples
    reading.left_out[f"samples of {path.name} that {earlier.path.name} holds too: the same log"] += (now & then).total()
    fresh = []
    for sample in samples:
        identity = _identity(sample, columns)
        if then[identity] > 0:
            then[identity] -= 1
        else:
            fresh.append(sample)
    return fresh


def _problem(sample: Recorded) -> ProblemKey:
    return sample.model, sample.benchmark, sample.problem_id, sample.problem


def _columns(samples: Sequence[Recorded]) -> set[str]:
    return {name for sample in samples for name, _ in sample.row}


def _identity(sample: Recorded, columns: set[str]) -> Hashable:
    told = frozenset((name, hashed) for name, hashed in sample.row if name in columns)
    return _problem(sample), sample.candidates, sample.text, sample.generated_tokens, told


def _text(sample: Recorded) -> ProblemText:
    return _problem(sample), sample.text


def told_apart(files: Sequence[SampleFile]) -> list[Recorded]:
    """Return all samples, with the benchmark or file in the id of problems that share an id and are not the same.

    Raises ImportFileError where neither tells them apart, and where one problem has two golds.
    """
    names = _file_names([file.path for file in files])
    where: dict[str, dict[tuple[str, str], tuple[str, str]]] = defaultdict(dict)
    golds: dict[tuple[str, str, str], tuple[str, Path]] = {}
    for file in files:
        for sample in file.samples:
            places = where[sample.problem_id]
            places.setdefault((sample.benchmark, sample.problem), (task_of(file.path), names[file.path]))
            gold, first = golds.setdefault(
                (sample.benchmark, sample.problem_id, sample.problem), (sample.answer, file.path)
            )
            if gold != sample.answer:
                raise ImportFileError(
                    f"problem {_short(sample.problem_id)} has two texts or answers: the answer is {gold[:40]!r} in "
                    f"{first} and {sample.answer[:40]!r} in {file.path}. Correct one of them"
                )
    ids = {
        (problem_id, *key): new
        for problem_id, places in where.items()
        for key, new in _new_ids(problem_id, places).items()
    }
    if len(set(ids.values())) < len(ids):
        twice = next(new for new, times in Counter(ids.values()).items() if times > 1)
        raise ImportFileError(f"two problems would be called {_short(twice)}: give them ids that differ")
    return [
        replace(sample, problem_id=ids[sample.problem_id, sample.benchmark, sample.problem])
        for file in files
        for sample in file.samples
    ]


def _new_ids(problem_id: str, places: dict[tuple[str, str], tuple[str, str]]) -> dict[tuple[str, str], str]:
    """Return the id of each problem that has this one: by benchmark, else by task, by file, or by both."""
    if len(places) == 1:
        return dict.fromkeys(places, problem_id)
    for scheme in (
        [benchmark for benchmark, _ in places],
        [task for task, _ in places.values()],
        [name for _, name in places.values()],
        [f"{benchmark}/{name}" for (benchmark, _), (_, name) in places.items()],
    ):
        if len(set(scheme)) == len(places):
            return {key: f"{label}/{problem_id}" for key, label in zip(places, scheme, strict=True)}
    names = [name for _, name in places.values()]
    repeated = next(name for name in names if names.count(name) > 1)
    raise ImportFileError(
        f"problem {_short(problem_id)} has two texts or answers: two texts of {repeated} have this id. Name a field "
        "that tells them apart, as in --field problem_id=NAME, or --group-by NAME where they are of several benchmarks"
    )


def _file_names(paths: Sequence[Path]) -> dict[Path, str]:
    """Return a name for each file that no other has: its own, with as many folders before it as that takes."""
    names = {}
    for path in paths:
        parts = path.resolve().parts
        others = {other.resolve() for other in paths} - {path.resolve()}
        length = next(n for n in range(1, len(parts) + 1) if all(o.parts[-n:] != parts[-n:] for o in others))
        names[path] = "/".join([*parts[-length:-1], task_of(path)])
    return names


def _short(problem_id: str) -> str:
    return problem_id if len(problem_id) <= 60 else f"{problem_id[:60]!r}…"
