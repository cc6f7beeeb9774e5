#!/usr/bin/python3
"""A stand-in for neutron-server: an API with nothing in it.

Nova asks for the ports of a server that has no network, too, and fails when
nobody answers. Here every collection is empty and nothing can be made.

usage: neutron_stub.py PORT
"""
import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

QUOTAS = ("network", "subnet", "port", "router", "floatingip", "security_group", "security_group_rule")


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def error(self, message):
        self.answer(404, {"NeutronError": {"type": "NotFound", "message": message, "detail": ""}})

    def do_GET(self):
        path = [p.removesuffix(".json") for p in self.path.split("?")[0].split("/") if p]
        if not path:
            return self.answer(200, {"versions": [{"id": "v2.0", "status": "CURRENT", "links": []}]})
        path = path[1:]
        if not path:
            return self.answer(200, {"resources": []})
        if path[0] == "quotas":
            return self.answer(200, {"quota": dict.fromkeys(QUOTAS, -1)})
        if len(path) == 1:
            return self.answer(200, {path[0].replace("-", "_"): []})
        return self.error("%s could not be found" % path[-1])

    def refuse(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.error("this cloud has no networks")

    do_POST = do_PUT = do_DELETE = refuse

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
