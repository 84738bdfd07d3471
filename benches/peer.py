"""What a Python program with redis-py does for the same jobs.

peer.py version
peer.py ADDRESS send STREAM FILE      parses each line of FILE, adds its name and body, 1,000 to a pipeline
peer.py ADDRESS group STREAM GROUP    prints all new entries of a group as lines of JSON, each batch acknowledged

ADDRESS is a socket's path, or HOST:PORT.
"""

import json
import sys
from itertools import islice

import redis

COUNT = 1000  # as consume asks for


def dial(address):
    if address.startswith("/"):
        return redis.Redis(unix_socket_path=address, decode_responses=True)
    host, port = address.rsplit(":", 1)
    return redis.Redis(host=host, port=int(port), decode_responses=True)


def send(client, stream, path):
    with open(path, encoding="utf-8") as lines:
        while batch := list(islice(lines, COUNT)):
            pipeline = client.pipeline(transaction=False)
            for line in batch:
                message = json.loads(line)
                pipeline.xadd(stream, {"name": message["name"], "body": json.dumps(message["body"])})
            pipeline.execute()


def group(client, stream, name):
    while replies := client.xreadgroup(name, "peer", {stream: ">"}, count=COUNT):
        [(_, entries)] = replies
        for entry, fields in entries:
            message = {"stream": stream, "id": entry, "name": fields["name"], "body": json.loads(fields["body"])}
            sys.stdout.write(json.dumps(message) + "\n")
        sys.stdout.flush()
        client.xack(stream, name, *(entry for entry, _ in entries))


def main(arguments):
    match arguments:
        case ["version"]:
            print(redis.__version__)
        case [address, "send", stream, path]:
            send(dial(address), stream, path)
        case [address, "group", stream, name]:
            group(dial(address), stream, name)
        case _:
            sys.exit(__doc__)


main(sys.argv[1:])
