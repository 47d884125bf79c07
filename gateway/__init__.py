"""Federated gateway between credit banks."""

from importlib.metadata import version

__version__ = version("credit-exchange-gateway")
