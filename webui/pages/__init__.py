"""One file a page; each is a class that gets what it uses through its constructor."""
