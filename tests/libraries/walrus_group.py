"""walrus_group.py PORT create        makes the group
walrus_group.py PORT send FROM TO  adds the orders of these numbers, without the last, with bytes in them that are no text
walrus_group.py PORT read          reads what the group has yet to get, without acknowledging it, and prints which
walrus_group.py PORT pending       prints the IDs of what is pending, and under whose name
"""

import sys

from walrus import Database

port, command, *rest = sys.argv[1:]
db = Database(host="127.0.0.1", port=int(port))
group = db.consumer_group("billing", ["orders"], consumer="till")


def create():
    group.create(mkstream=True)


def send(first, end):
    for number in range(int(first), int(end)):
        group.orders.add({"order": str(number), "seal": b"\x00\xff\n" + bytes([number])})


def read():
    for _stream, entries in group.read():
        for _id, fields in entries:
            print(fields[b"order"].decode())


def pending():
    for entry in group.orders.pending():
        print(entry["message_id"].decode(), entry["consumer"].decode())


{"create": create, "send": send, "read": read, "pending": pending}[command](*rest)
