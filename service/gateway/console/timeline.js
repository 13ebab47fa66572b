// The history of a task, newest line first. Few of its lines are in the document at a time.
import { write } from './text.js';

const page = 100;

export class Timeline {
  #list;
  #older;
  #newest; // The newest line in the document.
  #shown = page;

  // list is the ol of the lines, and older the button that shows more. redraw is called when more are to be drawn.
  constructor(list, older, redraw) {
    this.#list = list;
    this.#older = older;
    older.addEventListener('click', () => {
      this.#shown += page;
      redraw();
    });
  }

  // clear begins with another task, or in another language.
  clear() {
    this.#list.replaceChildren();
    this.#newest = undefined;
  }

  // reset forgets how many lines were shown.
  reset() {
    this.clear();
    this.#shown = page;
  }

  // draw adds the lines that are not in the document yet: new ones above, and older ones below.
  draw(lines) {
    const from = this.#newest ? lines.lastIndexOf(this.#newest) + 1 : lines.length;
    const fresh = lines.slice(Math.max(from, lines.length - this.#shown));
    this.#list.prepend(...fresh.reverse().map(line));
    while (this.#list.childElementCount > this.#shown) this.#list.lastElementChild.remove();
    this.#newest = lines.at(-1);
    const at = lines.length - this.#list.childElementCount;
    this.#list.append(...lines.slice(Math.max(0, lines.length - this.#shown), at).reverse().map(line));
    const focused = document.activeElement === this.#older;
    this.#older.hidden = this.#list.childElementCount >= lines.length;
    if (focused && this.#older.hidden) { // The focused button has gone, so the oldest line gets the focus.
      this.#list.lastElementChild.tabIndex = -1;
      this.#list.lastElementChild.focus();
    }
  }
}

function line({ time, words }) {
  const item = document.createElement('li');
  const at = document.createElement('time');
  at.dateTime = time.toISOString();
  at.textContent = write(time);
  item.append(at, ' ', write(words));
  return item;
}
