"""The regression check: whether a stored result passes, and is what it was."""
