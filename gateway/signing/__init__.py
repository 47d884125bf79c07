"""Bytes and keys: envelopes, key files, the table of suites. Knows neither gRPC nor SQL nor peers."""
