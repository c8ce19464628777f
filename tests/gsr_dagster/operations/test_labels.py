import dagster as dg
import pytest
import yaml
from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleStatus
from dagster._core.test_utils import BasicLoadingContext

from gsr_dagster.definitions import build_definitions
from gsr_dagster.experiment.keys import page_key
from gsr_dagster.experiment.loading import SHIPPED, load_experiment


def test_every_asset_says_what_it_is_whose_and_of_which_family_and_code():
    experiment = load_experiment(SHIPPED / "demo.yaml")
    specs = build_definitions(experiment).resolve_all_asset_specs()
    assert len(specs) > 15
    for spec in specs:
        assert spec.description, spec.key
        assert spec.kinds, spec.key
        assert list(spec.owners) == ["team:gsr"]
        assert spec.tags["gsr/experiment"] == experiment.name
        assert spec.tags["gsr/family-smollm2"] == "135m_first"
        assert spec.code_version


EVALUATION = ("candidate_pools", "graded_candidates", "self_refinements", "gap_reports")


class Page:
    """What the page says of the recorded family, after its code location was loaded anew."""

    def __init__(self, family):
        self.family = family
        self.instance = dg.DagsterInstance.ephemeral()

    def run(self, job: str, partition: str) -> None:
        definitions = build_definitions(load_experiment(self.family.path))
        job_def = definitions.resolve_job_def(f"recorded_{job}")
        assert job_def.execute_in_process(instance=self.instance, partition_key=partition).success

    def change(self, **sections) -> None:
        document = yaml.safe_load(self.family.path.read_text())
        for name, section in sections.items():
            document[name] = {**document[name], **section} if isinstance(section, dict) else section
        self.family.path.write_text(yaml.safe_dump(document, sort_keys=False))

    def stale(self, partition: str = "short|qwen2.5-7b") -> set[str]:
        graph = build_definitions(load_experiment(self.family.path)).resolve_asset_graph()
        said = CachingStaleStatusResolver(self.instance, graph, BasicLoadingContext(self.instance))
        return {
            name
            for name in EVALUATION
            if said.get_status(page_key("recorded", f"base/{name}"), partition) is StaleStatus.STALE
        }


@pytest.fixture
def page(recorded_family, tmp_path, monkeypatch) -> Page:
    monkeypatch.setenv("GSR_HOME", str(tmp_path / "home"))
    recorded_family.write(samples=2)
    page = Page(recorded_family)
    page.run("benchmarks", "short")
    page.run("base_evaluation", "short|qwen2.5-7b")
    assert page.stale() == set()
    return page


def test_the_page_says_that_a_pool_is_stale_once_n_is_raised_until_it_is_made_again(page):
    page.family.write(samples=4)
    assert page.stale() == set(EVALUATION)
    page.run("base_evaluation", "short|qwen2.5-7b")
    assert page.stale() == set()


@pytest.mark.parametrize(
    "sections", [{"seed": 7}, {"evaluation": {"direct": {"temperature": 0.5, "max_new_tokens": 64}}}]
)
def test_the_page_says_that_all_is_stale_whose_rows_are_drawn_otherwise(page, sections):
    page.change(**sections)
    assert page.stale() == set(EVALUATION)


def test_what_only_refinements_are_shown_leaves_the_pool_as_it_is(page):
    page.change(evaluation={"candidate_tokens": 32})
    assert page.stale() == {"self_refinements", "gap_reports"}


def test_another_model_leaves_what_was_made_as_it_is(page):
    page.change(families={"others": {"8b": {"source": "path:nowhere", "parameters": 8}}})
    assert page.stale() == set()
