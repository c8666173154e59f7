"""A separate project, into which the package is installed by the steps of docs/install.md."""
