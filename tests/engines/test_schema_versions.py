"""What a store's tables must be is said once in code, and by the migrations: both agree."""

from pathlib import Path

import pytest
from alembic.script import ScriptDirectory

from gateway.storage import migrate


@pytest.mark.parametrize("store", ["node", "records"])
def test_the_head_is_the_newest_migration(store: migrate.Store) -> None:
    folder = Path(migrate.__file__).parent / "migrations" / store
    assert migrate.HEADS[store] == ScriptDirectory(folder).get_current_head()
