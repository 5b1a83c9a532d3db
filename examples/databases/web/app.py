"""Counts visits in redis, keeps a row of each in mysql and a document of each in mongo.

    GET /          writes to all three, reads back from all three, answers with what it read as JSON
    GET /healthz   answers 200 once all three can be reached
"""

import json
import os
import socket
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pymongo
import pymysql
import redis

TIMEOUT = 3  # seconds for any one database


def mysql():
    return pymysql.connect(
        host=os.environ["MYSQL_HOST"],
        user=os.environ["MYSQL_USER"],
        password=os.environ["MYSQL_PASSWORD"],
        database=os.environ["MYSQL_DATABASE"],
        connect_timeout=TIMEOUT,
        read_timeout=TIMEOUT,
        autocommit=True,
    )


CACHE = redis.Redis(host=os.environ["REDIS_HOST"], socket_timeout=TIMEOUT, socket_connect_timeout=TIMEOUT)
DOCUMENTS = pymongo.MongoClient(os.environ["MONGO_HOST"], serverSelectionTimeoutMS=TIMEOUT * 1000, connect=False)


def visit():
    number = CACHE.incr("visits")
    with mysql() as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE IF NOT EXISTS visits (number BIGINT PRIMARY KEY, host VARCHAR(255))")
        cursor.execute("REPLACE INTO visits VALUES (%s, %s)", (number, socket.gethostname()))
        cursor.execute("SELECT COUNT(*), MAX(number) FROM visits")
        rows, latest_row = cursor.fetchone()
    visits = DOCUMENTS.demo.visits
    visits.replace_one({"_id": number}, {"_id": number, "host": socket.gethostname()}, upsert=True)
    return {
        "redis": {"visits": int(CACHE.get("visits"))},
        "mysql": {"rows": rows, "latest": latest_row},
        "mongo": {"documents": visits.count_documents({}), "latest": visits.find_one(sort=[("_id", -1)])["_id"]},
    }


def health():
    CACHE.ping()
    with mysql() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    DOCUMENTS.admin.command("ping")
    return {"ok": True}


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        work = {"/": visit, "/healthz": health}.get(self.path)
        if work is None:
            return self.answer(404, {"error": f"no such page: {self.path}"})
        try:
            return self.answer(200, work())
        except Exception as error:  # whatever a database says, the client shall read it
            return self.answer(503, {"error": f"{type(error).__name__}: {error}"})

    def answer(self, status, value):
        body = (json.dumps(value) + "\n").encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format, *arguments):
        if self.path != "/healthz":
            super().log_message(format, *arguments)


if __name__ == "__main__":
    print("listening on port 8080", flush=True)
    ThreadingHTTPServer(("", 8080), Handler).serve_forever()
