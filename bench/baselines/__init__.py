"""What an exchange is compared with; each runs as a process of its own."""
