"""Words: what the bytes between a client and a broker mean.

    framing          4 bytes of length, then a request or a response; one request, four answers
    versions         the requests by their numbers
    produce          a Produce request as views: the batches in it are never copied
    fetch            a Fetch response as pieces: bytes, file slice, bytes
    messages         every other message, through the kio library

No module here knows a socket, a file or an offset's meaning, and none looks inside a record batch.
Everything can be called from a notebook with plain bytes.
"""
