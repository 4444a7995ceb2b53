"""The recorder: hears the lines and writes growing recordings. It can read none of them back."""
