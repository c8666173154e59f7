"""The part that people and clients touch: page, socket, HTTP interface. It sits on `sessions_app`.

Imports go one way, from the first of these to the last (a contract in pyproject.toml holds it):

    contrib           applications that a project may leave out; the chat names none of them
    application       the chat around a project's ASGI application
    serving           the web server's start and stop, around the runtime's
    routing           the socket's route, for channels
    consumers         the socket: a frame in, one call, an acknowledgement
    socket, urls      sign-in, subscriptions and flow control of a socket; the URLs
    api, page, peer   runs over HTTP; what people see; NAT's plain clients
    feed              a cursor over a conversation's log, and the way from there to a client
    inbox             the questions that wait for a person, in parts and counted
    feedback          what a person thinks of an answer: given, changed and taken back
    run_transcript    what was said in a run, for files and for whom it is shared with
    identity          the person behind a connection, and for how long
    checks, rates     Django's system checks; limits of what one person or address may do
    wire              what a client may say, and the frames that it gets
    asgi              what a project wraps its application with
    models, settings  rows of the front end; its section of `HITL`
"""
