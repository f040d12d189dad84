"""The words inside a batch: what the bytes of a Kafka record batch mean.

    varint.py       one number in one to ten bytes
    compression.py  the five codecs of a batch, and a limit on what may come out of them
    batch.py        the 61 bytes in front of a batch: read, checked and patched where they lie
    record.py       the records behind them: built, read, built anew
    fields.py       every field by its name, for hex dumps and pictures

This room knows no file and no socket: it is given views over bytes and gives back values or views.
"""
