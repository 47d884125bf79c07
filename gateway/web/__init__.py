"""Plain HTTP for those who speak no gRPC: the log as tiles, the witness, and witnesses elsewhere."""
