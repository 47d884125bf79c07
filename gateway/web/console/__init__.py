"""The operators' console: what a node does, whom it trusts and what it can prove, as web pages.

It reads the node's folder and database, its metrics page and its operator port, and holds no key of
the node. docs/console.md says what each page answers.
"""
