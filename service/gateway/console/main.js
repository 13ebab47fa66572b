// The page: its form, its list of tasks, and its summary and announcements.
import { Card } from './card.js';
import { read } from './credentials.js';
import { languages, say, speak, spoken, text, write } from './text.js';
import { Slots } from './slots.js';

// Streams at a time. Over HTTP/1.1 a browser has six connections to a server, and one of them is left free. Over HTTP/2 the limit is that of
// common proxies.
const newer = /^h[23]/.test(performance.getEntriesByType('navigation')[0]?.nextHopProtocol);
const slots = new Slots(newer ? 100 : 5, 10_000);

const most = 200; // Tasks on the page.

const at = (id) => document.getElementById(id);
const cards = new Map(); // By task id, in the order of the page.

const page = { slots, announce, changed, again, remove };

at('form').addEventListener('submit', (event) => {
  event.preventDefault();
  const asked = ask(wantedIDs);
  if (asked === undefined) return;
  const fresh = [...asked.ids].filter((id) => !cards.has(id)).map((id) => new Card(id, page));
  for (const card of fresh) cards.set(card.id, card);
  at('tasks').prepend(...fresh.map((card) => card.element));
  const wanted = [...asked.ids].map((id) => cards.get(id));
  const begun = wanted.filter((card) => !card.runsWith(asked.headers));
  for (const card of begun) card.start(asked.headers);
  if (begun.length === 0) wanted[0].element.scrollIntoView({ block: 'nearest' });
  announce(text('said.begun', { count: begun.length }));
});

// ask reads the form. It returns undefined for invalid input, and shows the errors at their fields.
function ask(ids) {
  const faults = new Map(); // Field → Text. The first fault of a field is shown.
  const wrong = (field, key, values) => { if (!faults.has(field)) faults.set(field, text(key, values)); };
  const asked = { headers: { ...read(wrong), Language: spoken() }, ids: ids(wrong) };
  for (const place of document.querySelectorAll('.error')) {
    const field = place.id.replace(/-error$/, '');
    const fault = faults.get(field);
    at(field).toggleAttribute('aria-invalid', false);
    if (fault) at(field).setAttribute('aria-invalid', 'true');
    place.hidden = fault === undefined;
    say(place, fault ?? '');
  }
  const first = document.querySelector('[aria-invalid=true]');
  if (first?.closest('#more') || faults.get('token')?.key === 'error.credential') at('more').open = true;
  first?.focus();
  return first ? undefined : asked;
}

function wantedIDs(wrong) {
  const ids = new Set(at('ids').value.split(/[\s,;，；、]+/).filter(Boolean));
  if (ids.size === 0) wrong('ids', 'error.no-ids');
  for (const id of ids) if (!/^[A-Za-z0-9_-]{1,64}$/.test(id)) wrong('ids', 'error.id', { id: id.slice(0, 80) });
  if (new Set([...cards.keys(), ...ids]).size > most) wrong('ids', 'error.many', { limit: most });
  return ids;
}

// again watches a task with the present credentials of the form.
function again(card) {
  const asked = ask(() => [card.id]);
  if (asked) card.start(asked.headers);
}

// remove removes a task from the page. The focus goes to its neighbour.
function remove(card) {
  const next = card.element.nextElementSibling ?? card.element.previousElementSibling;
  drop(card);
  (next?.querySelector('.remove') ?? at('ids')).focus();
}

function drop(card) {
  card.stop();
  card.element.remove();
  cards.delete(card.id);
  changed();
}

at('stop-all').addEventListener('click', () => {
  const running = [...cards.values()].filter((card) => card.runs);
  for (const card of running) card.stop();
  announce(text('said.stopped', { count: running.length }));
});

at('clear').addEventListener('click', () => {
  const ended = [...cards.values()].filter((card) => !card.runs);
  for (const card of ended) drop(card);
  announce(text('said.removed', { count: ended.length }));
});

// changed updates the summary, once after several events.
let due = false;
function changed() {
  if (due) return;
  due = true;
  queueMicrotask(() => {
    due = false;
    const all = [...cards.values()];
    const count = (is) => all.filter(is).length;
    const bad = (card) => card.connection === 'failed' || card.state === 'FAILED';
    const watching = count((card) => card.runs);
    say(at('summary'), text('summary', {
      watching, failed: count((card) => !card.runs && bad(card)), stopped: count((card) => card.connection === 'stopped' && !bad(card)),
      finished: count((card) => card.connection === 'ended' && !bad(card)),
    }));
    document.title = watching > 0 ? `(${watching}) kootask` : 'kootask';
    at('empty').hidden = all.length > 0;
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
  for (const card of cards.values()) card.redraw();
});

// Leaving the page ends its watches and forgets the token, also if the browser shows the page again.
addEventListener('pagehide', () => { for (const card of cards.values()) card.stop(); });
addEventListener('pageshow', (event) => { if (event.persisted) location.reload(); });

at('language').value = languages.find((l) => navigator.language.toLowerCase().startsWith(l.slice(0, 2))) ?? languages[0];
speak(at('language').value);
changed();
if (!isSecureContext) {
  at('insecure').hidden = false;
  at('token').setAttribute('aria-describedby', 'token-hint insecure token-error'); // Otherwise hidden elements would be read out too.
}
if (!AbortSignal.any) {
  say(at('empty'), text('too-old'));
  at('watch').disabled = true;
}
setInterval(() => { for (const card of cards.values()) card.tick(); }, 1000);
