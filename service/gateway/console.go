package gateway

import (
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"

	"github.com/kootask/kootask/service/reason"
)

// console has the files of the page at /, which watches tasks in a browser. It is an ordinary client of the REST
// routes.
//
//go:embed console
var console embed.FS

// consolePolicy lets the page load its own files and call its own server only.
const consolePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// mediaTypes maps file extensions to media types. The operating system's table may lack them.
var mediaTypes = map[string]string{
	".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8",
	".svg": "image/svg+xml",
}

// Demo is a credential and tasks that the page offers to everybody: those of a demonstration.
type Demo struct {
	// Token is KooDrive's token. Empty: the user id is the credential.
	Token string `json:"token"`
	// UserID is the KooDrive user to act for. Empty: the token is the credential.
	UserID string `json:"userId"`
	// TaskIDs are the ids of the tasks.
	TaskIDs []string `json:"taskIds"`
}

// registerConsole registers the routes of the page and its files.
func registerConsole(mux *runtime.ServeMux, resultTexts map[string]map[string]string, demo *Demo) error {
	errs := []error{
		newAsset(mediaTypes[".js"], consolePolicy, catalogue(resultTexts)).route(mux, "/console/reasons.js"),
		newAsset(mediaTypes[".js"], consolePolicy, offer(demo)).route(mux, "/console/demo.js"),
	}
	entries, err := fs.ReadDir(console, "console")
	errs = append(errs, err)
	for _, entry := range entries {
		content, err := fs.ReadFile(console, path.Join("console", entry.Name()))
		route := "/console/" + entry.Name()
		if entry.Name() == "index.html" {
			route = "/"
		}
		errs = append(errs, err, newAsset(mediaTypes[path.Ext(entry.Name())], consolePolicy, content).route(mux, route))
	}
	return errors.Join(errs...)
}

// catalogue returns the texts of the reasons and of the result codes as a JavaScript module.
func catalogue(resultTexts map[string]map[string]string) []byte {
	reasons, _ := json.Marshal(reason.Catalogue()) // Maps of strings always marshal.
	results, _ := json.Marshal(resultTexts)
	return fmt.Appendf(nil, "export const reasons = %s;\nexport const results = %s ?? {};\n", reasons, results)
}

// offer returns what the page offers to everybody as a JavaScript module.
func offer(demo *Demo) []byte {
	object, _ := json.Marshal(demo) // Strings always marshal.
	return fmt.Appendf(nil, "export const demo = %s;\n", object)
}
