"""`gradient` 3.12.2 with strict response validation: snapshots of Droplets and of volumes, as one list."""

import gradient
import pytest

from harness import eventually, fresh_name
from test_gradient import act, checked, client, every_page, one  # noqa: F401 - fixtures

def test_snapshots_of_both_kinds_are_listed_read_and_deleted_snp_1(client, one):  # noqa: F811 - the fixtures
    snapshots, volumes = client.gpu_droplets.snapshots, client.gpu_droplets.volumes
    act(client, one.id, "snapshot", name="taken")
    image = str(client.gpu_droplets.retrieve(one.id).droplet.snapshot_ids[0])
    volume = volumes.create(name=fresh_name("volume"), region="nyc3", size_gigabytes=1).volume
    copy = volumes.snapshots.create(volume.id, name="copied").snapshot.id
    eventually(
        lambda: volumes.snapshots.retrieve(copy).snapshot, lambda seen: seen.size_gigabytes > 0, "snapshot that is taken",
    )
    ids = lambda **filters: [found.id for answer in every_page(snapshots.list, per_page=1, **filters)
                             for found in answer.snapshots]
    assert {image, copy} <= set(ids())
    assert image in ids(resource_type="droplet") and copy not in ids(resource_type="droplet")
    assert copy in ids(resource_type="volume") and image not in ids(resource_type="volume")
    for snapshot, resource in ((image, str(one.id)), (copy, volume.id)):
        seen = checked(snapshots.retrieve(snapshot)).snapshot
        assert (seen.id, seen.resource_id) == (snapshot, resource)
        snapshots.delete(snapshot)
        with pytest.raises(gradient.NotFoundError):
            snapshots.retrieve(snapshot)
    volumes.delete(volume.id)
