"""The test kit of a project's workflows: hosts in a test's event loop, on a real journal.

pytest finds `plugin` by itself. Nothing of the product imports this. See docs/testing-workflows.md.
"""
