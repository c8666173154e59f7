"""What a project tests its workflows with: hosts in the event loop of a test, on a real journal.

pytest finds `plugin` by itself. Nothing of the product imports this. See docs/testing-workflows.md.
"""
