"""Tests of what a Django project's own code does with runs. `sessions_app.runs`."""
