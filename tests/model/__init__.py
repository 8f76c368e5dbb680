"""The real server against a model of what it promises, one step after another and many at once."""
