import json

import pytest

from resources.engines.base import lora_room


@pytest.mark.parametrize(("rank", "room"), [(2, 8), (8, 8), (9, 16), (48, 64), (200, 256), (512, 512)])
def test_vllm_makes_room_for_the_next_rank_that_it_knows(tmp_path, rank, room):
    (tmp_path / "adapter_config.json").write_text(json.dumps({"r": rank}))
    assert lora_room(tmp_path) == room
