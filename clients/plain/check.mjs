// Uses kootask with Node.js only: its fetch, http2, net and readline. See plain.go.
//
// KOOTASK_HTTP is the address. Prints each check, and fails if one does.
import http2 from 'node:http2';
import net from 'node:net';
import readline from 'node:readline';
import { Readable } from 'node:stream';

const address = process.env.KOOTASK_HTTP;
const [host, port] = address.split(':');
const name = '财务部\u2028移交\u2029任务\u0085完';
const authorization = 'Bearer plain';
let failed = false;

function check(what, good, seen) {
  failed ||= !good;
  console.log(good ? 'ok  ' : 'FAIL', `Node.js: ${what}`, good ? '' : JSON.stringify(seen));
}

// Sends a request over an HTTP/2 session. It ends with an empty DATA frame if its header does not end it.
function ask(session, headers, { emptyData = false, data = '' } = {}) {
  return new Promise((resolve, reject) => {
    const stream = session.request({ authorization, ...headers }, { endStream: !emptyData });
    if (emptyData) setTimeout(() => stream.end(data), 50); // Otherwise Node.js puts the end into the header.
    let status;
    let text = '';
    stream.on('response', (h) => (status = h[':status']));
    stream.setEncoding('utf8');
    stream.on('data', (chunk) => (text += chunk));
    stream.on('end', () => resolve({ status, text }));
    stream.on('error', reject);
  });
}

async function overHTTP2() {
  const session = http2.connect(`http://${address}`);
  let broken = '';
  session.on('error', (e) => (broken = String(e)));
  session.on('goaway', (code) => (broken = `GOAWAY ${code}`));
  const watch = ask(session, { ':path': '/v1/tasks/long:watch' });
  let answer = await ask(session, { ':path': '/v1/tasks/named' }, { emptyData: true });
  check('a GET with an empty DATA frame', answer.status === 200, answer);
  answer = await ask(session, { ':path': '/v1/tasks/named' }, { emptyData: true, data: 'a' });
  check('a GET with a body', answer.status === 400, answer);
  for (const size of [20_000, 40_000]) {
    answer = await ask(session, { ':path': '/v1/tasks/named', 'x-long': 'x'.repeat(size) });
    check(`${size} bytes of header`, answer.status === 431, answer);
  }
  answer = await watch;
  check('the watch beside them', !broken && answer.text.endsWith('{"end":{}}\n'), { broken, answer });
  session.close();
}

function halfClosed(path, until) {
  return new Promise((resolve) => {
    const start = Date.now();
    const socket = net.connect({ host, port, allowHalfOpen: true });
    let text = '';
    socket.setEncoding('utf8');
    socket.end(`GET ${path} HTTP/1.1\r\nHost: ${address}\r\nAuthorization: ${authorization}\r\n\r\n`);
    socket.on('data', (chunk) => (text += chunk));
    socket.on('close', () => resolve({ text, took: Date.now() - start }));
    socket.setTimeout(until, () => socket.destroy());
  });
}

async function halfClosedConnections() {
  let answer = await halfClosed('/v1/tasks/slow', 10_000);
  check('an answer after the client has closed its side', answer.text.startsWith('HTTP/1.1 200 '), answer);
  answer = await halfClosed('/v1/tasks/running:watch', 10_000);
  check('a watch ends when the client closes its side', answer.took < 5000 && !answer.text.includes('"end"'), answer);
}

async function lines() {
  const answer = await fetch(`http://${address}/v1/tasks/named:watch`, { headers: { authorization } });
  const all = [];
  for await (const line of readline.createInterface({ input: Readable.fromWeb(answer.body) })) all.push(line);
  let seen;
  try {
    seen = all.map((line) => JSON.parse(line));
  } catch (e) {
    seen = String(e);
  }
  check('lines, split by readline', seen[0]?.task?.taskName === name && seen.at(-1)?.end, all);
}

await overHTTP2();
await halfClosedConnections();
await lines();
process.exit(failed ? 1 : 0);
