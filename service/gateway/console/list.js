// The list of tasks: which of them are shown, in which order, on which page. It is drawn at most once a frame.
import { Details } from './details.js';
import { Row } from './row.js';
import { say, text } from './text.js';

// rows is the number of tasks on a page of the list.
const rows = 100;

// The groups of the totals, which select the shown tasks. A task may be in several.
const groups = {
  all: () => true,
  watching: (task) => task.runs,
  succeeded: (task) => task.state === 'SUCCESS',
  failed: (task) => task.state === 'FAILED',
  problems: (task) => task.isTroubled,
  stopped: (task) => task.connection === 'stopped',
};

const order = ['unknown', 'NEW', 'EXECUTING', 'other', 'FAILED', 'SUCCESS'];

// The columns by which the list can be sorted, with a task's key.
const columns = {
  state: (task) => order.indexOf(task.state),
  id: (task) => task.id,
  name: (task) => task.data?.taskName ?? '',
  bar: (task) => task.bar.at(-1)?.since ?? 0,
  confirmed: (task) => task.confirmed ?? 0,
  note: (task) => (task.isTroubled ? 0 : 1),
};

const at = (id) => document.getElementById(id);

export class List {
  #tasks; // All of them, in their order.
  #page;
  #rows = new Map(); // Those in the document, by task.
  #details = new Details(() => this.changed());
  #group = 'all';
  #column; // By which the list is sorted. Undefined: none.
  #descending = false;
  #first = 0; // Index of the page's first task.
  #due = false; // A frame is requested.

  // tasks returns all tasks. page has stop(task), again(task), remove(task), and most: see Row.
  constructor(tasks, page) {
    this.#tasks = tasks;
    this.#page = { ...page, details: (task) => this.show(task) };
    for (const button of document.querySelectorAll('[data-group]')) button.addEventListener('click', () => this.#select(button.dataset.group));
    for (const button of document.querySelectorAll('[data-sort]')) button.addEventListener('click', () => this.#sort(button.dataset.sort));
    at('filter').addEventListener('input', () => this.#turn(0));
    at('previous').addEventListener('click', () => this.#turn(this.#first - rows));
    at('next').addEventListener('click', () => this.#turn(this.#first + rows));
    at('close').addEventListener('click', () => this.#close());
    at('details').addEventListener('keydown', (event) => { if (event.key === 'Escape') this.#close(); });
  }

  // changed draws the list in the next frame.
  changed() {
    if (this.#due) return;
    this.#due = true;
    requestAnimationFrame(() => {
      this.#due = false;
      this.#draw();
    });
  }

  // show shows the details of a task.
  show(task) {
    this.#details.show(task);
    this.#details.draw();
    at('details-title').focus();
    this.changed();
  }

  // leave passes the focus on before a task is removed: to the same button of its neighbour, or else to the filter.
  leave(task) {
    const shown = [...this.#rows.keys()], i = shown.indexOf(task);
    const next = shown[i + 1] ?? shown[i - 1];
    if (i >= 0 && this.#rows.get(task).element.contains(document.activeElement)) next ? this.#rows.get(next).focus('remove') : at('filter').focus();
    if (this.#details.task === task) this.#close();
  }

  #close() {
    const { task } = this.#details;
    const held = at('details').contains(document.activeElement);
    this.#details.show(undefined);
    if (!held) return;
    const row = this.#rows.get(task);
    row ? row.focus('details') : at('filter').focus();
    this.changed();
  }

  #select(group) {
    this.#group = group;
    this.#turn(0);
  }

  // sort sorts by a column; the second time the other way round, the third time not any more.
  #sort(column) {
    if (this.#column !== column) [this.#column, this.#descending] = [column, false];
    else if (!this.#descending) this.#descending = true;
    else this.#column = undefined;
    this.#turn(0);
  }

  #turn(first) {
    this.#first = first;
    this.changed();
  }

  #draw() {
    const all = this.#tasks(), now = Date.now();
    this.#total(all);
    const shown = this.#arrange(all);
    this.#first = Math.max(0, Math.min(this.#first, Math.ceil(shown.length / rows - 1) * rows));
    const here = shown.slice(this.#first, this.#first + rows);
    this.#place(here);
    for (const [task, row] of this.#rows) row.draw(now, task === this.#details.task);
    this.#details.draw();
    this.#controls(all, shown, here);
  }

  #total(all) {
    for (const button of document.querySelectorAll('[data-group]')) {
      const { group } = button.dataset;
      say(button, text(`group.${group}`, { count: all.filter(groups[group]).length }));
      button.setAttribute('aria-pressed', group === this.#group);
    }
  }

  // arrange returns the tasks that the filter selects, sorted.
  #arrange(all) {
    const words = at('filter').value.trim().toLowerCase(), key = columns[this.#column];
    const shown = all.filter((task) => groups[this.#group](task) && (words === '' || task.id.toLowerCase().includes(words) ||
      task.data?.taskName.toLowerCase().includes(words)));
    if (!key) return shown;
    const by = (a, b) => (a < b ? -1 : a > b ? 1 : 0);
    return shown.sort((a, b) => (this.#descending ? by(key(b), key(a)) : by(key(a), key(b))));
  }

  // place puts the rows of tasks into the document. An element that keeps its place is not touched, and the focus stays where it is.
  #place(tasks) {
    const body = at('tasks'), focused = document.activeElement, held = body.contains(focused);
    const kept = new Set(tasks);
    for (const [task, row] of this.#rows) if (!kept.has(task)) row.element.remove();
    this.#rows = new Map(tasks.map((task) => [task, this.#rows.get(task) ?? new Row(task, this.#page)]));
    let place = body.firstElementChild;
    for (const { element } of this.#rows.values()) {
      if (element === place) place = place.nextElementSibling;
      else body.insertBefore(element, place);
    }
    if (held && document.activeElement !== focused) (focused.isConnected ? focused : at('filter')).focus();
  }

  #controls(all, shown, here) {
    at('list').hidden = all.length === 0;
    at('none').hidden = all.length === 0 || shown.length > 0;
    at('empty').hidden = all.length > 0;
    at('pages').hidden = shown.length <= rows;
    say(at('range'), text('range', { first: this.#first + 1, last: this.#first + here.length, count: shown.length }));
    disable(at('previous'), this.#first === 0, at('next'));
    disable(at('next'), this.#first + rows >= shown.length, at('previous'));
    for (const button of document.querySelectorAll('[data-sort]')) {
      const order = this.#descending ? 'descending' : 'ascending';
      button.parentElement.setAttribute('aria-sort', button.dataset.sort === this.#column ? order : 'none');
    }
  }
}

// disable passes the focus of a button that is disabled to another one.
function disable(button, disabled, other) {
  if (disabled && document.activeElement === button) {
    other.disabled = false;
    other.focus();
  }
  button.disabled = disabled;
}
