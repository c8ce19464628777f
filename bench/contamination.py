"""Speed of the contamination search: `python -m bench.contamination`. Ratios of one run; single times mean little.

500,000 synthetic training problems against the seven benchmarks, in a process of its own
whose peak memory is told; then what is straightforward, a set of 13-gram strings a
training problem, and every pair's Jaccard index. Then the real training files, and the worst of what they share.
"""

import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from gsr_dagster.method.contamination import NEAR, WORDS, BenchmarkIndex, Overlap, tokens

DATA = Path(__file__).parents[2] / "shared" / "data"
PROBLEMS = 500_000
SPAN = 8  # words that stand in a row as in a real problem
PLANTED = 1_000  # copies of benchmark problems among them, in other layout
PAIRED = 500  # training problems of the loop over all pairs: its time is scaled up
SIGNS = set("+-*/=<>^")
SHOWN = 12

Problem = tuple[str, str]


def read(path: Path) -> Iterator[Problem]:
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            yield row["id"], row["problem"]


def benchmarks() -> list[tuple[str, str, str]]:
    return [(path.stem, *row) for path in sorted((DATA / "problems").glob("*.jsonl")) for row in read(path)]


def real_problems() -> dict[str, str]:
    return dict(row for path in sorted((DATA / "training").glob("*.jsonl")) for row in read(path))


def synthetic(rng: random.Random) -> Iterator[Problem]:
    """Yield problems of real lengths, put together from spans of real ones; every 500th is a benchmark's copy."""
    real = [text.split() for text in real_problems().values()]
    held_out = benchmarks()
    for number in range(PROBLEMS):
        if number % (PROBLEMS // PLANTED) == 0:
            text = rng.choice(held_out)[2].replace("$", " $ ").upper()
            yield f"copy-{number}", text
            continue
        words: list[str] = []
        length = len(rng.choice(real))
        while len(words) < length:
            source = rng.choice(real)
            start = rng.randrange(len(source))
            words += source[start : start + SPAN]
        yield f"made-{number}", " ".join(words[:length])


def search(path: str) -> None:
    """Search one file of training problems, and print as JSON the seconds, peak memory and what was found."""
    started = time.perf_counter()
    index = BenchmarkIndex(benchmarks())
    built = time.perf_counter() - started
    found = list(index.overlaps(read(Path(path))))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # KiB on Linux
    pairs = [(o.training_id, o.benchmark, o.problem_id) for o in found if o.kind == "13-gram"]
    near = {o.training_id for o in found if o.kind == "near duplicate" and o.training_id.startswith("copy-")}
    seconds = time.perf_counter() - started
    print(json.dumps({"built": built, "seconds": seconds, "peak": peak, "pairs": pairs, "copies": len(near)}))


def gram_strings(text: str) -> set[str]:
    words = [token for token in tokens(text) if token not in SIGNS]
    return {" ".join(words[start : start + WORDS]) for start in range(len(words) - WORDS + 1)}


def loop(path: Path) -> set[tuple[str, str, str]]:
    """What is straightforward: every training problem's 13-grams as a set of strings."""
    holders: dict[str, list[tuple[str, str]]] = {}
    for benchmark, problem_id, text in benchmarks():
        for gram in gram_strings(text):
            holders.setdefault(gram, []).append((benchmark, problem_id))
    pairs = set()
    for training_id, text in read(path):
        for gram in gram_strings(text) & holders.keys():
            pairs |= {(training_id, *holder) for holder in holders[gram]}
    return pairs


def loop_of_pairs(path: Path) -> float:
    """What is straightforward for near duplicates: every pair's Jaccard index. Return the seconds for all, scaled up."""
    sets = [set(zip(*[tokens(text)[place:] for place in range(3)], strict=False)) for _, _, text in benchmarks()]
    some = list(islice(read(path), PAIRED))
    started = time.perf_counter()
    for _, text in some:
        found = tokens(text)
        shingles = set(zip(found, found[1:], found[2:], strict=False))
        sum(len(shingles & other) >= NEAR * len(shingles | other) for other in sets)
    return (time.perf_counter() - started) * PROBLEMS / PAIRED


def show_real() -> None:
    """Print what the real training files share with the benchmarks."""
    training = real_problems()
    held_out = benchmarks()
    texts = {(benchmark, problem_id): text for benchmark, problem_id, text in held_out}
    started = time.perf_counter()
    found = list(BenchmarkIndex(held_out).overlaps(training.items()))
    print(f"\n{len(training):,} real training problems, {time.perf_counter() - started:.1f} s with the index:")
    by_place: dict[tuple[str, str, str], list[Overlap]] = {}
    for overlap in found:
        origin = "gsm8k-train" if overlap.training_id.startswith("gsm8k") else "math-train"
        by_place.setdefault((origin, overlap.benchmark, overlap.kind), []).append(overlap)
    for (origin, benchmark, kind), overlaps in sorted(by_place.items()):
        problems = Counter(o.problem_id for o in overlaps)
        large = sum(o.share >= 0.5 for o in overlaps)
        print(
            f"  {origin} / {benchmark}: {kind} {len(overlaps)} pairs, {len(problems)} problems; share >= 0.5: {large}"
        )
    for overlap in sorted(found, key=lambda o: (o.kind != "near duplicate", -o.share))[:SHOWN]:
        print(f"{overlap.kind} {overlap.share:.2f}: {overlap.training_id}, {overlap.benchmark} {overlap.problem_id}")
        for text in (training[overlap.training_id], texts[overlap.benchmark, overlap.problem_id]):
            print(f"    {' '.join(text.split())[:200]}")


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "training.jsonl")
        with path.open("w", encoding="utf-8") as file:
            for problem_id, text in synthetic(random.Random(0)):
                file.write(json.dumps({"id": problem_id, "problem": text}) + "\n")
        print(f"{PROBLEMS:,} problems, {path.stat().st_size / 1e6:.0f} MB, against {len(benchmarks()):,}:")
        command = [sys.executable, "-m", "bench.contamination", str(path)]
        ours = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        print(
            f"  both kinds: {ours['seconds']:.1f} s ({ours['built']:.1f} s of it the index), {ours['peak']:.0f} MiB peak"
        )
        started = time.perf_counter()
        pairs = loop(path)
        theirs = time.perf_counter() - started
        print(f"  13-grams alone, sets of strings: {theirs:.1f} s, {theirs / ours['seconds']:.1f} times that")
        paired = loop_of_pairs(path)
        print(
            f"  near duplicates alone, every pair: {paired:,.0f} s (scaled up), {paired / ours['seconds']:.0f} times that"
        )
        same = {tuple(pair) for pair in ours["pairs"]} == pairs
        print(f"  13-gram pairs: {len(pairs):,}, {'the same' if same else 'NOT the same'} in both")
        print(f"  of {PLANTED:,} planted copies {ours['copies']:,} are found as near duplicates")
    show_real()


if __name__ == "__main__":
    search(sys.argv[1]) if len(sys.argv) > 1 else main()
