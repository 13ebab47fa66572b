// The page: its tasks, and the parts that show and watch them.
import { areSame } from './credentials.js';
import { show as showFinish } from './finish.js';
import { credentials, linked, offer, setUp, unfold } from './form.js';
import { List } from './list.js';
import { Task } from './task.js';
import { languages, say, speak, text, write } from './text.js';
import { Watches } from './watches.js';

// Streams at a time. Over HTTP/1.1 a browser has six connections to a server: a change takes a fifth for a moment, and one is left
// free.
const newer = /^h[23]/.test(performance.getEntriesByType('navigation')[0]?.nextHopProtocol);
const watches = new Watches(newer ? 20 : 4, 10_000);

const most = 1000; // Tasks on the page.

const at = (id) => document.getElementById(id);
let tasks = new Map(); // By id, in the order of the list.

const list = new List(() => [...tasks.values()], { stop, again, remove, most: watches.most });

setUp({
  most,
  isFull: (ids) => new Set([...tasks.keys(), ...ids]).size > most,
  submitted(ids, headers) {
    const fresh = ids.filter((id) => !tasks.has(id)).map((id) => [id, new Task(id, { changed, announce })]);
    tasks = new Map([...fresh, ...tasks]);
    const begun = ids.map((id) => tasks.get(id)).filter((task) => !task.runs || !areSame(task.headers, headers));
    for (const task of begun) start(task, headers);
    announce(text('said.begun', { count: begun.length }));
    changed();
  },
});

function start(task, headers) {
  task.begin(headers);
  watches.start(task);
}

function stop(task) {
  if (!task.runs) return;
  task.stop();
  watches.stop(task);
}

// again watches a task with the present credentials of the form.
function again(task) {
  const headers = credentials();
  if (headers) start(task, headers);
}

function remove(task) {
  list.leave(task);
  drop(task);
}

function drop(task) {
  stop(task);
  tasks.delete(task.id);
  changed();
  if (tasks.size === 0) unfold('ids');
}

at('stop-all').addEventListener('click', () => {
  const running = [...tasks.values()].filter((task) => task.runs);
  for (const task of running) stop(task);
  announce(text('said.stopped', { count: running.length }));
});

at('clear').addEventListener('click', () => {
  const ended = [...tasks.values()].filter((task) => !task.runs);
  for (const task of ended) remove(task);
  announce(text('said.removed', { count: ended.length }));
});

// changed updates the list, and what shows outside it: that also while the tab is hidden and has no frames, once for several events.
let due = false;
function changed() {
  list.changed();
  if (due) return;
  due = true;
  setTimeout(() => {
    due = false;
    at('link').href = `#ids=${[...tasks.keys()].join(',')}`;
    showFinish([...tasks.values()]);
  });
}

// announce gives a screen reader the events of half a second, or only their number if there are many.
let news = [];
function announce(words) {
  news.push(words);
  if (news.length > 1) return;
  setTimeout(() => {
    at('announcer').textContent = news.length <= 3 ? news.map(write).join(' ') : write(text('said.many', { count: news.length }));
    news = [];
  }, 500);
}

at('language').addEventListener('change', () => {
  speak(at('language').value);
  at('announcer').textContent = '';
  for (const task of tasks.values()) task.version++;
  changed();
});

// follow opens the tasks of the address: the one that is in the list, or the form for those that are not.
function follow() {
  const ids = linked(), unknown = ids.filter((id) => !tasks.has(id));
  if (unknown.length > 0) offer(unknown);
  else if (ids.length === 1) list.show(tasks.get(ids[0]));
}
addEventListener('hashchange', follow);

// Leaving the page ends its watches and forgets the token, also if the browser shows the page again.
addEventListener('pagehide', () => watches.stopAll());
addEventListener('pageshow', (event) => { if (event.persisted) location.reload(); });

at('language').value = languages.find((l) => navigator.language.toLowerCase().startsWith(l.slice(0, 2))) ?? languages[0];
speak(at('language').value);
changed();
follow();
if (!isSecureContext) {
  at('insecure').hidden = false;
  at('token').setAttribute('aria-describedby', 'token-hint insecure token-error'); // Otherwise hidden elements would be read out too.
}
if (!AbortSignal.any) {
  say(at('empty'), text('too-old'));
  at('watch').disabled = true;
}
setInterval(() => list.changed(), 1000);
