"""The application of agents: a model that answers and calls tools, with approvals by people.

Open `agent` for the loop, its budget and the handling of calls, `tools` for tools and their
policies, `approvals` for the questions to people, `language_model` for the interface of models.
`openai_model` is a model; `mcp` has tools of MCP servers; `pydantic_ai`, `langgraph` and `nat` host
agents of other frameworks. Each of these five needs an extra package. `nesting` records the calls
of functions that call each other.
"""
