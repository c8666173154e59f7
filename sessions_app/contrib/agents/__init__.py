"""The application of agents: a model that answers and asks for tools, with approvals by people.

Open `agent` for the loop, `tools` for what a tool is and who must allow it, `tool_use` for what
happens to a call, `approvals` for how people allow it, `budget` for when people are asked whether
to go on, `language_model` for what a model has to do. `openai_model` is a model; `mcp` has tools of
MCP servers, `pydantic_ai`, `langgraph` and `nat` host agents of other frameworks. Each of these
needs a package of its own.
`nesting` records the calls of functions that call each other.
"""
