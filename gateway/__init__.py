"""Federated gateway between credit banks."""
