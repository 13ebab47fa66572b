package callers_test

import (
	"strings"
	"testing"

	"github.com/kootask/kootask/service/callers"
)

// What a policy says is said without a doubt, or it is refused.
func TestParsePolicy(t *testing.T) {
	const sub = "- claims: {sub: a}\n  users: [u]\n"
	for name, row := range map[string]struct {
		text, refusal string // Empty: it is accepted.
	}{
		"a san":                 {"callers:\n- san: DNS:a\n  users: [u]", ""},
		"every kind of san":     {"callers:\n- {san: 'DNS:a', users: [u]}\n- {san: 'URI:spiffe://a/b', users: [u]}\n- {san: 'IP:::1', users: [u]}\n- {san: 'email:a@b', users: [u]}", ""},
		"claims":                {"callers:\n" + sub, ""},
		"everybody":             {"callers:\n- claims: {sub: a}\n  users: ['*']", ""},
		"a comment":             {"# Who may.\ncallers:\n" + sub, ""},
		"JSON":                  {`{"callers": [{"claims": {"sub": "a"}, "users": ["1"]}]}`, ""},
		"a document's borders":  {"---\ncallers:\n" + sub + "...\n", ""},
		"an alias":              {"callers:\n- claims: &c {sub: a}\n  users: &u ['1']\n- claims: *c\n  users: *u", ""},
		"a merge":               {"callers:\n- &first\n  claims: {sub: a}\n  users: ['1']\n- <<: *first\n  users: ['2']", ""},
		"nothing":               {"", "no caller"},
		"a comment alone":       {"# Nobody.", "no caller"},
		"null":                  {"null", "no caller"},
		"null callers":          {"callers: null", "no caller"},
		"no callers":            {"callers: []", "no caller"},
		"a text":                {"callers", "cannot unmarshal"},
		"a list":                {sub, "cannot unmarshal"},
		"no YAML":               {"callers: [", "yaml"},
		"a tab":                 {"callers:\n\t- san: DNS:a", "yaml"},
		"an unknown field":      {"callers:\n- claims: {sub: a}\n  users: [u]\n  user: [v]", "field user not found"},
		"an unknown field atop": {"callers:\n" + sub + "default: allow", "field default not found"},
		"in upper case":         {"Callers:\n" + sub, "field Callers not found"},
		"a field twice":         {"callers:\n- claims: {sub: a}\n  users: [u]\n  users: [v]", "already"},
		"callers twice":         {"callers:\n" + sub + "callers:\n" + sub, "already"},
		"a claim twice":         {"callers:\n- claims: {sub: a, sub: b}\n  users: [u]", "already"},
		"two documents":         {"callers:\n" + sub + "---\ncallers:\n" + sub, "more than one document"},
		"an empty second one":   {"callers:\n" + sub + "---\n", "more than one document"},
		"a broken second one":   {"callers:\n" + sub + "---\n[", "more than one document"},
		"an anchor elsewhere":   {"x: &x [u]\ncallers:\n- claims: {sub: a}\n  users: *x", "field x not found"},
		"an alias of nothing":   {"callers:\n- claims: {sub: a}\n  users: *x", "unknown anchor"},
		"neither":               {"callers:\n- users: [u]", "caller 1: want san, or claims, or both"},
		"both":                  {"callers:\n- san: DNS:a\n  claims: {sub: a}\n  users: [u]", ""},
		"both by a merge":       {"callers:\n- &first\n  claims: {sub: a}\n  users: ['1']\n- <<: *first\n  san: DNS:a", ""},
		"no claims":             {"callers:\n- claims: {}\n  users: [u]", "caller 1: want san, or claims, or both"},
		"null for a caller":     {"callers:\n" + sub + "- null", "line 4: there is nothing"},
		"nothing for a caller":  {"callers:\n- \n" + sub, "line 2: there is nothing"},
		"a san without a type":  {"callers:\n- san: a\n  users: [u]", "want a san like"},
		"a san of no type":      {"callers:\n- san: 'dns:a'\n  users: [u]", "want a san like"},
		"every san":             {"callers:\n- san: '*'\n  users: [u]", "want a san like"},
		"a san of nothing":      {"callers:\n- san: 'DNS:'\n  users: [u]", "want a san like"},
		"null for a claim":      {"callers:\n- claims: {sub: null}\n  users: [u]", "a name and a value"},
		"nothing for a claim":   {"callers:\n- claims: {sub: }\n  users: [u]", "a name and a value"},
		"a claim of no name":    {"callers:\n- claims: {'': a}\n  users: [u]", "a name and a value"},
		"a list for a claim":    {"callers:\n- claims: {sub: [a]}\n  users: [u]", "line 2: the value of a claim is a text"},
		"a number for a claim":  {"callers:\n- claims: {n: 5}\n  users: [u]", "line 2: the value of a claim is a text"},
		"a truth for a claim":   {"callers:\n- claims: {admin: true}\n  users: [u]", "line 2: the value of a claim is a text"},
		"a number in quotes":    {"callers:\n- claims: {n: '5'}\n  users: [u]", ""},
		"no users":              {"callers:\n- claims: {sub: a}", "want users"},
		"none of the users":     {"callers:\n- claims: {sub: a}\n  users: []", "want users"},
		"null for users":        {"callers:\n- claims: {sub: a}\n  users: null", "want users"},
		"null for a user":       {"callers:\n- claims: {sub: a}\n  users: [u, null]", "line 3: there is nothing"},
		"a tilde for a user":    {"callers:\n- claims: {sub: a}\n  users: [~]", "line 3: there is nothing"},
		"an alias of null":      {"callers:\n- claims: {sub: a}\n  users: [u, &n null, *n]", "line 3: there is nothing"},
		"nothing for a user":    {"callers:\n- claims: {sub: a}\n  users:\n  - u\n  -\n", "line 5: there is nothing"},
		"an empty user":         {"callers:\n- claims: {sub: a}\n  users: ['']", "a user is"},
		"a user with a blank":   {"callers:\n- claims: {sub: a}\n  users: ['a b']", "a user is"},
		"a user with a line":    {"callers:\n- claims: {sub: a}\n  users: [\"a\\n\"]", "a user is"},
		"a user of letters":     {"callers:\n- claims: {sub: a}\n  users: [ä]", "a user is"},
		"a long user":           {"callers:\n- claims: {sub: a}\n  users: [" + strings.Repeat("x", 65) + "]", "a user is"},
		"users are a text":      {"callers:\n- claims: {sub: a}\n  users: u", "cannot unmarshal"},
		"users are an object":   {"callers:\n- claims: {sub: a}\n  users: {u: v}", "cannot unmarshal"},
		"all and one":           {"callers:\n- claims: {sub: a}\n  users: ['*', u]", "stands alone"},
		"one and all":           {"callers:\n- claims: {sub: a}\n  users: [u, '*']", "stands alone"},
		"all, twice":            {"callers:\n- claims: {sub: a}\n  users: ['*', '*']", "stands alone"},
		"all, without quotes":   {"callers:\n- claims: {sub: a}\n  users: [*]", "yaml"},
	} {
		policy, err := callers.ParsePolicy([]byte(row.text))
		switch {
		case row.refusal == "" && (err != nil || policy == nil):
			t.Errorf("%s: %v", name, err)
		case row.refusal != "" && (err == nil || policy != nil || !strings.Contains(err.Error(), row.refusal)):
			t.Errorf("%s: %v, want %q", name, err, row.refusal)
		}
	}
}
