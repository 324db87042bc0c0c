"""Send and receive messages on the queues, in Celery's message format, on one asyncio loop.

`messages` translates, `redis_transport` and `amqp_transport` speak with the servers. A message
is a hint: it contains ids, and the dispatcher publishes again what was lost. Nothing here therefore
confirms, restores or redelivers a message after a worker has taken it.
"""

from broker.transport.messages import Message, TransportError
from broker.transport.opening import Receiver, Sender, check, open_receiver, open_sender

__all__ = [
    "Message",
    "Receiver",
    "Sender",
    "TransportError",
    "check",
    "open_receiver",
    "open_sender",
]
