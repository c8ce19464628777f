"""The dependencies that Dagster is told of: only the direct ones, without those that follow from others.

An asset that depends on the problems and on a pool of samples of those problems depends on the pool alone: the
rest follows. A backfill on the page can then put the assets of a lane into one run a partition. If two assets of
the lane named the same problems, the backfill would launch each of them by itself. The manifest of an artifact
names everything that it is made from.
"""

from collections.abc import Sequence

import dagster as dg


def with_nearest_upstream(assets: Sequence[dg.AssetsDefinition]) -> list[dg.AssetsDefinition]:
    """Return the assets with the dependencies that are not implied by their others."""
    direct = {spec.key: {dep.asset_key for dep in spec.deps} for asset in assets for spec in asset.specs}
    above: dict[dg.AssetKey, set[dg.AssetKey]] = {}

    def all_above(key: dg.AssetKey) -> set[dg.AssetKey]:
        if key not in above:
            above[key] = direct.get(key, set()).union(*map(all_above, direct.get(key, ())))
        return above[key]

    def nearest(spec: dg.AssetSpec) -> dg.AssetSpec:
        # What is of another round implies nothing: each partition waits for some of its partitions only.
        of_round = [dep.asset_key for dep in spec.deps if dep.partition_mapping is None]
        implied: set[dg.AssetKey] = set().union(*map(all_above, of_round))
        return spec.replace_attributes(deps=[dep for dep in spec.deps if dep.asset_key not in implied])

    return [asset.map_asset_specs(nearest) for asset in assets]
