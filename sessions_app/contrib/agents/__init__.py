"""The application of agents: a model that answers and asks for tools, with approvals by people.

Open `agent` for the loop, its budget, and what happens to a call, `tools` for what a tool is and
who must allow it, `approvals` for how people allow it, `language_model` for what a model has to do.
`openai_model` is a model; `mcp` has tools of MCP servers, `pydantic_ai`, `langgraph` and `nat` host
agents of other frameworks. Each of these needs a package of its own.
`nesting` records the calls of functions that call each other.
"""
