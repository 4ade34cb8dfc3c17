// Whether the superuser may still log in: 0 when it may, 10 when it may not, 1 when nobody answers as expected.
const { GATEWAY_HOST, SUPER_USER_PASSWORD } = process.env;

fetch(new URL('/auth/authenticate-super-user', GATEWAY_HOST), {
  method: 'POST',
  headers: { 'Content-Type': 'application/json' },
  body: JSON.stringify({ password: SUPER_USER_PASSWORD }),
}).then(
  (answer) => {
    console.log(`login of the superuser: ${answer.status}`);
    process.exit(answer.ok ? 0 : answer.status === 401 ? 10 : 1);
  },
  (error) => {
    console.error(error.message);
    process.exit(1);
  },
);
