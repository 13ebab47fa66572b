// Turns at a limited number of streams: a browser opens six connections to a server that speaks HTTP/1.1, and lets
// what is above it hang without a word. Who has had a turn for a while gives it to who waits.
export class Turns {
  #limit;
  #share;
  #taken = new Set();
  #queue = [];
  #timer;

  // limit is how many turns there are at a time, share how long one is safe from those who wait, in ms.
  constructor(limit, share) {
    this.#limit = limit;
    this.#share = share;
  }

  // take waits for a turn. Give it back with end(). When turn.over is aborted, somebody else is waiting for it.
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
      resolve(this.#turn());
    }
    clearTimeout(this.#timer);
    if (this.#queue.length > 0) this.#timer = setTimeout(() => this.#makeWay(), this.#share / 5);
  }

  #turn() {
    const over = new AbortController();
    const turn = {
      over: over.signal,
      // used starts the clock: a turn is not taken back before it has brought something.
      used: () => { turn.since ??= performance.now(); },
      end: () => { if (this.#taken.delete(turn)) this.#serve(); },
      giveUp: () => over.abort(),
    };
    this.#taken.add(turn);
    return turn;
  }

  // makeWay takes back as many turns as are waited for: those who have had theirs for the longest time come first in the set.
  #makeWay() {
    const since = performance.now() - this.#share;
    const old = [...this.#taken].filter((turn) => turn.since <= since);
    for (const turn of old.slice(0, this.#queue.length)) turn.giveUp();
    this.#serve();
  }
}
