"""Sockets: one thread, one selector, many connections that never block.

    listener      accepts connections and hands each to a reactor
    reactor       the event loop of one network thread: sockets, calls from other threads
    connection    one client: its inbox, the handler, its outbox
    inbox         bytes from the socket, until they are a whole frame; the memory they come into
    outbox        pieces of a response, until the socket has taken them all

The handler that turns a frame into a response is injected, so nothing here knows what a topic is.
asyncio would do the same job in fewer lines, but the would-block of a half-sent file is the very
thing to see here, and for small fetches this loop was measured at several times asyncio's request
rate.

Kafka's counterparts: `SocketServer` (acceptor and processors), `Selector`, `KafkaChannel`.
"""
