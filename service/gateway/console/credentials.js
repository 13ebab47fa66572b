// The credentials of the form: they are in its fields, and with the watches that were begun with them, and nowhere else.

const fields = {
  'token': 'Authorization', 'user-id': 'X-User-Id', 'date': 'X-Date', 'caller-token': 'X-Kootask-Authorization',
};

// What a header may hold.
const sendable = /^[!-~]([ -~]*[!-~])?$/;

// read returns the headers that the form stands for, and calls wrong(field, key) for each field that cannot be sent.
export function read(wrong) {
  const headers = {};
  for (const [id, name] of Object.entries(fields)) {
    const value = document.getElementById(id).value.trim();
    if (value === '') continue;
    headers[name] = name === 'X-Kootask-Authorization' && !value.includes(' ') ? `Bearer ${value}` : value;
    if (!sendable.test(value)) wrong(id, 'error.header');
  }
  if (!headers.Authorization && !headers['X-User-Id']) wrong('token', 'error.credential');
  return headers;
}

let caller; // The caller's own token when its field was last left: what is being typed is none yet.
document.getElementById('caller-token').addEventListener('change', () => {
  caller = read(() => {})['X-Kootask-Authorization'];
});

// renew returns headers that were read before with what the form says now of who the caller is: for whom KooDrive is asked stays.
export function renew(headers) {
  return sendable.test(caller ?? '') ? { ...headers, 'X-Kootask-Authorization': caller } : headers;
}

// areSame reports whether headers stand for the same credentials.
export function areSame(some, others) {
  return Object.values(fields).every((name) => some[name] === others[name]);
}
