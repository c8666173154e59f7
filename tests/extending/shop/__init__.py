"""An application of a project, in which all code of docs/extending.md stands."""
