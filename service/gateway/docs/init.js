// Shows the description that the server has beside this page, wherever both are: no address is absolute.
const STREAM = 'text/event-stream; charset=utf-8';

SwaggerUIBundle({
  url: 'openapi.json',
  dom_id: '#reference',
  deepLinking: true,
  defaultModelsExpandDepth: -1, // The calls show their schemas.
  validatorUrl: null, // It would send the description's address to another server.
  persistAuthorization: false, // Credentials stay in the memory of the tab.
  queryConfigEnabled: false, // A link cannot make it show another server's description.
  plugins: [({ React }) => ({
    statePlugins: { spec: { wrapSelectors: {
      // The pages of this server are not part of the API.
      taggedOperations: (original) => (state, ...rest) => original(state, ...rest).filter((_, tag) => tag === 'tasks'),
      // Swagger UI shows an answer only once it has ended, so a stream cannot be tried here.
      allowTryItOutFor: (original, { specSelectors }) => (state, path, method) =>
        original(state, path, method) && !specSelectors.operationWithMeta(path, method).hasIn(['responses', '200', 'content', STREAM]),
    } } },
    wrapComponents: {
      // A link inside the button of a call could not be reached with the keyboard. The address follows the open call all the same.
      DeepLink: () => ({ text }) => React.createElement('span', null, text),
    },
  })],
});

// Swagger UI leaves some elements without a name, a level or the keyboard's access. This gives them one whenever it draws.
const reference = document.querySelector('#reference');
const repairs = {
  h2: (e) => { e.ariaLevel = '1'; e.role = 'heading'; },
  h3: (e) => { e.ariaLevel = '2'; e.role = 'heading'; },
  h4: (e) => { e.ariaLevel = '3'; e.role = 'heading'; },
  'h5, h6': (e) => { e.ariaLevel = '4'; e.role = 'heading'; },
  '.close-modal': (e) => { e.ariaLabel = 'Close'; },
  '.copy-to-clipboard button': (e) => { e.ariaLabel = 'Copy'; },
  '.auth-btn-wrapper [aria-label]': (e) => { e.ariaLabel = e.textContent; },
  '.microlight': (e) => { e.tabIndex = 0; },
  select: (e) => { e.ariaLabel = e.closest('[data-param-name]')?.dataset.paramName ?? 'Media type'; },
  ':is(input, select, textarea):not([id], [name])': (e) => { e.name = e.closest('[data-param-name]')?.dataset.paramName ?? 'media-type'; },
};
new MutationObserver(() => {
  for (const [selector, repair] of Object.entries(repairs)) reference.querySelectorAll(selector).forEach(repair);
}).observe(reference, { childList: true, subtree: true });
