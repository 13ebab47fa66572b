package gateway

import (
	_ "embed" // For the description.
	"encoding/json"
	"fmt"

	"go.yaml.in/yaml/v3"
)

//go:embed openapi.yaml
var description []byte

// openAPI is what describes the HTTP port, as JSON, which every tool reads. It is written in YAML, which people do.
func openAPI() ([]byte, error) {
	var document map[string]any
	if err := yaml.Unmarshal(description, &document); err != nil {
		return nil, fmt.Errorf("reading the description: %w", err)
	}
	return json.Marshal(document)
}
