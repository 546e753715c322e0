// The page of the API: Swagger UI over our own document.
const csrf = () => document.cookie.match(/(?:^|; )csrftoken=([^;]+)/)?.[1] ?? "";

window.SwaggerUIBundle({
  domNode: document.body,
  url: document.body.dataset.schema,
  deepLinking: true,
  validatorUrl: null,
  requestInterceptor(request) {
    request.headers["X-CSRFToken"] = csrf();
    return request;
  },
});
