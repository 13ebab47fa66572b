package upstream

import "testing"

// A row with the status and the code wins over one with the code, that over a documented code, and that over a row with the
// status. Documented codes yield to 401 and 403.
func TestMeanings(t *testing.T) {
	d := &Dialect{
		Meanings: map[Refusal]Meaning{
			{409, "7"}: MeansTaskNotFound, {0, "7"}: MeansRateLimited, {409, ""}: MeansTimeout, {401, ""}: MeansUnavailable, {0, ".0301"}: MeansMisconfigured,
		},
		Documented: map[string]Meaning{"7": MeansBusinessError, "8": MeansRequestInvalid, ".0302": MeansPermissionDenied},
	}
	for _, row := range []struct {
		status int
		code   string
		want   Meaning
	}{
		{409, "7", MeansTaskNotFound}, {400, "7", MeansRateLimited}, {403, "7", MeansRateLimited}, {409, "8", MeansRequestInvalid}, {409, "9", MeansTimeout}, {409, "", MeansTimeout},
		{400, "8", MeansRequestInvalid}, {403, "8", Unmapped}, {401, "8", MeansUnavailable}, {400, "", Unmapped}, {500, "9", Unmapped},
		{400, "APIGW.0301", MeansMisconfigured}, {403, "APIG.0301", MeansMisconfigured}, {400, "APIG.0302", MeansPermissionDenied}, {403, "APIGW.0302", Unmapped},
	} {
		got := &StatusError{Status: row.status, Code: row.code}
		d.explain(got)
		if documented := d.Documented[plainCode(row.code)] == row.want; got.Meaning != row.want || got.Mapped != (row.want != Unmapped && !documented) {
			t.Errorf("%d with code %q means %d (mapped: %t), want %d", row.status, row.code, got.Meaning, got.Mapped, row.want)
		}
	}
}

// The consequences of a refusal are those of its meaning, and without one those of its status.
func TestConsequencesOfMeanings(t *testing.T) {
	for _, row := range []struct {
		refusal                   StatusError
		failed, limited, resigned bool
	}{
		{StatusError{Status: 500}, true, false, false},
		{StatusError{Status: 429}, false, true, false},
		{StatusError{Status: 401}, false, false, true},
		{StatusError{Status: 400}, false, false, true},
		{StatusError{Status: 400, Code: "1"}, false, false, false},
		{StatusError{Status: 500, Meaning: MeansTaskNotFound}, false, false, false},
		{StatusError{Status: 429, Meaning: MeansUnavailable}, true, false, false},
		{StatusError{Status: 400, Meaning: MeansTimeout}, true, false, false},
		{StatusError{Status: 400, Meaning: MeansRateLimited}, false, true, false},
		{StatusError{Status: 503, Meaning: MeansCredentialRejected}, false, false, true},
		{StatusError{Status: 401, Meaning: MeansPermissionDenied}, false, false, false},
	} {
		e := row.refusal
		if e.failed() != row.failed || e.limited() != row.limited || refusesSignature(&e) != row.resigned {
			t.Errorf("%+v: failed %t, limited %t, signed again %t", e, e.failed(), e.limited(), refusesSignature(&e))
		}
	}
}
