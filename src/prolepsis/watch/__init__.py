"""Detection while it happens: a source, an encoder and a detector, joined by threads and bounded queues."""
