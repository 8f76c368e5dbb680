"""The official SDKs, unchanged, against real servers: Python's here, JavaScript's in node/."""
