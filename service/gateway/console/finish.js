// What shows outside the page that its tasks have finished: the title and the icon of its tab, and a notification.
import { say, text, write } from './text.js';

const at = (id) => document.getElementById(id);

let before = 0; // Tasks that were watched before.

// show updates the title and the icon. It notifies the user, if asked to, when the last watched task has ended by itself.
export function show(tasks) {
  const count = (is) => tasks.filter(is).length;
  const watching = count((task) => task.runs);
  const ends = [['✓', count((task) => task.data?.done && task.state !== 'FAILED')], ['✗', count((task) => task.state === 'FAILED')], ['!', count((task) => task.connection === 'failed')]];
  const isDone = watching === 0 && tasks.some((task) => task.data?.done);
  const words = watching > 0 ? [`(${watching})`] : isDone ? ends.filter(([, n]) => n > 0).map((end) => end.join(' ')) : [];
  document.title = [...words, 'kootask'].join(' ');
  const icon = at('icon'), href = isDone ? icon.dataset.doneHref : icon.dataset.href;
  if (icon.getAttribute('href') !== href) icon.setAttribute('href', href);
  const finished = watching === 0 && before > 0 && tasks.every((task) => task.data?.done || task.connection === 'failed');
  before = watching;
  if (!finished || !isDone || !at('notify').checked) return;
  const [succeeded, failed, troubled] = ends.map(([, n]) => n);
  new Notification('kootask', { body: write(text('notify.body', { succeeded, failed, troubled })), icon: icon.dataset.doneHref, tag: 'kootask' });
}

at('notify').addEventListener('change', async () => {
  if (!at('notify').checked) return;
  const allowed = await Notification.requestPermission() === 'granted';
  at('notify').checked = allowed;
  say(at('notify-words'), text(allowed ? 'notify' : 'notify.denied'));
});
at('notify').closest('label').hidden = !('Notification' in window) || !isSecureContext;
