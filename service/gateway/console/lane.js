// A place for one stream at a time, and the tasks that it watches with the same credentials.
import { areSame, renew } from './credentials.js';
import { backoff, delay } from './resume.js';
import { dropped, Failure, stream } from './stream.js';

// room is the number of tasks that a stream watches at most.
export const room = 100;

export class Lane {
  tasks = new Set(); // Those to watch. Call add or remove, and then settle.
  since; // Time of KooDrive's first answer or failure in this lane, undefined before.
  #headers;
  #watches;
  #current; // The stream that has begun, if any.
  #next; // The stream that takes over from it when it begins.
  #retry; // The delay before the next stream: { timer, failure, due } with its cause and its end in ms, undefined without one.
  #empty = 0; // Consecutive streams without a message.

  // watches has spare(lane), free(lane), drop(task, failure) and ended(lane).
  constructor(headers, watches) {
    this.#headers = headers;
    this.#watches = watches;
  }

  // hasRoomFor reports whether a task with these headers can be added.
  hasRoomFor(headers) { return this.tasks.size < room && areSame(this.#headers, headers); }

  // isIdle reports whether the lane has no stream: the next one restarts nothing.
  get isIdle() { return this.#streams().length === 0; }

  // add adds a task.
  add(task) {
    this.tasks.add(task);
    if (this.#retry) task.lose(this.#retry.failure, this.#retry.due - Date.now());
    else task.connect('connecting');
  }

  // remove removes a task. If the user watches it again, the present stream does not count as its own, because it does not repeat the
  // task's state.
  remove(task) {
    this.tasks.delete(task);
    for (const { tasks } of this.#streams()) if (tasks.has(task.id)) tasks.set(task.id, undefined);
  }

  #streams() { return [this.#current, this.#next].filter(Boolean); }

  // settle brings the stream in line with the tasks:
  //  1. Without tasks, the lane ends.
  //  2. A stream that is about to begin, or a delay, is awaited first.
  //  3. Without a stream, one begins.
  //  4. A stream with other tasks goes on until the new one has begun, so that no task is without a stream. It takes a spare connection,
  //     for which the lanes wait.
  settle() {
    if (this.tasks.size === 0) {
      this.#leave();
      this.#watches.ended(this);
    } else if (!this.#next && !this.#retry && !this.#isSettled() && (!this.#current || this.#watches.spare(this))) {
      this.#begin();
    }
  }

  #isSettled() {
    const now = this.#current?.tasks;
    return now !== undefined && now.size === this.tasks.size && [...this.tasks].every((task) => now.get(task.id) === task);
  }

  #begin() {
    const over = new AbortController();
    const begun = this.#next = { over, headers: renew(this.#headers), tasks: new Map([...this.tasks].map((task) => [task.id, task])), heard: false };
    this.#empty++;
    for (const task of this.#onlyNew(begun)) task.connect('connecting');
    const query = new URLSearchParams([...begun.tasks.keys()].map((id) => ['taskIds', id]));
    stream(`v1/tasks:watch?${query}`, begun.headers, over.signal, {
      open: (headers) => this.#open(begun, headers),
      event: (name, data) => this.#hear(begun, name, data),
    }).then(() => this.#close(begun), (failure) => {
      if (!over.signal.aborted) this.#close(begun, failure);
    });
  }

  // onlyNew returns the tasks of a stream that no other stream of the lane watches.
  #onlyNew(begun) {
    const other = begun === this.#current ? this.#next : this.#current;
    return this.#wanted(begun).filter((task) => other?.tasks.get(task.id) !== task);
  }

  #wanted(begun) { return [...begun.tasks.values()].filter((task) => this.tasks.has(task)); }

  #open(begun, headers) {
    this.#current?.over.abort();
    this.#current = begun;
    this.#next = undefined;
    for (const task of this.#wanted(begun)) task.open(headers);
    this.#watches.free(this);
    this.settle();
  }

  // hear passes an event on, and reports whether it was the last one.
  #hear(begun, name, data) {
    if (begun.over.signal.aborted) return true;
    this.#empty = 0;
    begun.heard = true;
    if (name === 'heartbeat') {
      if (data.observeTime || data.failureCount > 0) this.since ??= performance.now();
      const failing = new Set(data.failingTaskIds);
      for (const task of this.#wanted(begun)) task.beat(data, failing.has(task.id));
      return false;
    }
    const task = begun.tasks.get(data?.taskId);
    if (!task || name !== 'task' && name !== 'dropped') return false;
    this.since ??= performance.now();
    const ends = name === 'dropped' || data.done;
    if (ends) {
      for (const { tasks } of this.#streams()) tasks.delete(task.id);
      this.tasks.delete(task);
    }
    if (name === 'task') task.hear(data);
    else this.#watches.drop(task, dropped(data));
    if (this.tasks.size === 0) this.settle();
    return begun.tasks.size === 0;
  }

  // close deals with the end of a stream:
  //  1. If another one is about to begin, that decides.
  //  2. After a passing failure, the tasks without a stream wait for the next one.
  //  3. After any other failure, those of them that the stream had have failed. A stream that goes on keeps its tasks, although a new one
  //     was refused: it tolerates failed polls that a new one does not. Its own end shows whether they are final.
  #close(begun, failure) {
    if (failure === undefined && this.#wanted(begun).length > 0) failure = new Failure('cut');
    begun.over.abort();
    if (this.#current === begun) this.#current = undefined;
    if (this.#next === begun) this.#next = undefined;
    this.#watches.free(this);
    if (failure && this.#next) for (const task of this.#wanted(begun)) task.connect('connecting');
    else if (failure) this.#recover(begun, failure);
    this.settle();
  }

  #recover(begun, failure) {
    const name = 'X-Kootask-Authorization';
    const ms = delay(failure, this.#empty, begun.heard && begun.headers[name] !== renew(this.#headers)[name]);
    const bereft = [...this.tasks].filter((task) => this.#current?.tasks.get(task.id) !== task);
    if (ms !== undefined) {
      this.since ??= performance.now();
      for (const task of bereft) task.lose(failure, ms);
      this.#wait(failure, ms);
      return;
    }
    for (const task of bereft) {
      if (begun.tasks.get(task.id) !== task) continue;
      this.tasks.delete(task);
      task.fail(failure);
    }
    if (this.#current && !this.#isSettled()) this.#wait(failure, backoff(this.#empty));
  }

  // wait begins the next stream after some ms.
  #wait(failure, ms) {
    clearTimeout(this.#retry?.timer);
    const timer = setTimeout(() => {
      this.#retry = undefined;
      this.settle();
    }, ms);
    this.#retry = { timer, failure, due: Date.now() + ms };
  }

  #leave() {
    for (const { over } of this.#streams()) over.abort();
    this.#current = this.#next = undefined;
    clearTimeout(this.#retry?.timer);
    this.#watches.free(this);
  }
}
