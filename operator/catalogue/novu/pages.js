// Serves the pages from the image, and tells them where interface and inbox are. Nothing is written.
const fs = require('fs');
const http = require('http');
const path = require('path');

const root = '/app/dist';
const types = {
  '.css': 'text/css', '.gif': 'image/gif', '.html': 'text/html; charset=utf-8', '.ico': 'image/x-icon', '.jpg': 'image/jpeg',
  '.js': 'text/javascript', '.json': 'application/json', '.map': 'application/json', '.png': 'image/png',
  '.svg': 'image/svg+xml', '.ttf': 'font/ttf', '.webp': 'image/webp', '.woff': 'font/woff', '.woff2': 'font/woff2',
};
const settings = Object.fromEntries(Object.entries(process.env).filter(([name]) => name.startsWith('VITE_')));
const script = '<script>window._env_ = ' + JSON.stringify(settings).replace(/</g, '\\u003c') + ';</script>\n';
const index = fs.readFileSync(root + '/index.html', 'utf8').replace('<script type="module"', () => script + '<script type="module"');

http.createServer((request, response) => {
  let file;
  try {
    file = path.join(root, path.normalize(decodeURIComponent(request.url.split('?')[0])));
  } catch (error) {
    response.writeHead(400);
    return response.end();
  }
  const whole = file.startsWith(root + '/') && file !== root + '/index.html' && fs.existsSync(file) && fs.statSync(file).isFile();
  if (!whole) {
    response.writeHead(200, { 'Content-Type': types['.html'], 'Cache-Control': 'no-cache' });
    return response.end(request.method === 'HEAD' ? undefined : index);
  }
  response.writeHead(200, { 'Content-Type': types[path.extname(file)] || 'application/octet-stream' });
  if (request.method === 'HEAD') return response.end();
  return fs.createReadStream(file).pipe(response);
}).listen(process.env.PORT);

process.on('SIGTERM', () => process.exit(0));
