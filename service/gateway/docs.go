package gateway

import (
	"embed"
	"errors"
	"io/fs"
	"path"
	"strings"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"github.com/swaggest/swgui/v5/static"
)

// docs has the page at /docs, which shows the OpenAPI document in Swagger UI.
//
//go:embed docs
var docs embed.FS

// docsPolicy is consolePolicy, relaxed for Swagger UI's inline styles and data: icons.
const docsPolicy = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; " +
	"connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// registerDocs registers the routes of the page and its files.
func registerDocs(mux *runtime.ServeMux) error {
	var errs []error
	for route, name := range map[string]string{
		"/docs": "docs/index.html", "/docs/init.js": "docs/init.js", "/docs/style.css": "docs/style.css",
	} {
		content, err := fs.ReadFile(docs, name)
		errs = append(errs, err, newAsset(mediaTypes[path.Ext(name)], docsPolicy, content).route(mux, route))
	}
	for _, name := range []string{"swagger-ui.css.gz", "swagger-ui-bundle.js.gz"} {
		packed, err := fs.ReadFile(static.FS, name)
		name = strings.TrimSuffix(name, ".gz")
		errs = append(errs, err, packedAsset(mediaTypes[path.Ext(name)], docsPolicy, packed).route(mux, "/docs/"+name))
	}
	return errors.Join(errs...)
}
