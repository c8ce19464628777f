"""The viewer's pages over an experiment that was run: each leads to the next, and none runs what a model wrote."""

import json
import re
from pathlib import Path
from urllib.parse import quote

import pytest
from starlette.testclient import TestClient

from gsr_dagster.experiment.keys import ArtifactKey, EvaluationKey
from gsr_dagster.viewing.app import viewer
from tests.school import STUDENT, play

BASE = "http://localhost"
EVALUATION = "/school/groups/sums/llama-tiny"
HOSTILE = "</pre><script>alert(1)</script><img src=x onerror=alert(1)> {{ 7*7 }} \\boxed{<b>9</b>}"


@pytest.fixture
def browser(school, monkeypatch) -> TestClient:
    monkeypatch.setenv("GSR_HOME", str(Path(school.store.root).parents[1]))
    monkeypatch.delenv("GSR_ARTIFACTS", raising=False)
    return TestClient(viewer([school.experiment]), BASE)


def links(html: str) -> list[str]:
    return [link.replace("&amp;", "&") for link in re.findall(r'href="([^"]+)"', html)]


def test_one_comes_from_the_first_page_to_a_group_by_links_alone(browser):
    assert "/school" in links(browser.get("/").text)
    overview = browser.get("/school").text
    assert f"{EVALUATION}?outcome=broken" in links(overview)
    groups = browser.get(f"{EVALUATION}?outcome=broken").text
    (first, *_) = [link for link in links(groups) if link.startswith("/school/group/")]
    assert first.endswith("&outcome=broken")
    group = browser.get(first)
    assert group.status_code == 200
    assert "broken" in group.text
    assert group.text.count("<article") == 3  # two candidates and their refinement


def test_the_prompt_is_shown_as_it_was_sent_by_its_hash(browser, monkeypatch):
    address = "/school/group/sums/llama-tiny?id=llama-tiny/sums/3-11/g0"
    monkeypatch.setattr("resources.engines.loading._loaded", {})
    play(monkeypatch)
    assert "As it was sent" not in browser.get(address).text
    shown = browser.get(f"{address}&prompt=shown").text
    assert "As it was sent, by its hash" in shown
    assert "2 candidates shortened" in shown
    assert "Candidate Response 2:" in shown
    monkeypatch.setattr("gsr_dagster.method.prompting.prompts.REFINE_ROLE", "Another wording.")
    assert "has another hash" in browser.get(f"{address}&prompt=shown").text


def test_a_prompt_whose_tokenizer_is_not_there_says_so(browser, monkeypatch):
    monkeypatch.setattr("resources.engines.loading._loaded", {})
    address = "/school/group/sums/llama-tiny?id=llama-tiny/sums/3-11/g0&prompt=shown"
    assert "the model&#39;s tokenizer cannot be loaded here" in browser.get(address).text


def test_a_student_stands_beside_its_base_on_the_same_problem(browser):
    group = browser.get(f"/school/group/sums/llama-tiny?id=llama-tiny/sums/3-11/g0&beside={STUDENT}").text
    assert f"{STUDENT}: " in group
    assert "llama-tiny: " in group
    assert group.count("<article") == 6


def test_a_training_row_says_why_it_is_there(browser):
    rows = browser.get(f"/school/training/{STUDENT}?kind=refinement").text
    (row, *_) = [link for link in links(rows) if link.startswith("?row=")]
    shown = browser.get(f"/school/training/{STUDENT}{row}").text
    assert "kept because it is right and ended by itself" in shown
    assert "What it learns to write" in shown


def test_a_training_row_leads_to_its_problem_its_candidates_and_its_checkpoint(browser, school):
    learned = school.store.read(ArtifactKey("training_sets", STUDENT))
    row = next(row for row in learned if row["kind"] == "refinement")
    shown = browser.get(f"/school/training/{STUDENT}", params={"row": row["row_id"]}).text
    places = [link for link in links(shown) if link.startswith("#")]
    assert places == ["#problem", "#candidates", "#prompt", "#learned", "#beside", "#checkpoint"]
    assert all(f'<h2 id="{place[1:]}"' in shown for place in places)
    assert [f"<b>{name}</b>" in shown for name in row["candidate_ids"]] == [True] * len(row["candidate_ids"])
    version = school.store.data_version(ArtifactKey("lora_checkpoints", STUDENT))
    assert f"lora_checkpoints[{STUDENT}] {version[:12]}" in shown
    assert f"/school/groups/sums/{STUDENT}" in links(shown)
    (of_problem,) = [link for link in links(shown) if link.startswith("?problem_id=")]
    found = [link for link in links(browser.get(f"/school/training/{STUDENT}{of_problem}").text) if "?row=" in link]
    assert len(found) == sum(other["problem_id"] == row["problem_id"] for other in learned)


def test_a_training_row_leads_to_the_others_of_its_prompt(browser):
    rows = [link for link in links(browser.get(f"/school/training/{STUDENT}").text) if link.startswith("?row=")]
    pages = {row: browser.get(f"/school/training/{STUDENT}{row}").text for row in rows}
    beside = {row: [link for link in links(page) if link.startswith("?row=")] for row, page in pages.items()}
    assert any(beside.values())
    for row, others in beside.items():
        assert "What else the teacher wrote to this prompt" in pages[row]
        assert all(row in beside.get(other, [row]) for other in others)  # and back


@pytest.mark.parametrize(
    ("address", "status", "said"),
    [
        ("/school/groups/sums/none", 404, "no model or student"),
        ("/school/groups/none/llama-tiny", 404, "no benchmark"),
        ("/school/group/sums/llama-tiny?id=%3Cscript%3E", 404, "&lt;script&gt;"),
        (f"{EVALUATION}?page=0", 400, "page"),
        (f"{EVALUATION}?outcome=odd", 400, "outcome"),
        ("/school/training/none", 404, "no student"),
        (f"/school/training/{STUDENT}?row=none", 404, "no row"),
        (f"/school/training/{STUDENT}?kind=odd", 400, "kind"),
        ("/none", 404, "No experiment"),
    ],
)
def test_an_address_that_leads_nowhere_says_so(browser, address, status, said):
    answer = browser.get(address)
    assert answer.status_code == status
    assert said in answer.text


def test_what_a_model_wrote_is_shown_and_never_run(school, tmp_path, monkeypatch):
    home = tmp_path / "home"
    other = school.copy(home / "artifacts" / "school")
    monkeypatch.setenv("GSR_HOME", str(home))

    def hostile(rows):
        return [{**row, **{name: HOSTILE for name in ("text", "summary", "answer") if name in row}} for row in rows]

    for asset in ("candidate_pools", "graded_candidates", "self_refinements", "gap_reports"):
        other.rewrite(f"base/{asset}", "sums|llama-tiny", hostile)
    browser = TestClient(viewer([other.experiment]), BASE)
    group = "/school/group/sums/llama-tiny?id=llama-tiny/sums/3-11/g0"
    for address in (EVALUATION, group, f"{EVALUATION}?text={quote(HOSTILE)}"):
        answer = browser.get(address)
        assert answer.status_code == 200
        assert "<script>alert" not in answer.text
        assert "<img" not in answer.text
        assert "script-src 'self'" in answer.headers["Content-Security-Policy"]
    assert "&lt;script&gt;alert(1)" in browser.get(group).text


def test_a_verdict_can_be_doubted_and_the_doubt_taken_back(browser, school):
    form = {"benchmark": "sums", "subject": "llama-tiny", "group": "llama-tiny/sums/3-11/g0"}
    form |= {"sample": "llama-tiny/sums/3-11/0", "note": "it is 14, 'really'"}
    answer = browser.post("/school/doubts", data=form, headers={"Origin": "http://localhost"})
    assert answer.status_code == 200  # the group again
    assert "Doubted: it is 14, &#39;really&#39;" in answer.text
    assert "1 verdict is doubted" in browser.get("/school").text
    assert "1 verdict is doubted" in browser.get("/school/report").text
    (line,) = browser.get("/school/doubts").text.splitlines()
    graded = {row["candidate_id"]: row for row in school.store.read(school_key("graded_candidates"))}
    row = graded["llama-tiny/sums/3-11/0"]
    assert json.loads(line) == {
        "lane": "base",
        "benchmark": "sums",
        "subject": "llama-tiny",
        "sample_id": "llama-tiny/sums/3-11/0",
        "problem_id": "sums/3-11",
        "domain": "math",
        "gold": "14",
        "answer": row["answer"],
        "verdict": row["verdict"],
        "note": "it is 14, 'really'",
    }
    browser.post("/school/doubts", data={**form, "note": " "}, headers={"Origin": "http://localhost"})
    assert "0 verdicts are doubted" in browser.get("/school").text


def school_key(asset: str):
    return EvaluationKey("base", "sums", "llama-tiny").artifact(asset)


@pytest.mark.parametrize("headers", [{}, {"Origin": "http://elsewhere.example"}, {"Origin": "null"}])
def test_a_form_of_another_site_changes_nothing(browser, headers):
    form = {"benchmark": "sums", "subject": "llama-tiny", "group": "llama-tiny/sums/3-11/g0"}
    answer = browser.post(
        "/school/doubts", data={**form, "sample": "llama-tiny/sums/3-11/0", "note": "x"}, headers=headers
    )
    assert answer.status_code == 403
    assert "0 verdicts are doubted" in browser.get("/school").text


def test_another_name_for_this_machine_reads_nothing_unless_the_viewer_was_given_it(browser, school, monkeypatch):
    other = {"Host": "gsr.example:8443"}
    assert browser.get("/school", headers=other).status_code == 400
    monkeypatch.setenv("GSR_VIEW_URL", "https://gsr.example:8443")
    assert TestClient(viewer([school.experiment]), BASE).get("/school", headers=other).status_code == 200


def test_a_damaged_shard_is_named_and_not_shown(school, tmp_path, monkeypatch):
    home = tmp_path / "home"
    other = school.copy(home / "artifacts" / "school")
    monkeypatch.setenv("GSR_HOME", str(home))
    shard = next(Path(other.store.root).glob("base/graded_candidates/sums/llama-tiny/*/shard-*.parquet"))
    shard.write_bytes(shard.read_bytes()[:-1] + b"?")
    answer = TestClient(viewer([other.experiment]), BASE).get(EVALUATION)
    assert answer.status_code == 404
    assert "damaged" in answer.text
