//go:build !race

package upstream

import "testing"

// assertAllocs fails if f allocates more often than most times.
func assertAllocs(t *testing.T, most float64, f func()) {
	t.Helper()
	if n := testing.AllocsPerRun(1000, f); n > most {
		t.Errorf("%v allocations, want at most %v", n, most)
	}
}

// The task's fields are four of the allocations.
func TestAllocsOfAnAnswer(t *testing.T) {
	r := answered(200, "application/json", `{"taskId":"`+id+`","taskName":"copy","taskType":0,"tenantId":"tenant-0001",`+
		`"userId":"user-000042","status":1,"resultCode":"","code":0,"msg":"Success."}`)
	assertAllocs(t, 6, func() {
		if _, err := r.task(id); err != nil {
			t.Fatal(err)
		}
	})
}
