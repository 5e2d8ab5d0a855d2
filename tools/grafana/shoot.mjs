// Draws dashboards over a running Prometheus and takes their pictures:
//   node shoot.mjs --prometheus http://127.0.0.1:9090 --out DIR [--from T] [--to T] [--step S] [--scrape S]
//     [--chromium chromium] [--keep] UID[?var-name=value&rows=N&theme=light&name=FILE]...
// Times are seconds since the epoch; step and scrape (Prometheus's scrape
// interval) are seconds; rows cuts the picture below so many grid
// rows. --keep goes on serving the page after the pictures.
import { execFile } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs, promisify } from 'node:util';
import { build } from 'vite';

const here = path.dirname(fileURLToPath(import.meta.url));
const dashboards = path.join(here, '../../dashboards');
const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: { prometheus: { type: 'string' }, out: { type: 'string', default: '.' }, from: { type: 'string' }, to: { type: 'string' }, step: { type: 'string' }, scrape: { type: 'string', default: '15' }, chromium: { type: 'string', default: 'chromium' }, keep: { type: 'boolean', default: false } },
});
const to = Number(options.to ?? Math.floor(Date.now() / 1000)), from = Number(options.from ?? to - 300);
const step = Number(options.step ?? Math.max(1, Math.round((to - from) / 480)));

const dist = path.join(here, 'dist');
if (!fs.existsSync(path.join(dist, 'index.html')) || process.env.REBUILD) await build({ root: here });

const types = { '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css', '.json': 'application/json', '.svg': 'image/svg+xml' };
const server = http.createServer(async (request, response) => {
  const url = new URL(request.url, 'http://localhost');
  if (url.pathname.startsWith('/api/')) {
    const reply = await fetch(options.prometheus + request.url);
    response.writeHead(reply.status, { 'content-type': 'application/json' }).end(await reply.text());
    return;
  }
  const file = url.pathname.startsWith('/dashboards/') ? path.join(dashboards, path.basename(url.pathname)) : path.join(dist, path.normalize(url.pathname === '/' ? 'index.html' : url.pathname));
  if (!fs.existsSync(file)) { response.writeHead(404).end(); return; }
  response.writeHead(200, { 'content-type': types[path.extname(file)] ?? 'application/octet-stream' }).end(fs.readFileSync(file));
}).listen(0, '127.0.0.1');
await new Promise((ready) => server.on('listening', ready));
const base = `http://127.0.0.1:${server.address().port}/`;

fs.mkdirSync(options.out, { recursive: true });
for (const asked of positionals) {
  const [uid, query = ''] = asked.split('?');
  const parameters = new URLSearchParams(query);
  const d = JSON.parse(fs.readFileSync(path.join(dashboards, `${uid}.json`)));
  const all = d.panels.flatMap((p) => [p, ...(p.panels ?? [])]);
  const rows = Number(parameters.get('rows') ?? Math.max(...all.map((p) => p.gridPos.y + p.gridPos.h)));
  for (const [k, v] of Object.entries({ dashboard: uid, from, to, step, scrape: options.scrape })) parameters.set(k, v);
  const profile = fs.mkdtempSync(path.join(os.tmpdir(), 'shoot-'));
  const png = path.resolve(options.out, `${parameters.get('name') ?? uid}.png`);
  await promisify(execFile)(options.chromium, ['--headless', '--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync', '--hide-scrollbars',
    `--user-data-dir=${profile}`, `--window-size=1936,${rows * 38 + 64}`, '--virtual-time-budget=20000', `--screenshot=${png}`, `${base}?${parameters}`], { timeout: 120000 });
  fs.rmSync(profile, { recursive: true, force: true });
  console.log(png);
}
if (options.keep) console.log(`serving ${base}?dashboard=kafka-connect-fleet&from=${from}&to=${to}&step=${step}&scrape=${options.scrape}`);
else server.close();
