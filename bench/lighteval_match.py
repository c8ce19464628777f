"""lighteval's extractive match on pairs of gold and response: `PYTHON bench/lighteval_match.py PAIRS.json`.

Runs in an environment of its own, with lighteval; started by bench/grading.py.
"""

import json
import sys
import time
from pathlib import Path

from lighteval.metrics.utils.extractive_match_utils import (  # pyright: ignore[reportMissingImports]
    ExprExtractionConfig,
    LatexExtractionConfig,
    extract_target_from_pred,
    get_extraction_regexes,
)
from lighteval.metrics.utils.math_comparison import compare_gold_target  # pyright: ignore[reportMissingImports]
from lighteval.utils.language import Language  # pyright: ignore[reportMissingImports]

pairs = json.loads(Path(sys.argv[1]).read_text())
targets = [LatexExtractionConfig(), ExprExtractionConfig()]
regexes = get_extraction_regexes(None, targets, Language.ENGLISH)
started = time.perf_counter()
verdicts = []
for gold, response in pairs:
    wanted = extract_target_from_pred(f"\\boxed{{{gold}}}", regexes, fallback_mode="first_match")
    given = extract_target_from_pred(response, regexes, fallback_mode="first_match")
    verdicts.append(bool(wanted and given and compare_gold_target(wanted, given)))
print(json.dumps([time.perf_counter() - started, verdicts]))
