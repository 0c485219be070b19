"""One turn: from a message to the events of its reply, in one function.

The text of the chat model streams into the reply. An image is ordered as soon as its tag closes, while the model is
still writing. Progress and images appear between the text, in the order in which the model requested them.
"""

import asyncio
from collections.abc import Callable
from contextlib import aclosing

from bot.conversation.image_orders import ImageOrders
from bot.conversation.model_answer import Turn, converse
from bot.conversation.reply import Event, ReplyEnded
from bot.domain import ImageRequest, Retracted
from bot.ports import ChatModel


async def answer(turn: Turn, model: ChatModel, orders: ImageOrders, show: Callable[[Event], None]) -> None:
    """Run a turn: show the text of the model as it streams, and order every image at its request.

    Returns when the model has finished and every image is rendered or has failed.
    """
    async with asyncio.TaskGroup() as renders, aclosing(converse(turn, model)) as events:
        async for event in events:
            match event:
                case ImageRequest():
                    orders.start(event, renders)
                case Retracted():
                    orders.cancel()
                    show(event)
                case _:
                    show(event)
    show(ReplyEnded())
