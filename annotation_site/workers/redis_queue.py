"""Patch of Kombu's Redis transport for a connection that is lost while a worker holds a message.

A worker takes no more messages than it may hold unacknowledged. Where Redis is away when a message
is to be acknowledged, kombu logs that and goes on holding it: with one message at a time the worker
takes none ever again, and waits for nothing on the connection that would tell it of the loss.
"""

from typing import Any

from kombu.transport import redis, virtual


class QoS(redis.QoS):  # type: ignore[misc]
    """Drop a message that cannot be acknowledged; Redis may deliver it again, which is harmless
    since tasks look up their work in the database.
    """

    def ack(self, delivery_tag: Any) -> None:
        try:
            super().ack(delivery_tag)
        except redis.Transport.connection_errors:
            virtual.QoS.ack(self, delivery_tag)
            raise


def let_go_of_what_redis_forgot() -> None:
    """Install the patch for every later connection to Redis of this process."""
    # Not by a transport of our own: kombu would not know it for TLS when it reads rediss://.
    redis.Channel.QoS = QoS
