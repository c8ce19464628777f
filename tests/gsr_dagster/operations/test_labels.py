from gsr_dagster.definitions import build_definitions
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
        assert spec.tags["gsr/family-smollm2"] == "135m"
        assert spec.code_version
