package gateway

import (
	_ "embed" // For the description.
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"

	"go.yaml.in/yaml/v3"

	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
	"github.com/kootask/kootask/service/reason"
)

//go:embed openapi.yaml
var description []byte

// openAPI converts the description, written in YAML for people, to JSON for tools. It adds reasons and languages from the code.
func openAPI() ([]byte, error) {
	var tree yaml.Node
	if err := yaml.Unmarshal(description, &tree); err != nil {
		return nil, fmt.Errorf("reading the description: %w", err)
	}
	if err := fill(&tree); err != nil {
		return nil, fmt.Errorf("filling in the description: %w", err)
	}
	var document map[string]any
	if err := tree.Decode(&document); err != nil {
		return nil, fmt.Errorf("converting the description: %w", err)
	}
	return json.Marshal(document)
}

// fill replaces the nodes with tags of its own.
func fill(n *yaml.Node) error {
	switch n.Tag {
	case "!reasons":
		var codes []int
		if err := n.Decode(&codes); err != nil {
			return err
		}
		return n.Encode(reasonsOf(codes))
	case "!languages":
		return n.Encode(reason.Languages())
	case "!languagePattern":
		return n.Encode(languagePattern())
	}
	for _, child := range n.Content {
		if err := fill(child); err != nil {
			return err
		}
	}
	return nil
}

// inStreamsAlone are the reasons that only end a stream which has begun, so no HTTP status has them.
var inStreamsAlone = []taskv1.ErrorReason{
	taskv1.ErrorReason_WATCH_LIFETIME_REACHED, taskv1.ErrorReason_WATCHER_TOO_SLOW,
}

// reasonsOf returns the reasons that answers with these gRPC codes have, in the contract's order; all without a code.
func reasonsOf(codes []int) (names []string) {
	values := taskv1.ErrorReason(0).Descriptor().Values()
	for i := range values.Len() {
		public := taskv1.ErrorReason(values.Get(i).Number())
		st := (&reason.Error{Outcome: reason.Outcome{Reason: public}}).Status("", "")
		answered := slices.Contains(codes, int(st.Code())) && !slices.Contains(inStreamsAlone, public)
		if public != taskv1.ErrorReason_ERROR_REASON_UNSPECIFIED && (len(codes) == 0 || answered) {
			names = append(names, public.String())
		}
	}
	return names
}

// languagePattern returns a pattern for the values of the header language: see [reason.Language].
func languagePattern() string {
	var all []string
	for _, tag := range reason.Languages() {
		var pattern strings.Builder
		for _, c := range tag {
			either := strings.ToLower(string(c)) + strings.ToUpper(string(c))
			if c == '-' {
				either = "-_"
			}
			pattern.WriteString("[" + either + "]")
		}
		all = append(all, pattern.String())
	}
	return "^(" + strings.Join(all, "|") + ")?$"
}

// openAPIAsset is that JSON as an asset. It is built once per process: building takes longer than the rest of [New],
// and tests have hundreds of gateways.
var openAPIAsset = sync.OnceValues(func() (asset, error) {
	document, err := openAPI()
	return newAsset("application/json", "", document), err
})
