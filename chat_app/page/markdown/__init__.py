"""The rendering of a workflow's text as HTML: safe, and in parts while the text grows."""
