"""taskiq_broker.py PORT send FROM TO   asks for the tasks of these numbers, without the last
taskiq_broker.py PORT work N         does the next N tasks, and prints which
"""

import asyncio
import json
import sys

from taskiq_redis import RedisStreamBroker

port, command, *rest = sys.argv[1:]
broker = RedisStreamBroker(f"redis://127.0.0.1:{port}", queue_name="tasks", xread_block=100)


@broker.task(task_name="bill")
async def bill(order: int, customer: str) -> None:
    pass


async def send(first, end):
    await broker.startup()
    for order in range(int(first), int(end)):
        await bill.kiq(order, customer="Zoë")
    await broker.shutdown()


async def work(count):
    await broker.startup()
    messages = broker.listen()
    for _ in range(int(count)):
        message = await anext(messages)
        print(json.loads(message.data)["args"])
        await message.ack()
    await messages.aclose()
    await broker.shutdown()


asyncio.run({"send": send, "work": work}[command](*rest))
