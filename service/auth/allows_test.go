package auth

import "testing"

// Users are compared as text, whatever type YAML gives them: 0123 is not 83, and 1e3 is not 1000.
func TestUsersKeepTheirText(t *testing.T) {
	for written, users := range map[string]map[string]bool{
		"0123":       {"0123": true, "83": false, "123": false},
		"0x1F":       {"0x1F": true, "31": false},
		"0o17":       {"0o17": true, "15": false},
		"1e3":        {"1e3": true, "1000": false},
		"1_000":      {"1_000": true, "1000": false},
		"1.0":        {"1.0": true, "1": false},
		"-0":         {"-0": true, "0": false},
		".inf":       {".inf": true, "+Inf": false},
		"true":       {"true": true, "True": false},
		"no":         {"no": true, "false": false},
		"2024-08-31": {"2024-08-31": true, "2024-08-31T00:00:00Z": false},
		"1395497048157130881999999999": {
			"1395497048157130881999999999": true, "1.3954970481571309e+27": false,
		},
		"!!str 7": {"7": true},
		"'*'":     {"*": true, "anybody": true, "": true},
	} {
		for _, kind := range []string{"claims: {sub: a}", "san: DNS:a"} {
			policy, err := ParsePolicy([]byte("callers:\n- " + kind + "\n  users: [" + written + "]"))
			if err != nil {
				t.Errorf("%s: %v", written, err)
				continue
			}
			for user, want := range users {
				id := identity{sans: []string{"DNS:b", "DNS:a"}, claims: map[string]any{"sub": "a"}}
				if policy.allows(id, user) != want {
					t.Errorf("%s by %s: user %q is allowed: %t", written, kind, user, !want)
				}
				if policy.allows(identity{sans: []string{"dns:a", "DNS:ab"}, claims: map[string]any{"Sub": "a"}}, user) {
					t.Errorf("%s by %s: anybody may act for %q", written, kind, user)
				}
			}
		}
	}
}

// A YAML merge adds only keys that the rule does not set itself.
func TestMergedRules(t *testing.T) {
	policy, err := ParsePolicy([]byte("callers:\n- &first\n  claims: {sub: a}\n  users: [one]\n- <<: *first\n  users: [two]\n"))
	if err != nil {
		t.Fatal(err)
	}
	for user, want := range map[string]bool{"one": true, "two": true, "three": false} {
		if policy.allows(identity{claims: map[string]any{"sub": "a"}}, user) != want || policy.allows(identity{}, user) {
			t.Errorf("user %s", user)
		}
	}
}
