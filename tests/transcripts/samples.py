"""Samples that others published. They are no part of the repository: present where somebody put them."""

from __future__ import annotations

import os
from pathlib import Path

VARIABLE = "CREDIT_GATEWAY_SAMPLES"


def find_samples() -> Path | None:
    """The folder named by the variable, else ``shared/samples`` beside a folder above this repository."""
    given = os.environ.get(VARIABLE)
    places = [Path(given)] if given else [above / "shared" / "samples" for above in Path(__file__).parents]
    return next((place for place in places if place.is_dir()), None)


def sample_files(*patterns: str) -> list[Path]:
    """Files of the samples that match; none when there are no samples."""
    folder = find_samples()
    return sorted(path for pattern in patterns for path in folder.glob(pattern)) if folder else []
