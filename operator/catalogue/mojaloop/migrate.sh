#!/bin/sh
# Schema and reference data of one service, by the knex that its image carries (the image has no npm). Migrations that
# ran are skipped, seeds merge: running it again changes nothing.
set -eu
cd /opt/app

# knex asks once. A new pod is refused until the policy that lets it through has reached its node, which may be after it started.
node -e '
const { host, port } = require("./config/knexfile.js").connection
if (!host) process.exit()
const ask = (attempt) => require("net")
  .connect(port, host, () => process.exit())
  .on("error", (error) => {
    console.log(`attempt ${attempt}: ${host}:${port}: ${error.message}`)
    if (attempt === 60) process.exit(1)
    setTimeout(ask, 1000, attempt + 1)
  })
ask(1)'
node node_modules/knex/bin/cli.js --knexfile ./config/knexfile.js migrate:latest
node node_modules/knex/bin/cli.js --knexfile ./config/knexfile.js seed:run
