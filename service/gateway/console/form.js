// The form: its fields and their errors, and the tasks that a link or the demo brings.
import { read } from './credentials.js';
import { demo } from './demo.js';
import { say, spoken, text } from './text.js';

const at = (id) => document.getElementById(id);

// KooDrive gives these another meaning, in upper or lower case.
const reserved = ['list', 'result', 'create', 'dstuserinfo'];

// setUp calls submitted(ids, headers) with valid input, and then folds the form. isFull(ids) reports whether the ids are too many for the page,
// which holds most.
export function setUp({ submitted, isFull, most }) {
  const submit = () => {
    const asked = ask((wrong) => wanted(wrong, isFull, most));
    if (!asked) return;
    submitted([...asked.ids], asked.headers);
    at('add').open = false;
    at('add').querySelector('summary').focus();
  };
  at('form').addEventListener('submit', (event) => {
    event.preventDefault();
    submit();
  });
  if (!demo) return;
  say(at('demo-hint'), text('demo.hint', { credential: demo.token || demo.userId }));
  at('demo').hidden = false;
  at('demo-watch').addEventListener('click', () => {
    at('token').value = demo.token;
    at('user-id').value = demo.userId;
    at('ids').value = demo.taskIds.join('\n');
    submit();
  });
}

// unfold shows the form, with the focus on a field.
export function unfold(field) {
  at('add').open = true;
  if (at(field).closest('#more')) at('more').open = true;
  at(field).focus();
}

// offer fills in ids.
export function offer(ids) {
  at('ids').value = ids.join('\n');
  unfold(at('token').value === '' ? 'token' : 'ids');
}

// linked returns the ids in the address of the page: those of /#ids=1,2.
export function linked() {
  return split(new URLSearchParams(location.hash.slice(1)).get('ids') ?? '');
}

// credentials returns the headers of the form. It returns undefined for invalid input, and shows the errors at their fields.
export const credentials = () => ask(() => undefined)?.headers;

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
  if (faults.get('token')?.key === 'error.credential') at('more').open = true;
  if (first) unfold(first.id);
  return first ? undefined : asked;
}

function wanted(wrong, isFull, most) {
  const ids = new Set(split(at('ids').value));
  if (ids.size === 0) wrong('ids', 'error.no-ids');
  for (const id of ids) {
    if (!/^[A-Za-z0-9_-]{1,64}$/.test(id)) wrong('ids', 'error.id', { id: id.slice(0, 80) });
    if (reserved.includes(id.toLowerCase())) wrong('ids', 'error.reserved', { id });
  }
  if (isFull(ids)) wrong('ids', 'error.many', { limit: most });
  return ids;
}

const split = (words) => [...new Set(words.split(/[\s,;，；、]+/).filter(Boolean))];
