// Fills the folder that the toolkit writes: the image's own files, with this Stack's settings laid over them.
const fs = require('node:fs');

const target = '/work';
fs.cpSync('/opt/app/spec_files', target, { recursive: true });

const isObject = (value) => value !== null && typeof value === 'object' && !Array.isArray(value);
const laidOver = (base, over) => {
  const result = { ...base };
  for (const [key, value] of Object.entries(over)) {
    result[key] = isObject(value) && isObject(base[key]) ? laidOver(base[key], value) : value;
  }
  return result;
};
const read = (path) => JSON.parse(fs.readFileSync(path, 'utf8'));

for (const path of ['/etc/plinth/system_config.json', '/etc/plinth/user_config.json']) {
  const file = path.replace('/etc/plinth', target);
  fs.writeFileSync(file, JSON.stringify(laidOver(read(file), read(path)), null, 2));
}
