"""The test kit for a project's workflows: hosts in a test's event loop, with a real journal.

pytest loads `plugin` through an entry point. The product never imports this package. See
docs/testing-workflows.md.
"""
