"""What makes exchanges of bytes, for users of plain Python."""
