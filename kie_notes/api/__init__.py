"""The edge to the service: HTTP, its JSON, its callbacks, and a stand-in of it for tests."""
