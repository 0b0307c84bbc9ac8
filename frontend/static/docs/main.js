// The API's documentation, from its own description.
SwaggerUIBundle({ url: "/openapi.json", dom_id: "#docs" });
