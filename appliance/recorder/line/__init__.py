"""What goes on on a line, with whom, and whether it may be kept. Pure."""
