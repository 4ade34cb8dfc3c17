// Signs the first administrator up. Signing up is closed in the interface that others reach, so this one starts its own.
const fs = require('fs');
const http = require('http');
const { spawn } = require('child_process');

const read = (path) => fs.readFileSync(path, 'utf8').trim();
const email = read('/etc/plinth/admin/email');
const password = read('/etc/plinth/admin/password');
const organisation = read('/etc/plinth/admin/organisation');

// The interface asks for some of these at its start, and for the rest only when somebody needs them.
const {
  API_ROOT_URL, FRONT_BASE_URL, MONGO_URL, REDIS_HOST, REDIS_PORT, REDIS_PASSWORD, S3_LOCAL_STACK, S3_REGION,
  AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, JWT_SECRET, STORE_ENCRYPTION_KEY, NOVU_SECRET_KEY,
} = process.env;
const asked = {
  API_ROOT_URL, FRONT_BASE_URL, MONGO_URL, REDIS_HOST, REDIS_PORT, REDIS_PASSWORD, S3_LOCAL_STACK, S3_REGION,
  AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, JWT_SECRET, STORE_ENCRYPTION_KEY, NOVU_SECRET_KEY,
};
const missing = Object.keys(asked).filter((name) => !asked[name]);
if (missing.length > 0) throw new Error('not set: ' + missing.join(', '));

const child = spawn(process.execPath, ['dist/main.js'], {
  env: { ...process.env, DISABLE_USER_REGISTRATION: 'false' },
  stdio: 'inherit',
});
let ended = false;
child.on('exit', (code) => {
  ended = true;
  console.error('the interface ended with ' + code);
});

function call(method, path, body) {
  return new Promise((resolve, reject) => {
    const data = body ? JSON.stringify(body) : undefined;
    const headers = data ? { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(data) } : {};
    const request = http.request({ host: '127.0.0.1', port: process.env.PORT, method, path, headers }, (response) => {
      let text = '';
      response.on('data', (part) => { text += part; });
      response.on('end', () => resolve({ status: response.statusCode, text }));
    });
    request.on('error', reject);
    request.end(data);
  });
}

const ok = (answer) => answer.status >= 200 && answer.status < 300;

async function main() {
  for (let i = 0; ; i += 1) {
    if (ended || i === 90) throw new Error('the interface did not become ready');
    try {
      if (ok(await call('GET', '/v1/health-check'))) break;
    } catch (error) {
      // Not listening yet.
    }
    await new Promise((resolve) => setTimeout(resolve, 5000));
  }
  const made = await call('POST', '/v1/auth/register', {
    email,
    password,
    firstName: 'Platform',
    lastName: 'Operator',
    organizationName: organisation,
  });
  if (ok(made)) return console.log('the administrator is there');
  if (/already exists/i.test(made.text)) return console.log('the administrator was there before');
  throw new Error('signing up was answered with ' + made.status);
}

main().then(
  () => { child.kill(); process.exit(0); },
  (error) => { console.error(error.message); child.kill(); process.exit(1); },
);
