"""What a person types: one file a command, each with `add` (its arguments) and what runs it.

Each loads what it needs when it runs, since a daemon is started by a command too and must stay small.
"""
