"""Our own tests use the kit that we ship."""

pytest_plugins = ["reductauth.testing"]
