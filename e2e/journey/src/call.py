"""One call through the exchange, as a system makes it: with what its Secret of bindings holds. Prints the status, and the body."""

import ssl
import sys
import urllib.error
import urllib.request


def binding(key):
    with open("/exchange/" + key) as file:
        return file.read()


method, path, body = sys.argv[1:4]
tls = ssl.create_default_context(cadata=binding("authority"))
tls.load_cert_chain("/exchange/certificates", "/exchange/private-key")
tls.minimum_version = ssl.TLSVersion.TLSv1_3
request = urllib.request.Request(binding("uri") + path, method=method, data=body.encode() or None)
request.add_header("X-Road-Client", binding("client"))
request.add_header("Content-Type", "application/json")
try:
    answer = urllib.request.urlopen(request, context=tls, timeout=10)
    print(answer.status, answer.read().decode())
except urllib.error.HTTPError as error:
    print(error.code, error.read().decode())
except OSError as error:
    print(0, error)
