# Waits for the database. A new pod is refused until the policy that lets it through has reached its node, which may be after it
# started.
import os
import socket
import sys
import time
import urllib.parse

database = urllib.parse.urlsplit(os.environ["KINTO_STORAGE_URL"])
for attempt in range(1, 61):
    try:
        socket.create_connection((database.hostname, database.port), timeout=5).close()
        sys.exit()
    except OSError as error:
        print(f"attempt {attempt}: {database.hostname}:{database.port}: {error}")
        time.sleep(1)
sys.exit(1)
