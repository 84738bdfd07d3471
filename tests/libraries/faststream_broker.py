"""faststream_broker.py PORT send FROM TO   publishes the orders of these numbers, without the last
faststream_broker.py PORT work N         bills the next N orders, and prints which
"""

import asyncio
import sys

from faststream.redis import RedisBroker, StreamSub

port, command, *rest = sys.argv[1:]
broker = RedisBroker(f"redis://127.0.0.1:{port}", logger=None)


async def send(first, end):
    async with broker:
        for number in range(int(first), int(end)):
            await broker.publish({"order": number, "customer": "Zoë"}, stream="orders")


async def work(count):
    billed = asyncio.Semaphore(0)

    @broker.subscriber(stream=StreamSub("orders", group="billing", consumer="till", polling_interval=100))
    async def bill(order: dict):
        print(order["order"], order["customer"], flush=True)
        billed.release()

    # What was begun is acknowledged before it stops.
    async with broker:
        await broker.start()
        for _ in range(int(count)):
            await billed.acquire()


asyncio.run({"send": send, "work": work}[command](*rest))
