package gateway

import (
	_ "embed" // For the description.
	"encoding/json"
	"fmt"
	"sync"

	"go.yaml.in/yaml/v3"
)

//go:embed openapi.yaml
var description []byte

// openAPI converts the description, written in YAML for people, to JSON for tools.
func openAPI() ([]byte, error) {
	var document map[string]any
	if err := yaml.Unmarshal(description, &document); err != nil {
		return nil, fmt.Errorf("reading the description: %w", err)
	}
	return json.Marshal(document)
}

// openAPIAsset is that JSON as an asset. It is built once per process: building takes longer than the rest of [New],
// and tests have hundreds of gateways.
var openAPIAsset = sync.OnceValues(func() (asset, error) {
	document, err := openAPI()
	return newAsset("application/json", "", document), err
})
