"""What holds for every test."""

from __future__ import annotations

from hypothesis import settings

# How long one case takes says more about the machine than about the code: what must be fast is in bench/.
settings.register_profile("repository", deadline=None)
settings.load_profile("repository")
