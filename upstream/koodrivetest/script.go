package koodrivetest

import "time"

// Script is what a JSON script says, and docs/simulate.md tells how. Its zero value says nothing.
type Script struct {
	Tokens []Token
	Apps   []App
	Skew   *time.Duration // as in [KooDrive.SetSkew]; nil leaves the clock as it is
	Fault  *Fault         // as in [KooDrive.SetFault], but nil leaves the fault that there is
	Tasks  []Task
}

// Token is a token to accept, as in [KooDrive.AddToken].
type Token struct {
	Value string
	Idle  time.Duration // 0: for ever
}

// App is an app to accept, as in [KooDrive.AddApp].
type App struct{ ID, Secret string }

// ParseScript reads a JSON script. It takes nothing that it does not know or that stands there twice. Its error is one
// line about the first thing that is wrong: line 7: tasks[1].steps[0].for: "soon" is no duration
func ParseScript(data []byte) (*Script, error) {
	var s Script
	if err := readAll(data, func(r *reader) error { return r.script(&s) }); err != nil {
		return nil, err
	}
	return &s, nil
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

func (r *reader) script(s *Script) error {
	tokens, apps, tasks := make(map[string]bool), make(map[string]bool), make(map[string]bool)
	return r.object(map[string]func() error{
		"tokens": func() error {
			return r.list(func() error {
				var t Token
				err := r.object(map[string]func() error{
					"token": func() error { return r.unique(&t.Value, tokens) },
					"idle":  func() error { return r.duration(&t.Idle) },
				}, "token")
				s.Tokens = append(s.Tokens, t)
				return err
			})
		},
		"apps": func() error {
			return r.list(func() error {
				var a App
				err := r.object(map[string]func() error{
					"id":     func() error { return r.unique(&a.ID, apps) },
					"secret": func() error { return r.filled(&a.Secret) },
				}, "id", "secret")
				s.Apps = append(s.Apps, a)
				return err
			})
		},
		"skew": func() error {
			s.Skew = new(time.Duration)
			return r.offset(s.Skew)
		},
		"fault": func() error {
			s.Fault = new(Fault)
			return r.fault(s.Fault)
		},
		"tasks": func() error {
			return r.list(func() error {
				var t Task
				err := r.task(&t, func() error { return r.unique(&t.ID, tasks) }, "id", "steps")
				s.Tasks = append(s.Tasks, t)
				return err
			})
		},
	})
}
