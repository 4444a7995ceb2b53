"""What can be heard on a line: sounds go in, and what they are comes out. Pure."""
