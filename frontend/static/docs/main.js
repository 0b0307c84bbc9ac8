// The API's documentation, from its own description.
import { address } from "../shared/http.js";

SwaggerUIBundle({ url: address("/openapi.json"), dom_id: "#docs" });
