package koodrivetest

import "time"

// Script is a parsed JSON script: see docs/simulate.md. Its zero value changes nothing.
type Script struct {
	Tokens []Token        `json:"tokens"`
	Apps   []App          `json:"apps"`
	Skew   *time.Duration `json:"skew"`  // as in [KooDrive.SetSkew]; nil: unchanged
	Fault  *Fault         `json:"fault"` // as in [KooDrive.SetFault]; nil: unchanged
	Tasks  []Task         `json:"tasks"`
}

// Token is a token to accept: see [KooDrive.AddToken].
type Token struct {
	Value string        `json:"token"`
	Idle  time.Duration `json:"idle"` // 0: does not expire
}

// App is an app to accept: see [KooDrive.AddApp].
type App struct {
	ID     string `json:"id"`
	Secret string `json:"secret"`
}

// ParseScript parses a JSON script. It refuses unknown and repeated keys. Its error is one line about the first
// mistake, with a JSON Pointer (RFC 6901): line 7: /tasks/1/steps/0/for: "soon" is not a duration such as "1.5s"
func ParseScript(data []byte) (*Script, error) {
	s := new(Script)
	if err := parse(data, s); err != nil {
		return nil, err
	}
	return s, nil
}

// Apply adds or replaces the items that the script names, and leaves the rest unchanged. It is not atomic: a concurrent request
// may see a part of it. The script must not be changed afterwards.
func (k *KooDrive) Apply(s *Script) {
	for _, t := range s.Tokens {
		k.AddToken(t.Value, t.Idle)
	}
	for _, a := range s.Apps {
		k.AddApp(a.ID, a.Secret)
	}
	if s.Skew != nil {
		k.SetSkew(*s.Skew)
	}
	for _, t := range s.Tasks {
		k.SetTask(t)
	}
	if s.Fault != nil {
		k.SetFault(s.Fault)
	}
}
