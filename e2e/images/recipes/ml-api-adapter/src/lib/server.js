// HTTP on the adapter's port: routes, health, and FSPIOP's words for what is wrong with a request.
'use strict';

const http = require('node:http');
const { isHealthy } = require('./ledger');
const { log } = require('./log');
const { wrong } = require('./message');

const PORT = 3000;
/** Bytes of a body: a transfer's packet has 32 KiB at most. */
const LARGEST = 128 * 1024;

/** A request that is refused. */
class Refused extends Error {
  constructor(status, code, description) {
    super(description);
    this.status = status;
    this.code = code;
  }
}

/** Serves routes, each `[method, path, what answers]`, and the health of this process. */
function serve(hears, routes = []) {
  const all = [['GET', /^\/health$/, () => health(hears)], ...routes];
  http.createServer((request, response) => answer(all, request, response)).listen(PORT);
  log.info(`listening on port ${PORT}`);
}

async function health(hears) {
  const state = (well) => (well ? 'OK' : 'DOWN');
  const [broker, ledger] = [hears(), await isHealthy()];
  const services = [
    { name: 'broker', status: state(broker) },
    { name: 'participantEndpointService', status: state(ledger) },
  ];
  const well = broker && ledger;
  return { status: well ? 200 : 503, body: { status: state(well), standIn: true, services } };
}

async function answer(routes, request, response) {
  let told;
  try {
    told = await routed(routes, request);
  } catch (error) {
    if (!(error instanceof Refused)) log.error(`${request.method} ${request.url}: ${error.stack}`);
    const refused = error instanceof Refused ? error : new Refused(500, '2001', 'Internal server error');
    told = { status: refused.status, body: wrong(refused.code, refused.message) };
  }
  response.writeHead(told.status, told.body && { 'content-type': 'application/json' });
  response.end(told.body && JSON.stringify(told.body));
}

async function routed(routes, request) {
  const path = request.url.split('?')[0];
  for (const [method, pattern, answers] of routes) {
    const found = pattern.exec(path);
    if (found && method === request.method) {
      return answers({ id: found[1], headers: request.headers, body: await body(request) });
    }
  }
  throw new Refused(404, '3002', `Unknown URI - ${request.method} ${path}`);
}

async function body(request) {
  if (request.method === 'GET') return undefined;
  let text = '';
  for await (const part of request.setEncoding('utf8')) {
    text += part;
    if (text.length > LARGEST) throw new Refused(413, '3101', `Malformed syntax - a body has ${LARGEST} bytes at most`);
  }
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Refused(400, '3101', `Malformed syntax - ${error.message}`);
  }
}

module.exports = { Refused, serve };
