package auth_test

import (
	"strings"
	"testing"

	"github.com/kootask/kootask/service/auth"
)

// A policy that can be misread is refused.
func TestParsePolicy(t *testing.T) {
	const sub = "- claims: {sub: a}\n  users: [u]\n"
	for name, row := range map[string]struct {
		text, refusal string // Empty: accepted.
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
		"not YAML":              {"callers: [", "yaml"},
		"a tab":                 {"callers:\n\t- san: DNS:a", "yaml"},
		"an unknown field":      {"callers:\n- claims: {sub: a}\n  users: [u]\n  user: [v]", "field not found"},
		"an unknown field atop": {"callers:\n" + sub + "default: allow", "field not found"},
		"in upper case":         {"Authenticator:\n" + sub, "field not found"},
		"a field twice":         {"callers:\n- claims: {sub: a}\n  users: [u]\n  users: [v]", "already"},
		"callers twice":         {"callers:\n" + sub + "callers:\n" + sub, "already"},
		"a claim twice":         {"callers:\n- claims: {sub: a, sub: b}\n  users: [u]", "already"},
		"two documents":         {"callers:\n" + sub + "---\ncallers:\n" + sub, "more than one YAML document"},
		"an empty second one":   {"callers:\n" + sub + "---\n", "more than one YAML document"},
		"a broken second one":   {"callers:\n" + sub + "---\n[", "more than one YAML document"},
		"an anchor elsewhere":   {"x: &x [u]\ncallers:\n- claims: {sub: a}\n  users: *x", "field not found"},
		"an alias of nothing":   {"callers:\n- claims: {sub: a}\n  users: *x", "unknown anchor"},
		"neither":               {"callers:\n- users: [u]", "caller 1: needs san, or claims, or both"},
		"both":                  {"callers:\n- san: DNS:a\n  claims: {sub: a}\n  users: [u]", ""},
		"both by a merge":       {"callers:\n- &first\n  claims: {sub: a}\n  users: ['1']\n- <<: *first\n  san: DNS:a", ""},
		"no claims":             {"callers:\n- claims: {}\n  users: [u]", "line 2: a value is empty"},
		"null for a caller":     {"callers:\n" + sub + "- null", "line 4: a value is empty"},
		"nothing for a caller":  {"callers:\n- \n" + sub, "line 2: a value is empty"},
		"a san without a type":  {"callers:\n- san: a\n  users: [u]", "san must be a name like"},
		"a san of no type":      {"callers:\n- san: 'dns:a'\n  users: [u]", "san must be a name like"},
		"every san":             {"callers:\n- san: '*'\n  users: [u]", "san must be a name like"},
		"a san of nothing":      {"callers:\n- san: 'DNS:'\n  users: [u]", "san must be a name like"},
		"null for a claim":      {"callers:\n- claims: {sub: null}\n  users: [u]", "line 2: a value is empty"},
		"nothing for a claim":   {"callers:\n- claims: {sub: }\n  users: [u]", "line 2: a value is empty"},
		"a claim of no name":    {"callers:\n- claims: {'': a}\n  users: [u]", "line 2: a value is empty"},
		"a list for a claim":    {"callers:\n- claims: {sub: [a]}\n  users: [u]", "line 2: the value of a claim must be a string"},
		"a number for a claim":  {"callers:\n- claims: {n: 5}\n  users: [u]", "line 2: the value of a claim must be a string"},
		"a boolean for a claim": {"callers:\n- claims: {admin: true}\n  users: [u]", "line 2: the value of a claim must be a string"},
		"a number in quotes":    {"callers:\n- claims: {n: '5'}\n  users: [u]", ""},
		// A name with an empty value would require less than it seems to.
		"an empty san":             {"callers:\n- san: ''\n  claims: {sub: a}\n  users: [u]", "line 2: a value is empty"},
		"nothing for a san":        {"callers:\n- san:\n  claims: {sub: a}\n  users: [u]", "line 2: a value is empty"},
		"empty claims":             {"callers:\n- san: DNS:a\n  claims: {}\n  users: [u]", "line 3: a value is empty"},
		"nothing for claims":       {"callers:\n- san: DNS:a\n  claims:\n  users: [u]", "line 3: a value is empty"},
		"null for claims":          {"callers:\n- san: DNS:a\n  claims: ~\n  users: [u]", "line 3: a value is empty"},
		"an empty claim":           {"callers:\n- claims: {sub: a, team: ''}\n  users: [u]", "line 2: a value is empty"},
		"an alias of empty claims": {"callers:\n- claims: &c {}\n  san: DNS:a\n  users: [u]\n- claims: *c\n  san: DNS:b\n  users: [v]", "line 2: a value is empty"},
		"a merge of nothing":       {"callers:\n- <<:\n  san: DNS:a\n  users: [u]", "map merge"},
		"a merge, and then empty":  {"callers:\n- &f {san: 'DNS:a', users: [u]}\n- <<: *f\n  san:\n  claims: {sub: a}", "line 4: a value is empty"},
		"an empty text of lines":   {"callers:\n- san: DNS:a\n  claims: {sub: a}\n  users:\n  - |\n", "line 5: a value is empty"},
		"a merge of an empty one":  {"callers:\n- san: DNS:a\n  claims: {<<: {}, sub: a}\n  users: [u]", "line 3: a value is empty"},
		"a type alone":             {"callers:\n- san: 'DNS: '\n  users: [u]", "san must be a name like"},
		"a san with a space":       {"callers:\n- san: 'DNS:a '\n  users: [u]", "san must be a name like"},
		"a san with a no-break":    {"callers:\n- san: 'DNS:a\u00a0'\n  users: [u]", "san must be a name like"},
		"a san with a line":        {"callers:\n- san: \"DNS:a\\n\"\n  users: [u]", "san must be a name like"},
		"no address":               {"callers:\n- san: 'IP:orders'\n  users: [u]", "san must be a name like"},
		"another form of address":  {"callers:\n- san: 'IP:0:0::1'\n  users: [u]", "san must be a name like"},
		"a claim of spaces":        {"callers:\n- claims: {sub: '  '}\n  users: [u]", "visible characters"},
		"a claim with a space":     {"callers:\n- claims: {sub: 'a '}\n  users: [u]", "visible characters"},
		"a claim with a mark":      {"callers:\n- claims: {sub: \"a\u200b\"}\n  users: [u]", "visible characters"},
		"a claim's name of spaces": {"callers:\n- claims: {' ': a}\n  users: [u]", "visible characters"},
		"a key merged twice":       {"callers:\n- &f {san: 'DNS:a', users: [u]}\n- <<: *f\n  <<: *f", "already"},
		"a byte order mark":        {"\ufeffcallers:\n" + sub, ""},
		"UTF-16":                   {utf16("callers:\n" + sub), ""},
		"UTF-16 without a mark":    {utf16("callers:\n" + sub)[2:], "yaml: "},
		"NUL":                      {"callers:\n" + sub + "\x00", "yaml: "},
		"not UTF-8":                {"callers:\n- claims: {sub: \"\xff\"}\n  users: [u]", "yaml: "},
		"a secret":                 {"geheim~secret\n", "yaml: line 1: cannot unmarshal !!str into"},
		"a secret with quotes":     {"gehe`im`geheim\n", "yaml: line 1: cannot unmarshal !!str into"},
		"a secret with a star":     {"*geheim", "yaml: unknown anchor referenced"},
		"a template":               {"callers:\n- claims: {{geheim}}\n  users: [u]", "yaml: "},
		"no users":                 {"callers:\n- claims: {sub: a}", "needs users"},
		"none of the users":        {"callers:\n- claims: {sub: a}\n  users: []", "line 3: a value is empty"},
		"null for users":           {"callers:\n- claims: {sub: a}\n  users: null", "line 3: a value is empty"},
		"null for a user":          {"callers:\n- claims: {sub: a}\n  users: [u, null]", "line 3: a value is empty"},
		"a tilde for a user":       {"callers:\n- claims: {sub: a}\n  users: [~]", "line 3: a value is empty"},
		"an alias of null":         {"callers:\n- claims: {sub: a}\n  users: [u, &n null, *n]", "line 3: a value is empty"},
		"nothing for a user":       {"callers:\n- claims: {sub: a}\n  users:\n  - u\n  -\n", "line 5: a value is empty"},
		"an empty user":            {"callers:\n- claims: {sub: a}\n  users: ['']", "line 3: a value is empty"},
		"a user with a space":      {"callers:\n- claims: {sub: a}\n  users: ['a b']", "a user must be"},
		"a user with a line":       {"callers:\n- claims: {sub: a}\n  users: [\"a\\n\"]", "a user must be"},
		"a user of letters":        {"callers:\n- claims: {sub: a}\n  users: [ä]", "a user must be"},
		"a long user":              {"callers:\n- claims: {sub: a}\n  users: [" + strings.Repeat("x", 65) + "]", "a user must be"},
		"users are a text":         {"callers:\n- claims: {sub: a}\n  users: u", "cannot unmarshal"},
		"users are an object":      {"callers:\n- claims: {sub: a}\n  users: {u: v}", "cannot unmarshal"},
		"all and one":              {"callers:\n- claims: {sub: a}\n  users: ['*', u]", "must be the only user"},
		"one and all":              {"callers:\n- claims: {sub: a}\n  users: [u, '*']", "must be the only user"},
		"all, twice":               {"callers:\n- claims: {sub: a}\n  users: ['*', '*']", "must be the only user"},
		"all, without quotes":      {"callers:\n- claims: {sub: a}\n  users: [*]", "yaml"},
	} {
		t.Run(name, func(t *testing.T) {
			policy, err := auth.ParsePolicy([]byte(row.text))
			switch {
			case row.refusal == "" && (err != nil || policy == nil):
				t.Errorf("%v", err)
			case row.refusal != "" && (err == nil || policy != nil || !strings.Contains(err.Error(), row.refusal)):
				t.Errorf("%v, want %q", err, row.refusal)
			case err != nil && strings.Contains(err.Error(), "gehe"):
				t.Errorf("the error quotes the file: %v", err)
			}
		})
	}
}

// utf16 encodes an ASCII text as Windows does.
func utf16(text string) string {
	all := []byte("\xff\xfe")
	for _, b := range []byte(text) {
		all = append(all, b, 0)
	}
	return string(all)
}
