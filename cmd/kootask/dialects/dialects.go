// Package dialects carries a dialect to the packages that speak it, which know nothing of its file.
package dialects

import (
	"maps"
	"slices"

	"github.com/kootask/kootask/dialect"
	"github.com/kootask/kootask/service/ask"
	"github.com/kootask/kootask/upstream"
	"github.com/kootask/kootask/upstream/koodrivetest"
)

// Parse returns the dialect of an overlay: see [dialect.Parse].
func Parse(overlay []byte) (dialect.Dialect, error) {
	return dialect.Parse(overlay, slices.Sorted(maps.Keys(ask.Meanings())))
}

// statuses and taskTypes are the numbers of documented values, by the names that a dialect has for them.
var (
	statuses = map[string]int32{
		"NEW": upstream.StatusNew, "EXECUTING": upstream.StatusExecuting,
		"SUCCESS": upstream.StatusSuccess, "FAILED": upstream.StatusFailed,
	}
	taskTypes = map[string]int32{
		"TRANSFER_AND_DELETION": upstream.TypeTransferAndDeletion, "BATCH_IMPORT": upstream.TypeBatchImport,
	}
)

// Upstream returns the part of a dialect that is about requests and answers.
func Upstream(d dialect.Dialect) *upstream.Dialect {
	to := &upstream.Dialect{
		TokenPrefix: d.Token.Prefix, TokenDate: d.Token.Date, UserIDRequired: d.Token.UserIDRequired,
		Signature: upstream.Signature(d.Signature),
		Meanings:  map[upstream.Refusal]upstream.Meaning{}, Documented: map[string]upstream.Meaning{},
		Statuses: numbers(d.Statuses, statuses), TaskTypes: numbers(d.TaskTypes, taskTypes),
		Digest: d.Digest(),
	}
	for _, h := range d.Headers {
		to.Headers = append(to.Headers, upstream.Header(h))
	}
	meanings := ask.Meanings()
	for _, c := range d.Codes {
		if c.Overlaid {
			to.Meanings[upstream.Refusal{Status: c.Status, Code: c.Code}] = meanings[c.Reason]
		} else {
			to.Documented[c.Code] = meanings[c.Reason]
		}
	}
	return to
}

// numbers replaces the names of documented values by their numbers.
func numbers(names map[int32]string, of map[string]int32) map[int32]int32 {
	to := make(map[int32]int32, len(names))
	for number, name := range names {
		to[number] = of[name]
	}
	return to
}

// ResultTexts returns the texts of result codes, by code and language.
func ResultTexts(d dialect.Dialect) map[string]map[string]string {
	to := make(map[string]map[string]string, len(d.ResultCodes))
	for code, text := range d.ResultCodes {
		to[code] = map[string]string{"en-US": text.English, "zh-CN": text.Chinese}
	}
	return to
}

// refusals are the codes with which KooDrive's stand-in refuses, and their HTTP status.
var refusals = map[string]int{"13000102": 400, "13000309": 400, "APIGW.0101": 404, "APIGW.0301": 401, "APIGW.0303": 401}

// Simulated returns the dialect of a KooDrive that speaks otherwise than its documents say.
func Simulated(d dialect.Dialect) (koodrivetest.Dialect, error) {
	to := koodrivetest.Dialect{
		TokenPrefix: d.Token.Prefix, TokenDate: d.Token.Date, UserIDRequired: d.Token.UserIDRequired,
		Headers:   map[string]string{},
		Signature: koodrivetest.Signature(d.Signature),
		Refusals:  map[string]koodrivetest.Refusal{},
		Statuses:  sent(d.Statuses, statuses), TaskTypes: sent(d.TaskTypes, taskTypes),
	}
	for _, h := range d.Headers {
		to.Headers[h.Name] = h.Value
	}
	documented, err := Parse(nil)
	if err != nil {
		return to, err
	}
	for code, status := range refusals {
		reason := reasonOf(documented, dialect.PlainCode(code))
		for _, row := range d.Codes {
			if row.Overlaid && row.Reason == reason {
				to.Refusals[code] = refusal(row, status)
				break
			}
		}
	}
	return to, nil
}

// refusal returns the refusal that a row describes. A row without a status leaves it as documented.
func refusal(row dialect.Code, status int) koodrivetest.Refusal {
	if row.Status != 0 {
		status = row.Status
	}
	return koodrivetest.Refusal{Status: status, Code: row.Code}
}

// reasonOf returns the reason of a code.
func reasonOf(d dialect.Dialect, code string) string {
	i := slices.IndexFunc(d.Codes, func(c dialect.Code) bool { return c.Code == code && c.Status == 0 })
	return d.Codes[i].Reason
}

// sent returns the numbers that are sent in place of documented ones: the smallest that is mapped to each.
func sent(names map[int32]string, of map[string]int32) map[int64]int64 {
	to := map[int64]int64{}
	for number, name := range names {
		documented := int64(of[name])
		if other, ok := to[documented]; !ok || int64(number) < other {
			to[documented] = int64(number)
		}
	}
	return to
}
