"""One exchange, step by step, on the answering and on the asking side."""
