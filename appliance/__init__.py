"""Linekeep: the part that hears the line, the part that holds the keys, and what lies between them."""
