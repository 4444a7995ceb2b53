"""One call, one file: its format, its sealing, its sound, and the folder it lies in. Knows no daemon."""
