// The history of a task, newest line first. Few lines are in the document at a time, and none while the history is closed.
import { label, say, text, write } from './text.js';

const kept = 10_000;
const page = 100;

export class Timeline {
  #lines = []; // Oldest first: { time, text }.
  #dropped = false;
  #fresh = 0; // Number of the newest lines that are not in the document yet.
  #shown = page;
  #due = false;

  constructor(details, id) {
    this.id = id;
    this.details = details;
    this.summary = details.querySelector('summary');
    this.list = details.querySelector('ol');
    this.older = details.querySelector('.older');
    label(this.list, text('history.label', { id }));
    label(this.older, text('older.label', { id }));
    details.addEventListener('toggle', () => this.#draw());
    this.older.addEventListener('click', () => this.#showOlder());
    this.#draw();
  }

  // add adds a Text with the present time.
  add(words) {
    this.#lines.push({ time: new Date(), words });
    this.#fresh++;
    if (this.#lines.length > kept) {
      this.#dropped = true;
      this.#lines.splice(0, this.#lines.length - kept);
    }
    if (this.#due) return;
    this.#due = true;
    setTimeout(() => {
      this.#due = false;
      this.#draw();
    });
  }

  // redraw writes all lines again, in another language.
  redraw() {
    this.list.replaceChildren();
    this.#draw();
  }

  #draw() {
    const count = text(this.#dropped ? 'history.dropped' : 'history', { count: this.#lines.length });
    say(this.summary, count);
    label(this.summary, text('history.name', { count, id: this.id }));
    if (!this.details.open) {
      this.list.replaceChildren();
      this.#shown = page;
      return;
    }
    const fresh = this.list.childElementCount === 0 ? this.#shown : Math.min(this.#fresh, this.#shown);
    this.#fresh = 0;
    this.list.prepend(...this.#lines.slice(-fresh || this.#lines.length).reverse().map(draw));
    while (this.list.childElementCount > this.#shown) this.list.lastElementChild.remove();
    this.#count();
  }

  #showOlder() {
    this.#draw(); // Lines that are not in the document yet must not be counted as older ones.
    const at = this.#lines.length - this.list.childElementCount;
    const older = this.#lines.slice(Math.max(0, at - page), at).reverse().map(draw);
    this.#shown += page;
    this.list.append(...older);
    this.#count();
    if (this.older.hidden) { // The focused button has gone, so the oldest line gets the focus.
      this.list.lastElementChild.tabIndex = -1;
      this.list.lastElementChild.focus();
    }
  }

  #count() {
    this.older.hidden = this.list.childElementCount >= this.#lines.length;
  }
}

function draw({ time, words }) {
  const item = document.createElement('li');
  const at = document.createElement('time');
  at.dateTime = time.toISOString();
  at.textContent = write(time);
  item.append(at, ' ', write(words));
  return item;
}
