"""Small engines to copy from."""
