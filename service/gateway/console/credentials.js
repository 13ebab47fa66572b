// The credentials of the form. They are only in its fields and in the watches that were started with them.

const fields = {
  'token': 'Authorization', 'user-id': 'X-User-Id', 'date': 'X-Date', 'caller-token': 'X-Kootask-Authorization',
};

// The characters that a header may have.
const sendable = /^[!-~]([ -~]*[!-~])?$/;

// read returns the headers of the form, and calls wrong(field, key) for each field that cannot be sent.
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

let caller; // The caller's own token when its field last lost the focus, because a token that is being typed is incomplete.
document.getElementById('caller-token').addEventListener('change', () => {
  caller = read(() => {})['X-Kootask-Authorization'];
});

// renew returns earlier headers with the present caller token. The credential for KooDrive stays.
export function renew(headers) {
  return sendable.test(caller ?? '') ? { ...headers, 'X-Kootask-Authorization': caller } : headers;
}

// areSame reports whether headers have the same credentials, with the present caller token.
export function areSame(some, others) {
  const [a, b] = [renew(some), renew(others)];
  return Object.values(fields).every((name) => a[name] === b[name]);
}
