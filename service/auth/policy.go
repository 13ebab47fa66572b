package auth

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/kootask/kootask/internal/ascii"
	"github.com/kootask/kootask/service/caller"
)

// Policy lists the KooDrive users that callers may act for. A caller that it does not list may act for none.
type Policy struct {
	rules []rule
}

// rule allows the callers that match SAN and all Claims to act for Users.
type rule struct {
	SAN    string          `yaml:"san"`
	Claims map[string]text `yaml:"claims"`
	Users  []string        `yaml:"users"`

	users map[string]bool // Users as a set, for speed: it is read for each message of each watch.
}

// text is the required value of a claim. A value that YAML reads as a number or boolean is refused: it would not equal
// a token's string.
type text string

// UnmarshalYAML accepts a string only.
func (s *text) UnmarshalYAML(node *yaml.Node) error {
	if node.ShortTag() != "!!str" {
		return fmt.Errorf("line %d: the value of a claim must be a string: write it in quotes", node.Line)
	}
	*s = text(node.Value)
	return nil
}

// anyUser allows all users.
const anyUser = "*"

// ParsePolicy reads a policy, like
//
//	callers:
//	  - san: DNS:orders.example
//	    users: ["1001", "1002"]
//	  - claims: {sub: alice, team: drive}
//	    users: ["*"]
//
// A san is a name in a client's certificate: see [Config]. Claims are those of a caller's token: it must have them all,
// each as this string or as a list that contains it. With san and claims, the caller needs both. If several rules
// match, their users add up. ParsePolicy fails on anything else, and its error has the place.
func ParsePolicy(file []byte) (*Policy, error) {
	var policy struct {
		Callers []rule `yaml:"callers"`
	}
	decoder := yaml.NewDecoder(bytes.NewReader(file))
	decoder.KnownFields(true)
	if err := decoder.Decode(&policy); err != nil && !errors.Is(err, io.EOF) {
		return nil, unquoted(err)
	}
	if err := decoder.Decode(new(any)); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one YAML document")
	}
	if len(policy.Callers) == 0 {
		return nil, errors.New("no caller")
	}
	if line := void(file); line > 0 {
		return nil, fmt.Errorf("line %d: a value is empty: fill it in or remove it", line)
	}
	for i := range policy.Callers {
		r := &policy.Callers[i]
		if err := r.check(); err != nil {
			return nil, fmt.Errorf("caller %d: %w", i+1, err)
		}
		r.users = map[string]bool{}
		for _, user := range r.Users {
			r.users[user] = true
		}
	}
	return &Policy{policy.Callers}, nil
}

// quotation matches the quotes of the file in YAML's errors, names of fields included. The wrong file may have been
// configured, and may contain a secret.
var quotation = regexp.MustCompile("(?s) `.*`|(anchor) '.*'|(field) .*( not found| already set)|(mapping key) \".*\"")

// unquoted returns an error without the quotes of the file.
func unquoted(err error) error {
	var all *yaml.TypeError
	texts := []string{err.Error()}
	if errors.As(err, &all) {
		texts = all.Errors
	}
	for i, text := range texts {
		texts[i] = strings.TrimPrefix(quotation.ReplaceAllString(text, "$1$2$3$4"), "yaml: ")
	}
	return errors.New("yaml: " + strings.Join(texts, "; "))
}

// void returns the line of a null, or of an empty string, list or object; 0 without one. The decoder would skip
// it, and the rule would require less than it seems to: a template's variable may have been empty.
func void(text []byte) int {
	var document yaml.Node
	_ = yaml.Unmarshal(text, &document) // It has been parsed before, so it cannot fail.
	open := []*yaml.Node{&document}
	for len(open) > 0 {
		node := open[0]
		open = append(open[1:], node.Content...)
		switch {
		case node.Kind == yaml.AliasNode: // Its target is visited where it is defined.
		case node.Kind == yaml.ScalarNode && (node.ShortTag() == "!!null" || node.Value == ""),
			node.Kind != yaml.ScalarNode && len(node.Content) == 0:
			return node.Line
		}
	}
	return 0
}

var sanForm = regexp.MustCompile(`^(DNS|URI|email|IP):[!-~]+$`)

// SANForm reports whether name can be a client's name: see [Config]. An IP address must be in canonical form.
func SANForm(name string) bool {
	address, isIP := strings.CutPrefix(name, "IP:")
	return sanForm.MatchString(name) && (!isIP || net.ParseIP(address).String() == address)
}

func (r rule) check() error {
	switch {
	case r.SAN == "" && len(r.Claims) == 0:
		return errors.New("needs san, or claims, or both")
	case r.SAN != "" && !SANForm(r.SAN):
		return errors.New("san must be a name like DNS:orders.example")
	case len(r.Users) == 0:
		return errors.New("needs users")
	}
	for name, value := range r.Claims {
		if !printable(name) || !printable(string(value)) {
			return errors.New("the name and the value of a claim must be visible characters without surrounding space")
		}
	}
	for _, user := range r.Users {
		if user == "" || len(user) > caller.MaxUserID || !ascii.Visible(user) {
			return errors.New("a user must be 1 to 64 visible ASCII characters")
		}
	}
	if slices.Contains(r.Users, anyUser) && len(r.Users) > 1 {
		return errors.New(`"*" must be the only user`)
	}
	return nil
}

// allows reports whether a caller may act for a user.
func (p *Policy) allows(id identity, user string) bool {
	for _, r := range p.rules {
		if (r.users[user] || r.users[anyUser]) && r.names(id) {
			return true
		}
	}
	return false
}

// names reports whether the rule matches a caller.
func (r rule) names(id identity) bool {
	if r.SAN != "" && !slices.Contains(id.sans, r.SAN) {
		return false
	}
	for name, want := range r.Claims {
		if !claims(id.claims[name], string(want)) {
			return false
		}
	}
	return true
}

// claims reports whether a claim is the string want, or a list that contains it.
func claims(claim any, want string) bool {
	switch claim := claim.(type) {
	case string:
		return claim == want
	case []any:
		return slices.ContainsFunc(claim, func(one any) bool { return one == any(want) })
	default:
		return false
	}
}
