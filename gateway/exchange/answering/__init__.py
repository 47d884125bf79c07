"""The answering side: open, admit, authorise, find, translate, log, seal, count."""
