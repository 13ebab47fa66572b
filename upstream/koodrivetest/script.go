package koodrivetest

import "time"

// Script is what a JSON script says, and docs/simulate.md tells how. Its zero value says nothing.
type Script struct {
	Tokens []Token        `json:"tokens"`
	Apps   []App          `json:"apps"`
	Skew   *time.Duration `json:"skew"`  // as in [KooDrive.SetSkew]; nil leaves the clock as it is
	Fault  *Fault         `json:"fault"` // as in [KooDrive.SetFault], but nil leaves the fault that there is
	Tasks  []Task         `json:"tasks"`
}

// Token is a token to accept, as in [KooDrive.AddToken].
type Token struct {
	Value string        `json:"token"`
	Idle  time.Duration `json:"idle"` // 0: for ever
}

// App is an app to accept, as in [KooDrive.AddApp].
type App struct {
	ID     string `json:"id"`
	Secret string `json:"secret"`
}

// ParseScript reads a JSON script. It refuses unknown keys and keys that occur twice. Its error is one line about the
// first mistake, with a JSON Pointer (RFC 6901): line 7: /tasks/1/steps/0/for: "soon" is not a duration such as "1.5s"
func ParseScript(data []byte) (*Script, error) {
	s := new(Script)
	if err := parse(data, s); err != nil {
		return nil, err
	}
	return s, nil
}

// Apply adds what the script names, or replaces it; all else stays as it is. A request that comes meanwhile may see one
// half of it. The script must not be changed afterwards.
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
