"""The 31 provinces of the mainland: who lives there, and how far their capitals are apart."""

from __future__ import annotations

from dataclasses import dataclass
from math import asin, cos, radians, sin, sqrt

EARTH_KM = 6_371.0
FIBRE_KM_A_MS = 200.0
"""Light in glass goes so far in a millisecond."""
DETOUR = 1.6
"""Lines are so much longer than the straight way, and are switched on the way."""


@dataclass(frozen=True)
class Province:
    """One province: millions of people (census of 2020) and where its capital lies, degrees."""

    name: str
    people_m: float
    latitude: float
    longitude: float


PROVINCES = tuple(
    Province(*row)
    for row in (
        ("guangdong", 126.0, 23.1, 113.3),
        ("shandong", 101.5, 36.7, 117.0),
        ("henan", 99.4, 34.8, 113.6),
        ("jiangsu", 84.7, 32.1, 118.8),
        ("sichuan", 83.7, 30.7, 104.1),
        ("hebei", 74.6, 38.0, 114.5),
        ("hunan", 66.4, 28.2, 112.9),
        ("zhejiang", 64.6, 30.3, 120.2),
        ("anhui", 61.0, 31.8, 117.2),
        ("hubei", 57.8, 30.6, 114.3),
        ("guangxi", 50.1, 22.8, 108.4),
        ("yunnan", 47.2, 25.0, 102.7),
        ("jiangxi", 45.2, 28.7, 115.9),
        ("liaoning", 42.6, 41.8, 123.4),
        ("fujian", 41.5, 26.1, 119.3),
        ("shaanxi", 39.5, 34.3, 108.9),
        ("guizhou", 38.6, 26.6, 106.7),
        ("shanxi", 34.9, 37.9, 112.5),
        ("chongqing", 32.1, 29.6, 106.5),
        ("heilongjiang", 31.9, 45.8, 126.5),
        ("xinjiang", 25.9, 43.8, 87.6),
        ("gansu", 25.0, 36.1, 103.8),
        ("shanghai", 24.9, 31.2, 121.5),
        ("jilin", 24.1, 43.9, 125.3),
        ("inner-mongolia", 24.0, 40.8, 111.7),
        ("beijing", 21.9, 39.9, 116.4),
        ("tianjin", 13.9, 39.1, 117.2),
        ("hainan", 10.1, 20.0, 110.3),
        ("ningxia", 7.2, 38.5, 106.2),
        ("qinghai", 5.9, 36.6, 101.8),
        ("tibet", 3.6, 29.7, 91.1),
    )
)


def one_way_ms(here: Province, there: Province) -> float:
    """Return how long a message takes from one capital to the other, milliseconds."""
    return 0.5 + _distance_km(here, there) * DETOUR / FIBRE_KM_A_MS


def _distance_km(here: Province, there: Province) -> float:
    up = radians(there.latitude - here.latitude) / 2
    across = radians(there.longitude - here.longitude) / 2
    chord = sin(up) ** 2 + cos(radians(here.latitude)) * cos(radians(there.latitude)) * sin(across) ** 2
    return 2 * EARTH_KM * asin(sqrt(chord))
