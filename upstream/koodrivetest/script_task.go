package koodrivetest

// parseTask reads a task alone, whose id is known already. It may say the same id again.
func parseTask(data []byte, id string) (Task, error) {
	t := Task{ID: id}
	err := readAll(data, func(r *reader) error {
		return r.task(&t, func() error {
			if err := r.filled(&t.ID); err != nil {
				return err
			}
			if t.ID != id {
				return r.errorf("%.40q is not %.40q, which the path says", t.ID, id)
			}
			return nil
		}, "steps")
	})
	return t, err
}

// task reads a task, and its id with id.
func (r *reader) task(t *Task, id func() error, required ...string) error {
	return r.object(map[string]func() error{
		"id":   id,
		"name": func() error { return r.text(&t.Name) },
		"type": func() error {
			token, err := r.token()
			if err != nil {
				return err
			}
			t.Type = new(int64)
			return r.number(token, t.Type, "a number")
		},
		"tenantId": func() error { return r.text(&t.TenantID) },
		"userId":   func() error { return r.text(&t.UserID) },
		"steps": func() error {
			var status int64
			err := r.list(func() error {
				s := Step{Status: status}
				err := r.step(&s)
				t.Steps, status = append(t.Steps, s), s.Status
				return err
			})
			if err == nil && len(t.Steps) == 0 {
				err = r.errorf("is empty")
			}
			return err
		},
	}, required...)
}

// step reads a step. Without a status it keeps the one that it has, which is that of the step before.
func (r *reader) step(s *Step) error {
	return r.object(map[string]func() error{
		"status":     func() error { return r.status(&s.Status) },
		"resultCode": func() error { return r.text(&s.ResultCode) },
		"name":       func() error { return r.text(&s.Name) },
		"for":        func() error { return r.duration(&s.For) },
		"fault": func() error {
			s.Fault = new(Fault)
			return r.fault(s.Fault)
		},
	})
}

var statuses = map[string]int64{
	"NEW": StatusNew, "EXECUTING": StatusExecuting, "SUCCESS": StatusSuccess, "FAILED": StatusFailed,
}

// status reads the state of a task, by its name or as KooDrive's number.
func (r *reader) status(to *int64) error {
	token, err := r.token()
	if err != nil {
		return err
	}
	name, ok := token.(string)
	if !ok {
		return r.number(token, to, "a state's name or number")
	}
	n, known := statuses[name]
	if !known {
		return r.errorf("%.40q is none of NEW, EXECUTING, SUCCESS and FAILED", name)
	}
	*to = n
	return nil
}
