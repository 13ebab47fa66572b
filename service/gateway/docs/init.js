// Shows the description that the server has beside this page, wherever both are: no address is absolute.
SwaggerUIBundle({
  url: 'openapi.json',
  dom_id: '#reference',
  deepLinking: true,
  validatorUrl: null, // It would send the description's address to another server.
  persistAuthorization: false, // Credentials stay in the memory of the tab.
  // To Swagger UI every type with json in its name is JSON, which lines of it are not.
  responseInterceptor: (response) => {
    if (response.headers?.['content-type']?.startsWith('application/x-ndjson')) response.headers['content-type'] = 'text/plain';
    return response;
  },
  queryConfigEnabled: false, // A link cannot make it show another server's description.
});
