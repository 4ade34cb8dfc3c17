// Makes the user of one requirement, or adopts what is there. Running it again changes nothing but rights and
// password, which are set to what the block asks for: that is how a rotation takes effect.
const { SERVER_HOST, SERVER_PORT, ROOT_PASSWORD, CLAIM_DATABASE, CLAIM_USERNAME, CLAIM_PASSWORD } = process.env;
const address = `mongodb://${SERVER_HOST}:${SERVER_PORT}/?serverSelectionTimeoutMS=5000`;

let server;
for (let attempt = 1; !server; attempt++) {
  try {
    const admin = new Mongo(address).getDB('admin');
    admin.auth('root', ROOT_PASSWORD);
    server = admin;
  } catch (error) {
    if (attempt === 20) throw error;
    print(`attempt ${attempt}: ${error.message}`);
    sleep(3000);
  }
}

// The user lives in its own database: clients authenticate against the database that they name.
const database = server.getSiblingDB(CLAIM_DATABASE);
const rights = { pwd: CLAIM_PASSWORD, roles: [{ role: 'readWrite', db: CLAIM_DATABASE }] };
if (database.getUser(CLAIM_USERNAME)) {
  database.updateUser(CLAIM_USERNAME, rights);
} else {
  database.createUser(Object.assign({ user: CLAIM_USERNAME }, rights));
}
print(`database ${CLAIM_DATABASE} is open to ${CLAIM_USERNAME}`);
