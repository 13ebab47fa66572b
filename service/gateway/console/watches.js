// The watches of all tasks, over as few streams as possible.
import { Lane, room } from './lane.js';
import { retryDelay } from './resume.js';

// What happens within this time, in ms, changes the streams once.
const together = 50;
// The delays of dropped tasks are rounded up to this, in ms, so that tasks that were dropped together share a stream again. Each page
// rounds from an offset of its own, so that pages do not watch again at the same moment.
const gathering = 5000;
const offset = Math.random() * gathering;

export class Watches {
  #limit;
  #share;
  #lanes = new Set();
  #queue = []; // Tasks that wait for a stream.
  #spare; // The lane with the spare connection.
  #due; // Timer of the next #settle.
  #turn; // Timer of the next turn.

  // limit is the number of streams, and share the time in ms for which a stream is safe from waiting tasks. A change of the tasks of a
  // stream takes one more connection for a moment.
  constructor(limit, share) {
    this.#limit = limit;
    this.#share = share;
  }

  // most is the number of tasks that are watched at a time.
  get most() { return this.#limit * room; }

  // start watches a task with its headers, from now on.
  start(task) {
    this.#remove(task);
    this.#wait(task);
  }

  // stop ends the watch of a task.
  stop(task) {
    this.#remove(task);
    this.#settleSoon();
  }

  // stopAll ends all streams at once, also those that are about to begin.
  stopAll() {
    this.#queue = [];
    for (const lane of this.#lanes) {
      lane.tasks.clear();
      lane.settle();
    }
  }

  #wait(task) {
    task.connect('connecting');
    this.#queue.push(task);
    this.#settleSoon();
  }

  #remove(task) {
    clearTimeout(task.again);
    this.#queue = this.#queue.filter((other) => other !== task);
    for (const lane of this.#lanes) lane.remove(task);
  }

  #settleSoon() {
    this.#due ??= setTimeout(() => {
      this.#due = undefined;
      this.#settle();
    }, together);
  }

  // settle gives waiting tasks a place in a stream, in their order, and begins the streams that this takes.
  #settle() {
    this.#queue = this.#queue.filter((task) => {
      const lane = this.#laneFor(task);
      lane?.add(task);
      return lane === undefined;
    });
    for (const task of this.#queue) if (task.connection !== 'waiting') task.connect('waiting');
    for (const lane of this.#lanes) lane.settle();
    clearTimeout(this.#turn);
    if (this.#queue.length > 0) this.#turn = setTimeout(() => this.#makeWay(), this.#share / 5);
  }

  // laneFor returns a lane with room for a task, undefined if there is none. A task that was dropped joins a stream of others only if no
  // other lane can be opened: on a new stream, fewer failed polls would drop them.
  #laneFor(task) {
    const lanes = [...this.#lanes].filter((lane) => lane.hasRoomFor(task.headers));
    const first = task.drops > 0 ? lanes.find((lane) => lane.isIdle) : lanes[0];
    return first ?? this.#open(task.headers) ?? lanes[0];
  }

  #open(headers) {
    if (this.#lanes.size >= this.#limit) return undefined;
    const lane = new Lane(headers, this);
    this.#lanes.add(lane);
    return lane;
  }

  // makeWay sends the tasks of the oldest lane, which comes first in the set, to the queue's end. It takes one lane at a time, so that few
  // streams end and begin together.
  #makeWay() {
    const since = performance.now() - this.#share;
    const lane = [...this.#lanes].find((lane) => lane.since <= since);
    if (lane) {
      const tasks = [...lane.tasks];
      lane.tasks.clear();
      lane.settle();
      for (const task of tasks) this.#wait(task);
    }
    this.#settle();
  }

  // spare gives a lane the spare connection, if that is free.
  spare(lane) {
    this.#spare ??= lane;
    return this.#spare === lane;
  }

  // free takes the spare connection back from a lane.
  free(lane) {
    if (this.#spare !== lane) return;
    this.#spare = undefined;
    this.#settleSoon();
  }

  // drop ends the watch of a task, or begins it again after the delay of the failure.
  drop(task, failure) {
    if (failure.retryAfter === undefined) {
      task.fail(failure);
      return;
    }
    const now = Date.now();
    const due = Math.ceil((now + retryDelay(failure, ++task.drops) - offset) / gathering) * gathering + offset;
    task.lose(failure, due - now);
    task.again = setTimeout(() => this.#wait(task), due - now);
  }

  // ended forgets a lane without tasks.
  ended(lane) {
    if (this.#lanes.delete(lane)) this.#settleSoon();
  }
}
