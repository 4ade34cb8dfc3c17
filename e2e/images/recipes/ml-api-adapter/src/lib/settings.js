// Settings where the real adapter has them: the file that rc reads, with variables MLAPI_A__B laid over it. Defaults of our own
// there are none: the catalogue entry says all that is asked for here.
'use strict';

const fs = require('node:fs');

const FILE = '/etc/MLAPIrc';
const PREFIX = 'MLAPI_';

const settings = JSON.parse(fs.readFileSync(FILE, 'utf8'));
for (const [name, value] of Object.entries(process.env)) {
  if (!name.startsWith(PREFIX)) continue;
  const path = name.slice(PREFIX.length).split('__');
  const last = path.pop();
  path.reduce((at, key) => (at[key] ??= {}), settings)[last] = value;
}

/** The setting at a path. One that is not there ends the program with its name. */
function setting(...path) {
  const value = path.reduce((at, key) => at?.[key], settings);
  if (value === undefined) throw new Error(`${FILE} has no ${path.join('.')}`);
  return value;
}

module.exports = { setting };
