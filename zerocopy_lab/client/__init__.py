"""The two ends of the wire, as small as they can be, so that their bytes can be seen.

    wire            one blocking connection: a request's bytes out, a response's bytes in
    producer        a batch into a partition
    accumulating    messages into batches, and these into a partition
    consumer        batches out of a partition

For real work take a real client; the labs do. This one exists because it hides nothing: every
request can be printed, sent half, sent twice or answered late, and the response is the bytes as
they came.

Left out: retries, metadata (there is one broker), groups, TLS.
"""
