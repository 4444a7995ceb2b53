"""The factory test: is this board what Linekeep needs? Imported by the command only, by no daemon."""
