// Package result defines the output of the drivers, as JSON.
package result

// Calls is the result of the command load. Latencies are in milliseconds.
type Calls struct {
	Calls  int     `json:"calls"`
	Failed int     `json:"failed"`
	Bytes  float64 `json:"bytes"` // Content of an answer.
	Rate   float64 `json:"rate"`  // Calls per second.
	P50    float64 `json:"p50"`
	P99    float64 `json:"p99"`
}

// Watches is the answer of the command watchers to an order. Times from a change to its arrival are in milliseconds, and
// those of the median round.
type Watches struct {
	Setup      float64   `json:"setup"`         // Seconds until all watches were open.
	P50        float64   `json:"p50"`           // Time until half of the watchers had the change.
	P99        float64   `json:"p99"`           // Time until 99 % of them had it.
	Last       float64   `json:"last"`          // Time until all had it.
	Lasts      []float64 `json:"lasts"`         // Last, for each round.
	Missed     int       `json:"missed"`        // Changes that did not arrive in time, on all watches.
	CPU        float64   `json:"cpu"`           // CPU time of the driver during the order, in seconds.
	Heartbeats int       `json:"heartbeats"`    // So far.
	Ended      int       `json:"ended"`         // Streams that have ended so far.
	Why        string    `json:"why,omitempty"` // How the first of them ended.
}
