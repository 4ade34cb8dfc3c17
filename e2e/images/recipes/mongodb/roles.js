// FerretDB 1.24 has users and no roles, and refuses to make a user that is given one. What the shell asks for is asked without
// them, and said so: every user may read and write every database.
'use strict';

const { createRequire } = require('node:module');
const { Db } = createRequire('/usr/local/lib/mongosh/bin/mongosh.js')('mongodb');

const command = Db.prototype.command;
Db.prototype.command = function (asked, ...rest) {
  const user = asked.createUser ?? asked.updateUser;
  if (user === undefined || !asked.roles?.length) return command.call(this, asked, ...rest);
  console.error(`FerretDB has no roles: ${user} may read and write every database`);
  return command.call(this, { ...asked, roles: [] }, ...rest);
};
