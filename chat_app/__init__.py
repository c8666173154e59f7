"""The front end: page, socket and HTTP API, on top of `sessions_app`.

Imports go one way, from the first of these to the last (by a contract in pyproject.toml):

    contrib           applications that a project may leave out; the chat names none of them
    application       the chat around a project's ASGI application
    serving           the start of the runtime with the web server, and its stop
    routing           the socket's route, for channels
    consumers         the socket: a frame in, one call, an acknowledgement
    socket, urls      sign-in, subscriptions and flow control of a socket; the URLs
    api, page, peer   runs over HTTP; HTML pages; NAT's plain clients
    feed              a cursor over a conversation's log, and the delivery to a client
    inbox             the questions that wait for a person, in parts and counted
    feedback          a person's opinion of an answer: given, changed and removed
    run_transcript    the transcript of a run, for files and for sharing
    identity          the person behind a connection, until sign-out or expiry
    checks, rates     Django's system checks; limits of what one person or address may do
    wire              the messages of clients, and the frames for them
    asgi              the wrapper of a project's application
    models, settings  rows of the front end; its section of `HITL`
"""
