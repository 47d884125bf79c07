"""Declared credit schemes: loading, checking, and translating to and from the shared model."""
