"""Students beside their bases, on pools whose correctness is drawn: what the rows and the page say of them."""

import random
import re
from collections.abc import Sequence
from inspect import unwrap

import pytest

from assets.evaluation.gap_curves import curve_row
from assets.evaluation.gap_reports import score_groups
from assets.reports.assets import report_scaling
from assets.reports.collecting import by_benchmark, correlations, reported_curves, reported_gaps
from assets.reports.student_comparison import ablations, compared_students, relation, student_facts
from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.experiment.keys import ArtifactKey
from gsr_dagster.method.candidate_pool import CandidatePool
from gsr_dagster.method.scoring.gap_summary import gap_summary
from resources.reporting.figures.gap_plots import gap_parts_plot
from resources.reporting.figures.scaling_plots import gap_against_parameters
from resources.reporting.report_page import DIAGNOSTICS, Report, render_report
from resources.reporting.report_rows import stored_gaps
from resources.store.artifacts import ArtifactStore
from resources.store.manifests import Recipe

PROBLEMS, SAMPLES = 20, 8
ROLLOUT = {"temperature": 0.7, "max_new_tokens": 32}
STUDENT = {
    "base": "qwen-7b",
    "teacher": "qwq-32b",
    "candidates": {**ROLLOUT, "samples": 4},
    "refinements": {**ROLLOUT, "samples": 4},
    "solutions": {**ROLLOUT, "samples": 4},
}


def model(parameters: float | None) -> dict:
    size = {"parameters": parameters} if parameters else {}
    return {"source": "hf:a/b@main", **size, "engine": {"kind": "vllm"}}


def document(sizes: Sequence[float | None] = (1.5e9, 7.6e9, 14.8e9, 32.8e9)) -> dict:
    problem_set = {"source": "reasoning-gym:chain_sum", "problems": PROBLEMS, "samples": SAMPLES}
    return {
        "name": "compared",
        "k": 4,
        "ks": [2, 8],
        "families": {
            "qwen": {"1.5b": model(sizes[0]), "7b": model(sizes[1]), "14b": model(sizes[2])},
            "qwq": {"32b": model(sizes[3])},
        },
        "benchmarks": {
            "aime": problem_set,
            "math": {**problem_set, "problems": 2 * PROBLEMS},
            "knights": {**problem_set, "out_of_distribution": True},
        },
        "evaluation": {"direct": ROLLOUT, "refinement": ROLLOUT, "candidate_tokens": 256},
        "training_problems": {"source": "reasoning-gym:chain_sum", "problems": 8},
        "students": {
            "qwen-7b-gsr": STUDENT,
            "qwen-7b-direct": {**STUDENT, "rows": "direct"},
            "qwen-7b-refine": {**STUDENT, "rows": "refinement"},
            "qwen-14b-gsr": {**STUDENT, "base": "qwen-14b", "candidates_from": "qwen-7b"},
            "qwen-1.5b-gsr": {**STUDENT, "base": "qwen-1.5b", "candidates_from": "qwq-32b"},
        },
    }


class Evaluated:
    """A store with graded candidates, gap reports and curves of every subject, drawn by a seed."""

    def __init__(self, root: str, students: int, *sizes: float | None):
        every = document(sizes) if sizes else document()
        every["students"] = dict(list(every["students"].items())[:students])
        self.experiment = Experiment.model_validate(every)
        self.store = ArtifactStore(root=root)
        for benchmark, settings in self.experiment.benchmarks.items():
            for lane, subjects in (("base", self.experiment.models), ("student", self.experiment.students)):
                for number, subject in enumerate(subjects):
                    skill = 0.25 + 0.1 * number + (0.1 if lane == "student" else 0)
                    self.evaluate(lane, benchmark, subject, settings.problems, skill)
        for name, student in self.experiment.students.items():
            counts = {"hybrid": (60, 60), "refinement": (60, 0), "direct": (0, 90)}[student.rows]
            self.put_training(name, *counts)

    def put(self, key: ArtifactKey, rows: list[dict], summary: dict | None = None) -> None:
        recipe = Recipe(key, settings={})
        self.store.publish(recipe, [self.store.put_shard(recipe, rows)], summary or {})

    def evaluate(self, lane: str, benchmark: str, subject: str, problems: int, skill: float) -> None:
        rng = random.Random(f"{benchmark} {subject}")
        hardness = {f"{benchmark}/{i:02d}": rng.betavariate(2 * skill, 2 - 2 * skill) for i in range(problems)}

        def sample(problem_id: str, chance: float, **columns) -> dict:
            correct = rng.random() < chance
            verdict = {"correct": correct, "verdict": "correct" if correct else "incorrect", "answer": "1"}
            answer_class = 0 if correct else rng.randint(1, 4)
            tokens = {"generated_tokens": rng.randint(50, 200)}
            return {**columns, **verdict, **tokens, "problem_id": problem_id, "answer_class": answer_class}

        graded = [
            sample(problem_id, chance, candidate_id=f"{subject}/{problem_id}/{index}", sample_index=index)
            for problem_id, chance in hardness.items()
            for index in range(SAMPLES)
        ]
        groups, refined = {}, {}
        for k in (self.experiment.k, *self.experiment.further_ks):
            label = subject if k == self.experiment.k else f"{subject}/k{k}"
            pool = CandidatePool.of(label, graded, k, self.experiment.seed)
            rows = [
                sample(
                    group.problem_id,
                    min(1, hardness[group.problem_id] + skill / 5),
                    prompt_id=group.id,
                    refinement_id=f"{group.id}/0",
                    candidate_ids=[],
                )
                for group, _ in pool.groups
            ]
            groups[k], refined[k] = score_groups(pool, rows)
        partition = f"{benchmark}|{subject}"
        main = self.experiment.k
        self.put(ArtifactKey(f"{lane}/graded_candidates", partition), graded)
        untold = dict.fromkeys(DIAGNOSTICS)  # without texts none can be told
        scores = gap_summary(CandidatePool.of(subject, graded, main, self.experiment.seed), groups[main], 0)
        self.put(
            ArtifactKey(f"{lane}/gap_reports", partition), refined[main], {**scores.document(), "diagnostics": untold}
        )
        curve = [curve_row(k, groups[k], self.experiment.seed) for k in self.experiment.further_ks]
        self.put(ArtifactKey(f"{lane}/gap_curves", partition), curve)

    def put_training(self, student: str, refinements: int, direct: int) -> None:
        counted = {
            "teacher_refinements": 100,
            "correct_refinements": 70,
            "over_long_refinements": 0,
            "kept_refinements": 70,
            "kept_solutions": 90,
            "kept_from_all_wrong_groups": 3,
            "teacher_solutions": 100,
            "correct_solutions": 90,
            "refinement_rows": refinements,
            "direct_rows": direct,
        }
        self.put(ArtifactKey("training_sets", student), [{"row": i} for i in range(refinements + direct)], counted)
        history = [{"step": step, "loss": 1 / step, "learning_rate": 1e-4} for step in range(1, 20)]
        self.put(ArtifactKey("lora_checkpoints", student), history)

    def rows(self, asset: str, benchmark: str, subject: str) -> list[dict]:
        return self.store.read(ArtifactKey(asset, f"{benchmark}|{subject}"))

    def page(self) -> str:
        lanes = ("base", "student")
        gaps = [row for lane in lanes for row in reported_gaps(self.experiment, self.store, lane)]
        report = Report(
            self.experiment,
            by_benchmark(self.experiment, gaps),
            curves=[row for lane in lanes for row in reported_curves(self.experiment, self.store, lane)],
            correlations=correlations(self.experiment, reported_gaps(self.experiment, self.store, "base")),
            comparison=compared_students(self.experiment, self.store),
            facts=student_facts(self.experiment, self.store),
            ablations=ablations(self.experiment),
        )
        return render_report(report)


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory) -> Evaluated:
    return Evaluated(str(tmp_path_factory.mktemp("compared")), students=5)


def test_a_comparison_holds_both_means_and_their_difference_over_the_same_problems(evaluated):
    rows = compared_students(evaluated.experiment, evaluated.store)
    assert len(rows) == 5 * 3
    for row in rows:
        groups = {
            "base": evaluated.rows("base/gap_reports", row.benchmark, row.base),
            "student": evaluated.rows("student/gap_reports", row.benchmark, row.student),
        }
        gap = {lane: sum(g["refined"] - g["vote"] for g in of_lane) / len(of_lane) for lane, of_lane in groups.items()}
        score = row.refinement_gap
        assert (score.base, score.student) == pytest.approx((gap["base"], gap["student"]))
        assert score.estimate == pytest.approx(gap["student"] - gap["base"])
        assert score.low <= score.estimate <= score.high
        assert score.estimate == pytest.approx(row.self_ref_at_k.estimate - row.maj_at_k.estimate)
        assert row.problems == evaluated.experiment.benchmarks[row.benchmark].problems
        assert row.out_of_distribution == (row.benchmark == "knights")


def test_a_student_is_told_by_whose_candidates_it_learned_from(evaluated):
    students = evaluated.experiment.students
    found = {name: relation(evaluated.experiment, student) for name, student in students.items()}
    assert found["qwen-7b-gsr"] == found["qwen-7b-direct"] == "own candidates"
    assert found["qwen-14b-gsr"] == "transfer across scales"
    assert found["qwen-1.5b-gsr"] == "transfer across families"


def test_an_ablation_is_of_students_that_differ_in_their_rows_and_in_nothing_else():
    every = document()
    assert ablations(Experiment.model_validate(every)) == [["qwen-7b-gsr", "qwen-7b-direct", "qwen-7b-refine"]]
    every["students"]["qwen-7b-direct"]["training"] = {"epochs": 5}
    assert ablations(Experiment.model_validate(every)) == [["qwen-7b-gsr", "qwen-7b-refine"]]
    every["students"]["qwen-7b-refine"]["rows"] = "hybrid"
    assert ablations(Experiment.model_validate(every)) == []


def test_the_page_tells_transfer_ablation_and_what_is_out_of_distribution(evaluated):
    page = evaluated.page()
    told = re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", page))
    for row in compared_students(evaluated.experiment, evaluated.store):
        assert f"{row.student} {row.relation}" in told
    assert "knights out of distribution" in told
    assert "direct solutions only qwen-7b-direct 90 20" in told
    assert "The students have different numbers of training rows" in told
    assert "transfer across families" in told


def test_the_bars_of_a_model_add_up_to_its_gap(evaluated):
    gaps = reported_gaps(evaluated.experiment, evaluated.store, "base")
    (axes, *_) = unwrap(gap_parts_plot)([gap for gap in gaps if gap.benchmark == "aime"]).axes
    drawn = [sum(bar.get_height() for bar in bars) for bars in axes.containers]
    assert drawn == pytest.approx([100 * gap.refinement_gap for gap in gaps if gap.benchmark == "aime"])
    assert any(abs(height) > 1 for height in drawn)


def test_without_students_the_page_tells_of_the_models_alone(tmp_path):
    page = Evaluated(str(tmp_path), students=0).page()
    assert "How the gap scales" in page
    assert "Students beside" not in page
    assert "Training" not in page


def told(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", page))


def test_models_of_unknown_size_stand_in_tables_and_in_no_curve_against_size(tmp_path):
    evaluated = Evaluated(str(tmp_path), 0, 1.5e9, None, 14.8e9, None)
    gaps = reported_gaps(evaluated.experiment, evaluated.store, "base")
    found = correlations(evaluated.experiment, gaps)
    assert {(c["parameters"].points, c["pass_at_1"].points) for c in found.values()} == {(2, 4)}
    page = evaluated.page()
    assert "The number of parameters of qwen-7b, qwq-32b is unknown: no curve against it holds them." in told(page)
    assert 'alt="The Refinement Gap against parameters"' in page
    figure = unwrap(gap_against_parameters)(gaps, found)
    drawn = [axes for axes in figure.axes if axes.get_title()]
    assert len(drawn) == 3
    for axes in drawn:
        assert axes.get_title().endswith("2 of unknown size left out")
        assert [line.get_label() for line in axes.lines if not line.get_label().startswith("_")] == ["qwen"]
        assert sorted(x for line in axes.lines if line.get_label() == "qwen" for x in line.get_xdata()) == [
            1.5e9,
            14.8e9,
        ]
    rows = [row["parameters"] for row in stored_gaps(gaps)]
    assert rows[:4] == [1.5e9, None, 14.8e9, None]


@pytest.mark.parametrize("sizes", [(None, None, None, None), (None, 7.6e9, None, None)])
def test_where_fewer_than_two_sizes_are_known_a_sentence_stands_for_the_curve(tmp_path, sizes):
    evaluated = Evaluated(str(tmp_path), 0, *sizes)
    page = evaluated.page()
    assert "With fewer than two known sizes there is no curve." in told(page)
    assert 'alt="The Refinement Gap against parameters"' not in page
    assert 'alt="The Refinement Gap against pass@1"' in page
    made = report_scaling(evaluated.experiment, evaluated.store)
    assert "gap_against_parameters" not in made.metadata
    assert "unknown" in made.metadata["of_unknown_size"]
    recipe = Recipe(ArtifactKey("refinement_gap_scaling"), settings={})
    evaluated.store.publish(recipe, [evaluated.store.put_shard(recipe, made.rows)], made.summary)
    assert len(evaluated.store.read(recipe.key)) == 12


def test_where_every_size_is_known_nothing_is_said_of_it(evaluated):
    assert "unknown" not in told(evaluated.page())
