package auth

import "testing"

// A rule that names a certificate and claims applies only to callers with both, and its users only to its callers.
func TestRulesNeedAllThatTheyName(t *testing.T) {
	policy, err := ParsePolicy([]byte(`
callers:
- {san: "DNS:a", claims: {sub: alice, team: drive}, users: ["1"]}
- {san: "DNS:b", users: ["2"]}
- {claims: {team: ops}, users: ["*"]}
`))
	if err != nil {
		t.Fatal(err)
	}
	list := func(one ...any) map[string]any { return map[string]any{"sub": "alice", "team": one} }
	for name, row := range map[string]struct {
		id   identity
		user string
		want bool
	}{
		"both":                 {identity{sans: []string{"DNS:a"}, claims: list("drive")}, "1", true},
		"the certificate":      {identity{sans: []string{"DNS:a"}}, "1", false},
		"the claims":           {identity{claims: list("drive")}, "1", false},
		"one of the claims":    {identity{sans: []string{"DNS:a"}, claims: map[string]any{"sub": "alice"}}, "1", false},
		"another user":         {identity{sans: []string{"DNS:a"}, claims: list("drive")}, "2", false},
		"another's user":       {identity{sans: []string{"DNS:b"}}, "1", false},
		"its own":              {identity{sans: []string{"DNS:b"}}, "2", true},
		"one of several names": {identity{sans: []string{"DNS:x", "DNS:b"}}, "2", true},
		"a name of a claim":    {identity{claims: map[string]any{"san": "DNS:b"}}, "2", false},
		"everybody's":          {identity{claims: list("x", "ops")}, "7", true},
		"a part of a text":     {identity{claims: map[string]any{"team": "ops2"}}, "7", false},
		"a list of lists":      {identity{claims: list([]any{"ops"})}, "7", false},
		"nobody":               {identity{}, "1", false},
		"every user by name":   {identity{sans: []string{"DNS:b"}}, "*", false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := policy.allows(row.id, row.user); got != row.want {
				t.Errorf("%v", got)
			}
		})
	}
}
