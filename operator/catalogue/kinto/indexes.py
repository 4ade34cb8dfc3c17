# Makes an index for each list of properties that is searched together, where it is not there yet. None is taken away.
import hashlib
import json
import os
import sys

import psycopg2
from psycopg2 import sql

with open(sys.argv[1]) as file:
    declared = json.load(file)

connection = psycopg2.connect(os.environ["KINTO_STORAGE_URL"])
# Writers go on meanwhile, which a transaction does not allow.
connection.autocommit = True
cursor = connection.cursor()
for properties in declared:
    name = "registry_" + hashlib.sha256(json.dumps(properties).encode()).hexdigest()[:16]
    cursor.execute("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(%s)", (name,))
    found = cursor.fetchone()
    if found == (True,):
        print(f"{name}: is there")
        continue
    if found:
        # What a broken run has left behind finds nothing.
        cursor.execute(sql.SQL("DROP INDEX {}").format(sql.Identifier(name)))
    columns = sql.SQL(", ").join(sql.SQL("(data->{})").format(sql.Literal(p)) for p in properties)
    make = sql.SQL("CREATE INDEX CONCURRENTLY {} ON objects ({}) WHERE resource_name = 'record'")
    cursor.execute(make.format(sql.Identifier(name), columns))
    print(f"{name}: made")
