"""The pages of the chat: conversations rendered from the event log, the inbox, and their forms."""
