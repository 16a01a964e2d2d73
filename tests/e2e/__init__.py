"""End-to-end tests: the real binary against the stand-in of the API. How to run them: see harness.py."""
