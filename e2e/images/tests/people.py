#!/usr/bin/env python3
"""Stands in for an identity provider in trials: says whose an access token is, at Keycloak's port and path. It signs nobody in."""

import http.server
import json

PATH = "/realms/national/protocol/openid-connect/userinfo"
PEOPLE = {
    "first": {"sub": "a", "number": "10000000001", "name": "First Citizen"},
    "second": {"sub": "b", "number": 10000000002, "name": "Second Citizen"},
    "unnumbered": {"sub": "c", "name": "Third Citizen"},
}


class Provider(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        status = 404 if self.path != PATH else 403 if token == "unscoped" else 200 if token in PEOPLE else 401
        body = json.dumps(PEOPLE.get(token, {})).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 8080), Provider)
print("listening", flush=True)
server.serve_forever()
