// What shows outside the page that its tasks have finished: the title and the icon of its tab, and a notification.
import { say, text, write } from './text.js';

const at = (id) => document.getElementById(id);

let before = { watching: 0, over: 0 }; // Tasks that were watched before, and that had ended by themselves.

// show updates the title and the icon. It notifies the user, if asked to, when the last watched task has ended by itself. A task that was
// stopped has not finished: it does not prevent the notification, and the tab does not show that all have finished.
export function show(tasks) {
  const count = (is) => tasks.filter(is).length;
  const isDone = (task) => task.data?.done;
  const succeeded = count((task) => isDone(task) && task.state === 'SUCCESS'), failed = count((task) => isDone(task) && task.state === 'FAILED');
  const done = count(isDone), ended = done - succeeded - failed, troubled = count((task) => task.connection === 'failed');
  const watching = count((task) => task.runs), over = done + troubled;
  const allDone = done > 0 && over === tasks.length;
  const marks = Object.entries({ '✓': succeeded, '✗': failed, '?': ended, '!': troubled }).filter(([, n]) => n > 0);
  const words = watching > 0 ? [`(${watching})`] : allDone ? marks.map((mark) => mark.join(' ')) : [];
  document.title = [...words, 'kootask'].join(' ');
  const icon = at('icon'), href = allDone ? icon.dataset.doneHref : icon.dataset.href;
  if (icon.getAttribute('href') !== href) icon.setAttribute('href', href);
  const finished = watching === 0 && before.watching > 0 && over > before.over;
  before = { watching, over };
  if (finished && done > 0 && at('notify').checked) notify({ succeeded, failed, ended, troubled });
}

// notify fails in browsers that know notifications only of service workers, such as Chrome on Android.
function notify(counts) {
  try {
    new Notification('kootask', { body: write(text('notify.body', counts)), icon: at('icon').dataset.doneHref, tag: 'kootask' });
  } catch {
    allow(false);
  }
}

function allow(allowed) {
  at('notify').checked = allowed;
  say(at('notify-words'), text(allowed ? 'notify' : 'notify.denied'));
}

at('notify').addEventListener('change', async () => {
  if (!at('notify').checked) return;
  allow(await Notification.requestPermission() === 'granted');
});
at('notify').closest('label').hidden = !('Notification' in window) || !isSecureContext;
