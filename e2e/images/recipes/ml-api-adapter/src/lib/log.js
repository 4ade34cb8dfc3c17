// One line a happening. No body and no header is ever in one.
'use strict';

const LEVELS = ['error', 'warn', 'info', 'verbose', 'debug', 'silly'];
const shown = LEVELS.indexOf(process.env.LOG_LEVEL ?? 'info');

function line(level) {
  return (text) => {
    if (LEVELS.indexOf(level) <= shown) console.log(`${new Date().toISOString()} ${level} ${text}`);
  };
}

const log = { error: line('error'), warn: line('warn'), info: line('info') };

/** What everybody who reads this log has to know first. */
function sayWhatThisIs(what) {
  log.warn(`${what}: a stand-in for Mojaloop's API adapter, for trials; no signatures, no currency conversion, no bulk, and banks that have no endpoints are spoken for`);
}

module.exports = { log, sayWhatThisIs };
