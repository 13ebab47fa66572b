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

// Policy says which callers may act for which KooDrive users. Who is not in it may act for nobody.
type Policy struct {
	rules []rule
}

// rule is one of a policy: who, by all that it names, and for whom.
type rule struct {
	SAN    string          `yaml:"san"`
	Claims map[string]text `yaml:"claims"`
	Users  []string        `yaml:"users"`

	users map[string]bool // Those of Users: it is asked for each message of each watch.
}

// text is what a claim has to say. What looks like a number or a truth value is refused, since a token's would not be a text.
type text string

// UnmarshalYAML takes a text.
func (s *text) UnmarshalYAML(node *yaml.Node) error {
	if node.ShortTag() != "!!str" {
		return fmt.Errorf("line %d: the value of a claim is a text: write it in quotes", node.Line)
	}
	*s = text(node.Value)
	return nil
}

// anyUser stands for all users, if it is written.
const anyUser = "*"

// ParsePolicy reads a policy, like
//
//	callers:
//	  - san: DNS:orders.example
//	    users: ["1001", "1002"]
//	  - claims: {sub: alice, team: drive}
//	    users: ["*"]
//
// A san is one of a client's certificate: see [Config]. Claims are those of a caller's token, which has to have them all:
// each is a text, or a list with it. With both, the caller needs both. Several rules may hold, and each adds users. It fails if
// anything else is in it, and says where.
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

// quotation is what YAML's errors repeat of a file, names of fields too. The file may be another one than was meant: one with
// a secret.
var quotation = regexp.MustCompile("(?s) `.*`|(anchor) '.*'|(field) .*( not found| already set)|(mapping key) \".*\"")

// unquoted returns an error without what it quotes of the file.
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

// void returns the line of a null, an empty text, list or object; 0 if there is none. The decoder would leave it out, and a rule
// would then ask for less than it says: a template's variable may have been empty.
func void(text []byte) int {
	var document yaml.Node
	_ = yaml.Unmarshal(text, &document) // It has been parsed before.
	open := []*yaml.Node{&document}
	for len(open) > 0 {
		node := open[0]
		open = append(open[1:], node.Content...)
		switch {
		case node.Kind == yaml.AliasNode: // What it stands for is looked at where it is written.
		case node.Kind == yaml.ScalarNode && (node.ShortTag() == "!!null" || node.Value == ""), node.Kind != yaml.ScalarNode && len(node.Content) == 0:
			return node.Line
		}
	}
	return 0
}

var sanForm = regexp.MustCompile(`^(DNS|URI|email|IP):[!-~]+$`)

// SANForm reports whether a text can be the name of a client: see [Config]. An address is written as kootask would write it.
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
		return errors.New(`"*" stands alone`)
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

// names reports whether a rule is about a caller.
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

// claims reports whether a claim is a text, or a list with it.
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
