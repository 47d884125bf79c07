"""What the node tells its operator: metrics and log lines."""
