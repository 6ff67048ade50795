from __future__ import annotations

import pytest

from litesmith.base.errors import UsageError
from litesmith.model import zoo


@pytest.mark.parametrize(
    ("name", "short"), [("vww", "vww"), ("visual_wake_words", "vww"), ("keyword_spotting", "kws")]
)
def test_zoo_names(name: str, short: str) -> None:
    assert zoo.find(name).name == short


def test_an_unknown_zoo_model() -> None:
    with pytest.raises(UsageError, match="no model 'vvw'") as caught:
        zoo.find("vvw")
    assert caught.value.next_step == "perhaps you meant 'vww'"
