"""What every site of a node is built on: layout, languages, sessions, forms, security headers.

A site (the operators' console, for example) brings routes, templates and words; this package brings the
rest. Pages are made on the server; no page runs a script of another host or one that stands inside it.
"""
