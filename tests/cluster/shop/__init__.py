"""A project with Procrastinate tasks and workers of its own, beside the chat's."""
