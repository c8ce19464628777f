"""The model card of a student: its metadata as the hub reads it, and a text that stays Markdown whatever is named in it."""

import copy
import dataclasses
from pathlib import Path

import pytest
from huggingface_hub import ModelCard
from markdown_it import MarkdownIt

from assets.teaching.teaching_run import TeachingRun
from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.experiment.keys import ArtifactKey
from gsr_dagster.method.prompting.prompts import direct_request, refinement_request
from gsr_dagster.operations.exporting.card_facts import student_card
from resources.reporting.cards.model_card import StudentCard, render_card
from tests.school import STUDENT, School

HOSTILE = "```\n<script>alert(1)</script>\n---\n# Not a heading\n````\n| no | row |"


@pytest.fixture
def school(finished_school: School, tmp_path: Path) -> School:
    return finished_school.copy(tmp_path / "artifacts")


def card_of(school: School, whole: bool = False) -> StudentCard:
    return student_card(TeachingRun(school.experiment, school.store, STUDENT), whole)


def of_experiment(card: StudentCard, school: School, **changes: dict) -> StudentCard:
    """Return the card as it would be with parts of the experiment changed."""
    written = copy.deepcopy(school.written)
    for section, change in changes.items():
        written[section] |= change
    return dataclasses.replace(card, experiment=Experiment.model_validate(written))


def read(card: StudentCard, folder: Path) -> ModelCard:
    (folder / "README.md").write_text(render_card(card), encoding="utf-8")
    return ModelCard.load(folder / "README.md")


def tables(text: str) -> list[list[list[str]]]:
    """Return the tables of a Markdown text as a reader sees them: rows of cells, the head first."""
    found, cell = [], ""
    for token in MarkdownIt("commonmark").enable("table").parse(text):
        if token.type == "table_open":
            found.append([])
        elif token.type == "tr_open":
            found[-1].append([])
        elif token.type == "inline":
            cell = "".join(part.content for part in token.children or ())
        elif token.type in ("td_close", "th_close"):
            found[-1][-1].append(cell)
            cell = ""
    return found


def test_the_hub_reads_the_scores_as_the_gap_report_has_them(school, tmp_path):
    data = read(card_of(school), tmp_path).data
    summary = school.store.existing(ArtifactKey("student/gap_reports", f"sums|{STUDENT}")).summary
    assert data.model_name == STUDENT
    assert (data.library_name, data.pipeline_tag, data.license) == ("peft", "text-generation", "unknown")
    assert data.tags == ["generative-self-refinement", "lora"]
    assert data.base_model is data.datasets is None
    scores = {
        "pass@1": "pass_at_1",
        "maj@2": "maj_at_k",
        "selfRef@2": "self_ref_at_k",
        "Refinement Gap": "refinement_gap",
    }
    results = {result.metric_type: result for result in data.eval_results}
    assert set(results) == set(scores)
    for label, score in scores.items():
        interval, result = summary["intervals"][score], results[label]
        assert result.metric_value == pytest.approx(100 * summary[score], abs=0.051)
        bounds = [100 * interval["low"], 100 * interval["high"]]
        assert result.metric_args["interval_95"] == pytest.approx(bounds, abs=0.051)
        assert (result.dataset_type, result.dataset_name) == ("sums", "sums")


def test_a_base_and_data_of_the_hub_are_named_by_their_repositories_and_licences(school, tmp_path):
    card = of_experiment(
        card_of(school),
        school,
        families={"llama": {**school.written["families"]["llama"], "tiny": {"source": "hf:org/tiny@v1.0"}}},
        training_problems={"source": "hub:openmathreasoning"},
        benchmarks={"sums": {"source": "hub:math500", "samples": 4}},
    )
    read_back = read(card, tmp_path)
    data, text = read_back.data, read_back.text
    assert (data.base_model, data.datasets) == ("org/tiny", ["nvidia/OpenMathReasoning"])
    assert "trained from org/tiny at the revision v1.0." in text
    assert "licence: CC-BY-4.0" in text
    (result, *_) = data.eval_results
    assert (result.dataset_type, result.dataset_split, result.dataset_name) == (
        "HuggingFaceH4/MATH-500",
        "test",
        "sums",
    )
    assert result.dataset_revision == "6e4ed1a2a79af7d8630a6b768ec859cb5af4d3be"
    problems = next(table for table in tables(text) if table[0] == ["benchmark", "problems", "licence"])
    assert problems[1][0::2] == ["sums", "MIT"]


def test_the_table_holds_student_and_base_with_their_intervals(school, tmp_path):
    scores = tables(read(card_of(school), tmp_path).text)[0]
    assert scores[0] == ["benchmark", "model", "problems", "pass@1", "maj@2", "selfRef@2", "pass@2", "gap"]
    assert [row[:2] for row in scores[1:]] == [["sums", "llama-tiny"], ["sums", STUDENT]]
    interval = school.store.existing(ArtifactKey("student/gap_reports", f"sums|{STUDENT}")).summary["intervals"]
    gap = interval["refinement_gap"]
    low, high = (f"{100 * gap[bound]:.1f}".replace("-", "−") for bound in ("low", "high"))
    assert scores[2][-1] == f"{100 * gap['estimate']:+.1f} [{low}, {high}]".replace("-", "−")


def test_the_prompts_stand_there_as_they_are_sent_with_the_solved_problems_before(school, tmp_path):
    blocks = [
        token.content.removesuffix("\n")
        for token in MarkdownIt("commonmark").parse(read(card_of(school), tmp_path).text)
        if token.type == "fence"
    ]
    assert blocks == [
        direct_request("What is 1 + 1?"),
        "The answer is \\boxed{2}.",
        direct_request("{problem}"),
        refinement_request("{problem}", ["{candidate 1}", "{candidate 2}"]),
    ]


def test_teacher_settings_counts_lineage_and_versions_are_those_of_the_manifests(school, tmp_path):
    text = read(card_of(school), tmp_path).text
    assert "Teacher: llama-big (local weights)\n" in text
    made = {row[0]: row[1] for table in tables(text) for row in table if len(row) == 2}
    counts = school.store.existing(ArtifactKey("training_sets", STUDENT)).summary
    assert made["refinements in the training set"] == str(counts["refinement_rows"])
    assert made["refinements that the teacher wrote"] == str(counts["teacher_refinements"])
    checkpoint = school.store.existing(ArtifactKey("lora_checkpoints", STUDENT))
    assert made["LoRA rank"] == "16"
    assert made["learning_rate"] == str(checkpoint.settings["training"]["learning_rate"])
    lineage = {row[1]: row[3] for row in tables(text)[-1][1:]}
    for asset in (
        "lora_checkpoints",
        "training_sets",
        "teacher_refinements",
        "teacher_solutions",
        "training_candidates",
    ):
        assert lineage[f"{asset}[{STUDENT}]"] == school.store.data_version(ArtifactKey(asset, STUDENT))
    assert f"- transformers {checkpoint.versions['transformers']}\n" in text


def test_a_student_without_scores_has_a_card_that_says_so(school, tmp_path):
    (Path(school.store.root) / "student/gap_reports/sums" / STUDENT / "manifest.json").unlink()
    card = read(card_of(school), tmp_path)
    assert "Not evaluated yet: there is no score of these weights." in card.text
    assert card.data.eval_results is None


def test_scores_of_the_weights_before_a_training_are_not_told(school, tmp_path):
    school.rewrite("lora_checkpoints", STUDENT, lambda rows: rows[:-1])
    card = card_of(school)
    assert [gap.subject for gap in card.gaps] == ["llama-tiny"]
    assert "Not evaluated yet" in read(card, tmp_path).text


def test_scores_of_other_rollout_settings_than_the_file_has_are_not_told(school):
    written = copy.deepcopy(school.written)
    written["evaluation"]["refinement"] = {"temperature": 0.1, "max_new_tokens": 64}
    run = TeachingRun(Experiment.model_validate(written), school.store, STUDENT)
    assert student_card(run, whole=False).gaps == []


def test_how_a_student_that_thinks_is_asked_is_told_as_the_file_says_it(school, tmp_path):
    thinker = {
        "source": "hf:org/tiny@v1.0",
        "thinking_end": "</think>",
        "chat_template_kwargs": {"enable_thinking": True},
    }
    card = of_experiment(
        card_of(school, whole=True),
        school,
        families={"llama": {**school.written["families"]["llama"], "tiny": thinker}},
        evaluation={"direct": {"temperature": 0.6, "max_new_tokens": 64, "stop": ["<end>"]}},
        training_problems={"students_see_examples": False},
    )
    text = read(card, tmp_path).text
    assert 'its chat template, which gets `{"enable_thinking": true}`.' in text
    assert "the text of a direct answer after its last `</think>`, without" in text
    assert '`{"temperature": 0.6, "top_p": 0.95, "max_new_tokens": 64, "stop": ["<end>"]}`' in text
    assert "This folder holds all of its weights." in text
    assert text.count("```text") == 2, "no solved problem stands before the prompts"
    assert "Other solved problems" not in text


def test_two_teachers_whole_weights_and_overlapping_problems_are_told(school, tmp_path):
    card = card_of(school, whole=True)
    (base, own) = card.gaps
    settings = {**card.checkpoint.settings, "lora": None}
    card = dataclasses.replace(
        card,
        checkpoint=card.checkpoint.model_copy(update={"settings": settings}),
        gaps=[base, dataclasses.replace(own, by_overlap={"overlapping": dataclasses.replace(own, problems=3)})],
    )
    student = {
        **school.written["students"][STUDENT],
        "teacher": {"refinements": "llama-big", "solutions": "llama-tiny"},
    }
    text = read(of_experiment(card, school, students={STUDENT: student}), tmp_path).text
    assert "Teacher: llama-big (local weights), llama-tiny (local weights)\n" in text
    assert "| LoRA | none, all weights were trained |" in text
    assert "On sums, 3 of 24 problems overlap with training problems." in text


def test_a_base_that_was_shown_how_to_answer_is_said_to_have_been(school, tmp_path):
    shown = {"worked_examples": [{"problem": "1?", "solution": "1"}]}
    benchmarks = {"sums": {**school.written["benchmarks"]["sums"], **shown}}
    said = "llama-tiny was shown solved problems or refinements before each prompt that llama-student was not shown"
    assert said not in read(of_experiment(card_of(school), school, benchmarks=benchmarks), tmp_path).text
    benchmarks["sums"]["students_see_examples"] = False
    assert said in read(of_experiment(card_of(school), school, benchmarks=benchmarks), tmp_path).text


def test_what_strangers_wrote_changes_nothing_of_the_card_around_it(school, tmp_path):
    hostile = {"problem": HOSTILE, "solution": HOSTILE}
    card = of_experiment(
        card_of(school),
        school,
        training_problems={"source": f"file:{tmp_path}/a|b_*`<i>x`.jsonl", "worked_examples": [hostile]},
        families={
            "llama": {
                **school.written["families"]["llama"],
                "big": {"engine": {"kind": "openai", "base_url": "http://x/v1", "model": "m\n# y|<b>[z](http://z)"}},
            }
        },
    )
    plain = read(card_of(school), tmp_path)
    text = read(card, tmp_path).text
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    headings = [token.tag for token in tokens if token.type == "heading_open"]
    assert headings == [t.tag for t in MarkdownIt("commonmark").parse(plain.text) if t.type == "heading_open"]
    parts = [part.type for token in tokens for part in token.children or ()]
    assert not {"html_inline", "image"} & set(parts)
    assert "html_block" not in {token.type for token in tokens}
    assert parts.count("link_open") == 1, "that of the paper"
    assert [len(table) for table in tables(text)] == [len(table) for table in tables(plain.text)]
    blocks = [token.content for token in tokens if token.type == "fence"]
    assert blocks[0] == f"{direct_request(HOSTILE)}\n"
    assert blocks[1] == f"{HOSTILE}\n"
    assert str(tmp_path) not in text
