"""Where a store lies: in a local folder, or in a bucket."""

from pathlib import Path

from resources.store.files import cache_folder
from resources.store.local_objects import LocalObjects
from resources.store.objects import Objects
from resources.store.s3_objects import S3Objects


def open_objects(root: str) -> Objects:
    """Return the objects under a local folder or s3://BUCKET/PREFIX.

    S3's endpoint, region and credentials are found the usual way: AWS_* variables,
    profiles, roles.
    """
    if root.startswith("s3://"):
        from dagster_aws.s3 import S3Resource

        return S3Objects(root, S3Resource().get_client(), cache_folder() / "s3")
    return LocalObjects(Path(root))
