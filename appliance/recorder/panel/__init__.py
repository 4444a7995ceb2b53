"""The lamp and the button beside a line: what the box shows and takes where nobody has a page open."""
