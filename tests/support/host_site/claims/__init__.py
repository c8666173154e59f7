"""An application of the project, with German words of its own for labels that the chat has too."""
