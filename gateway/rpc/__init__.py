"""The only importer of grpc: servers, channels, identity of calls, errors to statuses."""
