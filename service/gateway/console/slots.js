// A queue for a limited number of streams. A browser opens six connections to an HTTP/1.1 server, and lets further requests wait
// silently. A watch that has had its slot for a while passes it on to a waiting one.
export class Slots {
  #limit;
  #share;
  #taken = new Set();
  #queue = [];
  #timer;

  // limit is the number of slots, share the time in ms for which a slot is safe from waiting watches.
  constructor(limit, share) {
    this.#limit = limit;
    this.#share = share;
  }

  // take waits for a slot. Give it back with end(). When slot.over is aborted, another watch is waiting for it.
  take(signal) {
    return new Promise((resolve, reject) => {
      signal.throwIfAborted();
      const entry = { signal, resolve };
      entry.leave = () => {
        this.#queue.splice(this.#queue.indexOf(entry), 1);
        reject(signal.reason);
      };
      signal.addEventListener('abort', entry.leave, { once: true });
      this.#queue.push(entry);
      this.#serve();
    });
  }

  #serve() {
    while (this.#queue.length > 0 && this.#taken.size < this.#limit) {
      const { signal, resolve, leave } = this.#queue.shift();
      signal.removeEventListener('abort', leave);
      resolve(this.#slot());
    }
    clearTimeout(this.#timer);
    if (this.#queue.length > 0) this.#timer = setTimeout(() => this.#makeWay(), this.#share / 5);
  }

  #slot() {
    const over = new AbortController();
    const slot = {
      over: over.signal,
      // used starts the time of a slot, so that it is not taken back before it has brought an event.
      used: () => { slot.since ??= performance.now(); },
      end: () => { if (this.#taken.delete(slot)) this.#serve(); },
      giveUp: () => over.abort(),
    };
    this.#taken.add(slot);
    return slot;
  }

  // makeWay takes back as many slots as there are waiting watches. The oldest slots come first in the set.
  #makeWay() {
    const since = performance.now() - this.#share;
    const old = [...this.#taken].filter((slot) => slot.since <= since);
    for (const slot of old.slice(0, this.#queue.length)) slot.giveUp();
    this.#serve();
  }
}
